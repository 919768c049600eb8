"""Composites of the tuning set: an object in its own footage or on a still backdrop, and an occluder pasted over it."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matrix import HIDDEN, Cell
from occluders import Occluder, cut_out, shaped, skin
from scipy.ndimage import gaussian_filter1d
from sources import BACKDROPS, OBJECTS, PASSERS, VIEW, Footage, backdrop, footage

from unocclude.motion.camera import fit_motion, follow, shift
from unocclude.synthesis.mask_errors import with_errors

Generator = np.random.Generator

FRAMES = (16, 24)
"""Minimum and maximum number of frames."""
ATTEMPTS = 12
SHARE_HIDDEN = (0.15, 0.04, 0.8)
"""Least hidden share of the object in the frame that hides most, and bounds of the mean over frames."""
PANNING_CLIPS = {"bmx-trees"}


@dataclass(frozen=True)
class Shot:
    """The scene without the occluder: pictures (T, H, W, 3) uint8 BGR, masks (T, H, W) bool of the whole object, and
    camera (T, 3, 3), the map from frame 0 to each frame for what stands in the scene."""

    pictures: np.ndarray
    masks: np.ndarray
    camera: np.ndarray


@dataclass(frozen=True)
class Composite:
    """frames and whole: (T, H, W, 3) uint8 BGR, with and without the occluder. amodal, visible, given: (T, H, W) bool;
    given: the visible masks with a cell's errors."""

    frames: np.ndarray
    whole: np.ndarray
    amodal: np.ndarray
    visible: np.ndarray
    given: np.ndarray
    source: str

    @property
    def rates(self) -> np.ndarray:
        """Occlusion rates (T,); 0 where the object is outside the frame."""
        whole = self.amodal.sum((1, 2))
        return np.where(whole > 0, 1 - self.visible.sum((1, 2)) / np.maximum(whole, 1), 0)


def composite(clips: Path, cell: Cell, number: int) -> Composite:
    """Composite `number` of a half. The first draw whose hidden share suits the cell is taken, else the last one."""
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([1000, number, attempt, ord(cell.half[0])])
        made = _draw(clips, cell, number, rng)
        if _suits(made, cell):
            break
    return made


def _suits(made: Composite, cell: Cell) -> bool:
    if cell.hidden == HIDDEN[1]:
        return True
    rates = made.rates
    most, low, high = SHARE_HIDDEN
    if cell.travel == "never whole" and rates.min() < 0.08:
        return False
    return rates.max() > most and low < rates.mean() < high


def _draw(clips: Path, cell: Cell, number: int, rng: Generator) -> Composite:
    count = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    stretches = OBJECTS[cell.half]
    stretch = stretches[number % len(stretches)]
    source = footage(clips, stretch, count)
    own = cell.object == "articulated" and cell.travel != "at rest"
    if own and not (cell.camera == "still" and stretch.clip in PANNING_CLIPS):
        shot = in_footage(source, cell, rng)
    else:
        shot = in_collage(source, backdrop(clips, cell.half, int(rng.integers(9))), cell, rng)
    occluder = _occluder(clips, cell, shot, rng)
    ways = _ways(occluder, cell, shot, rng)
    frames, visible = [], []
    bare = cell.hidden == HIDDEN[1] and rng.uniform() < 0.3
    quality = int(rng.integers(80, 96))
    for t, (picture, mask) in enumerate(zip(shot.pictures, shot.masks, strict=True)):
        mixed, opacity = (picture, np.zeros(mask.shape, np.float32)) if bare else _laid(picture, occluder, t, ways[t])
        if cell.hidden == HIDDEN[1]:  # it stands behind the object
            soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7)[..., None]
            mixed, opacity = _mixed(mixed, picture, soft), np.zeros_like(opacity)
        coded = cv2.imencode(".jpg", mixed, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        frames.append(cv2.imdecode(coded, cv2.IMREAD_COLOR))
        visible.append(mask & (opacity < 0.5))
    seen = list(visible)
    given = with_errors(seen, rng) if cell.masks == "perturbed" else seen
    return Composite(np.stack(frames), shot.pictures, shot.masks, np.stack(seen), np.stack(given), stretch.clip)


def _mixed(under: np.ndarray, over: np.ndarray, share: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(under * (1 - share) + over.astype(np.float32) * share), 0, 255).astype(np.uint8)


def _laid(picture: np.ndarray, occluder: Occluder, t: int, way: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The picture with the occluder over it, and its opacity (H, W)."""
    drawn, opacity = occluder.at(t)
    size = picture.shape[1::-1]
    cut = cv2.GaussianBlur(cv2.warpAffine(opacity, way[:2], size), (0, 0), 0.7)
    laid = cv2.warpAffine(drawn, way[:2], size, borderMode=cv2.BORDER_REPLICATE)
    return _mixed(picture, laid, cut[..., None]), cut


# The scene without the occluder ---------------------------------------------------------------------------------


def _drift(kind: str, count: int, room: np.ndarray, rng: Generator) -> np.ndarray:
    """Upper left corner of the view over time, (T, 2), relative to its start; room: (2,) pixels on each side."""
    t = np.arange(count)
    path = np.zeros((count, 2))
    if kind == "panning":
        speed = rng.uniform(1.0, 3.5) * rng.choice([-1, 1])
        path[:, 0] = np.clip(speed * (t - count / 2), -room[0], room[0])
        path[:, 1] = rng.uniform(-0.3, 0.3) * (t - count / 2)
    elif kind == "handheld":
        path = rng.uniform(0.5, 2) * _smooth_noise(count, 1.0, rng) + rng.uniform(3, 8) * _smooth_noise(count, 5.0, rng)
    return np.clip(path, -room, room)


def _smooth_noise(count: int, frames: float, rng: Generator) -> np.ndarray:
    """Noise (T, 2) of deviation 1 that varies over some frames."""
    noise = gaussian_filter1d(rng.normal(size=(count + 40, 2)), frames, axis=0)
    return (noise / noise.std(0))[20 : 20 + count]


def _view(corners: np.ndarray, kind: str, rng: Generator) -> np.ndarray:
    """Maps from source to view pixels, (T, 3, 3); a handheld camera rolls a little."""
    count = len(corners)
    roll = np.zeros(count)
    if kind == "handheld":
        roll = 0.006 * _smooth_noise(count, 1.5, rng)[:, 0]
    middle = shift(VIEW[0] / 2, VIEW[1] / 2)
    turn = [np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) for a in roll]
    return np.stack([
        middle @ r @ np.linalg.inv(middle) @ shift(-x, -y) for r, (x, y) in zip(turn, corners, strict=True)
    ])  # fmt: skip


def in_footage(source: Footage, cell: Cell, rng: Generator) -> Shot:
    """A view of the object's own footage, which moves over it."""
    height, width = source.masks.shape[1:]
    size = np.minimum(VIEW, (width, height)).astype(float)
    boxes, count = source.boxes, len(source)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    room = (np.array([width, height]) - size) / 2
    path = _drift(cell.camera, count, np.minimum(room, 0.2 * size), rng)
    start = np.clip(middle.mean(0) - size / 2, 0, 2 * room)
    corners = start + path
    if cell.travel == "leaving":
        corners[:, 0] += _leave(middle[:, 0] - corners[:, 0], boxes[:, 2] - boxes[:, 0], size[0], rng)
    corners = np.clip(corners, 0, 2 * room) if cell.travel != "leaving" else corners
    views = _view(corners, cell.camera, rng)
    native = _native_camera(source)
    camera = np.stack([view @ own @ np.linalg.inv(views[0]) for view, own in zip(views, native, strict=True)])
    shape = tuple(int(side) for side in size)
    pictures = [
        cv2.warpAffine(p, v[:2], shape, borderMode=cv2.BORDER_REFLECT)
        for p, v in zip(source.pictures, views, strict=True)
    ]
    masks = [cv2.warpAffine(m.astype(np.float32), v[:2], shape) > 0.5 for m, v in zip(source.masks, views, strict=True)]
    return Shot(np.stack(pictures), np.stack(masks), camera)


def _leave(x: np.ndarray, wide: np.ndarray, size: float, rng: Generator) -> np.ndarray:
    """How far the view moves away, (T,), so that its border cuts the object at the end or at the start."""
    t = np.linspace(0, 1, len(x))
    t = t if rng.uniform() < 0.5 else t[::-1]
    cut = rng.uniform(0.3, 0.8) * wide.mean()
    ramp = np.clip((t - 0.5) / 0.5, 0, 1)
    if rng.uniform() < 0.5:
        return ramp * (x + wide / 2 - cut)
    return -ramp * (size - x + wide / 2 - cut)


def _native_camera(source: Footage) -> np.ndarray:
    """Camera motion of the footage from frame 0 to each frame, (T, 3, 3), by tracked corners outside the object."""
    greys = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in source.pictures]
    total = [np.eye(3)]
    for first, second, mask in zip(greys, greys[1:], source.masks, strict=False):
        free = cv2.erode((~mask).astype(np.uint8), np.ones((9, 9), np.uint8))
        points = cv2.goodFeaturesToTrack(first, 300, 0.01, 8, mask=free)
        step = np.eye(3)
        if points is not None and len(points) >= 12:
            moved, found = follow(first, second, points[:, 0])
            step = fit_motion(points[found, 0], moved[found], 1.0)
        total.append(step @ total[-1])
    return np.stack(total)


def in_collage(source: Footage, back: np.ndarray, cell: Cell, rng: Generator) -> Shot:
    """The object cut out and laid on a still backdrop; rigid: one frame of it that moves."""
    count, size = len(source), np.array(VIEW, float)
    scale = max(1.0, 1.05 * size[0] / back.shape[1], 1.25 * size[1] / back.shape[0])
    back = cv2.resize(back, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    room = (np.array(back.shape[1::-1]) - size) / 2 - 2
    corners = room + _drift(cell.camera, count, room, rng)
    views = _view(corners, cell.camera, rng)
    frozen = cell.object == "rigid"
    k = int(rng.integers(count))
    only = slice(k, k + 1) if frozen else slice(None)
    tall = rng.uniform(0.38, 0.5) * size[1]
    thing = cut_out(source.pictures[only], source.masks[only], tall)
    time = np.linspace(-0.5, 0.5, count)
    reach = {"at rest": 0.0, "leaving": 0.0}.get(cell.travel, rng.uniform(0.25, 0.5) * size[0])
    middle = room + size / 2 + rng.uniform(-0.08, 0.08, 2) * size
    path = middle + np.outer(time * rng.choice([-1, 1]), (reach, rng.uniform(-0.1, 0.1) * reach))
    if cell.travel == "leaving":
        away = _leave(path[:, 0] - corners[:, 0], np.full(count, thing.anchor[0] * 2), size[0], rng)
        path[:, 0] -= away
    turning = 0.0 if cell.travel == "at rest" or not frozen else rng.uniform(-0.3, 0.3)
    growing = 0.0 if cell.travel == "at rest" else rng.uniform(-0.15, 0.15)
    double = rng.uniform() < 0.35
    noise = rng.uniform(0.5, 2.5)
    pictures, masks = [], []
    for t in range(count):
        picture = cv2.warpAffine(back, views[t][:2], VIEW)
        drawn, opacity = thing.at(t)
        if double:  # a second one of its kind, behind it
            beside = views[t] @ shift(middle[0] + 0.8 * thing.anchor[0], middle[1]) @ np.diag([-1.0, 1, 1])
            still = Occluder(thing.pictures[:1], thing.opacity[:1], thing.anchor)
            picture, _ = _laid(picture, still, 0, beside @ shift(-thing.anchor[0], -thing.anchor[1]))
        angle, grow = turning * time[t], 1 + growing * time[t]
        turn = grow * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        way = views[t] @ shift(*path[t]) @ np.block([[turn, np.zeros((2, 1))], [np.zeros((1, 2)), 1]])
        way = way @ shift(-thing.anchor[0], -thing.anchor[1])
        picture, cut = _laid(picture, Occluder(drawn[None], opacity[None], thing.anchor), 0, way)
        picture = np.clip(picture + rng.normal(0, noise, picture.shape), 0, 255).astype(np.uint8)
        pictures.append(picture)
        masks.append(cut >= 0.5)
    camera = np.stack([view @ np.linalg.inv(views[0]) for view in views])
    return Shot(np.stack(pictures), np.stack(masks), camera)


# The occluder ---------------------------------------------------------------------------------------------------


def _occluder(clips: Path, cell: Cell, shot: Shot, rng: Generator) -> Occluder:
    boxes = _boxes(shot.masks)
    tall = float(np.median(boxes[:, 3] - boxes[:, 1]))
    if cell.occluder == "moving" and cell.shape == "large" and cell.look == "textured":
        passer = PASSERS[cell.half][int(rng.integers(len(PASSERS[cell.half])))]
        found = footage(clips, passer, passer.last - passer.first + 1)
        return cut_out(found.pictures, found.masks, tall * rng.uniform(0.7, 1.3))
    back = backdrop(clips, cell.half, int(rng.integers(len(BACKDROPS[cell.half]))))
    t = int(np.argmax(shot.masks.sum((1, 2))))
    look = skin(cell.look, back, shot.pictures[t], shot.masks[t], rng)
    wide = cell.travel == "never whole" and cell.occluder != "moving"
    return shaped(cell.shape, wide, tall, look, rng)


def _boxes(masks: np.ndarray) -> np.ndarray:
    """Boxes (T, 4) of the masks; where the object is outside the frame, those of the nearest frame."""
    found = np.array([cv2.boundingRect(mask.astype(np.uint8)) for mask in masks], float)
    there = np.flatnonzero(found[:, 2] > 0)
    nearest = there[np.abs(np.arange(len(masks))[:, None] - there).argmin(1)]
    found = found[nearest]
    found[:, 2:] += found[:, :2]
    return found


def _ways(occluder: Occluder, cell: Cell, shot: Shot, rng: Generator) -> np.ndarray:
    """Maps from the occluder's to frame pixels, (T, 3, 3)."""
    boxes = _boxes(shot.masks)
    count, t = len(boxes), np.linspace(0, 1, len(boxes))
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    phase = rng.uniform(0.35, 0.65)
    k = int(phase * (count - 1))
    aside = np.array([rng.uniform(-0.35, 0.35) * size[k, 0], rng.uniform(-0.25, 0.25) * size[k, 1]])
    anchor = shift(-occluder.anchor[0], -occluder.anchor[1])
    if cell.occluder == "moving":
        reach = (occluder.pictures.shape[2] + size[:, 0].mean()) * 0.75
        kinds = ("follow",) if cell.travel == "never whole" else ("cross", "slow", "sway", "back")
        way = {
            "cross": (t - phase) * 2 * reach * rng.choice([-1, 1]),
            "slow": (t - phase) * reach * rng.choice([-1, 1]),
            "sway": np.sin(t * 7 + phase * 9) * reach * 0.8,
            "back": np.abs(t - phase) * 3 * reach - 0.1 * reach,
            "follow": 0.3 * size[:, 0].mean() * np.sin(t * 5 + 6 * phase),
        }[str(rng.choice(kinds))]
        places = centre + np.array([0, aside[1]]) + np.stack([way, np.zeros(count)], 1)
        return np.stack([shift(*place) @ anchor for place in places])
    place = centre[k] + aside
    if cell.shape == "large" and cell.travel == "never whole":
        place[1] = np.median(boxes[:, 3]) - rng.uniform(0.25, 0.45) * np.median(size[:, 1])
    if cell.occluder == "fixed":
        return np.stack([shift(*place) @ anchor] * count)
    near = rng.uniform(1.0, 1.2)
    camera = shot.camera @ np.linalg.inv(shot.camera[k])
    camera[:, :2, 2] += (near - 1) * (np.einsum("tij,j->ti", camera, [*place, 1])[:, :2] - place)
    return np.stack([moved @ shift(*place) @ anchor for moved in camera])
