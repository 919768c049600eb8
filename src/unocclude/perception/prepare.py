"""Pictures into what networks take: resizing and normalisation, as each published model was trained with.

NumPy, OpenCV and Pillow only. Two rules of resizing are in use, and they differ by several grey levels: Pillow's, which
widens its filter when it shrinks and rounds to uint8, and OpenCV's on float, which does neither.
"""

import numpy as np

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of RGB in 0..1: SAM, SAM 2, Grounding DINO, Depth Anything, InstaOrder."""

CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""The same of CLIP."""

Colours = tuple[tuple[float, float, float], tuple[float, float, float]]


def normalised(image: np.ndarray, colours: Colours = IMAGENET) -> np.ndarray:
    """(3, H, W) float32 from (H, W, 3) RGB, uint8 in 0..255 or float in 0..1: less the mean, over the deviation."""
    values = image.astype(np.float32) / 255 if image.dtype == np.uint8 else image.astype(np.float32)
    mean, deviation = (np.array(part, np.float32) for part in colours)
    return np.ascontiguousarray(((values - mean) / deviation).transpose(2, 0, 1))
