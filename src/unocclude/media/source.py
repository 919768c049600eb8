"""Detect the type of an input and open it."""

import stat
import warnings
from pathlib import Path

from PIL import Image

from unocclude.errors import InputError
from unocclude.media.exr import is_exr
from unocclude.media.folder import AnimatedFrames, FolderFrames, image_files, is_animated
from unocclude.media.images import FORMATS, SUFFIXES, is_heif, open_image
from unocclude.media.limits import check_path, check_regular, reason
from unocclude.media.part import FramesPart
from unocclude.types import FrameSource


def open_source(path: str | Path, fps: float | None = None, start: int = 0, end: int | None = None) -> FrameSource:
    """Open a folder of frames, an image (T = 1), an animation or a video file. Frames are (H, W, 3) uint8 RGB.

    The type of a file is detected from its content, not its name. fps: frames per second of images. start, end: only
    the frames from `start` to before `end`. Raises InputError if the path does not exist or is not readable, is empty,
    is not an image or video, is truncated or damaged, has frames of several sizes, or has more than 100 megapixels per
    frame; if there are no such frames; or if `fps` is given for a file that has its own rate.
    """
    path = Path(path)
    source = _open(path, fps)
    if fps is not None and not isinstance(source, FolderFrames):
        raise InputError(f"{path}: has its own frame rate, {source.fps:g}; --fps is only for images, leave it out")
    return source if start == 0 and end is None else FramesPart(source, start, end)


def _open(path: Path, fps: float | None) -> FrameSource:
    found = check_path(path)
    try:
        if stat.S_ISDIR(found.st_mode):
            return FolderFrames(image_files(path), fps)
        if check_regular(path).st_size == 0:
            raise InputError(f"{path}: the file is empty; export or copy it again")
        if is_image(path):
            return AnimatedFrames(path) if is_animated(path) else FolderFrames([path], fps)
    except PermissionError:
        raise InputError(f"{path}: no permission to read it; change its permissions") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)}); check the disk or copy it") from error

    from unocclude.media.video import VideoFrames  # loads PyAV, which most images do not need

    try:
        return VideoFrames(path)
    except InputError:
        if path.suffix.lower() in SUFFIXES:  # raises the error for images
            open_image(path)
        raise


def is_image(path: Path) -> bool:
    """Whether the content of a file is an image, whatever its name; also a HEIC, which no reader supports."""
    check_regular(path)
    if is_exr(path) or is_heif(path):
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the readers report what is wrong
            Image.open(path, formats=FORMATS).close()
    except (Image.DecompressionBombError, PermissionError):
        return True
    except Exception:  # see `limits.decoding`
        return False
    return True
