"""Frames from image files: a folder, a single image, or an animation."""

import warnings
from collections.abc import Sequence
from itertools import count, pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from unocclude.errors import InputError
from unocclude.media.exr import NOTE as EXR_NOTE
from unocclude.media.exr import is_exr
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
_NO_DELAY = 0.1  # seconds: the duration that browsers use for a GIF frame without one
_MIN_PIXELS = 20_000  # minimum cost of opening a frame of an animation, in pixels


class FolderFrames:
    """Image files as frames, one per file: (H, W, 3) uint8 RGB. A single image is a list of one.

    fps: frames per second; None if it is not known, then 24 are assumed. notes: what was assumed. Reads only the
    headers. Raises InputError, naming the file, if one is not an image, holds several (unless it is the only file), or
    differs in size from the first.
    """

    def __init__(self, paths: Sequence[Path], fps: float | None = None):
        self.paths = list(paths)
        self.fps = check_rate(DEFAULT_FPS if fps is None else fps)
        self.times: Sequence[float] = [i / self.fps for i in range(len(self.paths))]
        self._found = [identity(check_regular(path)) for path in self.paths]
        self.height, self.width = image_size(self.paths[0])
        self.notes = self._notes(fps)
        for path in self.paths if len(self.paths) > 1 else ():
            if is_animated(path):
                raise InputError(f"{path}: holds several pictures; a folder needs files of one frame each")
            height, width = image_size(path)
            if (height, width) != (self.height, self.width):
                raise InputError(
                    f"{path} is {width}x{height}, but {self.paths[0].name} is {self.width}x{self.height}; "
                    "all frames must have one size"
                )

    def _notes(self, fps: float | None) -> tuple[str, ...]:
        rate = f"{self.fps:g} frames a second were assumed; give the rate with --fps (fps= in Python)"
        assumed = (rate,) if fps is None and len(self.paths) > 1 else ()
        return (*assumed, EXR_NOTE) if any(map(is_exr, self.paths)) else assumed

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, i: int) -> np.ndarray:
        """Frame i, a new array (H, W, 3) uint8 RGB.

        Raises InputError if the file is damaged, UnoccludeError if it changed since it was opened.
        """
        path = self.paths[i]
        check_unchanged(path, self._found[i], i)
        try:
            frame = read_image(path)
        finally:  # even after an error, because a file that is being written looks damaged
            check_unchanged(path, self._found[i], i)
        if frame.shape[:2] != (self.height, self.width):
            raise InputError(f"{path}: the image is damaged (its size is not the one in its header); save it again")
        return frame


class AnimatedFrames:
    """The frames of an animated GIF, APNG or WebP: (H, W, 3) uint8 RGB on black, with times from their durations."""

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
            # the default image of an APNG, for viewers without animation, is not a frame
            self._first = 1 if getattr(self._image, "default_image", False) else 0
            durations = self._durations()
        ends = np.cumsum(durations)
        self.times: Sequence[float] = [0.0, *ends[:-1].tolist()]
        self.fps = clamp_rate(len(durations) / float(ends[-1]))

    def _durations(self) -> list[float]:
        """The duration of each frame in seconds. This decodes all frames, so their total size is limited."""
        # counting the frames of a GIF would read all of it, so read until its end instead
        announced = None if self._image.format == "GIF" else _frame_count(self._image) - self._first
        cost = max(self.height * self.width, _MIN_PIXELS)
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
        """Seek to frame i and return its duration in seconds; None after the last frame."""
        if i + self._first < self._image.tell():  # seeking back in Pillow fails for some APNGs
            self._image.close()
            self._image = open_image(self.path)
        with decoding(self.path, f"frame {i} is damaged", "export the animation again"):
            try:
                self._image.seek(i + self._first)
            except EOFError:
                return None
            if self._image.size != self._size:  # Pillow enlarges the image for frames beyond the canvas of a GIF
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
        """Frame i, a new array (H, W, 3) uint8 RGB. Reading an earlier frame decodes from the first one again."""
        check_unchanged(self.path, self._found, i)
        if self._seek(i) is None:
            raise InputError(f"{self.path}: frame {i} is damaged; export the animation again")
        with decoding(self.path, f"frame {i} is damaged", "export the animation again"):
            return upright(to_rgb(self._image, self.path, managed=True), self._orientation)

    def read_alpha(self, i: int) -> np.ndarray:
        """Alpha of frame i, (H, W) uint8; 255 everywhere in a GIF, whose transparency means "as before"."""
        check_unchanged(self.path, self._found, i)
        if self._seek(i) is None:
            raise InputError(f"{self.path}: frame {i} is damaged; export the animation again")
        with decoding(self.path, f"frame {i} is damaged", "export the animation again"):
            if self._image.format == "GIF" or self._image.mode not in ("RGBA", "LA"):
                return np.full((self.height, self.width), 255, np.uint8)
            return upright(np.array(self._image.getchannel("A")), self._orientation)


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder in natural order, except hidden ones.

    Raises InputError if there are none, or if two have the same stem, such as `1.jpg` and `1.png`. Does not check that
    they are regular files; the readers do.
    """
    files = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    files = sorted((p for p in files if not p.is_dir()), key=lambda p: natural_key(p.name))
    if not files:
        below = [p.name for p in sorted(folder.iterdir()) if p.is_dir() and _holds_images(p)]
        remedy = f"give one of its {', '.join(below[:5])}" if below else "give one with frames as PNG or JPEG files"
        raise InputError(f"{folder}: the folder holds no images; {remedy}")
    twice = next((pair for pair in pairwise(files) if pair[0].stem == pair[1].stem), None)
    if twice:
        raise InputError(f"{folder} holds both {twice[0].name} and {twice[1].name}; keep one file per frame")
    return files


def _holds_images(folder: Path) -> bool:
    return any(p.suffix.lower() in SUFFIXES for p in folder.iterdir())


def _frame_count(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1))


def is_animated(path: Path) -> bool:
    """Whether an image file is an animation with more than one frame.

    Raises InputError for a TIFF with several pages of one size, which is ambiguous.
    """
    if is_exr(path):
        return False
    with open_image(path) as image, decoding(path, "the image is damaged", "save it again"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about large pages
        if image.format == "TIFF" and _is_stack(image):
            raise InputError(f"{path}: a TIFF of several pages; save them as a folder of frames, or one as an image")
        return image.format in ("GIF", "PNG", "WEBP", "AVIF") and bool(getattr(image, "is_animated", False))


def _is_stack(image: Image.Image) -> bool:
    """Whether the second page of a TIFF has the size of the first. Smaller pages are thumbnails and are ignored."""
    size = image.size
    try:
        image.seek(1)
    except Exception:  # EOFError if there is no second page, anything if it is damaged
        return False
    return image.size == size
