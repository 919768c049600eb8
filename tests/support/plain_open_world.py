"""Open-world's canvas and crop in their plain, published form."""

import numpy as np


def canvas(array, fill):
    """The published canvas, made in full."""
    height, width = array.shape[:2]
    made = np.full((6 * height, 6 * width, *array.shape[2:]), fill, array.dtype)
    row, column = (6 * height) // 2 - height // 2, (6 * width) // 2 - width // 2
    made[row : row + height, column : column + width] = array
    return made


def plain_touched(mask):
    height, width = mask.shape
    rows, columns = np.where(mask)
    sides = []
    if max(rows) >= height - 10:
        sides.append("bottom")
    if min(rows) <= 10:
        sides.append("top")
    if max(columns) >= width - 10:
        sides.append("right")
    if min(columns) <= 10:
        sides.append("left")
    return sides


def plain_crop(mask, sides, border=150, anchored=True):
    """Rows and columns of the crop on the full canvas."""
    on_canvas = canvas(mask, False)
    height, width = on_canvas.shape
    rows, columns = np.where(on_canvas)
    top, bottom = max(0, rows.min() - 60), min(height, rows.max() + 60)
    left, right = max(0, columns.min() - 60), min(width, columns.max() + 60)
    top -= border * ("top" in sides)
    bottom += border * ("bottom" in sides)
    left -= border * ("left" in sides)
    right += border * ("right" in sides)
    size = max(bottom - top, right - left)
    more = size - (right - left)
    if anchored and "left" in sides:
        left -= more
    elif anchored and "right" in sides:
        right += more
    else:
        left, right = left - more // 2, right + (more - more // 2)
    more = size - (bottom - top)
    if anchored and "top" in sides:
        top -= more
    elif anchored and "bottom" in sides:
        bottom += more
    else:
        top, bottom = top - more // 2, bottom + (more - more // 2)
    return max(0, top), min(height, bottom), max(0, left), min(width, right)
