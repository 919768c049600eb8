"""Whether a completed silhouette flickers."""

import math

import numpy as np

from unocclude.geometry import mask_iou
from unocclude.metrics.base import Frame, MeanMetric, over


class TemporalStability(MeanMetric[Frame]):
    """1 - mean over t of |IoU(P[t-1], P[t]) - IoU(A[t-1], A[t])|: 1 where the prediction changes exactly as
    much from frame to frame as the truth does, whatever its shape; less where it flickers, and less where it
    is frozen.

    The truth's own term takes out the object's real motion, and a shot cut, where both IoUs fall, costs
    nothing. Two empty masks count as equal (IoU 1). Pairs in which neither side ever holds the object do not
    count; T = 1 gives NaN. Ours: the usual measures (warping error, tOF) need a flow network, and optical
    flow of a flat mask says little.
    """

    name = "temporal_stability"

    def reset(self) -> None:
        super().reset()
        self._before: Frame | None = None

    def gap(self) -> None:
        self._before = None

    def value(self, frame: Frame, /) -> float:
        before, self._before = self._before, frame
        if before is None or not any(m.any() for f in (before, frame) for m in (f.pred, f.truth)):
            return math.nan
        return 1 - abs(_sameness(before.pred, frame.pred) - _sameness(before.truth, frame.truth))


def _sameness(a: np.ndarray, b: np.ndarray) -> float:
    return mask_iou(a, b, empty=1.0)


def temporal_stability(pred: np.ndarray, truth: np.ndarray) -> float:
    """How well the prediction's frame-to-frame change matches the truth's, of (T, H, W) bool stacks, 0 to 1.

    Formula: `TemporalStability`.
    """
    return over(TemporalStability(), pred, truth, truth)
