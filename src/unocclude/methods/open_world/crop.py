"""The crop that is inpainted: sides that cut the object, a square around it, and the canvas around the image.

The published canvas is six times the image's height and width, but only one crop of it is used, the same in all
iterations. So the canvas itself is never allocated; a `Region` is the crop's position on it.
"""

from typing import NamedTuple

import cv2
import numpy as np

CANVAS = 6
"""Size of the canvas relative to the image."""

GAP = 10
"""An object within this many pixels of an image side counts as cut by it."""

MARGIN = 60
"""Margin around the object's box in pixels."""

SIDES = ("top", "bottom", "left", "right")


class Region(NamedTuple):
    """Rows and columns relative to the image, ends exclusive; may reach beyond the image."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """First and last row, first and last column (inclusive) of a non-empty (H, W) mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def touched_sides(mask: np.ndarray, gap: int = GAP) -> frozenset[str]:
    """The image sides (of `SIDES`) that an (H, W) mask comes within `gap` pixels of."""
    if not mask.any():
        return frozenset()
    height, width = mask.shape
    first_row, last_row, first_column, last_column = extent(mask)
    near = (first_row <= gap, last_row >= height - gap, first_column <= gap, last_column >= width - gap)
    return frozenset(side for side, is_near in zip(SIDES, near, strict=True) if is_near)


def canvas_start(height: int, width: int) -> tuple[int, int]:
    """Row and column of the image's first pixel on the canvas."""
    return CANVAS * height // 2 - height // 2, CANVAS * width // 2 - width // 2


def crop_region(mask: np.ndarray, sides: frozenset[str], border: int, anchored: bool) -> Region:
    """The part of the canvas that is inpainted, roughly a square around the object.

    mask: (H, W) bool, not empty. sides: image sides that cut the object; `border` pixels are added there. The shorter
    axis is extended to a square: if `anchored`, at a side that cuts the object (left before right, top before bottom),
    else at both ends. The crop is clipped to the canvas, so it may not be square. As published, the last row and column
    of the mask count as exclusive ends.
    """
    height, width = mask.shape
    row, column = canvas_start(height, width)
    first_row, last_row, first_column, last_column = extent(mask)
    vertical = (first_row + row, last_row + row, CANVAS * height, "top" in sides, "bottom" in sides)
    horizontal = (first_column + column, last_column + column, CANVAS * width, "left" in sides, "right" in sides)
    spans = [_widened(*axis, border) for axis in (vertical, horizontal)]
    size = max(end - start for start, end in spans)
    (top, bottom), (left, right) = (
        _squared(span, size, limit, before and anchored, after and anchored)
        for span, (_, _, limit, before, after) in zip(spans, (vertical, horizontal), strict=True)
    )
    return Region(top - row, bottom - row, left - column, right - column)


def _widened(first: int, last: int, limit: int, before: bool, after: bool, border: int) -> tuple[int, int]:
    return max(0, first - MARGIN) - border * before, min(limit, last + MARGIN) + border * after


def _squared(span: tuple[int, int], size: int, limit: int, before: bool, after: bool) -> tuple[int, int]:
    start, end = span
    lacking = size - (end - start)
    at_start = lacking if before else 0 if after else lacking // 2
    return max(0, start - at_start), min(limit, end + lacking - at_start)


def take(image: np.ndarray, region: Region, fill: int) -> np.ndarray:
    """Crop `region` from an (H, W, ...) image; `fill` outside the image."""
    crop = np.full((*region.shape, *image.shape[2:]), fill, image.dtype)
    put(crop, image, -region.top, -region.left)
    return crop


def put(target: np.ndarray, source: np.ndarray, row: int, column: int) -> None:
    """Paste `source` into `target` with its first pixel at `row`, `column`; clipped to `target`."""
    (height, width), (h, w) = target.shape[:2], source.shape[:2]
    top, left = max(row, 0), max(column, 0)
    bottom, right = min(row + h, height), min(column + w, width)
    if top < bottom and left < right:
        target[top:bottom, left:right] = source[top - row : bottom - row, left - column : right - column]


def resized(array: np.ndarray, scale: float) -> np.ndarray:
    """Scale an image (H, W, 3) uint8 or a mask (H, W) bool down by `scale`, to at least one pixel."""
    if scale == 1:
        return array
    size = (max(1, round(array.shape[1] * scale)), max(1, round(array.shape[0] * scale)))
    if array.dtype == bool:
        return cv2.resize(array.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 127
    return cv2.resize(array, size, interpolation=cv2.INTER_AREA)
