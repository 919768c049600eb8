"""Type aliases shared by all modules. This module imports nothing from the package."""

from collections.abc import Callable

Point = tuple[float, float]
"""x, y in pixels."""

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels, ends exclusive."""

PixelBox = tuple[int, int, int, int]
"""A `Box` with integer corners."""

Progress = Callable[[str, int, int], None]
"""progress(stage, done, total): called as the work of a stage advances."""

FrameProgress = Callable[[int, int], None]
"""progress(done, total): called after each frame."""
