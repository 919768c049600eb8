"""Blending of visible and inpainted pixels: as published, and without a seam."""

import cv2
import numpy as np

SHRINK = 10
"""Erosion of the visible part in the published blend, in pixels."""


def cut_out(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The visible part as in the published code, (h, w, 4) uint8: alpha 255 in `mask` eroded by 5 x 5, else 0."""
    alpha = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) * 255
    return np.dstack([rgb, alpha])


def published_blend(cut: np.ndarray, completion: np.ndarray) -> np.ndarray:
    """Blend the visible part with the completion as published; all (h, w, 4) uint8.

    The cut-out's alpha is eroded by `SHRINK` pixels. Inside it the cut-out's colours are used, elsewhere the
    completion's; alpha is the maximum of both. The published code also computes a ramp between the two, but assigns it
    to a copy, so it has no effect.
    """
    transparent = (cut[..., 3] == 0).astype(np.uint8)
    grown = cv2.dilate(transparent, np.ones((2 * SHRINK + 1, 2 * SHRINK + 1), np.uint8)) > 0
    alpha = np.where(grown, 0, cut[..., 3])
    rgb = np.where(alpha[..., None] > 0, cut[..., :3], completion[..., :3])
    return np.dstack([rgb, np.maximum(alpha, completion[..., 3])]).astype(np.uint8)


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
