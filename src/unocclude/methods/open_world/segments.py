"""Segments around the object: background between the masks, and the union of its occluders."""

from collections.abc import Sequence

import cv2
import numpy as np

LEAST = 100
"""Background segments up to this many pixels are ignored."""

DISK = np.array([[0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0]], np.uint8)
"""A disk of radius 2."""


def remainder(masks: Sequence[np.ndarray]) -> np.ndarray:
    """The area that no mask covers, eroded by two pixels, (H, W) uint8 0 or 1. masks: at least one, (H, W) bool."""
    return cv2.erode((~np.logical_or.reduce(masks)).astype(np.uint8), DISK)


def filled_background(masks: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Background segments as published, (H, W) bool each: outer contours of more than `LEAST` pixels' area, filled.

    Everything inside an outer contour becomes part of the segment, including objects.
    """
    contours, _ = cv2.findContours(remainder(masks), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours:
        if cv2.contourArea(contour) > LEAST:
            drawn = np.zeros(masks[0].shape, np.uint8)
            cv2.drawContours(drawn, [contour], -1, 1, cv2.FILLED)
            found.append(drawn > 0)
    return found


def whole_background(masks: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Background segments with their holes, (H, W) bool each: connected components of more than `LEAST` pixels."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(remainder(masks), connectivity=8)
    return [labels == k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] > LEAST]


def in_front(masks: Sequence[np.ndarray], order: np.ndarray, index: int) -> np.ndarray:
    """Union of the masks that occlude mask `index`, (H, W) bool; it may overlap that mask.

    order: (N, N), true at [i, j] if mask i occludes mask j.
    """
    union = np.zeros(masks[index].shape, bool)
    for i in map(int, np.flatnonzero(order[:, index])):
        if i != index:
            union |= masks[i]
    return union


def touching(mask: np.ndarray, other: np.ndarray, reach: int = 3) -> np.ndarray:
    """Connected components of `mask` that come within `reach` pixels of `other`; all (H, W) bool."""
    near = cv2.dilate(other.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    wanted = np.zeros(labels.max() + 1, bool)
    wanted[labels[near & mask]] = True
    return wanted[labels] & mask
