"""Moving backgrounds with parallax: a far plane, hills or houses, and the ground."""

from dataclasses import dataclass

import cv2
import numpy as np

from unocclude.synthesis.paint import cloth, over
from unocclude.synthesis.plates import octaves

Generator = np.random.Generator
_SPARE = 16


@dataclass
class Camera:
    """A panning camera. pan, tilt: (T,), displacement to the right and down relative to the ground, in pixels."""

    frames: int
    width: int
    height: int
    pan: np.ndarray
    tilt: np.ndarray

    @classmethod
    def draw(cls, frames: int, width: int, height: int, rng: Generator) -> "Camera":
        """A random camera: static, panning steadily, or hand-held."""
        i = np.arange(frames)
        speed = float(rng.choice([0.0, rng.normal(0, 0.008), rng.normal(0, 0.02)])) * width
        shake = rng.uniform(0, 0.012) * width if rng.uniform() < 0.4 else 0.0
        pan = speed * i + shake * np.sin(rng.uniform(0.2, 0.7) * i + rng.uniform(0, 6))
        tilt = 0.6 * shake * np.sin(rng.uniform(0.2, 0.7) * i + rng.uniform(0, 6))
        return cls(frames, width, height, pan - pan[0], tilt - tilt[0])

    @property
    def time(self) -> np.ndarray:
        """Time from 0 to 1 over the clip; 0.5 for a single frame."""
        return np.linspace(0, 1, self.frames) if self.frames > 1 else np.array([0.5])

    def kept(self, x: np.ndarray, half: float, rng: Generator) -> np.ndarray:
        """Shift, and slow down if necessary, a path across the frame so that an object of half width `half` stays
        inside.

        In a quarter of clips the border may cut it for a while.
        """
        low, high = (-0.1 * half, self.width + 0.1 * half) if rng.uniform() < 0.25 else (half, self.width - half)
        span = float(np.ptp(x))
        if span > max(high - low, 1):
            x = x.mean() + (x - x.mean()) * (high - low) / span
        return x + max(0.0, low - float(x.min())) - max(0.0, float(x.max()) - high)


class Grain:
    """Sensor noise with a deviation in grey levels: one noise field per clip, shifted randomly in each frame."""

    def __init__(self, deviation: float, height: int, width: int, rng: Generator):
        self.rng, self.size = rng, (height, width)
        shape = (height + _SPARE, width + _SPARE, 3)
        self.field = rng.standard_normal(shape, np.float32) * np.float32(deviation)

    def develop(self, picture: np.ndarray) -> np.ndarray:
        """Add noise to an image (H, W, 3) float32; returns (H, W, 3) uint8."""
        top, left = self.rng.integers(0, _SPARE, 2)
        return cv2.add(picture, self.field[top : top + self.size[0], left : left + self.size[1]], dtype=cv2.CV_8U)


class Backdrop:
    """The background. horizon: the ground's upper edge in pixels."""

    def __init__(self, camera: Camera, horizon: float, rng: Generator):
        self.camera = camera
        self._before = np.zeros((0, 0, 4), np.float32)
        self.layers: list[tuple[np.ndarray, float]] = []  # (image of the whole path, speed)
        width, height = camera.width, camera.height
        rise = int(np.ceil(np.ptp(camera.tilt))) + 2
        hue = rng.uniform()
        kind = str(rng.choice(["outdoor", "wall", "cloth"], p=[0.6, 0.22, 0.18]))
        horizon = float(np.clip(horizon, 0.25 * height, 0.9 * height))
        for speed, what in ((0.25, "far"), (0.6, "middle"), (1.0, "ground")):
            if kind == "cloth" and what != "ground":
                continue
            if kind == "wall" and what == "far":
                continue
            if kind == "wall" and what == "middle":
                speed = 1.0
            w, h = width + int(speed * np.ptp(camera.pan)) + 2, height + rise
            picture = np.empty((h, w, 4), np.float32)
            picture[..., 3] = 255
            if what == "far":
                self._sky(picture, hue, rng)
            elif what == "middle":
                picture[..., :3] = self._soft(h, w, hue + 0.1, 0.5, rng, rng.uniform(0.1, 0.5))
                if kind == "outdoor":
                    self._skyline(picture, horizon + rise / 2, rng)
            else:
                natural = rng.uniform() < 0.6  # grass, earth, asphalt
                tone = float(rng.choice([0.08, 0.1, 0.25, 0.3])) if natural else rng.uniform()
                picture[..., :3] = self._soft(h, w, tone, rng.uniform(0.05, 0.55), rng, rng.uniform(0.15, 0.7))
                if kind != "cloth":
                    depth = np.arange(h, dtype=np.float32)[:, None, None] - (horizon + rise / 2)
                    picture[..., :3] *= 0.75 + 0.25 * np.clip(depth / height, 0, 1) * 2
                    picture[: int(horizon + rise / 2)] = 0
            self.layers.append((np.clip(picture, 0, 255).astype(np.uint8), speed))

    @staticmethod
    def _soft(height: int, width: int, hue: float, vivid: float, rng: Generator, contrast: float) -> np.ndarray:
        """A texture at half resolution, because the background is slightly out of focus."""
        small = cloth(height // 2 + 1, width // 2 + 1, hue, vivid, rng, contrast)
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)

    @staticmethod
    def _sky(picture: np.ndarray, hue: float, rng: Generator) -> None:
        h, w = picture.shape[:2]
        if rng.uniform() < 0.75:  # daylight
            top, bottom = (
                np.array([95, 140, 205]) * rng.uniform(0.6, 1.1),
                np.array([200, 215, 225]) * rng.uniform(0.8, 1),
            )
        else:
            top, bottom = rng.uniform(40, 160, 3), rng.uniform(140, 240, 3)
        share = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
        clouds = cv2.resize(octaves(h // 4 + 1, w // 4 + 1, 16, 2, rng), (w, h), interpolation=cv2.INTER_LINEAR)
        picture[..., :3] = top * (1 - share) + bottom * share + rng.uniform(2, 22) * clouds[..., None]

    @staticmethod
    def _skyline(picture: np.ndarray, horizon: float, rng: Generator) -> None:
        """Cut a layer to the outline of hills or houses."""
        h, w = picture.shape[:2]
        x = np.arange(w)
        if rng.uniform() < 0.5:
            waves = sum(
                rng.uniform(0.3, 1) / k * np.sin(2 * np.pi * k * x / w + rng.uniform(0, 6)) for k in (1, 2, 3, 5)
            )
            edge = horizon - h * rng.uniform(0.05, 0.25) * (1.2 + waves)
        else:
            step = max(4, round(w * rng.uniform(0.06, 0.16)))
            heights = rng.uniform(0.02, 0.4, w // step + 1) * h
            edge = horizon - np.repeat(heights, step)[:w]
            shade = np.repeat(rng.uniform(0.6, 1.1, w // step + 1), step)[:w].astype(np.float32)
            picture[..., :3] *= shade[None, :, None]
        share = np.clip(np.arange(h)[:, None] - edge[None] + 0.5, 0, 1)[..., None].astype(np.float32)
        picture *= share

    def render(self, i: int) -> np.ndarray:
        """Render frame i, premultiplied (H, W, 4) float32, opaque."""
        camera = self.camera
        if i and camera.pan[i] == camera.pan[i - 1] and camera.tilt[i] == camera.tilt[i - 1]:
            return self._before.copy()
        out: np.ndarray | None = None
        for picture, speed in self.layers:
            x = speed * (camera.pan[i] - camera.pan.min())
            y = speed * (camera.tilt[i] - camera.tilt.min())
            move, size = np.array([[1, 0, -x], [0, 1, -y]]), (camera.width, camera.height)
            drawn = cv2.warpAffine(picture, move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            if out is None:
                out = drawn.astype(np.float32)
            else:
                over(out, drawn)
        assert out is not None
        self._before = out.copy()
        return out
