"""Frames from image files: a folder of them, one of them, or one that is animated."""

import warnings
from collections.abc import Sequence
from itertools import count, pairwise
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
from unocclude.media.limits import (
    MAX_ANIMATION,
    MAX_HEAVY,
    check_rate,
    check_regular,
    check_unchanged,
    clamp_rate,
    decoding,
    identity,
    too_large_message,
)

DEFAULT_FPS = 24.0
_NO_DELAY = 0.1  # seconds: what browsers give a GIF frame that has no duration
_LEAST_PIXELS = 20_000  # what a frame of an animation costs to open, however small it is


class FolderFrames:
    """Image files as frames, one a file: (H, W, 3) uint8 RGB; a single image is a list of one.

    Raises InputError, naming the file, where one is no image or its size differs from the first one's. Only
    headers are read to find out.
    """

    def __init__(self, paths: Sequence[Path], fps: float = DEFAULT_FPS):
        self.paths = list(paths)
        self.fps = check_rate(fps)
        self.times: Sequence[float] = [i / fps for i in range(len(self.paths))]
        self._found = [identity(check_regular(path)) for path in self.paths]
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
        """Frame i, (H, W, 3) uint8 RGB, a fresh array.

        Raises InputError where the file is damaged, UnoccludeError where it is no longer the one that was opened.
        """
        path = self.paths[i]
        check_unchanged(path, self._found[i], i)
        try:
            frame = read_image(path)
        finally:  # whatever came of it: a file that is being written reads as a damaged one
            check_unchanged(path, self._found[i], i)
        if frame.shape[:2] != (self.height, self.width):
            raise InputError(f"{path}: the image is damaged (its size is not the one in its header); save it again")
        return frame


class AnimatedFrames:
    """An animated GIF, APNG or WebP as frames: (H, W, 3) uint8 RGB on black, times from its durations."""

    def __init__(self, path: Path):
        self.path = path
        self._found = identity(check_regular(path))
        self._image = open_image(path)
        self._size = self._image.size
        self._orientation = orientation(self._image)
        self.height, self.width = image_size(path)
        if self.height * self.width > MAX_HEAVY:
            raise InputError(
                f"{path}: {too_large_message(f'{self.width}x{self.height}', MAX_HEAVY)} or save it as a video"
            )
        with decoding(path, "the animation is damaged", "export it again"):
            # the still picture of an APNG for viewers that cannot animate is no frame of it
            self._first = 1 if getattr(self._image, "default_image", False) else 0
            durations = self._durations()
        ends = np.cumsum(durations)
        self.times: Sequence[float] = [0.0, *ends[:-1].tolist()]
        self.fps = clamp_rate(len(durations) / float(ends[-1]))

    def _durations(self) -> list[float]:
        """The duration of every frame in seconds; they are known only after decoding, so that pixels are counted."""
        # Counting a GIF's frames goes through all of it, so that its end is found on the way.
        announced = None if self._image.format == "GIF" else _frame_count(self._image) - self._first
        cost = max(self.height * self.width, _LEAST_PIXELS)
        durations: list[float] = []
        for i in count() if announced is None else range(announced):
            if max(i + 1, announced or 0) * cost > MAX_ANIMATION:
                raise InputError(
                    f"{self.path}: over {MAX_ANIMATION // cost} frames of {self.width}x{self.height} are too many for "
                    "an animation; convert it to a video or to a folder of frames"
                )
            duration = self._seek(i)
            if duration is None:
                break
            durations.append(duration)
        if not durations or len(durations) < (announced or 0):
            raise InputError(f"{self.path}: frame {len(durations)} is damaged; export the animation again")
        return durations

    def _seek(self, i: int) -> float | None:
        """Make frame i the current one; its duration in seconds, None behind the last one."""
        if i + self._first < self._image.tell():  # Pillow's own way back fails in some APNGs
            self._image.close()
            self._image = open_image(self.path)
        with decoding(self.path, f"frame {i} is damaged", "export the animation again"):
            try:
                self._image.seek(i + self._first)
            except EOFError:
                return None
            if self._image.size != self._size:  # Pillow makes room for what reaches beyond a GIF's canvas
                width, height = self._image.size
                raise InputError(
                    f"{self.path}: frame {i} reaches beyond the picture ({width}x{height}); export it again"
                )
            self._image.load()
        duration = self._image.info.get("duration", 0)
        sensible = isinstance(duration, int | float) and 0 < duration < 1e9
        return duration / 1000 if sensible else _NO_DELAY

    def __len__(self) -> int:
        return len(self.times)

    def read(self, i: int) -> np.ndarray:
        """Frame i, (H, W, 3) uint8 RGB, a fresh array; going back decodes from the first frame."""
        check_unchanged(self.path, self._found, i)
        if self._seek(i) is None:
            raise InputError(f"{self.path}: frame {i} is damaged; export the animation again")
        with decoding(self.path, f"frame {i} is damaged", "export the animation again"):
            return upright(to_rgb(self._image, self.path), self._orientation)


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder in natural name order; hidden files and other kinds are left out.

    Raises InputError when there is none, or when one frame is there twice, as in `1.jpg` and `1.png`. That they are
    plain files is for their readers to check.
    """
    files = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    files = sorted((p for p in files if not p.is_dir()), key=lambda p: natural_key(p.name))
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
    """Whether an image file is an animation of more than one frame.

    Raises InputError for a TIFF of several pages of one size: which of them is meant, nobody can tell.
    """
    with open_image(path) as image, decoding(path, "the image is damaged", "save it again"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of pages that are large
        if image.format == "TIFF" and _is_stack(image):
            raise InputError(f"{path}: a TIFF of several pages; save them as a folder of frames, or one as an image")
        return image.format in ("GIF", "PNG", "WEBP", "AVIF") and bool(getattr(image, "is_animated", False))


def _is_stack(image: Image.Image) -> bool:
    """Whether the second page is as large as the first; thumbnails are smaller, and stay unread."""
    size = image.size
    try:
        image.seek(1)
    except Exception:  # EOFError where there is none, anything where it is damaged
        return False
    return image.size == size
