"""What part of the canvas a network sees, and at what size; its answer is laid back where it came from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 on the canvas, ends exclusive."""
WIDEST = 2.0
"""No picture is shown longer than this many times its shorter side."""


@dataclass(frozen=True)
class Framing:
    """A box of the canvas (x0, y0, x1, y1, ends exclusive; it may go beyond the canvas) shown as a picture of `size`
    (width, height); `canvas` (width, height)."""

    box: tuple[int, int, int, int]
    size: tuple[int, int]
    canvas: tuple[int, int]

    def cut(self, image: np.ndarray, fill: int = 0) -> np.ndarray:
        """The box of a canvas-sized picture, (H, W[, 3]) uint8 or bool (as 0 and 255), at `size`: antialiased bilinear
        (Pillow's), `fill` beyond the canvas; uint8."""
        if image.dtype == bool:
            image = image.astype(np.uint8) * 255
        inner = image[self._inside]
        x0, y0, x1, y1 = self.box
        rows, columns = self._inside
        if inner.shape[:2] != (y1 - y0, x1 - x0):
            sides = (rows.start - y0, y1 - rows.stop, columns.start - x0, x1 - columns.stop)
            inner = cv2.copyMakeBorder(inner, *sides, borderType=cv2.BORDER_CONSTANT, value=(fill,) * 3)
        return np.asarray(Image.fromarray(inner).resize(self.size, Image.Resampling.BILINEAR))

    def back(self, picture: np.ndarray) -> np.ndarray:
        """A picture of `size`, (h, w[, C]) float32 or uint8, laid into the canvas, (H, W[, C]); 0 outside the box."""
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


def squeezed(canvas: tuple[int, int], size: tuple[int, int]) -> Framing:
    """The whole canvas at `size`, whatever that does to its aspect ratio."""
    return Framing((0, 0, *canvas), size, canvas)


def around(
    boxes: Iterable[Box],
    canvas: tuple[int, int],
    pixels: int,
    margin: float = 0.5,
    multiple: int = 64,
    size: tuple[int, int] | None = None,
) -> Framing:
    """The object and what is around it, its aspect ratio kept: the boxes' hull, `margin` of its longer side added on
    every side but never beyond the canvas, then widened to the shape of a picture whose sides are multiples of
    `multiple` and that has about `pixels` pixels (never more), or to that of `size` (width, height).

    boxes: (x0, y0, x1, y1) on the canvas, ends exclusive, at least one.
    """
    every = np.array(list(boxes), float)
    low, high = every[:, :2].min(0), every[:, 2:].max(0)
    more = margin * (high - low).max()
    low, high = np.maximum(low - more, 0), np.minimum(high + more, canvas)
    width, height = (float(side) for side in np.maximum(high - low, 1))
    columns, rows = size or _shape(width / height, pixels, multiple)
    scale = max(width / columns, height / rows)  # canvas pixels to a picture's
    shown = round(scale * columns), round(scale * rows)
    start = [_start((low[k] + high[k]) / 2, shown[k], canvas[k]) for k in range(2)]
    return Framing((start[0], start[1], start[0] + shown[0], start[1] + shown[1]), (columns, rows), canvas)


def following(
    boxes: Sequence[Box | None], canvas: tuple[int, int], size: tuple[int, int], margin: float = 0.5
) -> list[Framing]:
    """A framing a frame, all of one size, that go along with the object, which so is shown as large as can be: the
    largest box, `margin` of its longer side added on every side, around the middle of each frame's box. Where a frame
    has none (None), the middle is between those before and after.

    boxes: of T frames, on the canvas, at least one not None. size: (width, height) of a picture.
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


def _start(middle: float, shown: int, there: int) -> int:
    """First pixel of `shown` around a middle: within what is there, or, where that is less, with it in the middle."""
    if shown > there:
        return round((there - shown) / 2)
    return int(np.clip(round(middle - shown / 2), 0, there - shown))


def _shape(aspect: float, pixels: int, multiple: int) -> tuple[int, int]:
    """Width and height, multiples of `multiple`, of at most `pixels` in all: the nearest to `aspect`, the largest of
    these."""
    aspect = float(np.clip(aspect, 1 / WIDEST, WIDEST))
    most = max(1, pixels // multiple**2)
    shapes = [(w, h) for w in range(1, most + 1) for h in range(1, most // w + 1) if 2 * w * h > most or most < 4]
    best = min(shapes, key=lambda shape: (round(abs(np.log(shape[0] / shape[1] / aspect)), 3), -shape[0] * shape[1]))
    return best[0] * multiple, best[1] * multiple
