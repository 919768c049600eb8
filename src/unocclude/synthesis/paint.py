"""Fast 2-D drawing: textures from a bank of patterns, plates drawn by affine warps, and swaying outlines.

Images here are premultiplied RGBA, (H, W, 4) float32, 0 to 255, so that compositing is one multiplication and one
addition.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np

from unocclude.synthesis.plates import TEXTURES, colours, octaves, texture

BANK = 40
"""Number of patterns. Clips recolour some of them, which is much faster than generating new ones."""
_SIDE = 256
PHOTOGRAPHIC = 0.6
"""Share of surfaces cut from photographs, where there are some."""


@lru_cache(maxsize=BANK)
def _pattern(k: int) -> np.ndarray:
    """Pattern k of the bank, (256, 256) uint8; it tiles seamlessly."""
    rng = np.random.default_rng([95, k])
    if k % 4 == 0:
        level = octaves(_SIDE, _SIDE, 60, 3, rng)
    else:
        kind = list(TEXTURES)[k % 4 - 1]
        level = cv2.cvtColor(texture(kind, _SIDE, _SIDE, rng.uniform(2, 4), 0, 1, rng), cv2.COLOR_RGB2GRAY)
    level = level.astype(np.float32)
    share = (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(_SIDE, dtype=np.float32) + 0.5) / _SIDE)) ** 0.5
    for axis, weight in ((0, share[:, None]), (1, share[None])):  # fade to a seamless copy towards the edges
        level = weight * level + (1 - weight) * np.roll(level, _SIDE // 2, axis)
    low, high = np.percentile(level, [1, 99])
    return np.clip(255 * (level - low) / (high - low), 0, 255).astype(np.uint8)


_photographs: ContextVar[Sequence[np.ndarray]] = ContextVar("photographs", default=())


@contextmanager
def textures_from(photographs: Sequence[np.ndarray]) -> Iterator[None]:
    """Within this context, `cloth` cuts most of its surfaces from photographs, (H, W, 3) uint8 RGB each, if there are
    any."""
    token = _photographs.set(photographs)
    try:
        yield
    finally:
        _photographs.reset(token)


def cutting(photograph: np.ndarray, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A random part of a photograph, mirrored or not, scaled to (height, width, 3) uint8; it keeps the aspect."""
    largest = min(photograph.shape[0] / height, photograph.shape[1] / width)
    scale = largest * rng.uniform(0.35, 1.0)
    h, w = max(1, int(height * scale)), max(1, int(width * scale))
    top = int(rng.integers(photograph.shape[0] - h + 1))
    left = int(rng.integers(photograph.shape[1] - w + 1))
    way = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    part = cv2.resize(photograph[top : top + h, left : left + w], (width, height), interpolation=way)
    return part[:, ::-1].copy() if rng.uniform() < 0.5 else part


def _photographic(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A surface cut from one of the photographs of this context, with another light and tint."""
    photographs = _photographs.get()
    part = (
        cutting(photographs[int(rng.integers(len(photographs)))], height, width, rng)
        * rng.uniform(0.6, 1.3)
        * rng.uniform(0.85, 1.15, 3)
    )
    return np.clip(np.rint(part), 4, 251).astype(np.uint8)


def cloth(
    height: int, width: int, hue: float, vivid: float, rng: np.random.Generator, contrast: float | None = None
) -> np.ndarray:
    """A patterned surface, (H, W, 3) uint8 RGB.

    hue: central hue, 0 to 1. vivid: saturation, 0 to 1. contrast: of the pattern, 0 (plain) to 1; random if None.
    """
    if _photographs.get() and rng.uniform() < PHOTOGRAPHIC:
        return _photographic(height, width, rng)
    if contrast is None:
        contrast = rng.uniform(0.25, 0.9)
    pattern = _pattern(int(rng.integers(BANK)))
    top, left = rng.integers(0, _SIDE, 2)
    pattern = np.roll(pattern, (-top, -left), (0, 1))
    if rng.uniform() < 0.5:
        pattern = pattern.T
    pattern = pattern[: min(height, _SIDE), : min(width, _SIDE)]
    down, right = height - pattern.shape[0], width - pattern.shape[1]
    if down or right:
        pattern = cv2.resize(np.ascontiguousarray(pattern), (width, height), interpolation=cv2.INTER_LINEAR)
    palette = np.sort(colours(5, hue, vivid, rng), axis=0) if rng.uniform() < 0.5 else colours(5, hue, vivid, rng)
    middle = palette[rng.integers(len(palette))]
    palette = middle + contrast * (palette - middle)
    table = np.stack([np.interp(np.arange(256), np.linspace(0, 255, 5), channel) for channel in palette.T], axis=-1)
    return np.clip(np.rint(table), 4, 251).astype(np.uint8)[pattern]


def plate(colour: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """A premultiplied plate (h + 2, w + 2, 4) uint8 from colour (h, w, 3) and coverage (h, w), both 0 to 255, with a
    transparent margin of one pixel."""
    share = coverage[..., None].astype(np.float32) / 255
    out = np.zeros((coverage.shape[0] + 2, coverage.shape[1] + 2, 4), np.uint8)
    out[1:-1, 1:-1, :3] = np.rint(np.clip(colour, 0, 255) * share)
    out[1:-1, 1:-1, 3] = coverage
    return out


def over(picture: np.ndarray, drawn: np.ndarray) -> None:
    """Composite one premultiplied image, float32 or uint8, over another of the same size, in place."""
    through = 1 - cv2.extractChannel(drawn, 3).astype(np.float32) / 255
    cv2.multiply(picture, cv2.merge([through] * 4), dst=picture)
    cv2.add(picture, drawn, dst=picture, dtype=cv2.CV_32F)


@dataclass
class Patch:
    """A premultiplied image of a part of the frame; (x, y): position of its upper left pixel."""

    x: int
    y: int
    picture: np.ndarray

    def cut(self, height: int, width: int) -> tuple[tuple[slice, slice], np.ndarray]:
        """The part inside a frame: its position, and the image there."""
        h, w = self.picture.shape[:2]
        top, left = max(0, self.y), max(0, self.x)
        bottom, right = max(top, min(height, self.y + h)), max(left, min(width, self.x + w))
        inner = self.picture[top - self.y : bottom - self.y, left - self.x : right - self.x]
        return (slice(top, bottom), slice(left, right)), inner


@dataclass
class Sprite:
    """Plates that move together, drawn one over the other.

    plates: (h, w, 4) uint8 from `plate`, each with its maps (T, 2 or 3, 3) from plate pixels (including the margin) to
    frame pixels, centres at integers. centre: (T, 2) and height: (T,), in frame pixels. sway, wavelength, beat: the
    outline moves in waves of up to `sway` pixels, `beat` radians per frame.
    """

    kind: str
    plates: list[tuple[np.ndarray, np.ndarray]]
    centre: np.ndarray
    height: np.ndarray
    sway: float = 0.0
    wavelength: float = 1.0
    beat: float = 0.0

    def move(self, x: np.ndarray | float, y: np.ndarray | float) -> None:
        """Translate it, by (T,) pixels or a constant."""
        for _, place in self.plates:
            place[:, 0, 2] += x
            place[:, 1, 2] += y
        self.centre = self.centre + np.stack(np.broadcast_arrays(x, y), -1)
        self.__dict__.pop("_boxes", None)

    @cached_property
    def _boxes(self) -> np.ndarray:
        """Boxes of all plates in all frames, (N, T, 4) int: x0, y0, x1, y1, ends exclusive."""
        found = []
        for image, place in self.plates:
            h, w = image.shape[:2]
            corners = place[:, :2, :2] @ np.array([[0, w, 0, w], [0, 0, h, h]]) + place[:, :2, 2:]
            found.append(np.concatenate([np.floor(corners.min(-1)), np.ceil(corners.max(-1)) + 1], -1))
        return np.stack(found).astype(np.int64)

    def render(self, i: int, height: int, width: int) -> Patch:
        """Render frame i, clipped to a frame of this size plus a small margin."""
        margin = int(np.ceil(1.5 * self.sway)) + 1
        bounds = (-margin, -margin, width + margin, height + margin)
        boxes = self._boxes[:, i]
        x0, y0 = max(bounds[0], int(boxes[:, 0].min()) - margin), max(bounds[1], int(boxes[:, 1].min()) - margin)
        x1, y1 = min(bounds[2], int(boxes[:, 2].max()) + margin), min(bounds[3], int(boxes[:, 3].max()) + margin)
        picture = np.zeros((max(0, y1 - y0), max(0, x1 - x0), 4), np.float32)
        patch = Patch(x0, y0, picture)
        if not picture.size:
            return patch
        for (image, place), box in zip(self.plates, boxes.tolist(), strict=True):
            left, top, right, bottom = max(box[0], x0), max(box[1], y0), min(box[2], x1), min(box[3], y1)
            if right <= left or bottom <= top:
                continue
            here = place[i, :2].copy()
            here[:, 2] -= (left, top)
            drawn = cv2.warpAffine(image, here, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
            over(picture[top - y0 : bottom - y0, left - x0 : right - x0], drawn)
        if self.sway > 0.2:
            x, y = self.centre[i]
            patch.picture = _swayed(picture, x - x0, y - y0, self.sway, self.wavelength, self.beat * i)
        return patch


def _swayed(picture: np.ndarray, x: float, y: float, amount: float, wavelength: float, phase: float) -> np.ndarray:
    """Distort an image by waves of `amount` pixels around (x, y)."""
    h, w = picture.shape[:2]
    k = 2 * np.pi / wavelength
    ys, xs = np.arange(h, dtype=np.float32) - np.float32(y), np.arange(w, dtype=np.float32) - np.float32(x)
    # waves in both directions with different speeds, so that the motion is not a simple oscillation
    across = xs + 0.4 * amount * np.sin(0.7 * k * xs - 2 * phase)
    along = ys + 0.4 * amount * np.sin(0.8 * k * ys + 2 * phase)
    map_x = across[None] + (amount * np.sin(k * ys + phase))[:, None] + np.float32(x)
    map_y = along[:, None] + (0.7 * amount * np.sin(k * xs - phase + 1))[None] + np.float32(y)
    return cv2.remap(picture, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_LINEAR)


def shifted(x: float | np.ndarray, y: float | np.ndarray) -> np.ndarray:
    """Translation as (3, 3), or (T, 3, 3) for T values."""
    x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
    out = np.zeros((*x.shape, 3, 3))
    out[..., 0, 0] = out[..., 1, 1] = out[..., 2, 2] = 1
    out[..., 0, 2], out[..., 1, 2] = x, y
    return out


def turned(angle: float | np.ndarray) -> np.ndarray:
    """Rotation as (3, 3), or (T, 3, 3); positive is clockwise on the screen."""
    angle = np.asarray(angle, np.float64)
    out = np.zeros((*angle.shape, 3, 3))
    out[..., 0, 0] = out[..., 1, 1] = np.cos(angle)
    out[..., 1, 0] = np.sin(angle)
    out[..., 0, 1] = -out[..., 1, 0]
    out[..., 2, 2] = 1
    return out


def scaled(x: float | np.ndarray, y: float | np.ndarray) -> np.ndarray:
    """Scaling as (3, 3), or (T, 3, 3)."""
    x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
    out = np.zeros((*x.shape, 3, 3))
    out[..., 0, 0], out[..., 1, 1], out[..., 2, 2] = x, y, 1
    return out
