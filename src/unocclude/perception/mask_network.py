"""Inputs and outputs of the mask network: one object's visible mask from a picture, boxes, points and a rough mask.

`model_cards/perception/` documents its training.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from unocclude.perception import weights
from unocclude.perception.colours import ColourGrid, colour_bins
from unocclude.types import Box, PixelBox, Point
from unocclude.weights.shipped import session

FILE = "mask_network.onnx"
SIDE = 96
"""Side of a view in pixels."""
MARGIN = 0.3
"""Margin of a view around the prompt on every side, relative to the prompt's longer side."""
SMALLEST = 24
"""Least side of a view in frame pixels."""
PLANES = 9
"""Input planes: RGB in -1..1, canvas (1 inside the frame), boxes, positive points, negative points, the rough mask
(1 object, -1 not, 0 unknown), and colour (from -1, a colour of the surroundings, to 1, one of what is marked)."""
_DOT = 2.5  # radius of a point in view pixels
NOWHERE = -8.0
"""Log-odds outside the view."""


@dataclass(frozen=True)
class View:
    """A square of frame pixels, possibly beyond the frame; x0, y0: its upper left pixel."""

    x0: int
    y0: int
    size: int

    @classmethod
    def around(cls, box: Box, zoom: float = 1.0, move: tuple[float, float] = (0.0, 0.0)) -> "View":
        """The view around a box (x0, y0, x1, y1) with the usual margin.

        zoom, move (relative to the box): random disturbance, for augmentation.
        """
        longer = max(box[2] - box[0], box[3] - box[1])
        return cls.at(
            (box[0] + box[2]) / 2 + move[0] * longer,
            (box[1] + box[3]) / 2 + move[1] * longer,
            longer * (1 + 2 * MARGIN) * zoom,
        )

    @classmethod
    def at(cls, x: float, y: float, size: float) -> "View":
        """The view of `size` pixels with its centre at x, y."""
        whole = max(SMALLEST, round(size))
        return cls(round(x - whole / 2), round(y - whole / 2), whole)

    @property
    def scale(self) -> float:
        """View pixels per frame pixel."""
        return SIDE / self.size

    def take(self, image: np.ndarray, outside: float = 0.0) -> np.ndarray:
        """The view of a frame-sized (H, W) or (H, W, C) array, (SIDE, SIDE) or (SIDE, SIDE, C) float32."""
        height, width = image.shape[:2]
        x0, y0 = np.clip((self.x0, self.y0), 0, (width, height))
        x1, y1 = np.clip((self.x0 + self.size, self.y0 + self.size), 0, (width, height))
        crop = np.full((self.size, self.size, *image.shape[2:]), outside, np.float32)
        crop[y0 - self.y0 : y1 - self.y0, x0 - self.x0 : x1 - self.x0] = image[y0:y1, x0:x1]
        way = cv2.INTER_AREA if self.size > SIDE else cv2.INTER_LINEAR
        return cv2.resize(crop, (SIDE, SIDE), interpolation=way)

    def put(self, seen: np.ndarray, shape: tuple[int, int], outside: float) -> np.ndarray:
        """A (SIDE, SIDE) float32 map of the view in a frame of (height, width), (H, W) float32."""
        full = np.full(shape, outside, np.float32)
        crop = cv2.resize(seen, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        x0, y0, x1, y1 = self.inside(shape)
        full[y0:y1, x0:x1] = crop[y0 - self.y0 : y1 - self.y0, x0 - self.x0 : x1 - self.x0]
        return full

    def inside(self, shape: tuple[int, int]) -> PixelBox:
        """The part of the view in a frame of (height, width): x0, y0, x1, y1."""
        height, width = shape
        x0, y0 = np.clip((self.x0, self.y0), 0, (width, height)).tolist()
        x1, y1 = np.clip((self.x0 + self.size, self.y0 + self.size), 0, (width, height)).tolist()
        return x0, y0, x1, y1

    def places(self, points: Sequence[Point]) -> np.ndarray:
        """Frame pixels x, y in view pixels, (N, 2)."""
        return (np.array(points, float).reshape(-1, 2) - (self.x0, self.y0) + 0.5) * self.scale - 0.5


@dataclass(frozen=True)
class Marks:
    """What marks the object, in frame pixels: boxes, points on it, points not on it, and a rough mask (H, W) bool."""

    boxes: Sequence[Box] = ()
    inside: Sequence[Point] = ()
    outside: Sequence[Point] = ()
    rough: np.ndarray | None = field(default=None)


def make_planes(picture: np.ndarray, marks: Marks, view: View) -> np.ndarray:
    """The network's input (PLANES, SIDE, SIDE) float32 for a picture (H, W, 3) uint8 RGB."""
    planes = np.zeros((PLANES, SIDE, SIDE), np.float32)
    planes[3] = view.take(np.ones(picture.shape[:2], np.float32))
    seen = view.take(picture)
    planes[:3] = (seen / 127.5 - planes[3][..., None]).transpose(2, 0, 1)
    for x0, y0, x1, y1 in marks.boxes:
        (left, top), (right, bottom) = np.rint(view.places([(x0, y0), (x1, y1)]) + 0.5).astype(int)
        planes[4, max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = 1
    for plane, points in ((planes[5], marks.inside), (planes[6], marks.outside)):
        for x, y in view.places(points):
            _dot(plane, x, y)
    if marks.rough is not None:
        planes[7] = (2 * view.take(marks.rough.astype(np.float32)) - 1) * planes[3]
    planes[8] = _colour(seen, planes)
    return planes


def _colour(seen: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """How much a colour is one of the rough mask, else of the boxes, else of the points, and not one of the rest."""
    if planes[7].any():
        inside = (planes[7] > 0).astype(np.float32)
        outside = 1 - inside
    elif planes[4].any():
        inside = cv2.GaussianBlur(planes[4], (0, 0), SIDE / 12) * planes[4]  # less at the sides, where corners are
        outside = 1 - planes[4]
    else:
        inside = cv2.GaussianBlur(planes[5], (0, 0), SIDE / 24)
        outside = np.full_like(inside, 0.1)
    outside = np.maximum(outside, cv2.dilate(planes[6], np.ones((5, 5), np.uint8)))
    inside, outside = inside * planes[3], outside * planes[3]
    bins = colour_bins(cv2.cvtColor(np.rint(seen).astype(np.uint8), cv2.COLOR_RGB2LAB))
    nowhere = np.zeros(bins.shape)
    grid = ColourGrid()
    grid.add(bins, nowhere, nowhere, inside / (inside + outside + 1e-6), inside + outside)
    own, other = (
        found / max(total, 1e-6) for found, total in zip(grid.look(bins, nowhere, nowhere), grid.totals, strict=True)
    )
    return np.clip(np.log((own + 1e-4) / (other + 1e-4)) / 3, -1, 1) * planes[3]


def _dot(plane: np.ndarray, x: float, y: float) -> None:
    ys, xs = np.ogrid[:SIDE, :SIDE]
    plane[np.hypot(xs - x, ys - y) <= _DOT] = 1


def log_odds(picture: np.ndarray, marks: Marks, views: Sequence[View]) -> np.ndarray:
    """Log-odds of the object in each view, (N, SIDE, SIDE) float32, from a picture (H, W, 3) uint8 RGB.

    The mean of the network's answers to a view and to its mirror image.
    """
    planes = np.stack([make_planes(picture, marks, view) for view in views])
    answers = _run(np.concatenate([planes, planes[..., ::-1]]))[:, 0]
    mean: np.ndarray = (answers[: len(views)] + answers[len(views) :, :, ::-1]) / 2
    return mean


def best_level(chance: np.ndarray) -> float:
    """The level above which a map of chances (any shape, 0..1) gives the mask of the highest expected IoU, .05 to .8.

    Expected intersection over expected union, of pixels that are independent. It is under one half for an object of
    uncertain extent, of which no pixel may be likely.
    """
    ranked = np.sort(chance.ravel())[::-1]
    gained = np.cumsum(ranked, dtype=np.float64)
    expected = gained / np.maximum(np.arange(1, len(ranked) + 1) + gained[-1] - gained, 1e-9)
    return float(np.clip(ranked[int(np.argmax(expected))], 0.05, 0.8))


def _run(planes: np.ndarray) -> np.ndarray:
    answers: np.ndarray = session(weights.__name__, FILE).run(None, {"planes": planes})[0]
    return answers
