"""Colour carried over an edge."""

import cv2
import numpy as np


def fill_nearest(image: np.ndarray, known: np.ndarray, reach: float = np.inf) -> np.ndarray:
    """The picture, (H, W, 3) uint8, in which every pixel outside `known`, (H, W) bool, that is at most `reach` pixels
    away from it has the colour of the nearest pixel in it; as it is where nothing is known."""
    if known.all() or not known.any():
        return image
    distance, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros((labels.max() + 1, 3), np.uint8)
    nearest[labels[known]] = image[known]
    near = ~known & (distance <= reach)
    result = image.copy()
    result[near] = nearest[labels[near]]
    return result
