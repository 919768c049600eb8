"""Procedural textures and silhouettes for generated objects, flat and in high resolution."""

from collections.abc import Callable

import cv2
import numpy as np

Generator = np.random.Generator


# Textures ---------------------------------------------------------------------------------------------------


def octaves(height: int, width: int, coarse: float, fine: float, rng: Generator) -> np.ndarray:
    """Multi-octave noise (H, W) float32, mean 0 and deviation 1, with details from `coarse` down to `fine` pixels."""
    total = np.zeros((height, width), np.float32)
    cell = max(coarse, fine)
    while cell >= fine:
        rows, columns = (int(np.ceil(size / cell)) + 4 for size in (height, width))
        grid = rng.normal(size=(rows, columns)).astype(np.float32)
        # random grid offsets, or all octaves would have their knots on the same lines
        x, y = rng.uniform(1, 2, 2)
        place = np.array([[1 / cell, 0, x], [0, 1 / cell, y]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        total += cell**0.7 * cv2.warpAffine(grid, place, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
        cell /= 2
    return (total - total.mean()) / max(float(total.std()), 1e-6)


def colours(count: int, hue: float, vivid: float, rng: Generator) -> np.ndarray:
    """Colours (count, 3) float32, 0 to 255, around a hue (0 to 1), alternately dark and bright; grey if `vivid` is
    0."""
    hues = (hue + rng.uniform(-0.11, 0.11, count)) % 1 * 360
    saturation = vivid * rng.uniform(0.4, 0.9, count)
    value = np.where(np.arange(count) % 2, rng.uniform(0.7, 0.95, count), rng.uniform(0.25, 0.5, count))
    hsv = np.stack([hues, saturation, value], axis=-1).astype(np.float32)
    return 255 * cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]


def _noise(height: int, width: int, grain: float, hue: float, vivid: float, rng: Generator) -> np.ndarray:
    palette = colours(5, hue, vivid, rng)
    level = octaves(height, width, 24 * grain, grain, rng)
    places = np.linspace(-1.6, 1.6, len(palette))
    return np.stack([np.interp(level, places, channel) for channel in palette.T], axis=-1).astype(np.float32)


def _stripes(height: int, width: int, grain: float, hue: float, vivid: float, rng: Generator) -> np.ndarray:
    palette = colours(6, hue, vivid, rng)
    angle, period = rng.uniform(0, np.pi), grain * rng.uniform(5, 9)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    bend = 1.2 * octaves(height, width, 30 * grain, 15 * grain, rng)
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + bend)
    share = np.clip(0.5 + wave * period / (2 * grain), 0, 1)[..., None]  # flanks about one grain wide
    image = palette[0] * (1 - share) + palette[1] * share
    for _ in range(int(height * width / (9 * grain) ** 2)):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        colour = palette[rng.integers(2, len(palette))].tolist()
        cv2.circle(image, centre, round(grain * rng.uniform(0.7, 2.2)), colour, -1, cv2.LINE_AA)
    return image


def _glyphs(height: int, width: int, grain: float, hue: float, vivid: float, rng: Generator) -> np.ndarray:
    palette = colours(10, hue, vivid, rng)
    seeds = np.ones((height, width), np.uint8)
    count = max(2, int(height * width / (16 * grain) ** 2))
    seeds[rng.integers(0, height, count), rng.integers(0, width, count)] = 0
    _, cells = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    image = cv2.blur(palette[cells % len(palette)], (3, 3))
    size = 8 * grain
    for top in np.arange(0, height, 1.25 * size):
        for left in np.arange(0, width, 1.25 * size):
            knots = rng.integers(0, 3, (rng.integers(3, 6), 2)) * size / 2 + (left, top) + rng.uniform(0, grain, 2)
            ink = palette[rng.integers(len(palette))].tolist()
            thickness = max(1, round(grain * rng.uniform(0.8, 1.6)))
            cv2.polylines(image, [knots.astype(np.int32)], False, ink, thickness, cv2.LINE_AA)
    return image


TEXTURES: dict[str, Callable[[int, int, float, float, float, Generator], np.ndarray]] = {
    "noise": _noise,
    "stripes": _stripes,
    "glyphs": _glyphs,
}


def texture(kind: str, height: int, width: int, grain: float, hue: float, vivid: float, rng: Generator) -> np.ndarray:
    """A texture (H, W, 3) uint8 RGB without flat areas.

    kind: one of TEXTURES. grain: finest detail in pixels. hue: central hue, 0 to 1. vivid: saturation, 0 to 1.
    """
    image = TEXTURES[kind](height, width, grain, hue, vivid, rng)
    image += 9 * octaves(height, width, 4 * grain, grain, rng)[..., None]
    return np.clip(np.rint(image), 4, 251).astype(np.uint8)


# Silhouettes ------------------------------------------------------------------------------------------------

_FINER = 3  # silhouettes are drawn at this scale, so that their edges are smooth
LETTERS = "RAB&K486S"


def _star(size: int, rng: Generator) -> np.ndarray:
    points = int(rng.integers(5, 9))
    angles = np.arange(2 * points) * np.pi / points + rng.uniform(-0.12, 0.12, 2 * points)
    radii = np.where(np.arange(2 * points) % 2, rng.uniform(0.45, 0.6), rng.uniform(0.85, 1, 2 * points))
    return _filled(angles, radii, size)


def _blob(size: int, rng: Generator) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    radii = np.ones_like(angles)
    for k in (2, 3, 4, 5, 7):
        radii += rng.uniform(0.3, 0.8) / k * np.cos(k * angles + rng.uniform(0, 2 * np.pi))
    radii = np.maximum(radii, 0.3)
    return _filled(angles, radii / radii.max(), size)


def _letter(size: int, rng: Generator) -> np.ndarray:
    canvas = np.zeros((2 * size, 2 * size), np.uint8)
    letter = LETTERS[rng.integers(len(LETTERS))]
    thick = max(1, size // 5)
    cv2.putText(
        canvas,
        letter,
        (size // 2, size * 3 // 2),
        cv2.FONT_HERSHEY_SIMPLEX,
        size / 32,
        255,
        thick,
        cv2.LINE_AA,
    )
    x, y, w, h = cv2.boundingRect(canvas)
    fit = 1.9 * size / 2 / np.hypot(w, h) * 1.05  # its box fits into the circle; its corners are almost empty
    move = np.array([[fit, 0, size / 2 - fit * (x + w / 2)], [0, fit, size / 2 - fit * (y + h / 2)]])
    return cv2.warpAffine(canvas, move, (size, size), flags=cv2.INTER_LINEAR)


def _filled(angles: np.ndarray, radii: np.ndarray, size: int) -> np.ndarray:
    outline = size / 2 + 0.97 * size / 2 * np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=-1)
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], 255, cv2.LINE_AA)
    return mask


SILHOUETTES: dict[str, Callable[[int, Generator], np.ndarray]] = {
    "star": _star,
    "blob": _blob,
    "letter": _letter,
}


def silhouette(kind: str, size: int, rng: Generator, hole: bool = False) -> np.ndarray:
    """Coverage (size, size) uint8 of a shape within the inscribed circle, 255 inside.

    kind: one of SILHOUETTES. hole: cut a round hole near the centre.
    """
    mask = SILHOUETTES[kind](_FINER * size, rng)
    if hole:
        centre = _FINER * size * (0.5 + rng.uniform(-0.06, 0.06, 2))
        cv2.circle(mask, np.rint(centre).astype(int).tolist(), int(_FINER * size * rng.uniform(0.07, 0.1)), 0, -1)
    return cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA)
