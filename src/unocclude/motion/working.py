"""The scene at working resolution, the input of all motion analysis."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import RLock
from typing import Generic, NamedTuple, Protocol, TypeVar

import cv2
import numpy as np

from unocclude.masks import MaskTrack

OBJECT_SIZE = 176
"""Longer side of a typical object box in working pixels."""

MAX_WIDTH = 640
"""Maximum longer side of working images, which bounds memory for small objects."""

WINDOW = 24
"""Temporal window: a frame uses all frames within this distance, and the nearest well-visible ones beyond."""

REFERENCES, COMPARED = 2 * WINDOW + 8, 4 * WINDOW
"""Cache sizes in frames: those that one frame uses, and those that these are compared with."""

PART_BYTES = 64 << 20
"""Maximum memory of cached cut-outs."""

T = TypeVar("T")


class SceneLike(Protocol):
    """The part of `Scene` that motion analysis needs; `Scene` itself is in a higher layer."""

    width: int
    height: int
    offset: tuple[int, int]
    track: MaskTrack
    given_occluders: MaskTrack | None

    @property
    def others(self) -> Sequence[object]: ...
    @property
    def known_camera(self) -> "FrameMotion | None": ...
    @property
    def shots(self) -> list[range]: ...
    @property
    def inside(self) -> np.ndarray: ...
    def __len__(self) -> int: ...
    def frame(self, i: int) -> np.ndarray: ...
    def visible(self, i: int) -> np.ndarray: ...
    def occluder(self, i: int) -> np.ndarray: ...
    def behind(self, i: int) -> np.ndarray: ...
    def other_objects(self, i: int, *sides: int) -> np.ndarray: ...


class FrameMotion(Protocol):
    """Camera motion in pixels of the input frames."""

    def between(self, source: int, target: int) -> np.ndarray:
        """3x3 map of background points from frame `source` to frame `target`."""
        ...


class FrameCache(Generic[T]):
    """A thread-safe LRU cache of a function of the frame number, with `keep` entries.

    Memory does not grow with the clip's length; each result is computed once while it is cached.
    """

    def __init__(self, function: Callable[[int], T], keep: int = REFERENCES):
        self._function, self._keep = function, keep
        self._kept: OrderedDict[int, T] = OrderedDict()
        self._lock = RLock()

    def __getitem__(self, i: int) -> T:
        with self._lock:
            if i not in self._kept:
                self._kept[i] = self._function(i)
                if len(self._kept) > self._keep:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(i)
            return self._kept[i]


class Cutout(NamedTuple):
    """A crop around a frame's visible object.

    image: (h, w, 3) or grey (h, w) uint8. mask: (h, w) bool. x, y: position of its first pixel.
    """

    image: np.ndarray
    mask: np.ndarray
    x: int
    y: int


class Cutouts(NamedTuple):
    """Crops of the same object: from the canvas in colour, and from the working image in grey."""

    full: Cutout
    grey: Cutout


def cut_out(picture: np.ndarray, visible: np.ndarray, margin: int = 4) -> Cutout:
    """Crop the visible object with `margin` pixels around it from (H, W, 3) or (H, W) uint8."""
    x, y, w, h = cv2.boundingRect(visible.astype(np.uint8))
    left, top = max(0, x - margin), max(0, y - margin)
    box = np.s_[top : y + h + margin, left : x + w + margin]
    return Cutout(picture[box].copy(), visible[box].copy(), left, top)


class Working:
    """Frames and masks of a scene, scaled down so that the object is about `OBJECT_SIZE` pixels long.

    frame(i): (h, w, 3) uint8 RGB. visible[i], occluder[i], behind[i], others[i]: (h, w) bool; others are all other
    objects of the clip. inside: (h, w) bool, the frame's area on the canvas. areas: (T,) and boxes: (T, 4), of the
    visible masks, in working pixels. parts[i]: crops of the object.
    """

    def __init__(self, scene: SceneLike):
        self.scene = scene
        track = scene.track
        spans = (track.boxes[:, 2:] - track.boxes[:, :2]).max(1)[track.areas > 0]
        longest = max(scene.width, scene.height)
        self.scale = min(1.0, OBJECT_SIZE / float(np.percentile(spans, 90)), MAX_WIDTH / longest)
        self.width = max(1, round(scene.width * self.scale))
        self.height = max(1, round(scene.height * self.scale))
        self.areas = track.areas * self.scale**2
        self.boxes = (track.boxes + np.tile(scene.offset, 2)) * self.scale
        self.inside = self.shrink(scene.inside)
        self._small = FrameCache(lambda i: self.shrink(scene.frame(i)), keep=8)  # used only once
        part = 4 * int(np.percentile(np.prod(track.boxes[:, 2:] - track.boxes[:, :2], axis=1)[track.areas > 0], 90))
        self.parts = FrameCache(self._cut, min(COMPARED, 8 + PART_BYTES // part))
        self.visible = FrameCache(lambda i: self.shrink(scene.visible(i)), keep=COMPARED)
        nothing = np.zeros_like(self.inside)
        others = bool(scene.others)
        given = others or scene.given_occluders is not None
        self.occluder = FrameCache(lambda i: self.shrink(scene.occluder(i)) if given else nothing, keep=COMPARED)
        self.behind = FrameCache(lambda i: self.shrink(scene.behind(i)) if others else nothing, keep=COMPARED)
        self.others = FrameCache(lambda i: self.shrink(scene.other_objects(i)) if others else nothing, keep=COMPARED)

    def frame(self, i: int) -> np.ndarray:
        """Frame i, (h, w, 3) uint8 RGB."""
        # crop while the frame is decoded; decoding it again later would require seeking in the video
        _ = self.parts[i]
        return self._small[i]

    def _cut(self, i: int) -> Cutouts:
        grey = cv2.cvtColor(self._small[i], cv2.COLOR_RGB2GRAY)
        return Cutouts(cut_out(self.scene.frame(i), self.scene.visible(i)), cut_out(grey, self.visible[i]))

    def shrink(self, image: np.ndarray) -> np.ndarray:
        """Scale a canvas-sized image or mask down to working resolution."""
        size = (self.width, self.height)
        if image.shape[1::-1] == size:
            return image
        if image.dtype == bool:
            return cv2.resize(image.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 127
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    @property
    def to_canvas(self) -> np.ndarray:
        """3x3 map from working to canvas pixel coordinates (pixel centres at integers)."""
        return resize_map((self.width, self.height), (self.scene.width, self.scene.height))

    def background(self, i: int) -> np.ndarray:
        """Pixels of frame i that may be background, (h, w) bool: no object and no known occluder."""
        return ~(self.visible[i] | self.occluder[i] | self.others[i]) & self.inside

    def whole_shot(self, i: int) -> range:
        """The shot that holds frame i."""
        return next(shot for shot in self.scene.shots if i in shot)

    def shot(self, i: int) -> range:
        """Frames of frame i's shot within `WINDOW` frames of it."""
        shot = self.whole_shot(i)
        return range(max(shot.start, i - WINDOW), min(shot.stop, i + WINDOW + 1))


def resize_map(size: tuple[int, int], to: tuple[int, int]) -> np.ndarray:
    """3x3 map of pixel coordinates when an image of `size` (width, height) is resized `to` another one."""
    sx, sy = to[0] / size[0], to[1] / size[1]
    return np.array([[sx, 0, sx / 2 - 0.5], [0, sy, sy / 2 - 0.5], [0, 0, 1]])
