"""Confidence of a tracked mask: the IoU to be expected of it, from signs that the tracker sees on the way.

The weights were fitted on generated clips by `benchmarks/track_confidence.py`, which prints them.
"""

from dataclasses import dataclass, replace

import numpy as np

WEIGHTS = np.array([0.45, 1.382, -0.135, -1.298, 0.115, -0.979, -0.188, -0.121, -0.985, -0.807])
"""Of `Signs.row`, in log-odds; the last one is the offset."""


@dataclass(frozen=True)
class Signs:
    """What tells of a mask's quality, in its frame and since the anchor that it was followed from.

    score: expected IoU of the anchor's mask. certainty: expected IoU by the cut's log-odds. agreement: mean trust in
    the flow on the mask, 0..1. overlap: IoU of the mask with the one before, moved. likeness: mean log-odds of the
    object's colours on it. share: its area relative to the usual one. worst, drift: the lowest certainty, and the sum
    of 1 - overlap, since the anchor. steps: frames since the anchor. searched: whether it was found by appearance since
    the anchor.
    """

    score: float = 1.0
    certainty: float = 1.0
    agreement: float = 1.0
    overlap: float = 1.0
    likeness: float = 3.0
    share: float = 1.0
    worst: float = 1.0
    drift: float = 0.0
    steps: int = 0
    searched: bool = False

    def after(self, certainty: float, agreement: float, overlap: float, likeness: float, share: float) -> "Signs":
        """The signs one frame on."""
        return Signs(
            self.score, certainty, agreement, overlap, likeness, share,
            min(self.worst, certainty), self.drift + 1 - overlap, self.steps + 1, self.searched,
        )  # fmt: skip

    def lost(self) -> "Signs":
        """The signs after a cut, where nothing but the object's looks is known."""
        return replace(self, certainty=0.0, agreement=0.0, overlap=0.0, likeness=-3.0, share=0.0, worst=0.0)

    def found(self) -> "Signs":
        """The signs where the object was found by appearance."""
        return replace(self, searched=True)

    @property
    def row(self) -> np.ndarray:
        """The signs as numbers, (10,)."""
        return np.array([
            _odds(self.score), _odds(self.certainty), self.agreement, self.overlap, self.likeness / 3,
            min(self.share, 2.0), _odds(self.worst), np.log1p(self.drift), float(self.searched), 1.0,
        ])  # fmt: skip


def expected_iou(signs: Signs) -> float:
    """The IoU to be expected, 0..1; the anchor's own score in its frame."""
    if not signs.steps:
        return signs.score
    return float(1 / (1 + np.exp(-signs.row @ WEIGHTS)))


def _odds(chance: float) -> float:
    return float(np.log((chance + 0.02) / (1.02 - chance)))
