"""Temporal stability of completed masks."""

import math

import numpy as np

from unocclude.geometry import mask_iou
from unocclude.metrics.base import Frame, MeanMetric, over


class TemporalStability(MeanMetric[Frame]):
    """1 - mean over t of |IoU(P[t-1], P[t]) - IoU(A[t-1], A[t])|.

    1 if the prediction changes exactly as much between frames as the truth, whatever its shape; lower if it flickers or
    is frozen. The term of the truth compensates for real motion and for shot cuts. Two empty masks count as equal (IoU
    1). Pairs of frames in which prediction and truth are all empty do not count; T = 1 gives NaN. This metric is ours:
    the usual ones (warping error, tOF) need optical flow, which is not informative on a flat mask.
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
