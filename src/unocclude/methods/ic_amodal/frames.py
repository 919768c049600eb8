"""Which frames teach the others (calibrated exemplar rectification), and which need nothing."""

import math
from collections.abc import Sequence

import numpy as np

from unocclude.scene import Scene

APART = 0.2
"""An exemplar's collaborator is at least this share of the shot away from it in time."""


def exemplar(areas: Sequence[int] | np.ndarray) -> int | None:
    """The frame with the largest visible area, the first of several; None where the object is never visible.

    areas: (T,) visible areas of a shot's frames.
    """
    best = int(np.argmax(areas))
    return best if areas[best] else None


def collaborator(areas: Sequence[int] | np.ndarray, chosen: int, apart: float = APART) -> int | None:
    """The frame with the largest visible area of those at least `apart` of the shot away from the exemplar; where none
    of these shows the object, of those as far away as any that does. None where no other frame shows it."""
    others = [k for k, area in enumerate(areas) if area and k != chosen]
    if not others:
        return None
    far = math.ceil(apart * len(areas))
    least = min(far, max(abs(k - chosen) for k in others))
    return max((k for k in others if abs(k - chosen) >= least), key=lambda k: (areas[k], -k))


def occluded(scene: Scene, i: int) -> bool:
    """Whether something may hide the object in frame i. A shot of one frame has no other that could show that nothing
    does, so there only the user's own occluders can."""
    alone = len(scene.clip.shot_of(i)) == 1 and scene.given_occluders is None
    return alone or not scene.evidence.untouched(i)
