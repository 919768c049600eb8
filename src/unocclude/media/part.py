"""A part of a clip's frames."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unocclude.errors import InputError
from unocclude.media.signal import Signal
from unocclude.types import FrameSource


class FramesPart:
    """The frames start to end - 1 of another source, with times from 0. Raises InputError if there are none.

    numbers: the frames' numbers in the other source. total: the number of its frames. notes, signal, origin: as in the
    other source, where it has them (see `VideoFrames`).
    """

    def __init__(self, source: FrameSource, start: int = 0, end: int | None = None):
        count = len(source)
        self.numbers = range(start, count if end is None else end)
        if not 0 <= start < self.numbers.stop <= count:
            raise InputError(
                f"there are no frames {start} to {self.numbers.stop}: the clip has {count}, numbered from 0; "
                "give a start, and an end after it, within the clip"
            )
        self._source, self.total = source, count
        self.height, self.width, self.fps = source.height, source.width, source.fps
        self.times: Sequence[float] = [source.times[i] - source.times[start] for i in self.numbers]
        self.notes: tuple[str, ...] = getattr(source, "notes", ())
        self.signal: Signal | None = getattr(source, "signal", None)
        self.origin: float = getattr(source, "origin", 0.0) + source.times[start]

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def paths(self) -> list[Path] | None:
        """The files of these frames, where each has one."""
        paths = getattr(self._source, "paths", None)
        return paths and paths[self.numbers.start : self.numbers.stop]

    def read(self, i: int) -> np.ndarray:
        """Frame i of the part, a new array (H, W, 3) uint8 RGB."""
        return self._source.read(self.numbers[i])
