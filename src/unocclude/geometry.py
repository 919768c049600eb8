"""Boxes, and overlaps of masks and boxes. From the package, this module imports only `types`."""

import math
from collections.abc import Sequence

import numpy as np

from unocclude.types import Box, PixelBox


def bounding_box(mask: np.ndarray) -> PixelBox:
    """The bounding box of an (H, W) mask; (0, 0, 0, 0) for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def round_out(box: Sequence[float]) -> PixelBox:
    """The smallest box with integer corners that contains `box`."""
    return math.floor(box[0]), math.floor(box[1]), math.ceil(box[2]), math.ceil(box[3])


def clip_box(box: Box, shape: tuple[int, int]) -> PixelBox:
    """`round_out` of a box, clipped to a frame of `shape` (height, width); empty if the box lies outside."""
    x = np.clip([np.floor(box[0]), np.ceil(box[2])], 0, shape[1])
    y = np.clip([np.floor(box[1]), np.ceil(box[3])], 0, shape[0])
    return int(x[0]), int(y[0]), int(x[1]), int(y[1])


def looks_normalised(values: Sequence[float], width: int, height: int) -> bool:
    """Whether a box or point is given in fractions of the frame, not in pixels: no value is over 1.

    A point of whole numbers is in pixels: 0, 0 is the same corner in both. So is anything on a frame of 2 pixels.
    """
    if max(width, height) <= 2 or not all(0 <= value <= 1 for value in values):
        return False
    return len(values) > 2 or any(value != int(value) for value in values)


def looks_like_xywh(box: Sequence[float], width: int, height: int) -> bool:
    """Whether a box is given as x, y, width, height: its ends lie before its start, its sizes fit into the frame.

    Boxes whose sizes are larger than their start cannot be told from x0, y0, x1, y1.
    """
    x, y, w, h = box
    before = w <= x or h <= y
    return before and min(x, y) >= 0 and min(w, h) > 0 and x + w <= width and y + h <= height


def mask_iou(a: np.ndarray, b: np.ndarray, empty: float = math.nan) -> float:
    """|a ∩ b| / |a ∪ b| of two bool masks of one shape; `empty` if both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else empty


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes with positive area."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
