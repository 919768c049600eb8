"""From a prompt to the object's mask in the prompt's frame."""

import cv2
import numpy as np

from unocclude.clip import Clip
from unocclude.perception.prompt import Prompt, clip_box
from unocclude.perception.window import Window


def segment(clip: Clip, prompt: Prompt) -> np.ndarray:
    if prompt.mask is not None:
        return prompt.mask != 0
    raise NotImplementedError


def tidy(mask: np.ndarray, smallest: float = 0.03, hole: float = 0.01) -> np.ndarray:
    """Without specks and pinholes: parts under `smallest` and holes under `hole` of the mask's area."""
    area = mask.sum()
    if not area:
        return mask
    mask = mask.copy()
    for value, limit in ((False, hole), (True, smallest)):
        count, labels, stats, _ = cv2.connectedComponentsWithStats((mask == value).astype(np.uint8), connectivity=4)
        small = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] < limit * area)
        small = small[small > 0]
        if small.size:
            mask[np.isin(labels, small)] = not value
    return mask
