"""Clip: T frames of RGB, decoded on demand."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import overload

import numpy as np

from unocclude.errors import InputError, UnoccludeError
from unocclude.media.limits import check_rate, reason
from unocclude.types import FrameSource


class ArraySource:
    """Frames in memory."""

    def __init__(self, frames: Sequence[np.ndarray], fps: float = 24.0):
        self.frames = [np.ascontiguousarray(frame, dtype=np.uint8) for frame in frames]
        if not self.frames:
            raise InputError("a clip needs at least one frame")
        shapes = {frame.shape for frame in self.frames}
        shape = self.frames[0].shape
        if len(shapes) > 1 or len(shape) != 3 or shape[2] != 3:
            raise InputError(f"frames must all be (H, W, 3) of one size, got {sorted(shapes)}")
        self.height, self.width = shape[:2]
        self.fps = check_rate(float(fps))
        self.times = [i / self.fps for i in range(len(self.frames))]

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, i: int) -> np.ndarray:
        return self.frames[i]


class _Part:
    """Some frames of another clip."""

    def __init__(self, clip: "Clip", numbers: range):
        if not numbers or numbers.step < 1:
            raise InputError("a part of a clip needs at least one frame, in the clip's order")
        self._clip, self._numbers = clip, numbers
        self.height, self.width = clip.height, clip.width
        self.fps = clip.fps / numbers.step
        self.times = [clip.times[i] - clip.times[numbers.start] for i in numbers]

    def __len__(self) -> int:
        return len(self._numbers)

    def read(self, i: int) -> np.ndarray:
        return self._clip[self._numbers[i]].copy()


MAX_CACHED = 256
"""Maximum number of frames that a clip caches."""


class Clip:
    """T frames of H x W x 3 uint8 RGB with random access and a small cache; never the whole video in memory.

    `clip[i]` is frame i, (H, W, 3) uint8, read-only; threads may share it. `clip[a:b]` is a clip of these frames, which
    reads them from this one. `times` are presentation times in seconds.
    `path` is the file or folder it came from, None for frames in memory.
    """

    def __init__(
        self,
        source: FrameSource,
        path: Path | None = None,
        cache_bytes: int = 24 << 20,
        shots: Sequence[range] | None = None,
    ):
        self._source = source
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        self._cache_size = min(MAX_CACHED, max(4, cache_bytes // (source.height * source.width * 3)))
        self._lock = Lock()
        self.path = path
        self.height, self.width = source.height, source.width
        self.fps = check_rate(source.fps)
        self.times = source.times
        self._known_shots = None if shots is None else _checked_shots(shots, len(source))

    @classmethod
    def from_frames(
        cls, frames: "Sequence[np.ndarray] | np.ndarray", fps: float = 24.0, shots: Sequence[range] | None = None
    ) -> "Clip":
        """A clip of frames in memory: a sequence of (H, W, 3) uint8 arrays, or one (T, H, W, 3) array.

        shots: the ranges of frames between shot cuts, where they are known; else they are detected. Raises InputError
        unless all frames have one size and the shots follow each other from the first frame to the last.
        """
        return cls(ArraySource(list(frames), fps), shots=shots)

    def __len__(self) -> int:
        return len(self._source)

    @overload
    def __getitem__(self, i: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, i: slice) -> "Clip": ...
    def __getitem__(self, i: "int | slice") -> "np.ndarray | Clip":
        if isinstance(i, slice):
            return Clip(_Part(self, range(len(self))[i]))
        if not -len(self) <= i < len(self):
            raise IndexError(f"frame {i} of a clip of {len(self)} frames")
        i %= len(self)
        with self._lock:
            if i in self._cache:
                self._cache.move_to_end(i)
                return self._cache[i]
            frame = self._source.read(i)
            frame.setflags(write=False)
            self._cache[i] = frame
            if len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
            return frame

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    @property
    def frame_names(self) -> list[str] | None:
        """The file names of the frames, if each frame is a file of its own."""
        paths = getattr(self._source, "paths", None)
        return None if paths is None or len(paths) != len(self) else [path.name for path in paths]

    @cached_property
    def shots(self) -> list[range]:
        """Frame ranges between shot cuts (PySceneDetect); nothing is chained across a cut."""
        if self._known_shots is not None:
            return self._known_shots
        from unocclude.media.shots import find_shots

        return find_shots(self)

    def shot_of(self, i: int) -> range:
        """The shot that holds frame i."""
        return next(shot for shot in self.shots if i in shot)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the clip's content, for telling one input from another."""
        digest = hashlib.sha256(f"{len(self)}x{self.height}x{self.width}".encode())
        # hash only the files that are read, because other files in the folder may change
        files = getattr(self._source, "paths", None) or ([self.path] if self.path else [])
        for file in files:
            try:
                digest.update(_ends(file))
            except OSError as error:
                raise UnoccludeError(f"{file}: can no longer be read ({reason(error)}); start again") from error
        if not files:
            for frame in self:
                digest.update(frame.tobytes())
        return digest.hexdigest()[:16]


def _checked_shots(shots: Sequence[range], count: int) -> list[range]:
    ends = [0, *(shot.stop for shot in shots)]
    starts = [*(shot.start for shot in shots), count]
    if ends != starts or any(shot.step != 1 or not shot for shot in shots):
        raise InputError(f"shots {list(shots)} do not follow each other from frame 0 to frame {count - 1}")
    return list(shots)


def _ends(file: Path, amount: int = 1 << 20) -> bytes:
    """Size and first and last MiB of a file, to distinguish inputs without reading gigabytes."""
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        head = stream.read(amount)
        stream.seek(max(size - amount, amount if size > amount else size))
        return str(size).encode() + head + stream.read(amount)


def open(path: str | Path) -> Clip:
    """Open a video file, a folder of frames (in natural order), or one image (T = 1).

    Raises InputError if the path does not exist, is not readable, or has no frames.
    """
    from unocclude.media.source import open_source

    path = Path(path)
    return Clip(open_source(path), path)
