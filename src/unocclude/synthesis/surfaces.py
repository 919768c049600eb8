"""Surfaces with the statistics of photographs: spectral noise, patterns, gradients, and pieces of photographs."""

from functools import lru_cache
from importlib import util
from pathlib import Path

import cv2
import numpy as np

from unocclude.errors import InputError
from unocclude.synthesis.paint import cloth

Generator = np.random.Generator

PHOTOGRAPHS = ("brick.png", "grass.png", "gravel.png", "rocket.jpg", "camera.png", "coins.png", "ihc.png")
"""Sample pictures of scikit-image that serve as surfaces: CC0, in the public domain, or without known restrictions, by
the docstrings of `skimage.data`. Others are left out because their terms are not stated, or to choose settings on."""
_SIDE = 256
_FIELDS = 24


def surface(height: int, width: int, rng: Generator, like: np.ndarray | None = None) -> np.ndarray:
    """A random surface, (H, W, 3) float32 RGB, 0 to 255.

    like: (3,), the surface's mean colour; random if None. Raises InputError if scikit-image is missing.
    """
    kind = rng.choice(4, p=[0.3, 0.3, 0.3, 0.1])
    if kind == 0:
        image = cloth(height, width, rng.uniform(), rng.uniform(0, 1), rng).astype(np.float32)
    elif kind == 1:
        image = _spectral(height, width, rng)
    elif kind == 2:
        image = photograph(height, width, rng, recoloured=True)
    else:
        image = _gradient(height, width, rng)
    if like is not None:
        image = image + (like - image.mean((0, 1)))
    return np.clip(image, 0, 255)


def photograph(height: int, width: int, rng: Generator, recoloured: bool = False) -> np.ndarray:
    """A random piece of a photograph, turned and enlarged or reduced at random, (H, W, 3) float32 RGB, 0 to 255.

    Raises InputError if scikit-image is missing.
    """
    image = _photograph(PHOTOGRAPHS[int(rng.integers(len(PHOTOGRAPHS)))])
    zoom = max(height, width) / min(image.shape[:2]) / rng.uniform(0.15, 1.0)
    angle = rng.choice([0.0, rng.uniform(-0.3, 0.3), rng.uniform(-np.pi, np.pi)])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * zoom
    turn[:, 0] *= rng.choice([-1, 1])
    centre = rng.uniform(0.2, 0.8, 2) * image.shape[1::-1]
    move = np.column_stack([turn, np.array([width, height]) / 2 - turn @ centre])
    if zoom < 0.5:
        image = cv2.blur(image, (round(1 / zoom), round(1 / zoom)))
    piece = cv2.warpAffine(image, move, (width, height), borderMode=cv2.BORDER_REFLECT_101).astype(np.float32)
    if recoloured:
        piece = piece[..., rng.permutation(3)]
        mean = piece.mean((0, 1))
        piece = (piece - mean) * rng.uniform(0.4, 1.2) + mean * np.exp(rng.normal(0, 0.25, 3)) + rng.normal(0, 25)
    return piece


@lru_cache(maxsize=len(PHOTOGRAPHS))
def _photograph(name: str) -> np.ndarray:
    spec = util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise InputError("the surfaces need scikit-image's sample pictures; install it with pip install scikit-image")
    path = Path(spec.origin).parent / "data" / name
    picture = cv2.imread(str(path)) if path.exists() else None
    if picture is None:
        raise InputError(f"scikit-image has no sample picture {name}; install scikit-image 0.26")
    return np.ascontiguousarray(picture[..., ::-1])


@lru_cache(maxsize=_FIELDS)
def _field(k: int) -> np.ndarray:
    """Noise whose amplitude spectrum falls as 1 / f ** slope, (256, 256) float32, mean 0, deviation 1; it tiles."""
    rng = np.random.default_rng([96, k])
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(_SIDE), np.fft.fftfreq(_SIDE)))
    frequency[0, 0] = 1
    slope = 0.6 + 1.2 * k / (_FIELDS - 1)  # photographs have about 1
    field = np.fft.ifft2(np.fft.fft2(rng.normal(size=(_SIDE, _SIDE))) / frequency**slope).real
    return ((field - field.mean()) / field.std()).astype(np.float32)


def field(height: int, width: int, rng: Generator) -> np.ndarray:
    """A random piece of spectral noise, (H, W) float32, mean about 0, deviation about 1."""
    whole = _field(int(rng.integers(_FIELDS)))
    whole = np.roll(whole, tuple(rng.integers(0, _SIDE, 2)), (0, 1))
    if height <= _SIDE and width <= _SIDE and rng.uniform() < 0.7:
        return whole[:height, :width]
    return cv2.resize(whole[: _SIDE // 2, : _SIDE // 2], (width, height), interpolation=cv2.INTER_LINEAR)


def _spectral(height: int, width: int, rng: Generator) -> np.ndarray:
    image: np.ndarray = np.broadcast_to(rng.uniform(30, 225, 3).astype(np.float32), (height, width, 3))
    for deviation in (rng.uniform(8, 45), rng.uniform(0, 20)):
        tint = 1 + rng.normal(0, 0.5, 3).astype(np.float32)
        image = image + deviation * field(height, width, rng)[..., None] * tint
    return image


def _gradient(height: int, width: int, rng: Generator) -> np.ndarray:
    a, b = rng.uniform(10, 245, (2, 3))
    b = a + (b - a) * rng.uniform(0, 0.6)
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
    angle = rng.uniform(0, 2 * np.pi)
    share = 0.5 + 0.35 * (np.cos(angle) * x[None] + np.sin(angle) * y[:, None])[..., None]
    noise = rng.uniform(0, 4) * field(height, width, rng)[..., None]
    image: np.ndarray = (a * (1 - share) + b * share + noise).astype(np.float32)
    return image
