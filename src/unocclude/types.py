"""Types shared by all modules. This module imports nothing from the package."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

Point = tuple[float, float]
"""x, y in pixels."""

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels, ends exclusive."""

PixelBox = tuple[int, int, int, int]
"""A `Box` with integer corners."""

Coordinates = Sequence[float] | Sequence[Sequence[float]] | np.ndarray
"""One box or point, or a list of them, as users give them."""

Progress = Callable[[str, int, int], None]
"""progress(stage, done, total): called as the work of a stage advances."""


def no_progress(stage: str, done: int, total: int) -> None:
    """A `Progress` that shows nothing."""


FrameProgress = Callable[[int, int], None]
"""progress(done, total): called after each frame."""

MaskProgress = Callable[[int, int, bytes], None]
"""found(k, frame, counts): called with the mask, run-length encoded, that object k has in a frame so far."""


class SupportsArray(Protocol):
    """What NumPy can read: its own arrays, and tensors of torch and other libraries."""

    def __array__(self) -> Any: ...


class SupportsArrayInterface(Protocol):
    """What NumPy can read as well: images of PIL."""

    @property
    def __array_interface__(self) -> Any: ...


ArrayLike = np.ndarray | SupportsArray | SupportsArrayInterface
"""An array, or what NumPy can read as one."""


class _FrameFormat(Protocol):
    """The number, size and rate of frames."""

    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def fps(self) -> float: ...

    def __len__(self) -> int: ...


class FrameSource(_FrameFormat, Protocol):
    """What `media` gives for each kind of input: random access to frames, and their timing."""

    @property
    def times(self) -> Sequence[float]:
        """Presentation times in seconds."""
        ...

    def read(self, i: int) -> np.ndarray:
        """Frame i as (H, W, 3) uint8 RGB."""
        ...


@runtime_checkable
class TransparentSource(FrameSource, Protocol):
    """Frames that may be transparent."""

    def read_alpha(self, i: int) -> np.ndarray:
        """Alpha of frame i, (H, W) uint8; 255 everywhere where the file has none."""
        ...


class Images(Protocol):
    """Images with random access."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> np.ndarray: ...


class Frames(_FrameFormat, Images, Protocol):
    """Frames with random access, as a `Clip` has them: each (H, W, 3) uint8 RGB."""
