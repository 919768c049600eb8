"""Inpainting of pixels that no frame shows, from the object's own pixels only."""

import cv2
import numpy as np

from unocclude.motion.fill import smooth_fill


def inpaint(image: np.ndarray, known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Fill `wanted & ~known` from pixels in `known`; pixels outside `known` are never used.

    image: (H, W, 3) uint8. known, wanted: (H, W) bool. Returns (H, W, 3) uint8, equal to `image` on `known` and
    zero outside both.
    """
    result = np.zeros_like(image)
    holes = wanted & ~known
    # work on the bounding box only
    x, y, w, h = cv2.boundingRect((known | wanted).astype(np.uint8))
    box = np.s_[y : y + h, x : x + w]
    result[box][known[box]] = image[box][known[box]]
    if holes.any() and known.any():
        result[box][holes[box]] = smooth_fill(result[box], known[box])[holes[box]]
    return result
