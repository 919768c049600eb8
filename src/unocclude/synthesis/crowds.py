"""Crowds: still pictures of several objects, many of the same kind and alike, with the visible mask of each.

People beside people in the same clothes, animals beside animals, bodies and things whose parts differ more from each
other than from what is behind them, before and behind clutter of their own colours. Made to train networks that tell
one object from its surroundings.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from unocclude.synthesis.backdrops import Backdrop, Camera
from unocclude.synthesis.figures import BodyPart, Figure, Texture, animal, bird, person
from unocclude.synthesis.paint import Sprite, over, plate, scaled, shifted, turned
from unocclude.synthesis.people import poser, rider
from unocclude.synthesis.plates import SILHOUETTES, silhouette
from unocclude.synthesis.surfaces import field, photograph, surface

Generator = np.random.Generator

POSES = 12
"""Frames of a figure's motion to choose poses from."""


@dataclass(frozen=True)
class Crowd:
    """A picture (H, W, 3) uint8 RGB, and labels (H, W) uint8: number of the visible object from 1, 0 for none."""

    picture: np.ndarray
    labels: np.ndarray


def crowd(seed: int, side: int = 176) -> Crowd:
    """A picture of `side` x `side` pixels with two to six objects. Deterministic.

    Raises ValueError for a side under 32 pixels, InputError if scikit-image is missing.
    """
    if side < 32:
        raise ValueError(f"a side of {side} pixels, expected 32 or more")
    r_back, r_objects, r_front, r_light = np.random.default_rng([seed, 11]).spawn(4)
    scene = np.full((side, side, 4), 255, np.float32)
    scene[..., :3] = _background(side, r_back)
    # colours that objects share with what is behind them
    palette = scene[r_back.integers(0, side, 6), r_back.integers(0, side, 6), :3].copy()
    for _ in range(int(r_back.choice([0, 0, 2, 5, 12]))):
        over(scene, _thing(side, _size(r_back) * 0.5 * side, palette, r_back))
    labels = np.zeros((side, side), np.uint8)
    for number, drawn in enumerate(_objects(side, palette, r_objects), 1):
        if r_objects.uniform() < 0.4:
            _shade(scene, drawn[..., 3], r_objects)
        over(scene, drawn)
        labels[drawn[..., 3] > 127.5] = number
    for drawn in _front(side, palette, r_front):
        over(scene, drawn)
        labels[drawn[..., 3] > 127.5] = 0
    return Crowd(_developed(scene[..., :3], r_light), labels)


# The background -----------------------------------------------------------------------------------------------


def _background(side: int, rng: Generator) -> np.ndarray:
    kind = rng.choice(4, p=[0.2, 0.25, 0.3, 0.25])
    if kind == 0:
        camera = Camera.draw(1, side, side, rng)
        picture = Backdrop(camera, side * rng.uniform(0.3, 0.8), rng).render(0)[..., :3]
    elif kind == 1:
        picture = photograph(side, side, rng)
    elif kind == 2:
        picture = _dead_leaves(side, rng)
    else:
        picture = surface(side, side, rng)
    if rng.uniform() < 0.3:
        picture = _foliage(picture, rng)
    if rng.uniform() < 0.4:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 3))
    return picture


def _dead_leaves(side: int, rng: Generator) -> np.ndarray:
    """Shapes that cover each other, with sizes of a power law (Lee, Mumford & Huang, IJCV 2001)."""
    picture = surface(side, side, rng)
    base, spread = rng.uniform(40, 210, 3), rng.uniform(15, 80)
    for _ in range(int(rng.integers(10, 45))):
        size = side * 0.08 / rng.uniform(0.1, 1) ** 0.8
        colour = base + rng.normal(0, spread, 3)
        mask = _outline(side, size, rng.uniform(-0.1, 1.1, 2) * side, rng)
        leaf = surface(side, side, rng, colour) if rng.uniform() < 0.3 else np.broadcast_to(colour, picture.shape)
        picture = picture + (mask[..., None] / 255) * (leaf - picture)
    return np.clip(picture, 0, 255).astype(np.float32)


def _foliage(picture: np.ndarray, rng: Generator) -> np.ndarray:
    """Small leaves or stalks over the picture, or a part of it."""
    picture = np.ascontiguousarray(picture, np.float32)
    side = len(picture)
    green = np.array([70, 105, 50]) * rng.uniform(0.5, 1.6) if rng.uniform() < 0.6 else rng.uniform(30, 220, 3)
    top = rng.choice([0.0, rng.uniform(0, 0.8)])
    long, thin = side * rng.uniform(0.02, 0.1), rng.uniform(0.15, 0.6)
    angle = rng.uniform(0, 180)
    for _ in range(int(rng.integers(80, 400))):
        at = (int(rng.uniform(0, side)), int(rng.uniform(top, 1) * side))
        half = long * rng.uniform(0.4, 1.2)
        colour = np.clip(green * np.exp(rng.normal(0, 0.35)) + rng.normal(0, 8, 3), 0, 255).tolist()
        axes, lean = (max(1, int(half)), max(1, int(half * thin))), angle + rng.normal(0, 35)
        cv2.ellipse(picture, at, axes, lean, 0, 360, colour, -1, cv2.LINE_8)
    return picture


# Outlines and things ------------------------------------------------------------------------------------------


def _size(rng: Generator) -> float:
    return float(np.exp(rng.uniform(np.log(0.2), np.log(1.0))))


def _outline(side: int, size: float, at: np.ndarray, rng: Generator) -> np.ndarray:
    """Coverage (side, side) uint8 of a random simple shape, about `size` pixels long, centred at x, y."""
    mask = np.zeros((side, side), np.uint8)
    kind = rng.choice(["ellipse", "box", "polygon", "blob"], p=[0.25, 0.25, 0.2, 0.3])
    narrow = rng.uniform(0.15, 1)
    turn = turned(rng.choice([0.0, rng.normal(0, 0.2), rng.uniform(0, np.pi)]))[:2, :2]
    if kind == "box":
        taper = rng.uniform(0.5, 1)
        points = np.array([[-taper, -1], [taper, -1], [1, 1], [-1, 1]])
    else:
        count = 40 if kind != "polygon" else int(rng.integers(3, 8))
        angles = np.sort(rng.uniform(0, 2 * np.pi, count)) if kind == "polygon" else np.linspace(0, 2 * np.pi, count)
        radii = np.ones(count)
        if kind == "blob":
            radii += sum(rng.uniform(0, 0.6) / k * np.cos(k * angles + rng.uniform(0, 6.3)) for k in (2, 3, 4, 5))
        points = radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], -1)
    points = (points * (size / 2 * narrow, size / 2)) @ turn.T + at
    cv2.fillPoly(mask, [np.rint(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask


def _look(side: int, palette: np.ndarray, rng: Generator) -> np.ndarray:
    """A surface (side, side, 3), one in three in a colour of the background."""
    like = palette[rng.integers(len(palette))] if rng.uniform() < 0.35 else None
    return surface(side, side, rng, like)


def _filled(mask: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """A premultiplied picture (H, W, 4) float32 of a shape."""
    share = mask.astype(np.float32)[..., None] / 255
    return np.concatenate([colour * share, 255 * share], -1).astype(np.float32)


def _thing(
    side: int, tall: float, palette: np.ndarray, rng: Generator, at: np.ndarray | None = None, looks: int = 0
) -> np.ndarray:
    """A thing of one to six simple shapes, each with a surface of its own, premultiplied (side, side, 4) float32.

    looks: seed of its surfaces; things with the same one are alike. at: x, y of its centre, random if None.
    """
    at = rng.uniform(0.05, 0.95, 2) * side if at is None else at
    same = np.random.default_rng([looks, 5]) if looks else rng
    drawn = np.zeros((side, side, 4), np.float32)
    count = int(same.integers(1, 7))
    surfaces = [_look(side, palette, same) for _ in range(min(count, 3))]
    for k in range(count):
        size = tall * (same.uniform(0.6, 1) if k == 0 else same.uniform(0.2, 0.7))
        away = (0 if k == 0 else 0.4) * tall * same.uniform(-1, 1, 2)
        if k == 0 and same.uniform() < 0.25:
            mask = np.zeros((side, side), np.uint8)
            plain = silhouette(str(same.choice(list(SILHOUETTES))), max(8, int(size)), same, hole=same.uniform() < 0.3)
            _stamp(mask, plain, at)
        else:
            mask = _outline(side, size, at + away, same)
        over(drawn, _filled(mask, surfaces[k % len(surfaces)] * same.uniform(0.6, 1.1)))
    return np.clip(drawn, 0, 255)


def _stamp(mask: np.ndarray, plain: np.ndarray, at: np.ndarray) -> None:
    move = np.array([[1, 0, at[0] - plain.shape[1] / 2], [0, 1, at[1] - plain.shape[0] / 2]])
    np.copyto(mask, cv2.warpAffine(plain, move, mask.shape[::-1]))


# Figures ------------------------------------------------------------------------------------------------------


def _body(frames: int, rng: Generator) -> Figure:
    """A body of three to nine tapered parts that branch at random, with two to four surfaces."""
    looks = [_piece(rng) for _ in range(int(rng.integers(2, 5)))]
    parts: dict[str, BodyPart] = {}
    angles: dict[str, np.ndarray] = {}
    for k in range(int(rng.integers(3, 10))):
        parent = "" if k == 0 else str(rng.choice(list(parts)))
        length = rng.uniform(0.12, 0.45) if k else rng.uniform(0.25, 0.5)
        half = length * rng.uniform(0.1, 0.45)
        joint = (0.0, 0.0) if k == 0 else (parts[parent].length * float(rng.choice([0, rng.uniform(), 1])), 0.0)
        widths = [(0, half * rng.uniform(0.5, 1)), (0.5, half), (1, half * rng.uniform(0.3, 1))]
        look = looks[int(rng.integers(len(looks)))]
        parts[f"part {k}"] = BodyPart(parent, joint, rng.uniform(-np.pi, np.pi), length, widths, look, k)
        angles[f"part {k}"] = rng.normal(0, 0.35, frames)
    still = np.zeros(frames)
    return Figure("body", "body", parts, angles, [], still, still, (0, 0))


def _piece(rng: Generator) -> Texture:
    image = surface(96, 96, rng)
    return lambda height, width: cv2.resize(image, (max(width, 1), max(height, 1)), interpolation=cv2.INTER_LINEAR)


FIGURES: dict[str, Callable[[int, Generator], Figure]] = {
    "person": person, "poser": poser, "rider": rider, "animal": animal, "bird": bird, "body": _body,
}  # fmt: skip


def _figure(kind: str, looks: int, tall: float, side: int, at: np.ndarray, rng: Generator) -> np.ndarray:
    """A figure, premultiplied (side, side, 4) float32, its middle at x, y. Those with the same `looks` are alike."""
    same = np.random.default_rng([looks, 6])
    figure = FIGURES[kind](POSES, same)
    tall = tall * (0.8 if kind in ("animal", "rider") else 1)
    plates, _ = figure.pose(tall)
    pose = int(rng.integers(POSES))
    lean = rng.choice([0.0, rng.normal(0, 0.15), rng.uniform(-np.pi, np.pi)], p=[0.45, 0.4, 0.15])
    squeeze = rng.uniform(0.7, 1.5) * rng.choice([-1, 1])
    root = shifted(*at) @ turned(lean) @ scaled(squeeze * tall, tall) @ shifted(0, figure.middle[1])
    placed = [(_patterned(image, same), (root @ place)[pose : pose + 1]) for image, place in plates]
    sprite = Sprite(kind, placed, at[None], np.array([tall]), rng.uniform(0, 0.015) * tall, 0.4 * tall, 1.0)
    drawn = np.zeros((side, side, 4), np.float32)
    where, picture = sprite.render(0, side, side).cut(side, side)
    drawn[where] = picture
    return drawn


def _patterned(image: np.ndarray, rng: Generator) -> np.ndarray:
    """A plate, one in five with another surface."""
    if rng.uniform() > 0.2:
        return image
    height, width = image.shape[:2]
    mixed = plate(surface(height, width, rng), image[..., 3])[1:-1, 1:-1]
    return cv2.addWeighted(image, 0.4, mixed, 0.6, 0)


# Placing ------------------------------------------------------------------------------------------------------


def _objects(side: int, palette: np.ndarray, rng: Generator) -> list[np.ndarray]:
    """Two to six objects, far ones first, premultiplied (side, side, 4) float32 each."""
    kinds = [*FIGURES, "thing"]
    shares = [0.2, 0.17, 0.05, 0.2, 0.05, 0.18, 0.15]
    family, looks = str(rng.choice(kinds, p=shares)), int(rng.integers(1, 1 << 30))
    same_kind, same_look = rng.choice([0.2, 0.85]), rng.choice([0.0, 0.7])
    usual, near = _size(rng) * rng.choice([0.9, 1.5]) * side, rng.uniform(0.15, 0.5)
    middle = rng.uniform(0.3, 0.7, 2) * side
    drawn = []
    for _ in range(int(rng.integers(2, 7))):
        kind = family if rng.uniform() < same_kind else str(rng.choice(kinds, p=shares))
        look = looks if rng.uniform() < same_look else int(rng.integers(1, 1 << 30))
        tall = max(12.0, usual * np.exp(rng.normal(0, 0.3)))
        at = middle + rng.normal(0, near, 2) * side * (1, 0.6)
        at = at if rng.uniform() < 0.12 else np.clip(at, 0.08 * side, 0.92 * side)
        if kind == "thing":
            one = _thing(side, tall, palette, rng, at, look)
        else:
            one = _figure(kind, look, tall, side, at, rng)
        drawn.append(_lit(one, palette, rng))
    return drawn


def _lit(drawn: np.ndarray, palette: np.ndarray, rng: Generator) -> np.ndarray:
    """Vary an object: detail, light from one side, colours drawn towards those of the background, a soft edge."""
    side = len(drawn)
    light = 1 + rng.uniform(0, 0.25) * field(side, side, rng)
    if rng.uniform() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        ramp = np.linspace(-1, 1, side, dtype=np.float32)
        light = light + rng.uniform(0, 0.9) * (np.cos(angle) * ramp[None] + np.sin(angle) * ramp[:, None])
    drawn[..., :3] *= np.clip(light, 0.25, 1.8)[..., None]
    if rng.uniform() < 0.15:
        cover = drawn[..., 3:] / 255
        mean = drawn[..., :3].sum((0, 1)) / max(float(cover.sum()), 1)
        target = palette[rng.integers(len(palette))]
        drawn[..., :3] += cover * (target - mean) * rng.uniform(0.3, 1)
    if rng.uniform() < 0.5:
        drawn = cv2.GaussianBlur(drawn, (0, 0), rng.uniform(0.3, 1.2))
    drawn[..., :3] = np.clip(drawn[..., :3], 0, drawn[..., 3:])
    return drawn


def _shade(scene: np.ndarray, cover: np.ndarray, rng: Generator) -> None:
    """A soft shadow of an object on what is behind it."""
    side = len(cover)
    move = np.array([[1, rng.uniform(-0.4, 0.4), 0], [0, 1, 0]], np.float32)
    move[:, 2] = rng.normal(0, 0.05, 2) * side
    cast = cv2.GaussianBlur(cv2.warpAffine(cover, move, (side, side)), (0, 0), side * rng.uniform(0.005, 0.03))
    scene[..., :3] *= 1 - rng.uniform(0.15, 0.6) * cast[..., None] / 255


def _front(side: int, palette: np.ndarray, rng: Generator) -> list[np.ndarray]:
    """What hides parts of the objects and is none itself: poles, twigs, things."""
    if rng.uniform() < 0.5:
        return []
    drawn = []
    for _ in range(int(rng.integers(1, 4))):
        if rng.uniform() < 0.4:
            mask = np.zeros((side, side), np.uint8)
            (x0, y0), (x1, y1) = np.rint(rng.uniform(-0.2, 1.2, (2, 2)) * side).astype(int).tolist()
            thick = max(1, int(side * rng.uniform(0.008, 0.08)))
            cv2.line(mask, (x0, y0), (x1, y1), 255, thick, cv2.LINE_AA)
            drawn.append(_filled(mask, _look(side, palette, rng)))
        else:
            drawn.append(_thing(side, _size(rng) * 0.5 * side, palette, rng))
    return drawn


# The camera ---------------------------------------------------------------------------------------------------


def _developed(picture: np.ndarray, rng: Generator) -> np.ndarray:
    """Light, blur, noise and compression, (H, W, 3) uint8."""
    side = len(picture)
    light = 1 + rng.uniform(0, 0.2) * cv2.resize(field(16, 16, rng), (side, side), interpolation=cv2.INTER_CUBIC)
    picture = picture * light[..., None] * rng.uniform(0.75, 1.15) * rng.uniform(0.9, 1.1, 3)
    fate = rng.uniform(size=3)
    if fate[0] < 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.1))
    if fate[1] < 0.15:
        length = int(rng.integers(2, 7))
        kernel = np.zeros((length, length), np.float32)
        cv2.line(kernel, (0, int(rng.integers(length))), (length - 1, int(rng.integers(length))), 1.0)
        picture = cv2.filter2D(picture, -1, kernel / kernel.sum())
    picture = picture + rng.normal(0, rng.uniform(0, 5), picture.shape)
    developed = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    if fate[2] < 0.6:
        _, coded = cv2.imencode(".jpg", developed, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 96))])
        developed = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return developed
