"""Occluders of the tuning set: poles, fences, foliage, large things and cut-outs, with the look a cell asks for."""

from dataclasses import dataclass

import cv2
import numpy as np

Generator = np.random.Generator


@dataclass(frozen=True)
class Occluder:
    """pictures: (N, h, w, 3) uint8 BGR, opacity: (N, h, w) float32 in 0..1; frame t shows picture t, back and forth.

    anchor: the pixel (x, y) that is placed on the object's path.
    """

    pictures: np.ndarray
    opacity: np.ndarray
    anchor: tuple[float, float]

    def at(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """Picture and opacity in frame t."""
        count = len(self.pictures)
        k = t % max(1, 2 * count - 2)
        k = k if k < count else 2 * count - 2 - k
        return self.pictures[k], self.opacity[k]


def shaped(shape: str, wide: bool, tall: float, skin: np.ndarray, rng: Generator) -> Occluder:
    """An occluder of one of the shapes, for an object `tall` pixels high; wide: it spans the whole view.

    skin: the texture that it is cut from, (h, w, 3) uint8.
    """
    opacity, anchor = {"pole": _pole, "fence": _fence, "foliage": _foliage, "large": _large}[shape](wide, tall, rng)
    height, width = opacity.shape
    picture = cv2.resize(skin, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    if shape == "pole":
        picture *= (0.75 + 0.3 * np.sin(np.linspace(0.2, np.pi - 0.2, width)))[None, :, None]
    if shape == "foliage":  # leaves shade each other
        shade = cv2.GaussianBlur(rng.normal(size=opacity.shape).astype(np.float32), (0, 0), 2)
        picture *= (1 + 0.25 * shade / shade.std())[..., None]
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    return Occluder(picture[None], opacity[None].astype(np.float32), anchor)


Made = tuple[np.ndarray, tuple[float, float]]


def _pole(wide: bool, tall: float, rng: Generator) -> Made:
    width = round(tall * rng.uniform(0.12, 0.3))
    return np.ones((round(5 * tall), width), np.float32), (width / 2, 2.5 * tall)


def _fence(wide: bool, tall: float, rng: Generator) -> Made:
    width, height = round(tall * (6 if wide else rng.uniform(0.8, 1.6))), round(tall * rng.uniform(0.8, 1.4))
    opacity = np.zeros((height, width), np.float32)
    gap, slat = tall * rng.uniform(0.12, 0.25), max(3, round(tall * rng.uniform(0.04, 0.09)))
    for x in np.arange(0, width - slat, gap + slat):
        opacity[:, int(x) : int(x) + slat] = 1
    for share in (0.15, 0.75):
        opacity[int(share * height) : int(share * height) + slat] = 1
    return opacity, (width / 2, height * rng.uniform(0.3, 0.6))


def _foliage(wide: bool, tall: float, rng: Generator) -> Made:
    width, height = round(tall * (6 if wide else rng.uniform(0.8, 1.4))), round(tall * rng.uniform(0.8, 1.3))
    opacity = np.zeros((height, width), np.uint8)
    for _ in range(round(5 * width / tall)):  # twigs
        x, y = rng.uniform(0, width), height * rng.uniform(0.3, 1)
        end = (round(x + tall * rng.normal(0, 0.3)), round(y - tall * rng.uniform(0.4, 0.9)))
        cv2.line(opacity, (round(x), round(y)), end, 255, max(2, round(0.03 * tall)), cv2.LINE_AA)
    for _ in range(round(45 * width / tall * rng.uniform(0.6, 1.2))):  # leaves
        centre = (round(rng.uniform(0, width)), round(height * rng.beta(2, 2)))
        axes = (max(2, round(tall * rng.uniform(0.04, 0.12))), max(2, round(tall * rng.uniform(0.02, 0.06))))
        cv2.ellipse(opacity, centre, axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
    return opacity.astype(np.float32) / 255, (width / 2, height / 2)


def _large(wide: bool, tall: float, rng: Generator) -> Made:
    if wide:  # a hedge, a table: its upper edge hides the lower part of what moves behind it
        width, height = round(6 * tall), round(3 * tall)
        edge = 3 * np.sin(np.arange(width) * rng.uniform(0.02, 0.2))
        opacity = np.clip(np.arange(height)[:, None] - 4 - edge[None], 0, 1)
        return opacity.astype(np.float32), (width / 2, -0.02 * tall)
    size = round(tall * rng.uniform(0.5, 0.95))
    ys, xs = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    if rng.uniform() < 0.5:  # a parked thing
        power = rng.uniform(3, 8)
        inside = np.abs(xs) ** power + np.abs(ys) ** power < 0.95
    else:
        angle = np.arctan2(ys, xs)
        radius = 0.75 + sum(0.25 / k * np.sin(k * angle + rng.uniform(0, 6.3)) * rng.uniform(0, 1) for k in (2, 3, 5))
        inside = np.hypot(ys, xs) < radius
    return inside.astype(np.float32), (size / 2, size / 2)


def cut_out(pictures: np.ndarray, masks: np.ndarray, height: float) -> Occluder:
    """The object of a source (pictures (T, H, W, 3), masks (T, H, W)) as an occluder `height` pixels high."""
    boxes = [cv2.boundingRect(mask.astype(np.uint8)) for mask in masks]
    x0, y0 = min(b[0] for b in boxes), min(b[1] for b in boxes)
    x1, y1 = max(b[0] + b[2] for b in boxes), max(b[1] + b[3] for b in boxes)
    scale = height / (y1 - y0)
    size = (max(2, round((x1 - x0) * scale)), max(2, round(height)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = [cv2.resize(p[y0:y1, x0:x1], size, interpolation=way) for p in pictures]
    cuts = [cv2.resize(m[y0:y1, x0:x1].astype(np.float32), size, interpolation=way) for m in masks]
    return Occluder(np.stack(small), np.stack(cuts), (size[0] / 2, size[1] / 2))


def skin(look: str, backdrop: np.ndarray, picture: np.ndarray, mask: np.ndarray, rng: Generator) -> np.ndarray:
    """A texture (h, w, 3) uint8 for a look: a part of a backdrop, one colour, or the object's own pixels.

    picture (H, W, 3), mask (H, W) bool: the object in one frame.
    """
    if look == "like the object":
        x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
        inner, known = picture[y : y + h, x : x + w], mask[y : y + h, x : x + w]
        filled = cv2.inpaint(inner, (~known).astype(np.uint8), 3, cv2.INPAINT_TELEA)
        return np.hstack([filled, filled[:, ::-1]])
    side = int(rng.integers(60, 160))
    y, x = rng.integers(0, backdrop.shape[0] - side), rng.integers(0, backdrop.shape[1] - side)
    part = backdrop[y : y + side, x : x + side]
    if look == "textured":
        return part
    return np.full_like(part, np.median(part.reshape(-1, 3), axis=0))
