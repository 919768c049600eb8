"""The convex hull of a mask, and its concavities."""

import cv2
import numpy as np


def hull(mask: np.ndarray) -> np.ndarray:
    """Filled convex hull of a mask, (H, W) bool."""
    filled = np.zeros(mask.shape, np.uint8)
    points = cv2.findNonZero(mask.astype(np.uint8))
    if points is not None:
        cv2.fillConvexPoly(filled, cv2.convexHull(points), 1)
    return filled.astype(bool) | mask


def occlusion_concavities(part: np.ndarray) -> np.ndarray:
    """Deep, wide concavities of a mask, as an occluder causes them; (H, W) bool.

    A concavity counts if the largest disc inside it has a radius above 4 % of the object's size, the square root of its
    area.
    """
    pockets = (hull(part) & ~part).astype(np.uint8)
    size = float(np.sqrt(part.sum()))
    count, labels = cv2.connectedComponents(pockets)
    depth = cv2.distanceTransform(pockets, cv2.DIST_L2, 5)
    deep = [k for k in range(1, count) if depth[labels == k].max() > max(2.0, 0.04 * size)]
    return np.isin(labels, deep)
