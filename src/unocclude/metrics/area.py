"""Area that a method adds where nothing is hidden."""

import math

import numpy as np

from unocclude.metrics.base import Frame, MeanMetric, over


class FalseArea(MeanMetric[Frame]):
    """Mean of |P - M| / |A| over frames that are not occluded (at most 1 % hidden) and contain the object."""

    name = "false_area"
    unit = "fraction of the object's area, lower is better"

    def value(self, frame: Frame, /) -> float:
        area = np.count_nonzero(frame.truth)
        if not area or frame.is_occluded:
            return math.nan
        return np.count_nonzero(frame.pred & ~frame.visible) / area


def false_area(pred: np.ndarray, truth: np.ndarray, visible: np.ndarray) -> float:
    """|P - M| / |A| over frames at most 1 % hidden, of (T, H, W) bool stacks, 0 upwards. Formula:
    `FalseArea`."""
    return over(FalseArea(), pred, truth, visible)
