"""Smooth filling of unknown pixels (pull-push, Gortler et al. 1996, section 3.4)."""

import cv2
import numpy as np


def smooth_fill(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Fill unknown pixels by pull-push interpolation; known pixels keep their exact values.

    image: (H, W) or (H, W, C), uint8 or float. known: (H, W) bool. Returns the image's dtype; all zero if
    nothing is known.
    """
    weight = known.astype(np.float32)
    colour = image.astype(np.float32) * (weight if image.ndim == 2 else weight[..., None])
    filled = _push_pull(colour, weight)
    if image.dtype == np.uint8:
        filled = np.clip(np.rint(filled), 0, 255)
    result = filled.astype(image.dtype)
    result[known] = image[known]
    return result


def _push_pull(colour: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Fill holes from coarser levels. `colour` is premultiplied by `weight`; the result is not."""
    height, width = weight.shape
    total = weight if colour.ndim == 2 else weight[..., None]
    if min(height, width) <= 1 or weight.min() >= 1:
        mean = colour.sum((0, 1)) / max(float(weight.sum()), 1e-6)
        return np.where(total > 0, colour / np.maximum(total, 1e-6), mean).astype(np.float32)
    half = ((width + 1) // 2, (height + 1) // 2)
    small_colour = cv2.resize(colour, half, interpolation=cv2.INTER_AREA)
    small_weight = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    # a coarse pixel with any known pixel below it counts as fully known
    lift = 1 / np.maximum(small_weight, 1e-6) * np.minimum(small_weight * 4, 1)
    small_colour = small_colour * (lift if colour.ndim == 2 else lift[..., None])
    coarse = _push_pull(small_colour, np.minimum(small_weight * 4, 1))
    up = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return colour + (1 - total) * up
