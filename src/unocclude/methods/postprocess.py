"""What the generative methods share at the end: several draws of a shot become its frames' results."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from unocclude.completion import FrameResult
from unocclude.media.bleed import bleed
from unocclude.methods.compose import compose
from unocclude.methods.framing import Framing
from unocclude.scene import Scene

Sample = tuple[np.ndarray, np.ndarray]
"""A frame of one draw: amodal mask (H, W) bool and appearance (H, W, 3) uint8."""


def laid_back(framing: Framing, mask: np.ndarray, picture: np.ndarray, clean: bool = True) -> Sample:
    """A network's amodal mask (h, w) bool and its picture of the object on white, (h, w, 3) uint8, on the canvas.

    clean: colours of the object's edge are taken from just inside it, and carried on beyond. What is decoded there is
    half white, and enlarging mixes in more.
    """
    if clean:
        kernel = np.ones((3, 3), np.uint8)
        inner = cv2.erode(mask.astype(np.uint8), kernel)
        thin = mask & (cv2.dilate(inner, kernel) == 0)  # all edge; there is nothing inside it to take
        picture = bleed(picture, (inner > 0) | thin)
    return framing.back(mask.astype(np.float32)) > 0.5, framing.back(picture)


def limited(scene: Scene, i: int, amodal: np.ndarray, within: str) -> np.ndarray:
    """An amodal mask of frame i, (H, W) bool, as the option `within` has it."""
    return amodal & scene.completion_mask(i) if within == "completion" else amodal


def composed(scene: Scene, shot: range, samples: Sequence[Iterator[Sample]]) -> Iterator[FrameResult]:
    """The shot's frames of K draws: all of them are hypotheses where there are several, the first is the result."""
    for i, *drawn in zip(shot, *samples, strict=True):
        frame, visible = scene.frame(i), scene.visible(i)
        first, *others = (
            compose(i, frame, visible, amodal, colour, np.zeros_like(visible)) for amodal, colour in drawn
        )
        many = (first, *others) if others else ()
        yield FrameResult(first.index, first.amodal, first.rgba, first.provenance, many)


def nothing(scene: Scene, shot: range) -> Iterator[FrameResult]:
    """The frames of a shot in which the object is never seen."""
    for i in shot:
        blank = np.zeros((scene.height, scene.width), bool)
        yield compose(i, scene.frame(i), blank, blank, np.zeros_like(scene.frame(i)), blank)
