"""The development clips as sources: stretches in which the object is whole, and pictures for backdrops and textures."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

OBJECT = 105
"""Height of the object in pixels."""
VIEW = (320, 240)
"""Maximum width and height of a composite."""


@dataclass(frozen=True)
class Stretch:
    """Frames first to last, inclusive, of a clip in which nothing hides the object (looked at by eye)."""

    clip: str
    first: int
    last: int


OBJECTS = {
    "tune": (
        Stretch("beachboy-behind", 26, 39),
        Stretch("bmx-trees", 28, 44),
        Stretch("beachboy-behind", 0, 8),
        Stretch("bmx-trees", 0, 11),
    ),
    "report": (Stretch("dogs-jump-person", 17, 41), Stretch("kite-walk", 0, 15), Stretch("dogs-jump-person", 53, 65)),
}
"""Objects of each half. The halves share no clip."""

PASSERS = {
    "tune": (Stretch("bmx-trees", 30, 42), Stretch("beachboy-behind", 28, 39), Stretch("horse", 3, 12)),
    "report": (Stretch("kite-walk", 0, 12), Stretch("dogs-jump-person", 30, 39), Stretch("person", 10, 20)),
}
"""Cut-outs that pass in front."""

BACKDROPS = {
    "tune": (("horse", 12), ("bmx-trees", 57), ("beachboy-behind", 2)),
    "report": (("person", 4), ("dogs-jump-person", 60), ("birdcage", 12)),
}
"""Frames that serve as still backdrops and as textures."""


@dataclass(frozen=True)
class Footage:
    """T frames of a source, scaled: pictures (T, H, W, 3) uint8 BGR, masks (T, H, W) bool."""

    pictures: np.ndarray
    masks: np.ndarray

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def boxes(self) -> np.ndarray:
        """Boxes of the masks, (T, 4) float: x0, y0, x1, y1, ends exclusive."""
        found = [cv2.boundingRect(mask.astype(np.uint8)) for mask in self.masks]
        return np.array([(x, y, x + w, y + h) for x, y, w, h in found], float)


def footage(clips: Path, stretch: Stretch, count: int, object_height: int = OBJECT) -> Footage:
    """`count` frames of a stretch, back and forth if it is shorter, scaled to an object of `object_height` pixels."""
    whole = _scaled(clips, stretch, object_height)
    length = len(whole)
    turn = np.arange(count) % max(1, 2 * length - 2)
    order = np.where(turn < length, turn, 2 * length - 2 - turn)
    return Footage(whole.pictures[order], whole.masks[order])


@lru_cache(maxsize=16)
def _scaled(clips: Path, stretch: Stretch, object_height: int) -> Footage:
    numbers = range(stretch.first, stretch.last + 1)
    masks = [_without_specks(read(clips, stretch.clip, "visible_masks", i) > 127) for i in numbers]
    tall = np.median([cv2.boundingRect(mask.astype(np.uint8))[3] for mask in masks])
    scale = min(1.25, object_height / float(tall))
    # large enough that a view fits in
    height, width = masks[0].shape
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    pictures = [cv2.resize(read(clips, stretch.clip, "frames", i), size, interpolation=way) for i in numbers]
    small = [cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=way) > 127 for mask in masks]
    return Footage(np.stack(pictures), np.stack(small))


@lru_cache(maxsize=16)
def backdrop(clips: Path, half: str, k: int) -> np.ndarray:
    """A still backdrop, (H, W, 3) uint8 BGR, 520 pixels wide and at least 330 high."""
    clip, frame = BACKDROPS[half][k % len(BACKDROPS[half])]
    picture = read(clips, clip, "frames", frame)
    scale = max(520 / picture.shape[1], 330 / picture.shape[0])
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def read(clips: Path, clip: str, part: str, i: int) -> np.ndarray:
    """Frame i of a clip (BGR), or its mask (grey), uint8."""
    path = clips / clip / part / f"{i:05d}.{'jpg' if part == 'frames' else 'png'}"
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR if part == "frames" else cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise SystemExit(f"{path} cannot be read; CLIPS is the folder of the real development clips")
    return picture


def _without_specks(mask: np.ndarray) -> np.ndarray:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    keep = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= 0.02 * mask.sum()]
    return np.isin(labels, keep)
