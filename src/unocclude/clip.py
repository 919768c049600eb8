"""Clip: T frames of RGB, decoded on demand."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, overload

import numpy as np

from unocclude.errors import InputError, UnoccludeError
from unocclude.media.in_memory import to_frames
from unocclude.media.limits import check_rate, reason
from unocclude.media.signal import Signal
from unocclude.types import ArrayLike, FrameSource


class ArraySource:
    """Frames in memory; see `media.in_memory.to_frames` for what they may be."""

    def __init__(self, frames: ArrayLike | Iterable[ArrayLike], fps: float = 24.0):
        self.frames = to_frames(frames)
        self.height, self.width = self.frames[0].shape[:2]
        self.fps = check_rate(float(fps))
        self.times = [i / self.fps for i in range(len(self.frames))]

    def __len__(self) -> int:
        return len(self.frames)

    def read(self, i: int) -> np.ndarray:
        return self.frames[i].view()  # a clip makes what it reads read-only, which the caller's array must not become


class _Part:
    """Some frames of another clip."""

    def __init__(self, clip: "Clip", numbers: range):
        if not numbers or numbers.step < 1:
            raise InputError("a part of a clip needs at least one frame, in the clip's order")
        self._clip, self._numbers = clip, numbers
        self.height, self.width = clip.height, clip.width
        self.fps = clip.fps / numbers.step
        self.times = [clip.times[i] - clip.times[numbers.start] for i in numbers]
        self.notes, self.signal = clip.notes, clip.signal

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
    `path` is the file or folder it came from, None for frames in memory. `names` are the names of the image files
    without suffix; None for a video and for frames in memory. `notes` are plain sentences on what was assumed or may be
    wrong. `signal` has a video's tags of aspect and colour, else None. A clip that was opened in part has the frames
    `numbers` of the `total` frames of the file; else `numbers` is None. `reopen` opens the clip on another machine,
    which may not have the file.
    """

    reopen: Callable[[], "Clip"] | None = None

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
        paths = getattr(source, "paths", None)
        self.names: tuple[str, ...] | None = tuple(file.stem for file in paths) if paths else None
        self.height, self.width = source.height, source.width
        self.fps = check_rate(source.fps)
        self.times = source.times
        self.notes: tuple[str, ...] = getattr(source, "notes", ())
        self.numbers: range | None = getattr(source, "numbers", None)
        self.total: int = getattr(source, "total", len(source))
        self.signal: Signal | None = getattr(source, "signal", None)
        self._known_shots = None if shots is None else _checked_shots(shots, len(source))

    @classmethod
    def from_frames(
        cls, frames: ArrayLike | Iterable[ArrayLike], fps: float = 24.0, shots: Sequence[range] | None = None
    ) -> "Clip":
        """A clip of frames in memory.

        frames: (T, H, W, 3) uint8 RGB, or a list or iterator of (H, W, 3); or one still (H, W, 3). They may be NumPy
        arrays, PIL images or tensors. Floats from 0 to 1 or from 0 to 255, grey frames, RGBA (composited on black) and
        channels first, (T, 3, H, W), are converted. BGR frames, as OpenCV reads them, look like any others: turn them
        into RGB with frames[..., ::-1]. fps: frames per second. shots: the ranges of frames between shot cuts, where
        they are known; else they are detected.

        Raises InputError for other shapes and values, for frames of several sizes, and for shots that do not follow
        each other from the first frame to the last.
        """
        return cls(ArraySource(frames, fps), shots=shots)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return super().__reduce_ex__(protocol) if self.reopen is None else (self.reopen, ())

    def __getstate__(self) -> dict[str, Any]:
        """For worker processes: without cached frames, and with the shots, so that they are not searched for again."""
        self._known_shots = self.shots
        return {name: value for name, value in vars(self).items() if name not in ("_cache", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _cache=OrderedDict(), _lock=Lock())

    def __len__(self) -> int:
        return len(self._source)

    def __repr__(self) -> str:
        name = f"{self.path.name!r}, " if self.path is not None else ""
        return f"Clip({name}{len(self)} frames, {self.width}x{self.height}, {self.fps:.5g} fps)"

    def _repr_html_(self) -> str:
        """Some frames, for notebooks."""
        from unocclude.media.contact_sheet import contact_sheet

        return contact_sheet(self, repr(self))

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
    def is_constant_rate(self) -> bool:
        """Whether the frames are evenly spaced by 1 / fps, to a millisecond."""
        return all(abs(time - i / self.fps) < 1e-3 for i, time in enumerate(self.times))

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
        if self.numbers is not None:
            digest.update(str(self.numbers).encode())
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


def as_clip(frames: Clip | ArrayLike | Iterable[ArrayLike]) -> Clip:
    """A clip as it is, or a clip of frames in memory (`Clip.from_frames`)."""
    return frames if isinstance(frames, Clip) else Clip.from_frames(frames)


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


def open(
    source: str | Path | Clip | ArrayLike | Iterable[ArrayLike],
    *,
    fps: float | None = None,
    start: int = 0,
    end: int | None = None,
) -> Clip:
    """Open a video file, a folder of frames (in natural order), or one image (T = 1); or take frames from memory.

    source: a path; or what `Clip.from_frames` takes; a `Clip` stays as it is. fps: frames per second of a folder or of
    frames in memory, which have no rate of their own; 24 are assumed without it. start, end: open only the frames from
    `start` to before `end`, numbered from 0.

    Raises InputError if the path does not exist, is not readable, or has no frames; if there are no such frames; if
    `fps` is given for a video; and as `Clip.from_frames` does.
    """
    if not isinstance(source, str | Path):
        clip = as_clip(source) if fps is None else Clip.from_frames(source, fps)
        return clip if (start, end) == (0, None) else clip[start:end]
    from unocclude.media.source import open_source

    path = Path(source)
    return Clip(open_source(path, fps, start, end), path)
