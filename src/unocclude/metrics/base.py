"""The interface of all metrics."""

import math
from abc import ABC, abstractmethod
from typing import Generic, NamedTuple, TypeVar

import numpy as np

Item = TypeVar("Item")
"""The input of a metric: a `Frame`, a pair of boxes, a pair of clips ..."""

MASKS, APPEARANCE, BOXES, MARKS = "masks", "appearance", "boxes", "marks"
"""What of the truth a metric can require."""

OCCLUDED_PERCENT = 1
"""A frame counts as occluded if more than this percentage of the object is hidden."""


class Frame(NamedTuple):
    """One frame of prediction and truth.

    pred, truth, visible: P, A and M, (H, W) bool. pred_rgba, truth_rgba: (H, W, 4) uint8 with straight alpha, needed
    only by metrics of appearance. marked: whether the data set marks the object as occluded; None where it does not
    tell.
    """

    pred: np.ndarray
    truth: np.ndarray
    visible: np.ndarray
    pred_rgba: np.ndarray = np.empty((0, 0, 4), np.uint8)
    truth_rgba: np.ndarray = np.empty((0, 0, 4), np.uint8)
    marked: bool | None = None

    @property
    def occlusion_rate(self) -> float:
        """1 - |M| / |A|; 0 without an object."""
        area = np.count_nonzero(self.truth)
        return 1 - np.count_nonzero(self.visible) / area if area else 0.0

    @property
    def is_occluded(self) -> bool:
        """Whether more than 1 % of the object is hidden, in integer arithmetic to avoid rounding."""
        area = np.count_nonzero(self.truth)
        return bool(100 * (area - np.count_nonzero(self.visible)) > OCCLUDED_PERCENT * area)


class Metric(ABC, Generic[Item]):
    """A metric over a sequence of frames: call `update` with each frame, `compute` the result, `reset` to start over.

    `update` also returns the value of that frame, NaN if it does not count. `compute` is NaN if no frame counted. Call
    `gap` between clips and where frames are left out. Most metrics take a `Frame`; others document their input.

    A subclass says of itself all that tables, plots and `evaluate` need to know:
    - `name`: the key in JSON and what `--metrics` calls it.
    - `unit`: the unit or the range of the result, in words; `higher_is_better`.
    - `requires`: what it needs. Of the truth: `MASKS`, `APPEARANCE` (RGBA of prediction and truth), `BOXES` (then it
      takes a `BoxPair`), `MARKS` (`Frame.marked`). Of the machine: "package:NAME", "weights:CHECKPOINT".
    - `decimals`: how many are printed.
    - `plot_range`: vertical range of its curve over the frames; None: as the values need.
    - `variant`: whether it is a variant of another metric, which plots and the tables of `bench` leave out.
    """

    name: str
    unit: str = "0 to 1"
    higher_is_better: bool = True
    requires: tuple[str, ...] = (MASKS,)
    decimals: int = 4
    plot_range: tuple[float, float] | None = None
    variant: bool = False

    def __init__(self) -> None:
        self.reset()

    @abstractmethod
    def update(self, item: Item, /) -> float:
        """Take in one frame and return its own value."""

    @abstractmethod
    def compute(self) -> float:
        """The result over all frames since the last reset."""

    @abstractmethod
    def reset(self) -> None:
        """Forget all frames."""

    def gap(self) -> None:
        """Tell the metric that the next frame does not follow the last one in time."""


class MeanMetric(Metric[Item]):
    """A metric that is the mean value over the frames that count."""

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
        """The value of one frame, NaN if it does not count."""


def over(metric: Metric[Frame], *stacks: np.ndarray) -> float:
    """Compute a metric over stacks of frames, (T, ...) each, in the order of `Frame`'s fields.

    Raises ValueError if the stacks differ in length.
    """
    for arrays in zip(*stacks, strict=True):
        metric.update(Frame(*arrays))
    return metric.compute()
