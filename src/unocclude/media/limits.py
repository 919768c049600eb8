"""Checks shared by all readers: size limits, regular files only, and one-line errors for decoder exceptions."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from unocclude.errors import InputError, UnoccludeError

# All limits are far above what cameras, editors and this package write. They keep a reader below 2 GB and 10 seconds
# whatever a file claims. A small file can claim anything, so no limit depends on the file's size.
MAX_PIXELS = 100_000_000  # per frame: 300 MB as RGB, of which a decoder needs two or three copies
MAX_ANIMATION = 750_000_000  # pixels of all frames of an animation, which are decoded on opening: 15 s of 1080p
MAX_HEAVY = 32_000_000  # pixels of an image or animation whose decoder needs over 12 bytes per pixel
MAX_FRAMES = 2_000_000  # per clip, 23 hours at 24 fps; the index of a video needs about 300 bytes per frame
MAX_DECODED = 1 << 30  # bytes of data that must be in memory as a whole: a clip of a shard, an array in Fortran order
MIN_RATE, MAX_RATE = 0.001, 1000.0  # fps that all video formats support
MAX_GAP = 6 * 3600  # seconds between two frames; video writers are limited to 2 ** 31 ticks of 1 / 90,000 s
BLOCK_PIXELS = 250_000  # block size for arithmetic on images, so that intermediate results are small
LARGE_PIXELS = 16_000_000  # larger images are also converted from Pillow in blocks

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_KINDS = {
    stat.S_ISFIFO: "a pipe cannot be read (random access is needed); save it to a file first",
    stat.S_ISSOCK: "a socket cannot be read; save what it sends to a file first",
    stat.S_ISCHR: "a device cannot be read (random access is needed); save what it gives to a file first",
    stat.S_ISBLK: "a device cannot be read; give a file on it",
    stat.S_ISDIR: "a folder, where a file is expected; give the file itself",
}

Identity = tuple[int, int, int, int]


def too_large_message(size: str = "the frame", most: int = MAX_PIXELS) -> str:
    """The message for a frame with too many pixels."""
    return f"{size} is over the limit of {most // 1_000_000} megapixels per frame; scale it down"


def check_name(path: Path) -> None:
    """Raise InputError if a path contains unprintable characters or line breaks."""
    if _UNPRINTABLE.search(str(path)):
        raise InputError(f"{str(path)!a}: the name has characters that cannot be shown; rename it")


def check_path(path: Path) -> os.stat_result:
    """Get the status of a file or folder without opening it.

    Raises InputError if it does not exist or is not accessible, or as in `check_name`.
    """
    check_name(path)
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: there is no such file or folder; check the path") from None
    except PermissionError:
        raise InputError(f"{path}: no permission to read it; change its permissions") from None
    except OSError as error:
        raise InputError(f"{str(path)[:200]}: cannot be looked up ({error.strerror}); check the path") from None


def check_regular(path: Path) -> os.stat_result:
    """As `check_path`, but also raises InputError unless the path is a regular file.

    Pipes, sockets and devices are refused without opening them, which could block forever.
    """
    found = check_path(path)
    if not stat.S_ISREG(found.st_mode):
        told = next((words for test, words in _KINDS.items() if test(found.st_mode)), "not a regular file; give one")
        raise InputError(f"{path}: {told}")
    return found


def identity(found: os.stat_result) -> Identity:
    """Attributes that change if a file is replaced or rewritten."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def check_unchanged(path: Path, before: Identity, i: int) -> None:
    """Raise UnoccludeError if the file of frame i has changed since it was opened."""
    try:
        now = identity(path.stat())
    except OSError:
        now = None
    if now != before:
        raise UnoccludeError(
            f"frame {i} changed while it was being read: {path}; start again when no other program writes to it"
        )


def check_rate(fps: float) -> float:
    """Return `fps`; raises InputError if it is out of range."""
    if not MIN_RATE <= fps <= MAX_RATE:
        raise InputError(f"{fps:g} frames a second; give a frame rate from {MIN_RATE:g} to {MAX_RATE:g}")
    return fps


def clamp_rate(fps: float) -> float:
    """Clamp a frame rate from a file to the supported range; it does not matter much, because frames have times."""
    return min(max(fps, MIN_RATE), MAX_RATE)


def check_times(path: Path, times: Sequence[float]) -> None:
    """Raise InputError if two consecutive frames are too far apart. times: in seconds, ascending."""
    i, gap = max(enumerate((b - a for a, b in pairwise(times)), 1), key=lambda pair: pair[1], default=(0, 0.0))
    if not gap <= MAX_GAP:
        raise InputError(
            f"{path}: frame {i} comes {gap / 3600:.0f} hours after the one before; correct its time stamps"
        )


@contextmanager
def decoding(path: Path, fault: str, remedy: str) -> Iterator[None]:
    """Convert any exception of a decoder to InputError: `path: fault (the decoder's message); remedy`.

    All exceptions are caught: Pillow's plugins alone raise struct.error, IndexError, KeyError, ZeroDivisionError,
    OverflowError, MemoryError, RecursionError and more.
    """
    try:
        yield
    except UnoccludeError:
        raise
    except Exception as error:
        raise InputError(f"{path}: {fault} ({reason(error)}); {remedy}") from error


def reason(error: BaseException) -> str:
    """The message of an exception as one short line."""
    words = str(getattr(error, "strerror", None) or error).strip() or type(error).__name__
    if isinstance(error, KeyError | MemoryError):  # their messages are meaningless without the name
        words = f"{type(error).__name__} {error}".strip()
    return _UNPRINTABLE.sub("?", words.splitlines()[0])[:200]
