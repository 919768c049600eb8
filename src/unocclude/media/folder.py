"""Frames from image files: a folder of them, one of them, or one that is animated."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from unocclude.errors import InputError
from unocclude.media.files import natural_key
from unocclude.media.images import (
    SUFFIXES,
    image_size,
    open_image,
    orientation,
    read_image,
    to_rgb,
    upright,
)

DEFAULT_FPS = 24.0
_NO_DELAY = 0.1  # seconds: what browsers give a GIF frame that has no duration


class FolderFrames:
    """Image files as frames, one a file: (H, W, 3) uint8 RGB; a single image is a list of one.

    Raises InputError, naming the file, where one is no image or its size differs from the first one's. Only
    headers are read to find out.
    """

    def __init__(self, paths: Sequence[Path], fps: float = DEFAULT_FPS):
        self.paths = list(paths)
        self.fps = fps
        self.times: Sequence[float] = [i / fps for i in range(len(self.paths))]
        self.height, self.width = image_size(self.paths[0])
        for path in self.paths[1:]:
            height, width = image_size(path)
            if (height, width) != (self.height, self.width):
                raise InputError(
                    f"{path} is {width}x{height}, but {self.paths[0].name} is {self.width}x{self.height}; "
                    "all frames must have one size"
                )

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, i: int) -> np.ndarray:
        """Frame i, (H, W, 3) uint8 RGB, a fresh array; InputError where the file is damaged."""
        return read_image(self.paths[i])


class AnimatedFrames:
    """An animated GIF, APNG or WebP as frames: (H, W, 3) uint8 RGB on black, times from its durations."""

    def __init__(self, path: Path):
        self.path = path
        self._image = open_image(path)
        self._orientation = orientation(self._image)
        self.height, self.width = image_size(path)
        durations = [self._seek(i) for i in range(_frame_count(self._image))]
        ends = np.cumsum(durations)
        self.times: Sequence[float] = [0.0, *ends[:-1].tolist()]
        self.fps = len(durations) / float(ends[-1])

    def _seek(self, i: int) -> float:
        """Make frame i the current one; its duration in seconds."""
        if i < self._image.tell():  # Pillow's own way back fails in some APNGs
            self._image.close()
            self._image = open_image(self.path)
        try:
            self._image.seek(i)
            self._image.load()
        except (OSError, EOFError, SyntaxError, ValueError) as error:
            raise InputError(f"{self.path}: frame {i} is damaged ({error}); export the animation again") from error
        return self._image.info.get("duration", 0) / 1000 or _NO_DELAY

    def __len__(self) -> int:
        return len(self.times)

    def read(self, i: int) -> np.ndarray:
        """Frame i, (H, W, 3) uint8 RGB, a fresh array; going back decodes from the first frame."""
        self._seek(i)
        return upright(to_rgb(self._image, self.path), self._orientation)


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder in natural name order; hidden files and other kinds are left out.

    Raises InputError when there is none, or when one frame is there twice, as in `1.jpg` and `1.png`.
    """
    files = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    files = sorted((p for p in files if p.is_file()), key=lambda p: natural_key(p.name))
    if not files:
        below = [p.name for p in sorted(folder.iterdir()) if p.is_dir() and _holds_images(p)]
        remedy = f"its {', '.join(below[:5])} may be meant" if below else "give one with frames as PNG or JPEG files"
        raise InputError(f"{folder}: the folder holds no images; {remedy}")
    twice = next((pair for pair in pairwise(files) if pair[0].stem == pair[1].stem), None)
    if twice:
        raise InputError(f"{folder} holds both {twice[0].name} and {twice[1].name}; keep one file a frame")
    return files


def _holds_images(folder: Path) -> bool:
    return any(p.suffix.lower() in SUFFIXES for p in folder.iterdir())


def _frame_count(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1))


def is_animated(path: Path) -> bool:
    """Whether an image file is an animation of more than one frame (a TIFF of several pages is not)."""
    with open_image(path) as image:
        return image.format in ("GIF", "PNG", "WEBP", "AVIF") and _frame_count(image) > 1
