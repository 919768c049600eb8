"""What the generative methods share at the end: several draws of a shot become its frames' results."""

from collections.abc import Iterator, Sequence

import numpy as np

from unocclude.completion import FrameResult
from unocclude.methods.compose import compose
from unocclude.scene import Scene

Sample = tuple[np.ndarray, np.ndarray]
"""A frame of one draw: amodal mask (H, W) bool and appearance (H, W, 3) uint8."""


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
