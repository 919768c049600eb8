"""Captions of objects: the caption in the data set, else a phrase from the object's colours and class."""

from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np

from unocclude.datasets.base import Truth

COLOURS = {
    "black": (20, 20, 20), "grey": (128, 128, 128), "white": (240, 240, 240), "red": (200, 35, 35),
    "orange": (235, 130, 30), "brown": (115, 70, 40), "yellow": (230, 210, 50), "green": (50, 150, 60),
    "blue": (50, 90, 200), "purple": (120, 55, 150), "pink": (235, 140, 175),
}  # fmt: skip
"""The basic colour terms of English (Berlin and Kay 1969), RGB."""
SECOND = 0.25
"""Minimum fraction of the object for its second colour to be named."""
MAX_PIXELS = 2_000_000
"""Maximum number of pixels for which colours are counted; larger objects are subsampled."""


def caption(notes: Mapping[str, Any], looks: Iterable[tuple[np.ndarray, np.ndarray]]) -> str:
    """The caption in `notes` (TGVAC's data set is captioned by BLIP-2), else one such as "a red and white giraffe".

    notes: annotations of the data set, of which "caption" and "class" are used; "" without either. looks: for each
    frame, the object's appearance (H, W, 3) uint8 RGB and its amodal mask (H, W) bool.
    """
    if told := notes.get("caption"):
        return str(told)
    if not (name := notes.get("class")):
        return ""
    colours = _colours(looks)
    article = "an" if (colours or [str(name)])[0][:1] in "aeiou" else "a"
    return " ".join([article, *([" and ".join(colours)] if colours else []), str(name)])


def of_truth(truth: Truth) -> str:
    """The caption of a sample from its ground truth."""
    rgb, amodal = truth.rgb, truth.amodal
    if rgb is None or amodal is None:
        return caption(truth.notes, ())
    return caption(truth.notes, ((rgb(i), amodal[i]) for i in range(len(truth))))


def _colours(looks: Iterable[tuple[np.ndarray, np.ndarray]]) -> list[str]:
    """The most frequent colour in the first frame with the object, and the second if it is frequent too."""
    for rgb, amodal in looks:
        if amodal.any() and rgb.any():
            terms = _lab(np.array(list(COLOURS.values()), np.uint8))
            seen = rgb[amodal]
            seen = seen[:: len(seen) // MAX_PIXELS + 1]
            gaps = np.linalg.norm(_lab(seen)[:, None] - terms[None], axis=2)
            counts = np.bincount(gaps.argmin(1), minlength=len(COLOURS))
            first, second = np.argsort(-counts, kind="stable")[:2]
            names = list(COLOURS)
            return [names[first], names[second]] if counts[second] > SECOND * counts.sum() else [names[first]]
    return []


def _lab(rgb: np.ndarray) -> np.ndarray:
    """Convert RGB (n, 3) uint8 to CIE Lab (n, 3) float32."""
    return cv2.cvtColor(rgb[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
