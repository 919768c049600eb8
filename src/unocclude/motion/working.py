"""The scene at a working resolution: what all motion analysis looks at."""

from collections import OrderedDict
from collections.abc import Callable
from threading import RLock
from typing import Generic, NamedTuple, Protocol, TypeVar

import cv2
import numpy as np

from unocclude.masks import MaskTrack

OBJECT_SIZE = 176
"""Working pixels along the longer side of a typical box of the object."""

LOOK_WIDTH = 640
"""Working pictures are at most this long, so that their memory is bounded whatever the size of the object."""

WINDOW = 24
"""A frame looks at all frames within this distance, and further only for the nearest that show the object well."""

REFERENCES, COMPARED = 2 * WINDOW + 8, 4 * WINDOW
"""Frames whose own results are worth keeping: those in sight of one frame, and those that these are compared with."""

PART_BYTES = 64 << 20

T = TypeVar("T")


class SceneLike(Protocol):
    """The part of a Scene that motion analysis needs (Scene itself lies above this room's reach)."""

    width: int
    height: int
    offset: tuple[int, int]
    track: MaskTrack
    given_occluders: MaskTrack | None

    @property
    def shots(self) -> list[range]: ...
    @property
    def inside(self) -> np.ndarray: ...
    def __len__(self) -> int: ...
    def frame(self, i: int) -> np.ndarray: ...
    def visible(self, i: int) -> np.ndarray: ...
    def occluder(self, i: int) -> np.ndarray: ...


class Recent(Generic[T]):
    """A function of the frame number whose latest used results are kept: memory does not grow with the clip. Threads
    may share it; each result is worked out once."""

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


class Part(NamedTuple):
    """A frame's visible object, cut out: `look` (h, w, 3) or, in grey, (h, w) uint8 and `mask` (h, w) bool around it;
    their first pixel is the picture's pixel (x, y)."""

    look: np.ndarray
    mask: np.ndarray
    x: int
    y: int


class Parts(NamedTuple):
    """The same object cut out of the canvas, in colour, and of the working picture, in grey."""

    full: Part
    grey: Part


def cut_out(picture: np.ndarray, visible: np.ndarray, margin: int = 4) -> Part:
    """The visible object with `margin` pixels around it, from (H, W, 3) or (H, W) uint8."""
    x, y, w, h = cv2.boundingRect(visible.astype(np.uint8))
    left, top = max(0, x - margin), max(0, y - margin)
    box = np.s_[top : y + h + margin, left : x + w + margin]
    return Part(picture[box].copy(), visible[box].copy(), left, top)


class Working:
    """Frames and masks of a scene, scaled so that the object is about `OBJECT_SIZE` pixels long; never enlarged.

    `frame(i)` (h, w, 3) uint8 RGB, `visible[i]`, `occluder[i]` (h, w) bool; `inside` (h, w) bool is where the real
    frame lies; `areas` (T,) and `boxes` (T, 4) are the visible masks' in working pixels. `parts[i]` is the object
    cut out.
    """

    def __init__(self, scene: SceneLike):
        self.scene = scene
        track = scene.track
        spans = (track.boxes[:, 2:] - track.boxes[:, :2]).max(1)[track.areas > 0]
        longest = max(scene.width, scene.height)
        self.scale = min(1.0, OBJECT_SIZE / float(np.percentile(spans, 90)), LOOK_WIDTH / longest)
        self.width = max(1, round(scene.width * self.scale))
        self.height = max(1, round(scene.height * self.scale))
        self.areas = track.areas * self.scale**2
        self.boxes = (track.boxes + np.tile(scene.offset, 2)) * self.scale
        self.inside = self.shrink(scene.inside)
        self._small = Recent(lambda i: self.shrink(scene.frame(i)), keep=8)  # used but once
        part = 4 * int(np.percentile(np.prod(track.boxes[:, 2:] - track.boxes[:, :2], axis=1)[track.areas > 0], 90))
        self.parts = Recent(self._cut, min(COMPARED, 8 + PART_BYTES // part))
        self.visible = Recent(lambda i: self.shrink(scene.visible(i)), keep=COMPARED)
        nothing = np.zeros_like(self.inside)
        given = scene.given_occluders is not None
        self.occluder = Recent(lambda i: self.shrink(scene.occluder(i)) if given else nothing, keep=COMPARED)

    def frame(self, i: int) -> np.ndarray:
        """Frame i, (h, w, 3) uint8 RGB."""
        # parts are cut while the frame is at hand: to decode it again later would mean to go back in the video
        _ = self.parts[i]
        return self._small[i]

    def _cut(self, i: int) -> Parts:
        grey = cv2.cvtColor(self._small[i], cv2.COLOR_RGB2GRAY)
        return Parts(cut_out(self.scene.frame(i), self.scene.visible(i)), cut_out(grey, self.visible[i]))

    def shrink(self, image: np.ndarray) -> np.ndarray:
        """A canvas-sized picture or mask at working resolution."""
        size = (self.width, self.height)
        if image.shape[1::-1] == size:
            return image
        if image.dtype == bool:
            return cv2.resize(image.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 127
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    @property
    def to_canvas(self) -> np.ndarray:
        """3x3 map from working to canvas pixel coordinates (pixel centres at integers)."""
        sx, sy = self.scene.width / self.width, self.scene.height / self.height
        return np.array([[sx, 0, sx / 2 - 0.5], [0, sy, sy / 2 - 0.5], [0, 0, 1]])

    def whole_shot(self, i: int) -> range:
        """The shot that holds frame i."""
        return next(shot for shot in self.scene.shots if i in shot)

    def shot(self, i: int) -> range:
        """The part of frame i's shot within `WINDOW` frames."""
        shot = self.whole_shot(i)
        return range(max(shot.start, i - WINDOW), min(shot.stop, i + WINDOW + 1))
