"""Footage worlds: sprite worlds closer to what cameras record.

Handheld cameras with parallax, blur, compression and changes of exposure; shadows; others of the object's own kind;
occluders that stand in the scene, move, or are fixed in the picture; a third of the clips hide nothing. With a folder
of photographs, textures and backdrops are cut from them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from unocclude.media.folder import image_files
from unocclude.media.images import read_image
from unocclude.synthesis.backdrops import Backdrop, Camera, Grain
from unocclude.synthesis.paint import Patch, Sprite, cutting, scaled, shifted, textures_from, turned
from unocclude.synthesis.sprites import (
    FIGURES,
    KINDS,
    STANDING,
    Made,
    clumps,
    crossing_sprite,
    cut_plate,
    moving_sprite,
    other_kind,
    put,
    standing_sprite,
    tinted,
)
from unocclude.synthesis.world import World

Generator = np.random.Generator

ATTEMPTS = 8
MARGIN = 12
"""Frames are drawn with this many more pixels on every side, for a camera that rolls."""
LARGEST_PHOTOGRAPH = 1000
"""Longer side of a photograph in pixels, once read."""

OCCLUDERS = ("standing", "moving", "fixed")
SHARES = (0.55, 0.35, 0.1)
"""Shares of `OCCLUDERS`: they stand in the scene, move through it, or are fixed in the picture."""
NOTHING_HIDDEN, AT_REST, OF_ITS_KIND = 1 / 3, 0.2, 0.4
"""Shares of clips in which nothing is hidden, the object is at rest, and another one of its kind is near."""


def footage_world(
    seed: int, frames: int = 24, width: int = 256, height: int = 256, photos: Path | None = None
) -> World:
    """A clip of one object as a camera might record it; see the module's description.

    photos: a folder of photographs. Truth as in `sprite_world`: visible is a subset of amodal, amodal_rgb equals the
    frame where visible, bit for bit, and is the object's own colour, without blur, where hidden. `about` has a `cell`:
    occluder, shape, object, travel and camera. Deterministic, bit for bit.

    Raises ValueError for sizes under 16 pixels or no frames, InputError if the folder has no photographs.
    """
    if frames < 1 or min(width, height) < 16:
        raise ValueError(f"{frames} frames of {width}x{height}, expected 1 or more, 16x16 or larger")
    photographs = read_photographs(photos) if photos is not None else ()
    hides = np.random.default_rng([seed, 11]).uniform() >= NOTHING_HIDDEN
    worlds = list[World]()
    with textures_from(photographs):
        for attempt in range(ATTEMPTS):
            world = _Scene(seed, attempt, frames, width, height, hides, photographs).film()
            worlds.append(world)
            shown = float(np.mean([mask.sum() >= 12 for mask in world.visible]))
            enough = not hides or max(world.occlusion_rate) > 0.1
            if shown > 0.5 and enough and all(mask.any() for mask in world.amodal):
                return world
    return worlds[int(np.argmax([sum(int(mask.sum()) for mask in world.visible) for world in worlds]))]


@lru_cache(maxsize=2)
def read_photographs(folder: Path) -> tuple[np.ndarray, ...]:
    """The pictures of a folder, (H, W, 3) uint8 RGB each; raises InputError if it holds none."""
    found = []
    for file in image_files(folder):
        picture = read_image(file)[..., :3]
        scale = min(1.0, LARGEST_PHOTOGRAPH / max(picture.shape[:2]))
        found.append(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    return tuple(found)


# Camera ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Lens:
    """What the camera does to the picture: roll (T, 3, 3), a rotation and zoom of the frame with its margin; blur (T,),
    deviation in pixels; light (T,) and tint (3,); quality, of JPEG."""

    roll: np.ndarray
    blur: np.ndarray
    light: np.ndarray
    tint: np.ndarray
    quality: int


def _noise(count: int, smooth: float, rng: Generator) -> np.ndarray:
    """Noise (T,) of deviation 1 that varies over `smooth` frames."""
    noise = gaussian_filter1d(rng.normal(size=count + 60), smooth)
    return np.asarray((noise / noise.std())[30 : 30 + count])


def _shake(count: int, rng: Generator) -> np.ndarray:
    """Slow sway and quick trembling of a hand, (T,) in pixels."""
    return rng.uniform(1, 6) * _noise(count, 6, rng) + rng.uniform(0.2, 1.5) * _noise(count, 1, rng)


def _camera(frames: int, width: int, height: int, rng: Generator) -> tuple[Camera, str]:
    """A camera, and whether it is still, panning or handheld."""
    kind = str(rng.choice(["still", "panning", "handheld"], p=[0.3, 0.3, 0.4]))
    i = np.arange(frames)
    pan: np.ndarray = np.zeros(frames)
    tilt: np.ndarray = np.zeros(frames)
    if kind != "still":
        pan = rng.normal(0, 0.012) * width * i
    if kind == "handheld":
        for axis, share in ((pan, 1.0), (tilt, 0.7)):
            axis += share * (
                rng.uniform(1, 6) * _noise(frames, 6, rng) + rng.uniform(0.2, 1.5) * _noise(frames, 1, rng)
            )
    return Camera(frames, width, height, pan - pan[0], tilt - tilt[0]), kind


def _lens(camera: Camera, kind: str, rng: Generator) -> _Lens:
    count = camera.frames
    angle = 0.006 * _noise(count, 3, rng) if kind == "handheld" else np.zeros(count)
    zoom = 1 + (0.01 * _noise(count, 8, rng) if kind == "handheld" else np.zeros(count))
    centre = (camera.width / 2, camera.height / 2)
    roll = shifted(*centre) @ turned(angle) @ scaled(zoom, zoom) @ shifted(-centre[0], -centre[1])
    speed = np.hypot(np.gradient(camera.pan), np.gradient(camera.tilt)) if count > 1 else np.zeros(1)
    blur = rng.uniform(0.2, 0.8) + 0.15 * rng.uniform(0, 1) * np.minimum(speed, 6)
    light = 1 + rng.uniform(0, 0.1) * _noise(count, 8, rng)
    return _Lens(roll, blur, np.clip(light, 0.6, 1.4), rng.uniform(0.85, 1.1, 3), int(rng.integers(45, 96)))


class _PhotographicBackdrop(Backdrop):
    """A photograph far away and, usually, another one as the ground."""

    def __init__(self, camera: Camera, horizon: float, photographs: Sequence[np.ndarray], rng: Generator):
        self.camera = camera
        self._before = np.zeros((0, 0, 4), np.float32)
        self.layers = []
        rise = int(np.ceil(np.ptp(camera.tilt))) + 2
        flat = rng.uniform() < 0.4
        for speed, ground in ((1.0 if flat else rng.uniform(0.4, 1.0), False), (1.0, True)):
            if ground and flat:
                continue
            w, h = camera.width + int(speed * np.ptp(camera.pan)) + 2, camera.height + rise
            picture = np.full((h, w, 4), 255, np.uint8)
            picture[..., :3] = cutting(photographs[int(rng.integers(len(photographs)))], h, w, rng)
            if ground:
                picture[: int(np.clip(horizon, 0.3 * h, 0.9 * h))] = 0
            self.layers.append((picture, speed))


# Occluders ------------------------------------------------------------------------------------------------------


def _table(tall: float, camera: Camera, rng: Generator) -> Made:
    wide, high = round(tall * rng.uniform(0.8, 2.0)), round(tall * rng.uniform(0.35, 0.6))
    coverage, leg = np.zeros((high, wide), np.uint8), max(2, round(tall * rng.uniform(0.04, 0.09)))
    coverage[: max(3, round(0.16 * high))] = 255
    for x in (0.08, 0.92):
        left = int(x * (wide - leg))
        coverage[:, left : left + leg] = 255
    return cut_plate(coverage, rng.uniform(0.03, 0.15), rng.uniform(0, 0.7), rng), (wide / 2 + 1, high + 1.0)


def _parked(tall: float, camera: Camera, rng: Generator) -> Made:
    """A car-like thing: a body with a roof on two wheels."""
    wide, high = round(tall * rng.uniform(1.0, 1.9)), round(tall * rng.uniform(0.4, 0.75))
    coverage = np.zeros((high, wide), np.uint8)
    roof = np.array([[0.2, 0.45], [0.32, 0.05], [0.7, 0.05], [0.85, 0.45]]) * (wide, high)
    cv2.fillPoly(coverage, [np.rint(roof).astype(np.int32)], 255, cv2.LINE_AA)
    cv2.rectangle(coverage, (2, round(0.4 * high)), (wide - 3, round(0.85 * high)), 255, -1)
    for x in (0.22, 0.78):
        cv2.circle(coverage, (round(x * wide), round(0.82 * high)), max(2, round(0.17 * high)), 255, -1, cv2.LINE_AA)
    return cut_plate(coverage, rng.uniform(), rng.uniform(0, 0.9), rng), (wide / 2 + 1, high + 1.0)


def _foliage(tall: float, camera: Camera, rng: Generator) -> Made:
    """Twigs with leaves, with gaps between them."""
    wide, high = round(tall * rng.uniform(0.7, 2.5)), round(tall * rng.uniform(0.7, 1.3))
    coverage = np.zeros((high, wide), np.uint8)
    for _ in range(round(5 * wide / tall)):
        x, y = rng.uniform(0, wide), rng.uniform(0.4, 1) * high
        end = (round(x + tall * rng.normal(0, 0.3)), round(y - tall * rng.uniform(0.3, 0.8)))
        cv2.line(coverage, (round(x), round(y)), end, 255, max(1, round(0.03 * tall)), cv2.LINE_AA)
    for _ in range(round(40 * wide / tall * rng.uniform(0.5, 1.3))):
        at = (round(rng.uniform(0, wide)), round(high * rng.beta(2, 2)))
        size = (max(2, round(tall * rng.uniform(0.04, 0.12))), max(1, round(tall * rng.uniform(0.02, 0.06))))
        cv2.ellipse(coverage, at, size, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
    return cut_plate(coverage, rng.uniform(0.18, 0.38), rng.uniform(0.3, 1), rng), (wide / 2 + 1, high * 0.85)


def _hedge(tall: float, camera: Camera, rng: Generator) -> Made:
    """Wider than the frame; it hides the lower part of whatever passes behind it."""
    wide, high = round(1.8 * camera.width), max(8, round(tall * rng.uniform(0.25, 0.5)))
    coverage = np.zeros((high, wide), np.uint8)
    coverage[high // 3 :] = 255
    for x in np.arange(0, wide, 0.6 * high):
        clumps(coverage, (float(x), 0.45 * high), 0.5 * high, 0.4 * high, rng)
    return cut_plate(coverage, rng.uniform(0.18, 0.38), rng.uniform(0.2, 1), rng), (wide / 2 + 1, high + 1.0)


STANDING_HERE = {**STANDING, "table": _table, "parked": _parked, "foliage": _foliage, "hedge": _hedge}
SHAPES = {"pole": "pole", "tree": "pole", "fence": "fence", "bush": "foliage", "foliage": "foliage"}
"""What kind of shape an occluder has; `large` where nothing is said."""


# Scene ----------------------------------------------------------------------------------------------------------


class _Scene:
    """One draw of a clip."""

    def __init__(
        self, seed: int, attempt: int, frames: int, width: int, height: int, hides: bool,
        photographs: Sequence[np.ndarray],
    ):  # fmt: skip
        parts = np.random.default_rng([seed, 12, attempt]).spawn(6)
        r_object, r_camera, r_back, r_front, r_noise, r_lens = parts
        self.seed, self.hides, self.size = seed, hides, (width, height)
        wide, high = width + 2 * MARGIN, height + 2 * MARGIN
        tall = min(width, height) * r_object.uniform(0.4, 0.8)
        floor = MARGIN + height * r_object.uniform(0.72, 0.98)
        self.camera, self.camera_kind = _camera(frames, wide, high, r_camera)
        self.lens = _lens(self.camera, self.camera_kind, r_lens)
        self.kind = str(r_object.choice(KINDS, p=[0.22, 0.2, 0.1, 0.2, 0.07, 0.21]))
        looks = int(r_object.integers(1 << 31))
        self.object = moving_sprite(self.kind, tall, floor, 0.5, self.camera, np.random.default_rng(looks))
        self.at_rest = bool(r_object.uniform() < AT_REST)
        if self.at_rest:
            _rest(self.object, frames // 2, self.camera)
        back = floor - 0.3 * tall
        photographic = photographs and r_back.uniform() < 0.75
        self.backdrop = (
            _PhotographicBackdrop(self.camera, back, photographs, r_back)
            if photographic
            else Backdrop(self.camera, back, r_back)
        )
        self.behind = self._behind(tall, floor, looks, r_back)
        self.occluder = str(r_front.choice(OCCLUDERS, p=SHARES))
        front = self._occluders(floor, r_front)
        self.front = front if hides else []
        if not hides and r_front.uniform() < 0.7:  # what would hide the object stands behind it
            self.behind += front
        self.soft = float(r_front.choice([0.0, r_front.uniform(0.3, 1.5)]))
        self.shadow = float(r_back.choice([0.0, r_back.uniform(0.2, 0.6)]))
        self.grain = Grain(float(r_noise.uniform(0, 3)), height, width, r_noise)

    def _behind(self, tall: float, floor: float, looks: int, rng: Generator) -> list[Sprite]:
        things = []
        for _ in range(int(rng.integers(0, 3))):
            size, place = tall * rng.uniform(0.4, 0.9), rng.uniform()
            things.append(moving_sprite(other_kind(rng), size, floor - 0.15 * tall, place, self.camera, rng))
        if rng.uniform() < OF_ITS_KIND:  # the same seed gives the same looks
            place = float(rng.choice([rng.uniform(0, 0.35), rng.uniform(0.65, 1)]))
            like = moving_sprite(self.kind, tall, floor, place, self.camera, np.random.default_rng(looks))
            things.append(like)
        return things

    def _occluders(self, floor: float, rng: Generator) -> list[Sprite]:
        """One or two occluders, each in front of the object's centre at a random moment."""
        camera, things = self.camera, []
        for moment in rng.uniform(0.2, 0.8, int(rng.choice([1, 2], p=[0.7, 0.3]))):
            i = min(camera.frames - 1, int(moment * camera.frames))
            at, tall = self.object.centre[i], float(self.object.height[i])
            if self.occluder == "moving":
                near = floor + rng.uniform(0.02, 0.2) * tall
                kind = self.kind if rng.uniform() < 0.3 else other_kind(rng)
                other = moving_sprite(kind, tall * rng.uniform(0.5, 1.15), near, 0.5, camera, rng)
                things.append(crossing_sprite(other, at, i, tall, camera, rng))
                continue
            kind = str(rng.choice(list(STANDING_HERE)))
            thing = standing_sprite(kind, at, tall, i, floor, camera, rng, STANDING_HERE)
            if self.occluder == "fixed":
                for _, place in thing.plates:
                    place[:] = place[i]
            things.append(thing)
        return things

    def film(self) -> World:
        world = World([], [], [], [], [], 24.0)
        for i in range(self.camera.frames):
            self._shoot(world, i)
        camera = self.camera_kind
        shapes = [SHAPES.get(thing.kind, "large") for thing in self.front]
        cell = {"object": "articulated" if self.kind in FIGURES else "rigid", "camera": camera}
        cell["travel"] = "at rest" if self.at_rest else "moving"
        if self.hides:
            cell |= {"occluder": self.occluder, "shape": shapes[0]}
        world.about.update(
            kind="footage", seed=self.seed, width=self.size[0], height=self.size[1],
            occluders=[thing.kind for thing in self.front], cell=cell, **{"class": self.object.kind},
        )  # fmt: skip
        return world

    def _shoot(self, world: World, i: int) -> None:
        """Render frame i and append it."""
        camera, size = self.camera, self.size
        wide, high = camera.width, camera.height
        scene = self.backdrop.render(i)
        for thing in self.behind:
            put(scene, thing.render(i, high, wide))
        self._cast(scene, i)
        own = np.zeros_like(scene)
        at, drawn = put(scene, self.object.render(i, high, wide))
        own[at] = drawn
        layers = []
        for thing in self.front:
            layer = np.zeros_like(scene)
            put(layer, thing.render(i, high, wide))
            if self.soft:
                layer = cv2.GaussianBlur(layer, (0, 0), self.soft)
            put(scene, Patch(0, 0, layer))
            layers.append(layer[..., 3])
        way = (shifted(-MARGIN, -MARGIN) @ self.lens.roll[i])[:2]

        def seen(picture: np.ndarray) -> np.ndarray:
            return cv2.warpAffine(picture, way, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

        shade = self.lens.light[i] * self.lens.tint
        frame = self._developed(seen(scene), i, shade)
        whole = seen(own)
        amodal = whole[..., 3] >= 127.5
        opacity = np.stack([np.rint(seen(layer)) for layer in layers]).astype(np.uint8) if layers else np.zeros(
            (0, size[1], size[0]), np.uint8
        )  # fmt: skip
        visible = amodal & (opacity < 128).all(0)
        rgb = np.clip(tinted(whole, shade) * (255 / np.maximum(whole[..., 3:], 1)), 0, 255)
        rgb = np.where(amodal[..., None], np.rint(rgb), 0).astype(np.uint8)
        rgb[visible] = frame[visible]
        world.frames.append(frame)
        world.amodal.append(amodal)
        world.visible.append(visible)
        world.amodal_rgb.append(rgb)
        world.occluders.append(opacity)

    def _cast(self, scene: np.ndarray, i: int) -> None:
        """Darken the ground below the object."""
        if not self.shadow:
            return
        x, y = self.object.centre[i]
        tall = self.object.height[i]
        dark = np.zeros(scene.shape[:2], np.float32)
        axes = (max(1, round(0.35 * tall)), max(1, round(0.07 * tall)))
        cv2.ellipse(dark, (round(x), round(y + 0.5 * tall)), axes, 0, 0, 360, self.shadow, -1)
        scene[..., :3] *= 1 - cv2.GaussianBlur(dark, (0, 0), 2 + 0.02 * tall)[..., None]

    def _developed(self, scene: np.ndarray, i: int, shade: np.ndarray) -> np.ndarray:
        """What the sensor and the file make of the scene: blur, light, noise, compression; (H, W, 3) uint8."""
        blurred = cv2.GaussianBlur(scene, (0, 0), float(self.lens.blur[i]))
        frame = self.grain.develop(tinted(blurred, shade))
        coded = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, self.lens.quality])[1]
        return np.ascontiguousarray(cast(np.ndarray, cv2.imdecode(coded, cv2.IMREAD_COLOR))[..., ::-1])


def _rest(sprite: Sprite, k: int, camera: Camera) -> None:
    """Keep a sprite as it is in frame k, where it stands in the scene."""
    x, y = camera.pan[k] - camera.pan, camera.tilt[k] - camera.tilt
    for _, place in sprite.plates:
        place[:] = place[k]
    sprite.centre = np.repeat(sprite.centre[k : k + 1], camera.frames, 0)
    sprite.height = np.repeat(sprite.height[k : k + 1], camera.frames)
    sprite.sway = 0.0
    sprite.move(x, y)
