"""The convex hull of a mask."""

import cv2
import numpy as np


def hull(mask: np.ndarray) -> np.ndarray:
    """Filled convex hull of all pixels of a mask, (H, W) bool."""
    filled = np.zeros(mask.shape, np.uint8)
    points = cv2.findNonZero(mask.astype(np.uint8))
    if points is not None:
        cv2.fillConvexPoly(filled, cv2.convexHull(points), 1)
    return filled.astype(bool) | mask
