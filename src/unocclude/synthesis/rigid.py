"""Rigid worlds: a flat, rigid, textured object that moves behind occluders; its motion is a homography per frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np

from unocclude.synthesis.plates import SILHOUETTES, TEXTURES, silhouette, texture
from unocclude.synthesis.world import World

Motion = Literal["affine", "perspective", "camera"]
Occluder = Literal["pole", "bar", "blob", "wall"]
MOTIONS: tuple[Motion, ...] = get_args(Motion)
OCCLUDERS: tuple[Occluder, ...] = get_args(Occluder)
PARTIAL: tuple[Occluder, ...] = ("pole", "bar", "blob")

DENSITY = 2
"""Plate pixels per frame pixel; plates have a higher resolution, so that warping loses nothing."""
SAMPLES = 3
"""Each frame pixel is the mean of this number of samples squared."""
GRAIN = 2.5
"""Finest detail of textures in frame pixels; finer details would alias when moving."""


def rigid_world(
    seed: int,
    motion: Motion = "affine",
    frames: int = 24,
    width: int = 320,
    height: int = 240,
    *,
    size: float = 0.6,
    occluders: Sequence[Occluder] | None = None,
    never_whole: bool = False,
    noise: float = 0.0,
    fps: float = 24.0,
) -> World:
    """A textured, non-convex, flat object that moves in front of a textured background and behind occluders.

    motion: "affine" (the object turns, scales, shears and drifts), "perspective" (it tilts in 3-D and
    drifts), "camera" (as affine, while the camera itself pans, zooms, rolls and tilts). size: the object's
    diameter as a fraction of the frame's shorter side. occluders: any of "pole" (stands still in the scene),
    "bar" and "blob" (cross the object), "wall" (wider than the object, hides it fully for some frames); None
    selects two that hide it partly. Without `never_whole` and with at least a dozen frames, some frame shows the whole
    object. never_whole: instead, a bar swings over the object, such that every frame hides a part, and every part is
    visible in some frame. noise: deviation of sensor noise in grey levels. Deterministic, bit for bit.

    Raises ValueError for sizes under 16 pixels, no frames, or names that do not exist.
    """
    _check(motion, frames, width, height, occluders)
    # separate random generators, so that a seed gives the same scene at every size and length
    rng, *rngs = np.random.default_rng([seed, MOTIONS.index(motion)]).spawn(5)
    stage = _Stage(frames, width, height, radius=size * min(width, height) / 2)
    camera = _camera(stage, rngs[0]) if motion == "camera" else [np.eye(3)] * frames
    place = (_tilting if motion == "perspective" else _turning)(stage, rngs[1])

    hue = rng.uniform()  # the background has the opposite hue, occluders lie in between
    object_ = _object(stage, hue, rngs[2])
    object_.homographies = [c @ h for c, h in zip(camera, place, strict=True)]
    background = _background(stage, camera, hue + 0.5, rngs[3])
    chosen = _choose(occluders, rng)
    if never_whole:
        hiding = [_swinging(stage, camera, hue, rng)]
    else:
        # one after the other; a single frame shows the moment when all hide the object
        count = len(chosen)
        moments = np.linspace(0.3, 0.7, count) if min(count, frames) > 1 else [0.5] * count
        hiding = [
            _occluder(kind, at, stage, camera, hue, own)
            for kind, at, own in zip(chosen, moments, rng.spawn(count), strict=True)
        ]

    world = World([], [], [], [], [], fps, object_.plate, object_.homographies, camera)
    for i in range(frames):
        frame, _ = background.render(i, width, height)
        own, coverage = object_.render(i, width, height)
        frame = _over(frame, own, coverage)
        opacity = np.zeros((len(hiding), height, width), np.uint8)
        for k, thing in enumerate(hiding):
            colour, opacity[k] = thing.render(i, width, height)
            frame = _over(frame, colour, opacity[k])
        amodal = coverage >= 128
        world.frames.append(_sensor(frame, noise, np.random.default_rng([seed, 1, i])))
        world.amodal.append(amodal)
        world.visible.append(amodal & ~(opacity >= 128).any(0))
        world.amodal_rgb.append(np.where(amodal[..., None], own, 0).astype(np.uint8))
        world.occluders.append(opacity)
    world.about.update(
        kind="rigid", seed=seed, motion=motion, width=width, height=height, size=size, noise=noise,
        occluders=["swinging bar"] if never_whole else list(chosen), never_whole=never_whole,
    )  # fmt: skip
    return world


def _check(motion: str, frames: int, width: int, height: int, occluders: Sequence[str] | None) -> None:
    if motion not in MOTIONS:
        raise ValueError(f"motion is {motion!r}, expected one of {', '.join(MOTIONS)}")
    for kind in occluders or ():
        if kind not in OCCLUDERS:
            raise ValueError(f"occluder {kind!r}, expected one of {', '.join(OCCLUDERS)}")
    if frames < 1 or min(width, height) < 16:
        raise ValueError(f"{frames} frames of {width}x{height}, expected 1 or more, 16x16 or larger")


# Objects --------------------------------------------------------------------------------------------------


@dataclass
class _Stage:
    """Size and length of a world, and the path of its object."""

    frames: int
    width: int
    height: int
    radius: float

    @property
    def time(self) -> np.ndarray:
        """Time from 0 to 1 over the clip; 0.5 for a single frame."""
        return np.linspace(0, 1, self.frames) if self.frames > 1 else np.array([0.5])

    @property
    def along(self) -> np.ndarray:
        """Unit vector along the frame's longer side, where there is room to move."""
        return np.array([1.0, 0.0]) if self.width >= self.height else np.array([0.0, 1.0])

    @property
    def centre(self) -> np.ndarray:
        return (np.array([self.width, self.height]) - 1) / 2

    @property
    def path(self) -> np.ndarray:
        """The object's centre in the scene, (T, 2): a drift along the longer side and a gentle swing across.

        Clips of a few frames are a part of it, not the same path at a higher speed.
        """
        reach = self.radius * 1.12
        room = max(0.0, max(self.width, self.height) / 2 - reach)
        swing = max(0.0, min(self.width, self.height) / 2 - reach) * 0.3
        t = (self.time - 0.5) * min(1, self.frames / 16)
        drift = 2 * min(room, 1.45 * self.radius) * t
        return self.centre + drift[:, None] * self.along + swing * np.sin(2 * np.pi * t)[:, None] * self.along[::-1]


@dataclass
class _Layer:
    """A flat layer: its plate (h, w, 4) uint8, with colours also where it is transparent, and its map (3, 3) to each
    frame."""

    plate: np.ndarray
    homographies: list[np.ndarray]
    endless: bool = False  # continues, mirrored, outside the plate

    def render(self, i: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """Colour (H, W, 3) and coverage (H, W) of frame i, uint8."""
        colour = np.zeros((height, width, 3), np.uint8)
        coverage = np.zeros((height, width), np.uint8)
        x0, y0, x1, y1 = (0, 0, width, height) if self.endless else self._box(i, width, height)
        if x1 <= x0 or y1 <= y0:
            return colour, coverage
        middle = (SAMPLES - 1) / 2  # pixel centres are at integers in both grids
        finer = np.array([[SAMPLES, 0, middle - SAMPLES * x0], [0, SAMPLES, middle - SAMPLES * y0], [0, 0, 1]])
        size, fine = (x1 - x0, y1 - y0), (SAMPLES * (x1 - x0), SAMPLES * (y1 - y0))
        warp = finer @ self.homographies[i]
        edge = cv2.BORDER_REFLECT_101 if self.endless else cv2.BORDER_REPLICATE
        rgb = cv2.warpPerspective(self.plate[..., :3], warp, fine, flags=cv2.INTER_LINEAR, borderMode=edge)
        colour[y0:y1, x0:x1] = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        if self.endless:
            coverage[:] = 255
        else:
            alpha = cv2.warpPerspective(self.plate[..., 3], warp, fine, flags=cv2.INTER_LINEAR)
            coverage[y0:y1, x0:x1] = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
        return colour, coverage

    def _box(self, i: int, width: int, height: int) -> tuple[int, int, int, int]:
        h, w = self.plate.shape[:2]
        corners = np.array([[[-1, -1], [w, -1], [w, h], [-1, h]]], np.float64)
        (left, top), (right, bottom) = (
            f(cv2.perspectiveTransform(corners, self.homographies[i])[0], axis=0) for f in (np.min, np.max)
        )
        return max(0, int(left)), max(0, int(top)), min(width, int(right) + 2), min(height, int(bottom) + 2)


def _over(below: np.ndarray, colour: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Composite a colour over an image; exact where the opacity is 255 or 0."""
    share = opacity[..., None].astype(np.uint16)
    return ((colour * share + below * (255 - share) + 127) // 255).astype(np.uint8)


def _sensor(frame: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    if not deviation:
        return frame
    return np.clip(np.rint(frame + rng.normal(0, deviation, frame.shape)), 0, 255).astype(np.uint8)


def _plate(coverage: np.ndarray, grain: float, hue: float, vivid: float, rng: np.random.Generator) -> np.ndarray:
    kind = str(rng.choice(list(TEXTURES)))
    height, width = coverage.shape
    return np.dstack([texture(kind, height, width, grain * DENSITY, hue, vivid, rng), coverage])


def _object(stage: _Stage, hue: float, rng: np.random.Generator) -> _Layer:
    side = max(8, round(2 * stage.radius * DENSITY))
    shape = str(rng.choice(list(SILHOUETTES)))
    coverage = silhouette(shape, side, rng, hole=shape != "letter" and rng.uniform() < 0.5)
    return _Layer(_plate(coverage, GRAIN, hue, 1.0, rng), [])


def _background(stage: _Stage, camera: list[np.ndarray], hue: float, rng: np.random.Generator) -> _Layer:
    margin = 0.2  # relative to the frame, on every side: visible to a moving camera beyond frame 0
    size = [round((1 + 2 * margin) * side * DENSITY) for side in (stage.height, stage.width)]
    plate = _plate(np.full(size, 255, np.uint8), 1.6 * GRAIN, hue, 0.5, rng)
    lie = _shift(stage.centre) @ _scale(1 / DENSITY) @ _middle(plate)
    return _Layer(plate, [c @ lie for c in camera], endless=True)


# Motion ----------------------------------------------------------------------------------------------------


def _shift(by: np.ndarray) -> np.ndarray:
    return np.array([[1, 0, by[0]], [0, 1, by[1]], [0, 0, 1]], np.float64)


def _scale(x: float, y: float | None = None) -> np.ndarray:
    return np.diag([x, x if y is None else y, 1.0])


def _rotation(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _middle(plate: np.ndarray) -> np.ndarray:
    """Map from plate pixels to coordinates around the plate's centre."""
    return _shift(-(np.array(plate.shape[1::-1]) - 1) / 2)


def _wave(stage: _Stage, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth oscillation between two values, (T,), about one period over the clip."""
    cycles, phase = rng.uniform(0.6, 1.1), rng.uniform(0, 2 * np.pi)
    return (low + high) / 2 + (high - low) / 2 * np.sin(2 * np.pi * cycles * stage.time + phase)


def _lying(stage: _Stage) -> np.ndarray:
    """Map from plate pixels of the object to frame pixels around its centre."""
    side = max(8, round(2 * stage.radius * DENSITY))
    return _scale(1 / DENSITY) @ _shift(np.full(2, -(side - 1) / 2))


def _turning(stage: _Stage, rng: np.random.Generator) -> list[np.ndarray]:
    """Maps from plate to scene of an object that rotates, scales, shears and drifts (affine)."""
    angle = _wave(stage, -0.5, 0.5, rng) + rng.uniform(-0.4, 0.4)
    grow, squeeze = _wave(stage, 0.86, 1.08, rng), _wave(stage, 0.92, 1.0, rng)
    shear = _wave(stage, -0.15, 0.15, rng)
    lean = [np.array([[1, s, 0], [0, 1, 0], [0, 0, 1]]) for s in shear]
    return [
        _shift(stage.path[i]) @ _rotation(angle[i]) @ lean[i] @ _scale(grow[i], grow[i] * squeeze[i]) @ _lying(stage)
        for i in range(stage.frames)
    ]


def _tilting(stage: _Stage, rng: np.random.Generator) -> list[np.ndarray]:
    """Maps from plate to scene of an object that tilts about both axes of its plane, seen by a pinhole camera."""
    focal = 3 * stage.radius  # near enough for strong perspective
    pitch, yaw, roll = (_wave(stage, -limit, limit, rng) for limit in (0.5, 0.65, 0.3))
    motions = []
    for i in range(stage.frames):
        turn = cv2.Rodrigues(np.array([pitch[i], 0, 0]))[0] @ cv2.Rodrigues(np.array([0, yaw[i], 0]))[0]
        turn = turn @ _rotation(roll[i])
        # a plate point (x, y) is at x r1 + y r2 + (0, 0, 1.1 focal): H = K [r1 r2 t]
        pose = np.column_stack([turn[:, 0], turn[:, 1], [0, 0, 1.1 * focal]])
        whole = _shift(stage.path[i]) @ np.diag([focal, focal, 1]) @ pose @ _lying(stage)
        motions.append(whole / whole[2, 2])
    return motions


def _camera(stage: _Stage, rng: np.random.Generator) -> list[np.ndarray]:
    """Maps from scene to frame of a camera that slightly pans, zooms, rolls and tilts; the identity in frame 0."""
    size = np.array([stage.width, stage.height])
    pan = np.stack([_wave(stage, -0.05, 0.05, rng), _wave(stage, -0.03, 0.03, rng)], axis=-1) * size
    zoom, roll = _wave(stage, 0.93, 1.05, rng), _wave(stage, -0.06, 0.06, rng)
    tilt = np.stack([_wave(stage, -0.05, 0.05, rng), _wave(stage, -0.05, 0.05, rng)], axis=-1) / size.max()
    views = []
    for i in range(stage.frames):
        lean = np.array([[1, 0, 0], [0, 1, 0], [*tilt[i], 1]])
        views.append(
            _shift(stage.centre + pan[i]) @ _rotation(roll[i]) @ _scale(zoom[i]) @ lean @ _shift(-stage.centre)
        )
    start = np.linalg.inv(views[0])
    steps = [view @ start for view in views]
    return [step / step[2, 2] for step in steps]


# Occluders ---------------------------------------------------------------------------------------------------


def _choose(kinds: Sequence[Occluder] | None, rng: np.random.Generator) -> list[Occluder]:
    if kinds is not None:
        return list(kinds)
    return [PARTIAL[k] for k in rng.permutation(len(PARTIAL))[:2]]


def _between(hue: float, rng: np.random.Generator) -> float:
    return hue + float(rng.choice([0.25, 0.75])) + rng.uniform(-0.08, 0.08)


def _occluder(
    kind: Occluder,
    moment: float,
    stage: _Stage,
    camera: list[np.ndarray],
    hue: float,
    rng: np.random.Generator,
) -> _Layer:
    """An occluder that is in front of the object's centre at `moment` (0 to 1) of the clip."""
    radius, time = stage.radius, stage.time
    thickness = radius * {"pole": rng.uniform(0.3, 0.45), "bar": rng.uniform(0.4, 0.6), "blob": 0, "wall": 2.5}[kind]
    if kind == "blob":
        side = max(8, round(2 * radius * rng.uniform(0.6, 0.75) * DENSITY))
        coverage, half = silhouette("blob", side, rng), side / DENSITY / 2
    else:
        coverage, half = _beam(stage, thickness), thickness / 2
    plate = _plate(coverage, 1.4 * GRAIN, _between(hue, rng), 0.7, rng)

    lean = {
        "pole": rng.uniform(-0.1, 0.1),
        "bar": rng.uniform(-0.7, 0.7),
        "blob": 0.0,
        "wall": rng.uniform(-0.2, 0.2),
    }
    here = np.array([np.interp(moment, time, axis) for axis in stage.path.T])
    if kind == "pole":
        centres = np.tile(here, (stage.frames, 1))
    else:
        # it moves against the object's direction and covers it for about a third of the clip
        speed = (radius + half) / {"bar": 0.17, "blob": 0.18, "wall": 0.3}[kind]
        across = rng.uniform(-0.25, 0.25) * radius * stage.along[::-1]
        centres = stage.path - np.outer((time - moment) * speed, stage.along) + across
    return _laid(plate, centres, [lean[kind]] * stage.frames, stage, camera)


def _swinging(stage: _Stage, camera: list[np.ndarray], hue: float, rng: np.random.Generator) -> _Layer:
    """A bar that swings over the object and never leaves it."""
    plate = _plate(_beam(stage, 0.45 * stage.radius), 1.4 * GRAIN, _between(hue, rng), 0.7, rng)
    sway = 0.55 * stage.radius * np.cos(2 * np.pi * 1.5 * stage.time)
    centres = stage.path + np.outer(sway, stage.along)
    return _laid(plate, centres, rng.uniform(-0.3, 0.3) + 0.3 * np.sin(2 * np.pi * stage.time), stage, camera)


def _beam(stage: _Stage, thickness: float) -> np.ndarray:
    """Coverage (uint8) of an upright bar that extends beyond the frame on both sides, with a transparent margin."""
    across = max(1, round(thickness * DENSITY))
    length = round(2.6 * np.hypot(stage.width, stage.height) * DENSITY)
    return np.pad(np.full((length, across), 255, np.uint8), 2)


def _laid(
    plate: np.ndarray,
    centres: np.ndarray,
    leans: Sequence[float] | np.ndarray,
    stage: _Stage,
    camera: list[np.ndarray],
) -> _Layer:
    """A plate in the scene with its centre at `centres` (T, 2), rotated by (T,) angles from upright (across the
    object's path)."""
    upright = 0.0 if stage.along[0] else np.pi / 2
    return _Layer(
        plate,
        [
            c @ _shift(centre) @ _rotation(upright + lean) @ _scale(1 / DENSITY) @ _middle(plate)
            for c, centre, lean in zip(camera, centres, leans, strict=True)
        ],
    )
