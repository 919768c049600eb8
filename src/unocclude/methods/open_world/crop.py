"""Where the generator looks: sides that cut the object, the square around it, and the canvas beyond the image.

The published canvas is six times the image's height and width. Only one crop of it is ever looked at, the same in all
iterations, so the canvas itself is not made: a `Region` says where on it the crop lies.
"""

from typing import NamedTuple

import cv2
import numpy as np

CANVAS = 6
"""The canvas' height and width, in those of the image."""

GAP = 10
"""Pixels from a side within which an object counts as cut by it."""

MARGIN = 60
"""Pixels around the object's box."""

SIDES = ("top", "bottom", "left", "right")


class Region(NamedTuple):
    """Rows and columns of the image; ends exclusive; may reach beyond the image."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """First and last row, first and last column of an (H, W) mask that is not empty; ends inclusive."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def touched_sides(mask: np.ndarray, gap: int = GAP) -> frozenset[str]:
    """Sides of the picture, of `SIDES`, that an (H, W) mask comes within `gap` pixels of; none where it is empty."""
    if not mask.any():
        return frozenset()
    height, width = mask.shape
    first_row, last_row, first_column, last_column = extent(mask)
    near = (first_row <= gap, last_row >= height - gap, first_column <= gap, last_column >= width - gap)
    return frozenset(side for side, is_near in zip(SIDES, near, strict=True) if is_near)


def canvas_start(height: int, width: int) -> tuple[int, int]:
    """Row and column of the canvas at which the image's first pixel lies."""
    return CANVAS * height // 2 - height // 2, CANVAS * width // 2 - width // 2


def crop_region(mask: np.ndarray, sides: frozenset[str], border: int, anchored: bool) -> Region:
    """The part of the canvas that the generator is shown, about a square around the object.

    mask: (H, W) bool, not empty. sides: those that cut the object; `border` pixels are added there. What a square
    lacks is added on such a side where `anchored` (the first of left, right and of top, bottom), else on both. The
    canvas ends it, so it may be no square. The last row and column count as exclusive ends before the margin is added,
    as published.
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
    """What lies in `region` of an (H, W, ...) image, (h, w, ...) of its dtype; `fill` beyond the image."""
    crop = np.full((*region.shape, *image.shape[2:]), fill, image.dtype)
    put(crop, image, -region.top, -region.left)
    return crop


def put(target: np.ndarray, source: np.ndarray, row: int, column: int) -> None:
    """Lay `source` into `target` with its first pixel at `row`, `column`; what falls outside is left out."""
    (height, width), (h, w) = target.shape[:2], source.shape[:2]
    top, left = max(row, 0), max(column, 0)
    bottom, right = min(row + h, height), min(column + w, width)
    if top < bottom and left < right:
        target[top:bottom, left:right] = source[top - row : bottom - row, left - column : right - column]


def resized(array: np.ndarray, scale: float) -> np.ndarray:
    """An image (H, W, 3) uint8 or a mask (H, W) bool at a smaller scale, at least one pixel wide and high."""
    if scale == 1:
        return array
    size = (max(1, round(array.shape[1] * scale)), max(1, round(array.shape[0] * scale)))
    if array.dtype == bool:
        return cv2.resize(array.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 127
    return cv2.resize(array, size, interpolation=cv2.INTER_AREA)
