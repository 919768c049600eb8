"""Arithmetic on pixels, with small intermediate results."""

from collections.abc import Callable

import numpy as np

from unocclude.media.limits import BLOCK_PIXELS


def by_rows(array: np.ndarray, work: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply the per-pixel function `work` to an array (H, W, ...), in blocks of rows if it is large."""
    rows = max(1, BLOCK_PIXELS // max(1, array.shape[1]))
    if len(array) <= rows:
        return work(array)
    first = work(array[:rows])
    result = np.empty((len(array), *first.shape[1:]), first.dtype)
    result[:rows] = first
    for top in range(rows, len(array), rows):
        result[top : top + rows] = work(array[top : top + rows])
    return result


def on_black(rgba: np.ndarray) -> np.ndarray:
    """Composite (H, W, 4) uint8 RGBA with straight alpha on black, (H, W, 3); opaque pixels are unchanged."""
    return by_rows(rgba, _on_black)


def _on_black(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 127) // 255).astype(np.uint8)
