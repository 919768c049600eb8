"""Pasting visible pixels into a completion without a colour step at the seam."""

import cv2
import numpy as np


def feathered(completion: np.ndarray, original: np.ndarray, visible: np.ndarray, width: int = 12) -> np.ndarray:
    """Paste the visible pixels into the completion without a colour step at the seam.

    The colour error of the completion is measured on the visible part, smoothly extrapolated over its edge, and
    subtracted with a weight that falls from 1 at the edge to 0 at `width` pixels from it. The two outermost pixels,
    which are mixed with the occluder, are not measured.

    completion, original: (h, w, 3) uint8. visible: (h, w) bool. Returns (h, w, 3) uint8, equal to `original` on
    `visible` and to `completion` beyond `width`.
    """
    if not visible.any():
        return completion.copy()
    core = cv2.erode(visible.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=1)
    weight = (core if core.any() else visible).astype(np.float32)
    off = (original.astype(np.float32) - completion) * weight[..., None]
    # wide enough to reach over the two pixels at the edge and `width` beyond it
    sigma = (width + 2) / 3
    reach = cv2.GaussianBlur(weight, (0, 0), sigma)
    carried = cv2.GaussianBlur(off, (0, 0), sigma) / np.maximum(reach, 1e-6)[..., None]
    distance = cv2.distanceTransform((~visible).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    ramp = np.clip(1 - (distance - 1) / width, 0, 1) * (reach > 1e-6)
    blended = np.clip(np.rint(completion + ramp[..., None] * carried), 0, 255).astype(np.uint8)
    return np.where(visible[..., None], original, blended)
