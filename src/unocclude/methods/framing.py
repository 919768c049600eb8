"""Framings: which part of the canvas a network sees, at what size, and how its output is put back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from unocclude.types import Box, PixelBox

WIDEST = 2.0
"""Largest aspect ratio of a network input."""


@dataclass(frozen=True)
class Framing:
    """A crop of the canvas and the size that it is scaled to.

    box: (x0, y0, x1, y1), ends exclusive; it may reach beyond the canvas. size: (width, height) of the network input.
    canvas: (width, height).
    """

    box: PixelBox
    size: tuple[int, int]
    canvas: tuple[int, int]

    def crop(self, image: np.ndarray, fill: int = 0) -> np.ndarray:
        """Crop a canvas-sized image and scale it to `size`, with Pillow's antialiased bilinear filter.

        image: (H, W) or (H, W, 3), uint8 or bool (treated as 0 and 255). fill: value outside the canvas. Returns uint8.
        """
        if image.dtype == bool:
            image = image.astype(np.uint8) * 255
        inner = image[self._inside]
        x0, y0, x1, y1 = self.box
        rows, columns = self._inside
        if inner.shape[:2] != (y1 - y0, x1 - x0):
            sides = (rows.start - y0, y1 - rows.stop, columns.start - x0, x1 - columns.stop)
            inner = cv2.copyMakeBorder(inner, *sides, borderType=cv2.BORDER_CONSTANT, value=(fill,) * 3)
        return np.asarray(Image.fromarray(inner).resize(self.size, Image.Resampling.BILINEAR))

    def uncrop(self, picture: np.ndarray) -> np.ndarray:
        """Undo `crop`: scale a picture of `size`, (h, w) or (h, w, C), float32 or uint8, and paste it onto the canvas.

        Returns (H, W) or (H, W, C), 0 outside the box.
        """
        x0, y0, x1, y1 = self.box
        shrinks = (x1 - x0) * (y1 - y0) < self.size[0] * self.size[1]
        way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        whole = cv2.resize(picture, (x1 - x0, y1 - y0), interpolation=way)
        out: np.ndarray = np.zeros((self.canvas[1], self.canvas[0], *picture.shape[2:]), picture.dtype)
        rows, columns = self._inside
        out[rows, columns] = whole[rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0]
        return out

    @property
    def _inside(self) -> tuple[slice, slice]:
        x0, y0, x1, y1 = self.box
        width, height = self.canvas
        return slice(max(0, y0), min(height, y1)), slice(max(0, x0), min(width, x1))


def whole_canvas(canvas: tuple[int, int], size: tuple[int, int]) -> Framing:
    """The whole canvas scaled to `size`; the aspect ratio is not kept."""
    return Framing((0, 0, *canvas), size, canvas)


def crop_around(
    boxes: Iterable[Box],
    canvas: tuple[int, int],
    pixels: int,
    margin: float = 0.5,
    multiple: int = 64,
    size: tuple[int, int] | None = None,
) -> Framing:
    """A crop around an object, aspect ratio kept.

    The bounding box of all `boxes` is grown by `margin` times its longer side on every side, but not beyond the canvas,
    and then widened to the aspect ratio of the network input: `size` (width, height) if given, else the best-fitting
    size with at most `pixels` pixels and sides divisible by `multiple`.

    boxes: (x0, y0, x1, y1) on the canvas, ends exclusive, at least one.
    """
    every = np.array(list(boxes), float)
    low, high = every[:, :2].min(0), every[:, 2:].max(0)
    more = margin * (high - low).max()
    low, high = np.maximum(low - more, 0), np.minimum(high + more, canvas)
    width, height = (float(side) for side in np.maximum(high - low, 1))
    columns, rows = size or _shape(width / height, pixels, multiple)
    scale = max(width / columns, height / rows)  # canvas pixels per input pixel
    shown = round(scale * columns), round(scale * rows)
    start = [_start((low[k] + high[k]) / 2, shown[k], canvas[k]) for k in range(2)]
    return Framing((start[0], start[1], start[0] + shown[0], start[1] + shown[1]), (columns, rows), canvas)


def crop_following(
    boxes: Sequence[Box | None], canvas: tuple[int, int], size: tuple[int, int], margin: float = 0.5
) -> list[Framing]:
    """One crop per frame, all of the same size, that follows the object.

    Each crop is centred on the frame's box and as large as the largest box, grown by `margin` times its longer side on
    every side. Centres of frames without a box (None) are interpolated linearly.

    boxes: one per frame, on the canvas, at least one not None. size: (width, height) of the network input.
    """
    known = [i for i, box in enumerate(boxes) if box is not None]
    every = np.array([box for box in boxes if box is not None], float)
    longest = (every[:, 2:] - every[:, :2]).max()
    side = min((1 + 2 * margin) * longest, max(canvas))
    scale = max(side, 1) / min(size)
    shown = round(scale * size[0]), round(scale * size[1])
    middles = [np.interp(range(len(boxes)), known, every[:, [k, k + 2]].mean(1)) for k in range(2)]
    starts = [[_start(middle, shown[k], canvas[k]) for middle in middles[k]] for k in range(2)]
    return [Framing((x, y, x + shown[0], y + shown[1]), size, canvas) for x, y in zip(*starts, strict=True)]


def _start(middle: float, length: int, limit: int) -> int:
    """First pixel of a span of `length` around `middle`, moved inside 0..limit; centred on it if it does not fit."""
    if length > limit:
        return round((limit - length) / 2)
    return int(np.clip(round(middle - length / 2), 0, limit - length))


def _shape(aspect: float, pixels: int, multiple: int) -> tuple[int, int]:
    """(width, height) nearest to `aspect`, then the largest: sides divisible by `multiple`, at most `pixels` in all."""
    aspect = float(np.clip(aspect, 1 / WIDEST, WIDEST))
    most = max(1, pixels // multiple**2)
    shapes = [(w, h) for w in range(1, most + 1) for h in range(1, most // w + 1) if 2 * w * h > most or most < 4]
    best = min(shapes, key=lambda shape: (round(abs(np.log(shape[0] / shape[1] / aspect)), 3), -shape[0] * shape[1]))
    return best[0] * multiple, best[1] * multiple
