"""What every metric has in common."""

import math
from abc import ABC, abstractmethod
from typing import Generic, NamedTuple, TypeVar

import numpy as np

Item = TypeVar("Item")
"""What a metric is fed: a `Frame`, or a pair of boxes, of clips ..."""

OCCLUDED_PERCENT = 1
"""A frame counts as occluded when more than this many percent of the object is hidden."""


class Frame(NamedTuple):
    """One frame of prediction and truth: P, A, M as (H, W) bool; the RGBA of both as (H, W, 4) uint8 with
    straight alpha, needed by the metrics of appearance only."""

    pred: np.ndarray
    truth: np.ndarray
    visible: np.ndarray
    pred_rgba: np.ndarray = np.empty((0, 0, 4), np.uint8)
    truth_rgba: np.ndarray = np.empty((0, 0, 4), np.uint8)

    @property
    def occlusion_rate(self) -> float:
        """1 - |M| / |A|; 0 where there is no object."""
        area = np.count_nonzero(self.truth)
        return 1 - np.count_nonzero(self.visible) / area if area else 0.0

    @property
    def is_occluded(self) -> bool:
        """Whether more than 1 % of the object is hidden; counted in whole pixels, so that no rounding
        decides."""
        area = np.count_nonzero(self.truth)
        return bool(100 * (area - np.count_nonzero(self.visible)) > OCCLUDED_PERCENT * area)


class Metric(ABC, Generic[Item]):
    """A number over frames that come one by one: `update` with each frame, `compute` the number, `reset` to
    start over.

    `update` also returns the value of the frame it was given, NaN where the frame does not count, so that
    curves over time cost nothing extra. `compute` is NaN where no frame counted. Between two clips, and
    where frames are left out, call `gap`. `name` is the key in JSON, `unit` what the number is measured in.
    Most metrics take a `Frame`; those that do not say what they take.
    """

    name: str
    unit: str = "0 to 1, higher is better"

    def __init__(self) -> None:
        self.reset()

    @abstractmethod
    def update(self, item: Item, /) -> float:
        """Take in one frame and return its own value."""

    @abstractmethod
    def compute(self) -> float:
        """The metric over all frames so far."""

    @abstractmethod
    def reset(self) -> None:
        """Forget all frames."""

    def gap(self) -> None:
        """The next frame does not follow the last one in time, so the two must not be compared."""


class MeanMetric(Metric[Item]):
    """A metric that is the mean over the frames that count."""

    def reset(self) -> None:
        self._sum, self._count = 0.0, 0

    def update(self, item: Item, /) -> float:
        value = float(self.value(item))
        if not math.isnan(value):
            self._sum += value
            self._count += 1
        return value

    def compute(self) -> float:
        return self._sum / self._count if self._count else math.nan

    @abstractmethod
    def value(self, item: Item, /) -> float:
        """One frame's value, NaN where the frame does not count."""


def over(metric: Metric[Frame], *stacks: np.ndarray) -> float:
    """A metric over stacks of frames, (T, ...) each, in the order of `Frame`'s fields.

    Raises ValueError where the stacks are not of one length.
    """
    for arrays in zip(*stacks, strict=True):
        metric.update(Frame(*arrays))
    return metric.compute()
