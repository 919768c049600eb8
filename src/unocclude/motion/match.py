"""Match the colours of one picture of a scene to another."""

import cv2
import numpy as np

from unocclude.motion.fill import smooth_fill

LARGEST_CORRECTION = 40.0
"""Maximum correction of a pixel in grey levels."""


def match_colours(moved: np.ndarray, target: np.ndarray, meet: np.ndarray, side: int | None = None) -> np.ndarray:
    """Correct `moved` (h, w, 3) float32 smoothly so that it matches `target` where they overlap (`meet`, (h, w) bool).

    A membrane (Farbman et al. 2009) interpolates the smoothed differences in the overlap. side: it is computed on
    pictures scaled down to this many pixels on the longer side, which is faster for large ones.
    """
    if meet.sum() < 12:
        return moved
    difference = np.clip(target - moved, -LARGEST_CORRECTION, LARGEST_CORRECTION)
    height, width = meet.shape
    if side is not None and max(height, width) > side:
        size = max(1, round(width * side / max(meet.shape))), max(1, round(height * side / max(meet.shape)))
        share = cv2.resize(meet.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        small = cv2.resize(difference * meet[..., None], size, interpolation=cv2.INTER_AREA)
        membrane = smooth_fill(small / np.maximum(share, 1e-6)[..., None], share > 0.25)
        return moved + cv2.resize(membrane, (width, height), interpolation=cv2.INTER_LINEAR)
    # differences of single pixels are noise and misalignment; only smooth differences are gain
    weight = cv2.GaussianBlur(meet.astype(np.float32), (0, 0), 2.0)
    smooth = cv2.GaussianBlur(difference * meet[..., None], (0, 0), 2.0) / np.maximum(weight, 1e-6)[..., None]
    return moved + smooth_fill(smooth, meet)
