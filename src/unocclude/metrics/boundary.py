"""Contour accuracy: the F-measure of DAVIS."""

import math

import numpy as np

from unocclude.metrics.base import Frame, MeanMetric, over

TOLERANCE = 0.008
"""Tolerance of contour pixels as a fraction of the image's diagonal (DAVIS)."""


class BoundaryF(MeanMetric[Frame]):
    """Mean over frames of the contour accuracy F = 2 P R / (P + R) of DAVIS (Perazzi et al. 2016, section 5).

    P: fraction of the prediction's contour pixels within ceil(0.008 · diagonal) pixels of the truth's contour; R: the
    same with prediction and truth swapped. As the DAVIS 2017 evaluation (commit ac7c43f) computes it: a contour pixel
    is one whose right, lower or lower right neighbour differs; two empty contours count 1, one empty contour 0. Every
    frame counts here; the DAVIS benchmark leaves out the first and the last.
    """

    name = "boundary_f"

    def value(self, frame: Frame, /) -> float:
        radius = math.ceil(TOLERANCE * math.hypot(*frame.truth.shape))
        pred, truth = contour(frame.pred), contour(frame.truth)
        if not pred.any() or not truth.any():
            return float(pred.any() == truth.any())
        precision = np.count_nonzero(pred & _near(truth, radius)) / np.count_nonzero(pred)
        recall = np.count_nonzero(truth & _near(pred, radius)) / np.count_nonzero(truth)
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def contour(mask: np.ndarray) -> np.ndarray:
    """Contour of an (H, W) bool mask, one pixel wide: pixels that differ from their right, lower or lower right
    neighbour; outside the image nothing differs."""
    padded = np.pad(mask, [(0, 1), (0, 1)], mode="edge")
    return (mask ^ padded[:-1, 1:]) | (mask ^ padded[1:, :-1]) | (mask ^ padded[1:, 1:])


def _near(mask: np.ndarray, radius: int) -> np.ndarray:
    """Pixels within Euclidean distance `radius` of the mask."""
    import cv2

    offset = np.arange(-radius, radius + 1)
    disk = (offset[:, None] ** 2 + offset**2 <= radius**2).astype(np.uint8)
    return cv2.dilate(mask.astype(np.uint8), disk).astype(bool)


def boundary_f(pred: np.ndarray, truth: np.ndarray) -> float:
    """Contour accuracy of (T, H, W) bool stacks, 0 to 1. Formula: `BoundaryF`."""
    return over(BoundaryF(), pred, truth, truth)
