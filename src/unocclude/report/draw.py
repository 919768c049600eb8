"""Draw results for previews and reports: overlays, checkerboards, downscaling."""

from functools import lru_cache

import cv2
import numpy as np

VISIBLE_TINT = (64, 160, 80)
AMODAL_LINE = (255, 200, 0)
_SQUARE = 8
_LIGHT, _DARK = 205, 165


def fit_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """Height and width of an image scaled down to at most `long_side` pixels; at least 1 pixel each, never enlarged."""
    scale = min(1.0, long_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Downscale an image, (H, W), (H, W, 3) or (H, W, 4) uint8, or a bool mask to `size` (height, width).

    RGBA is averaged with premultiplied alpha, so that transparent black does not darken edges.
    """
    if image.shape[:2] == size:
        return image
    if image.dtype == bool:
        return cv2.resize(image.astype(np.uint8) * 255, size[::-1], interpolation=cv2.INTER_AREA) > 127
    if image.ndim == 2 or image.shape[2] == 3:
        return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    layer: np.ndarray = image.astype(np.float32)
    layer[..., :3] *= cv2.cvtColor(image[..., 3], cv2.COLOR_GRAY2RGB)
    layer = cv2.resize(layer, size[::-1], interpolation=cv2.INTER_AREA)
    layer[..., :3] = layer[..., :3] / np.maximum(layer[..., 3:], 0.25)
    return np.clip(np.rint(layer), 0, 255).astype(np.uint8)


def overlay(frame: np.ndarray, visible: np.ndarray, amodal: np.ndarray) -> np.ndarray:
    """Tint the visible mask of a frame and outline its amodal mask; (H, W, 3) uint8 RGB."""
    picture = frame.copy()
    picture[visible] = (0.6 * picture[visible] + 0.4 * np.array(VISIBLE_TINT)).astype(np.uint8)
    contours, _ = cv2.findContours(amodal.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    thickness = max(1, round(max(frame.shape[:2]) / 400))
    return cv2.drawContours(picture, contours, -1, AMODAL_LINE, thickness, cv2.LINE_AA)


def on_checkerboard(rgba: np.ndarray) -> np.ndarray:
    """Composite (H, W, 4) uint8 RGBA with straight alpha over a grey checkerboard; (H, W, 3) uint8 RGB."""
    alpha = cv2.cvtColor(rgba[..., 3], cv2.COLOR_GRAY2RGB).astype(np.uint16)
    blend = rgba[..., :3] * alpha + _board(*rgba.shape[:2]) * (255 - alpha)
    return ((blend + 127) // 255).astype(np.uint8)


@lru_cache(maxsize=2)
def _board(height: int, width: int) -> np.ndarray:
    ys, xs = np.indices((height, width)) // _SQUARE
    board = np.where((ys + xs) % 2, _DARK, _LIGHT).astype(np.uint16)
    return np.repeat(board[..., None], 3, axis=2)
