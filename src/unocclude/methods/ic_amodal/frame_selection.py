"""Selection of the exemplar and its collaborator (section 3.2), and of the frames that need no completion."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from unocclude.completion import SEEN, FrameResult
from unocclude.scene import Scene

HIDDEN = 0.01
"""Occlusion rate above which a frame counts as occluded."""


def choose_exemplar(areas: Sequence[int] | np.ndarray) -> int | None:
    """The frame with the largest visible area, the first if there are several; None if the object is never visible.

    areas: (T,) visible areas of a shot's frames.
    """
    best = int(np.argmax(areas))
    return best if areas[best] else None


def choose_collaborator(areas: Sequence[int] | np.ndarray, chosen: int, apart: float = 0.2) -> int | None:
    """The frame with the largest visible area among those at least `apart` (fraction of the shot) from the exemplar.

    If none of these shows the object, the farthest frame that does. None if no other frame shows it.
    """
    others = [k for k, area in enumerate(areas) if area and k != chosen]
    if not others:
        return None
    far = math.ceil(apart * len(areas))
    least = min(far, max(abs(k - chosen) for k in others))
    return max((k for k in others if abs(k - chosen) >= least), key=lambda k: (areas[k], -k))


def is_occluded(scene: Scene, seen: FrameResult) -> bool:
    """Whether more than 1 % of the object is occluded in a frame, according to recall.

    In a shot of one frame, recall cannot tell; there it is whether a possible occluder touches the object.
    """
    if len(scene.clip.shot_of(seen.index)) > 1:
        return bool((seen.provenance > SEEN).sum() > HIDDEN * seen.amodal.sum())
    visible = scene.visible(seen.index)
    beside = cv2.dilate(visible.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return bool((scene.completion_mask(seen.index) & beside & ~visible).any())
