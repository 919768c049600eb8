"""Area that a method adds where nothing is hidden."""

import math

import numpy as np

from unocclude.metrics.base import Frame, MeanMetric, over


class FalseArea(MeanMetric[Frame]):
    """Mean of |P - M| / |A| over frames that are not occluded (at most 1 % hidden) and contain the object."""

    name = "false_area"
    unit = "fraction of the object's area"
    higher_is_better = False

    def value(self, frame: Frame, /) -> float:
        return math.nan if frame.is_occluded else added_area(frame)


def added_area(frame: Frame) -> float:
    """|P - M| / |A| of one frame, whatever its occlusion rate; NaN without an object."""
    area = np.count_nonzero(frame.truth)
    return np.count_nonzero(frame.pred & ~frame.visible) / area if area else math.nan


def false_area(pred: np.ndarray, truth: np.ndarray, visible: np.ndarray) -> float:
    """|P - M| / |A| over frames at most 1 % hidden, of (T, H, W) bool stacks, 0 upwards. Formula:
    `FalseArea`."""
    return over(FalseArea(), pred, truth, visible)
