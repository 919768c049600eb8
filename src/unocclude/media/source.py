"""Decide what an input is, and open it."""

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from unocclude.errors import InputError
from unocclude.media.folder import AnimatedFrames, FolderFrames, image_files, is_animated
from unocclude.media.images import FORMATS, SUFFIXES

if TYPE_CHECKING:
    from unocclude.clip import FrameSource


def open_source(path: str | Path) -> "FrameSource":
    """Open a folder of frames, an image (T = 1, or its frames where it is animated) or a video file.

    What a file is, is decided by its content, not by its name. Frames come as (H, W, 3) uint8 RGB.
    Raises InputError, in one plain line with a remedy, when there is nothing to read or it cannot be read: no
    such path, an empty folder or file, no image or video, a damaged image (named), frames of several sizes
    (the first odd one named), no frames, a truncated video, more than 100 megapixels per frame.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; check the path")
    try:
        if path.is_dir():
            return FolderFrames(image_files(path))
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty; export or copy it again")
        if is_image(path):
            return AnimatedFrames(path) if is_animated(path) else FolderFrames([path])
    except PermissionError:
        raise InputError(f"{path}: no permission to read it; change its permissions") from None

    from unocclude.media.video import VideoFrames  # loads PyAV, which images do without

    return VideoFrames(path)


def is_image(path: Path) -> bool:
    """Whether a file is an image by its content, or claims to be one by its name."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        Image.open(path, formats=FORMATS).close()
    except Image.DecompressionBombError:
        return True
    except (OSError, SyntaxError, ValueError):
        return False
    return True
