"""Fill unknown pixels with the nearest known value."""

import cv2
import numpy as np


def fill_edges(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Replace the colours at the edge of a mask by those just inside it, and extend them outwards.

    image: (H, W, 3) uint8. mask: (H, W) bool. Pixels at an edge are mixed with what is beside the object. Parts that
    are too thin to have an inside keep their own colours.
    """
    kernel = np.ones((3, 3), np.uint8)
    inner = cv2.erode(mask.astype(np.uint8), kernel)
    thin = mask & (cv2.dilate(inner, kernel) == 0)
    return fill_nearest(image, (inner > 0) | thin)


def fill_nearest(image: np.ndarray, known: np.ndarray, reach: float = np.inf) -> np.ndarray:
    """Fill pixels outside `known` with the value of the nearest known pixel.

    image: (H, W) or (H, W, C), of any dtype. known: (H, W) bool. reach: maximum distance in pixels; pixels farther
    away are unchanged.
    Returns `image` unchanged if nothing is known.
    """
    if known.all() or not known.any():
        return image
    distance, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros((labels.max() + 1, *image.shape[2:]), image.dtype)
    nearest[labels[known]] = image[known]
    near = ~known & (distance <= reach)
    result = image.copy()
    result[near] = nearest[labels[near]]
    return result
