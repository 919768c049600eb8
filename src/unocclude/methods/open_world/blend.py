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
