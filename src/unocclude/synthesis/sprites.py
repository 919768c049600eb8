"""Sprite worlds, fast to generate: people, animals, birds and deforming shapes that move over a moving background
behind poles, trees, fences, walls and other sprites."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from unocclude.synthesis.backdrops import Backdrop, Camera, Grain
from unocclude.synthesis.figures import Figure, animal, bird, person
from unocclude.synthesis.paint import Patch, Sprite, cloth, over, plate, scaled, shifted, turned
from unocclude.synthesis.people import poser, rider
from unocclude.synthesis.plates import SILHOUETTES, silhouette
from unocclude.synthesis.world import World

ATTEMPTS = 6
"""Most random draws are suitable at once; otherwise the one of this many that shows most of the object is used."""

Generator = np.random.Generator


def sprite_world(seed: int, frames: int = 24, width: int = 256, height: int = 256) -> World:
    """A clip of one sprite behind others: an articulated figure (person, animal, bird) or a textured, deforming shape.

    Every clip (unless it is too short) hides the object partly or fully in some frame, and shows some of it in at least
    a third of the frames; in some clips the frame's border cuts it. visible is a subset of amodal; amodal_rgb equals
    the frame where visible, bit for bit, and is the object's own colour where hidden. Deterministic, bit for bit.

    Raises ValueError for sizes under 16 pixels or no frames.
    """
    if frames < 1 or min(width, height) < 16:
        raise ValueError(f"{frames} frames of {width}x{height}, expected 1 or more, 16x16 or larger")
    worlds, shown = list[World](), list[float]()
    for attempt in range(ATTEMPTS):
        world = _draw(seed, attempt, frames, width, height)
        worlds.append(world)
        shown.append(float(np.mean([mask.sum() >= 12 for mask in world.visible])))
        if shown[-1] > 1 / 3 and max(world.occlusion_rate) > 0.1 and all(mask.any() for mask in world.amodal):
            return world
    return worlds[int(np.argmax(shown))]


def _draw(seed: int, attempt: int, frames: int, width: int, height: int) -> World:
    # separate random generators, so that a seed gives much the same scene at every size
    r_object, r_camera, r_back, r_front, r_noise, r_light = np.random.default_rng([seed, 7, attempt]).spawn(6)
    tall = min(width, height) * r_object.uniform(0.42, 0.85)
    floor = height * r_object.uniform(0.72, 0.98)
    camera = Camera.draw(frames, width, height, r_camera)
    kind = str(r_object.choice(KINDS, p=[0.22, 0.2, 0.1, 0.24, 0.07, 0.17]))
    object_ = moving_sprite(kind, tall, floor, 0.5, camera, r_object)
    backdrop = Backdrop(camera, floor - 0.3 * tall, r_back)
    behind = []
    for _ in range(int(r_back.integers(0, 3))):
        size, place = tall * r_back.uniform(0.4, 0.9), r_back.uniform()
        behind.append(moving_sprite(other_kind(r_back), size, floor - 0.15 * tall, place, camera, r_back))
    in_front = _occluders(object_, floor, camera, r_front)
    grain = Grain(float(r_noise.choice([0.0, 1.0, 2.5])), height, width, r_noise)
    light = 1 + r_light.uniform(0, 0.12) * np.sin(np.arange(frames) * r_light.uniform(0.05, 0.3))
    tint = r_light.uniform(0.88, 1.08, 3)

    world = World([], [], [], [], [], 24.0)
    for i in range(frames):
        scene = backdrop.render(i)
        for thing in behind:
            put(scene, thing.render(i, height, width))
        at, own = put(scene, object_.render(i, height, width))
        opacity = np.zeros((len(in_front), height, width), np.uint8)
        for k, thing in enumerate(in_front):
            where, drawn = put(scene, thing.render(i, height, width))
            opacity[k][where] = np.rint(drawn[..., 3])
        shade = light[i] * tint
        frame = grain.develop(tinted(scene, shade))
        amodal, visible = np.zeros((2, height, width), bool)
        amodal[at] = own[..., 3] >= 127.5
        visible[at] = amodal[at] & (opacity[:, *at] < 128).all(0)
        # the object's own colours; where visible, the frame's, with its light and noise
        rgb = np.zeros((height, width, 3), np.uint8)
        colour = np.clip(tinted(own, shade) * (255 / np.maximum(own[..., 3:], 1)), 0, 255)
        np.copyto(rgb[at], np.rint(colour), where=amodal[at][..., None], casting="unsafe")
        np.copyto(rgb[at], frame[at], where=visible[at][..., None])
        world.frames.append(frame)
        world.amodal.append(amodal)
        world.visible.append(visible)
        world.amodal_rgb.append(rgb)
        world.occluders.append(opacity)
    world.about.update(
        kind="sprites", seed=seed, width=width, height=height, occluders=[thing.kind for thing in in_front],
        **{"class": object_.kind},
    )  # fmt: skip
    return world


def tinted(scene: np.ndarray, shade: np.ndarray) -> np.ndarray:
    scalar: Any = (*shade.tolist(), 1.0)
    return cv2.multiply(scene[..., :3], scalar)


def put(scene: np.ndarray, patch: Patch) -> tuple[tuple[slice, slice], np.ndarray]:
    """Composite a patch over the scene; returns its position and image there."""
    where, picture = patch.cut(*scene.shape[:2])
    if picture.size:
        over(scene[where], picture)
    return where, picture


# Moving sprites ---------------------------------------------------------------------------------------------


FIGURES: dict[str, Callable[[int, Generator], Figure]] = {
    "person": person, "poser": poser, "rider": rider, "animal": animal, "bird": bird,
}  # fmt: skip
KINDS = [*FIGURES, "shape"]


def other_kind(rng: Generator) -> str:
    return str(rng.choice(KINDS, p=[0.22, 0.18, 0.1, 0.24, 0.08, 0.18]))


def wave(camera: Camera, low: float, high: float, rng: Generator) -> np.ndarray:
    """A smooth oscillation between two values, (T,)."""
    cycles, phase = rng.uniform(0.3, 1.0), rng.uniform(0, 2 * np.pi)
    return (low + high) / 2 + (high - low) / 2 * np.sin(2 * np.pi * cycles * camera.time + phase)


def moving_sprite(kind: str, tall: float, floor: float, place: float, camera: Camera, rng: Generator) -> Sprite:
    """A sprite of a kind, `tall` pixels high, standing at `floor`.

    place: its horizontal position in the middle of the clip, relative to the frame's width.
    """
    if kind in FIGURES:
        return _figure(FIGURES[kind](camera.frames, rng), tall, floor, place, camera, rng)
    return _shape(tall * 0.9, floor, place, camera, rng)


def _figure(figure: Figure, tall: float, floor: float, place: float, camera: Camera, rng: Generator) -> Sprite:
    count = camera.frames
    side = float(rng.choice([-1, 1]))
    grow = wave(camera, 1 - rng.uniform(0, 0.22), 1 + rng.uniform(0, 0.22), rng)
    # turning towards the viewer shortens the figure; most keep their direction
    face = np.cos(wave(camera, -0.9, 0.9, rng)) if rng.uniform() < 0.35 else np.ones(count)
    size = tall * grow * (0.85 if figure.kind == "animal" else 1)
    plates, speed = figure.pose(float(size.max()))
    # feet do not slide: the rest of the motion is the camera's
    steps = speed * size * side * face
    y = np.full(count, floor)
    if figure.kind == "bird":
        steps = np.full(count, tall * rng.uniform(0.01, 0.06) * side)
        y = camera.height * rng.uniform(0.25, 0.75) + wave(camera, -0.1, 0.1, rng) * tall
    way = np.cumsum(steps) - camera.pan
    x = camera.width * (place + rng.uniform(-0.12, 0.12)) + way - way[count // 2]
    x = camera.kept(x, 0.3 * tall, rng)
    y = y - camera.tilt
    root = shifted(x, y) @ scaled(size * side * face, size)
    sway = rng.uniform(0, 0.012) * tall if rng.uniform() < 0.4 else 0.0
    centre = np.stack([x, y - figure.middle[1] * size], -1)
    placed = [(image, root @ place) for image, place in plates]
    return Sprite(figure.name, placed, centre, size, sway, tall * rng.uniform(0.25, 0.5), rng.uniform(0.15, 0.5))


def _shape(tall: float, floor: float, place: float, camera: Camera, rng: Generator) -> Sprite:
    """A textured silhouette that drifts, rotates, scales and deforms."""
    side = max(12, round(tall))
    kind = str(rng.choice([*SILHOUETTES, "ball"]))
    ys, xs = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    if kind == "ball":
        coverage = np.clip(255 * (side / 2) * (1 - np.hypot(xs, ys)), 0, 255).astype(np.uint8)
    else:
        coverage = silhouette(kind, side, rng, hole=kind != "letter" and rng.uniform() < 0.2)
    shade = 0.72 + 0.28 * np.sqrt(np.clip(1 - 0.8 * (xs**2 + ys**2), 0, 1)) - 0.1 * ys
    image = plate(cloth(side, side, rng.uniform(), rng.uniform(0.2, 1), rng) * shade[..., None], coverage)
    angle = wave(camera, -0.6, 0.6, rng) + rng.uniform(-0.5, 0.5) + rng.normal(0, 0.8) * camera.time
    size, narrow = wave(camera, 0.8, 1.1, rng), np.cos(wave(camera, -0.8, 0.8, rng))
    drift = rng.uniform(-0.7, 0.7) * camera.width * (camera.time - 0.5)
    x = camera.kept(camera.width * (place + rng.uniform(-0.12, 0.12)) + drift, 0.3 * tall, rng)
    y = min(floor - tall / 2, camera.height * rng.uniform(0.35, 0.65)) + wave(camera, -0.12, 0.12, rng) * camera.height
    if rng.uniform() < 0.3:  # it bounces
        y = y - 0.2 * tall * np.abs(np.sin(np.arange(camera.frames) * rng.uniform(0.15, 0.4)))
    half = (side + 1) / 2
    places = shifted(x, y) @ turned(angle) @ scaled(size * narrow, size) @ shifted(-half, -half)
    sway = rng.uniform(0.01, 0.05) * tall if rng.uniform() < 0.7 else 0.0
    wavelength, beat = tall * rng.uniform(0.35, 0.8), rng.uniform(0.15, 0.6)
    return Sprite(kind, [(image, places)], np.stack([x, y], -1), size * tall, sway, wavelength, beat)


# Occluders --------------------------------------------------------------------------------------------------


def _occluders(object_: Sprite, floor: float, camera: Camera, rng: Generator) -> list[Sprite]:
    """One to three occluders, each in front of the object's centre at a random moment."""
    things = []
    count = int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
    for moment in rng.permutation(np.linspace(0.25, 0.75, count) if count > 1 else rng.uniform(0.2, 0.8, 1)):
        i = min(camera.frames - 1, int(moment * camera.frames))
        at, tall = object_.centre[i], float(object_.height[i])
        kind = str(rng.choice([*STANDING, "moving"], p=[0.14, 0.12, 0.1, 0.08, 0.12, 0.09, 0.35]))
        if kind == "moving":
            near = floor + rng.uniform(0.02, 0.2) * tall
            other = moving_sprite(other_kind(rng), tall * rng.uniform(0.5, 1.15), near, 0.5, camera, rng)
            things.append(crossing_sprite(other, at, i, tall, camera, rng))
        else:
            things.append(standing_sprite(kind, at, tall, i, floor, camera, rng, STANDING))
    return things


def crossing_sprite(other: Sprite, at: np.ndarray, i: int, tall: float, camera: Camera, rng: Generator) -> Sprite:
    """Another sprite, placed in front of the object in frame i."""
    way = (np.arange(camera.frames) - i) / max(camera.frames, 1) * rng.uniform(-0.7, 0.7) * camera.width
    gap = at - other.centre[i] + (rng.uniform(-0.2, 0.2) * tall, 0.1 * tall)
    other.move(gap[0] + way, 0.0 if rng.uniform() < 0.5 and abs(gap[1]) < 0.4 * tall else float(gap[1]))
    return other


def standing_sprite(
    kind: str, at: np.ndarray, tall: float, i: int, floor: float, camera: Camera, rng: Generator, kinds: "Makers"
) -> Sprite:
    """A static occluder of one of `kinds`, nearer than the object, which therefore moves faster than the ground."""
    image, anchor = kinds[kind](tall, camera, rng)
    near = rng.uniform(1.0, 1.35)
    x = at[0] + rng.uniform(-0.15, 0.15) * tall + near * (camera.pan[i] - camera.pan)
    foot = at[1] if kind == "sign" else max(floor, at[1]) + rng.uniform(0.03, 0.25) * tall
    if kind == "bush":  # as it is low, it stands in front of standing objects, and hangs in front of flying ones
        foot = max(at[1] + 0.3 * tall, foot - 0.2 * tall)
    y = foot + near * (camera.tilt[i] - camera.tilt)
    lean = turned(rng.uniform(-0.06, 0.06) if kind in ("pole", "tree", "fence") else 0.0)
    places = shifted(x, y) @ lean @ shifted(-anchor[0], -anchor[1])
    sway = rng.uniform(0, 0.015) * tall if kind in ("bush", "tree") else 0.0
    centre, height = np.stack([x, y], -1), np.full(camera.frames, tall)
    return Sprite(kind, [(image, places)], centre, height, sway, (0.4 if kind == "bush" else 1.5) * tall, 0.25)


def cut_plate(coverage: np.ndarray, hue: float, vivid: float, rng: Generator, round_: bool = False) -> np.ndarray:
    """A textured plate with a coverage (h, w) uint8; `round_` shades it like a column."""
    colour = cloth(coverage.shape[0], coverage.shape[1], hue, vivid, rng).astype(np.float32) * rng.uniform(0.6, 1.0)
    if round_:
        x = np.linspace(-1, 1, coverage.shape[1])
        colour *= (0.55 + 0.45 * np.sqrt(1 - 0.9 * x**2) + 0.1 * x)[None, :, None]
    return plate(np.clip(colour, 0, 255), coverage)


Made = tuple[np.ndarray, tuple[float, float]]
Makers = dict[str, Callable[[float, Camera, Generator], Made]]


def _pole(tall: float, camera: Camera, rng: Generator) -> Made:
    wide, long = max(2, round(tall * rng.uniform(0.06, 0.28))), 2 * camera.height
    image = cut_plate(np.full((long, wide), 255, np.uint8), rng.uniform(), rng.uniform(0, 0.5), rng, True)
    return image, (wide / 2 + 1, long * 0.75)


def _tree(tall: float, camera: Camera, rng: Generator) -> Made:
    trunk = max(3, round(tall * rng.uniform(0.12, 0.3)))
    crown, long = round(trunk * rng.uniform(3, 5)), round(tall * rng.uniform(1.3, 2.0))
    coverage = np.zeros((long, crown), np.uint8)
    left = (crown - trunk) // 2
    coverage[:, left : left + trunk] = 255
    wood = cut_plate(coverage, 0.08, rng.uniform(0.2, 0.5), rng)
    leaves = np.zeros((long, crown), np.uint8)
    clumps(leaves, (0.5 * crown, 0.24 * long), 0.42 * crown, 0.22 * long, rng)
    green = cut_plate(leaves, rng.uniform(0.2, 0.36), rng.uniform(0.5, 1), rng)
    both = wood.astype(np.float32)
    over(both, green.astype(np.float32))
    return np.rint(both).astype(np.uint8), (crown / 2 + 1, long + 1.0)


def clumps(mask: np.ndarray, centre: tuple[float, float], rx: float, ry: float, rng: Generator) -> None:
    for _ in range(14):
        angle, far = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 0.6))
        at = (round(centre[0] + far * rx * np.cos(angle)), round(centre[1] + far * ry * np.sin(angle)))
        cv2.circle(mask, at, max(2, round(rng.uniform(0.3, 0.5) * min(rx, ry))), 255, -1, cv2.LINE_AA)


def _fence(tall: float, camera: Camera, rng: Generator) -> Made:
    high = max(6, round(tall * rng.uniform(0.35, 0.75)))
    wide = round(min(1.6 * camera.width, tall * rng.uniform(0.8, 4)))
    gap, slat = tall * rng.uniform(0.07, 0.2), max(2, round(tall * rng.uniform(0.03, 0.08)))
    coverage = np.zeros((high, wide), np.uint8)
    for x in np.arange(0, wide - slat, max(gap, slat + 2)):
        coverage[:, int(x) : int(x) + slat] = 255
    for share in (0.2, 0.7):
        coverage[int(share * high) : int(share * high) + max(2, slat // 2)] = 255
    return cut_plate(coverage, rng.uniform(0.03, 0.15), rng.uniform(0, 0.6), rng), (wide / 2 + 1, high + 1.0)


def _wall(tall: float, camera: Camera, rng: Generator) -> Made:
    wide, high = round(tall * rng.uniform(0.5, 1.6)), round(tall * rng.uniform(0.4, 1.6))
    coverage = np.full((high, wide), 255, np.uint8)
    return cut_plate(coverage, rng.uniform(), rng.uniform(0, 0.6), rng), (wide / 2 + 1, high + 1.0)


def _bush(tall: float, camera: Camera, rng: Generator) -> Made:
    wide, high = max(8, round(tall * rng.uniform(0.5, 1.3))), max(8, round(tall * rng.uniform(0.3, 0.7)))
    leaves = np.zeros((high, wide), np.uint8)
    for k in range(3):
        clumps(leaves, (wide * (0.25 + 0.25 * k), high * 0.62), 0.3 * wide, 0.4 * high, rng)
    return cut_plate(leaves, rng.uniform(0.18, 0.38), rng.uniform(0.4, 1), rng), (wide / 2 + 1, high * 0.95)


def _sign(tall: float, camera: Camera, rng: Generator) -> Made:
    side = max(8, round(tall * rng.uniform(0.3, 0.65)))
    kind = str(rng.choice(list(SILHOUETTES)))
    return cut_plate(silhouette(kind, side, rng), rng.uniform(), rng.uniform(0.3, 1), rng), (side / 2 + 1, side / 2 + 1)


STANDING: Makers = {
    "pole": _pole, "tree": _tree, "fence": _fence, "wall": _wall, "bush": _bush, "sign": _sign,
}  # fmt: skip
