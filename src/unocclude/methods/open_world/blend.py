"""The object's own pixels and the generated ones in one picture: as published, and without a seam."""

import cv2
import numpy as np

SHRINK = 10
"""Pixels by which the published blend shrinks the visible part."""


def cut_out(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The visible part as published, (h, w, 4) uint8: alpha 255 inside `mask` eroded by 5 x 5 pixels, else 0."""
    alpha = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) * 255
    return np.dstack([rgb, alpha])


def published_blend(cut: np.ndarray, completion: np.ndarray) -> np.ndarray:
    """The published blend of the visible part with the completion, (h, w, 4) uint8 all.

    The cut's alpha is shrunk by `SHRINK` pixels; inside it the cut's pixels count, elsewhere the completion's, and
    alpha is the larger of both. A ramp between the two is written down in the published code, but assigned to a copy,
    so it never shows.
    """
    transparent = (cut[..., 3] == 0).astype(np.uint8)
    grown = cv2.dilate(transparent, np.ones((2 * SHRINK + 1, 2 * SHRINK + 1), np.uint8)) > 0
    alpha = np.where(grown, 0, cut[..., 3])
    rgb = np.where(alpha[..., None] > 0, cut[..., :3], completion[..., :3])
    return np.dstack([rgb, np.maximum(alpha, completion[..., 3])]).astype(np.uint8)


def feathered(completion: np.ndarray, original: np.ndarray, visible: np.ndarray, width: int = 12) -> np.ndarray:
    """The completion with the visible pixels in it as they are, and no step in colour between the two.

    By how much the completion is off is measured on the visible part, smoothly carried over its edge, and taken back
    with a weight that falls from 1 at the edge to 0 at `width` pixels from it. Two pixels at the edge, where an
    occluder's colour is mixed in, are not measured.

    completion, original: (h, w, 3) uint8. visible: (h, w) bool. Returns (h, w, 3) uint8, equal to `original` on
    `visible` and to `completion` beyond `width`.
    """
    if not visible.any():
        return completion.copy()
    core = cv2.erode(visible.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=1)
    weight = (core if core.any() else visible).astype(np.float32)
    off = (original.astype(np.float32) - completion) * weight[..., None]
    # wide enough that the measure reaches over the two pixels at the edge and `width` beyond it
    sigma = (width + 2) / 3
    reach = cv2.GaussianBlur(weight, (0, 0), sigma)
    carried = cv2.GaussianBlur(off, (0, 0), sigma) / np.maximum(reach, 1e-6)[..., None]
    distance = cv2.distanceTransform((~visible).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    ramp = np.clip(1 - (distance - 1) / width, 0, 1) * (reach > 1e-6)
    blended = np.clip(np.rint(completion + ramp[..., None] * carried), 0, 255).astype(np.uint8)
    return np.where(visible[..., None], original, blended)
