"""The scene at a working resolution: what all motion analysis looks at."""

from collections import OrderedDict
from collections.abc import Callable
from threading import RLock
from typing import Generic, Protocol, TypeVar

import cv2
import numpy as np

from unocclude.masks import MaskTrack

OBJECT_SIZE = 176
"""Working pixels along the longer side of a typical box of the object."""

LOOK_WIDTH = 640
"""Working pictures are at most this long, so that their memory is bounded whatever the size of the object."""

WINDOW = 24
"""A frame looks at all frames within this distance, and further only for the nearest that show the object well."""

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

    def __init__(self, function: Callable[[int], T], keep: int = 3 * WINDOW + 8):
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


class Working:
    """Frames and masks of a scene, scaled so that the object is about `OBJECT_SIZE` pixels long; never enlarged.

    `frame[i]` (h, w, 3) uint8 RGB, `visible[i]`, `occluder[i]` (h, w) bool; `inside` (h, w) bool is where the real
    frame lies; `areas` (T,) and `boxes` (T, 4) are the visible masks' in working pixels.
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
        self.frame = Recent(lambda i: self.shrink(scene.frame(i)))
        self.visible = Recent(lambda i: self.shrink(scene.visible(i)))
        nothing = np.zeros_like(self.inside)
        given = scene.given_occluders is not None
        self.occluder = Recent(lambda i: self.shrink(scene.occluder(i)) if given else nothing)

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
