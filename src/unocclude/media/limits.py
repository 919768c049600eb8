"""What every reader holds its input to: limits, plain files only, and one line for whatever a decoder throws."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from unocclude.errors import InputError, UnoccludeError

# Every limit is far above what cameras, editors and this package write, and keeps a reader under 2 GB and 10 seconds
# whatever a file claims. A small file can claim anything, so none of them depends on the file's size.
MAX_PIXELS = 100_000_000  # a frame; as RGB it is 300 MB, and a decoder holds it two or three times
MAX_ANIMATION = 750_000_000  # pixels of all frames of an animation, which opening it has to decode: 15 s of 1080p
MAX_HEAVY = 32_000_000  # pixels of an image or animation whose decoder takes over 12 bytes a pixel
MAX_FRAMES = 2_000_000  # of a clip, 23 hours at 24 a second; the index of a video holds about 300 bytes a frame
MAX_DECODED = 1 << 30  # bytes of what has to be in memory as a whole: a clip of a shard, an array stored by columns
MIN_RATE, MAX_RATE = 0.001, 1000.0  # frames a second that every kind of video can be written with
MAX_GAP = 6 * 3600  # seconds from frame to frame; what videos are written with holds 2 ** 31 ticks of 1 / 90,000
BLOCK_PIXELS = 250_000  # sums on images go by blocks of rows: what is needed in between stays small, and in the cache
LARGE_PIXELS = 16_000_000  # from here on, an image is taken over from Pillow by such blocks, too

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
    """What to tell about a frame that has too many pixels."""
    return f"{size} is over the limit of {most // 1_000_000} megapixels per frame; scale it down"


def check_name(path: Path) -> None:
    """Raise InputError when a path has characters that cannot be shown in a line."""
    if _UNPRINTABLE.search(str(path)):
        raise InputError(f"{str(path)!a}: the name has characters that cannot be shown; rename it")


def check_path(path: Path) -> os.stat_result:
    """What the file system tells of a file or folder, without opening it.

    Raises InputError when it does not exist or may not be looked at, or when its name cannot be shown in a line.
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
    """`check_path` for what has to be a plain file.

    Pipes, sockets and devices are refused without opening them, which could block for ever.
    """
    found = check_path(path)
    if not stat.S_ISREG(found.st_mode):
        told = next((words for test, words in _KINDS.items() if test(found.st_mode)), "not a plain file; give a file")
        raise InputError(f"{path}: {told}")
    return found


def identity(found: os.stat_result) -> Identity:
    """What tells a file from one that took its place or was written again."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def check_unchanged(path: Path, before: Identity, i: int) -> None:
    """Raise UnoccludeError when the file that frame i comes from is no longer the one that was opened."""
    try:
        now = identity(path.stat())
    except OSError:
        now = None
    if now != before:
        raise UnoccludeError(
            f"frame {i} changed while it was being read: {path}; start again when nothing writes to it any more"
        )


def check_rate(fps: float) -> float:
    """`fps` as it is; InputError where no clip can have that frame rate."""
    if not MIN_RATE <= fps <= MAX_RATE:
        raise InputError(f"{fps:g} frames a second; give a frame rate from {MIN_RATE:g} to {MAX_RATE:g}")
    return fps


def clamp_rate(fps: float) -> float:
    """The frame rate nearest to `fps` that a clip can have: what a file says of it is no reason to refuse it, since
    its frames have times of their own."""
    return min(max(fps, MIN_RATE), MAX_RATE)


def check_times(path: Path, times: Sequence[float]) -> None:
    """Raise InputError for time stamps, in ascending order, that no clip can have."""
    i, gap = max(enumerate((b - a for a, b in pairwise(times)), 1), key=lambda pair: pair[1], default=(0, 0.0))
    if not gap <= MAX_GAP:
        raise InputError(
            f"{path}: frame {i} comes {gap / 3600:.0f} hours after the one before; correct its time stamps"
        )


@contextmanager
def decoding(path: Path, told: str, remedy: str) -> Iterator[None]:
    """Turn whatever a decoder throws at a damaged file into an InputError: `path: told (its own words); remedy`.

    Pillow's plugins alone raise struct.error, IndexError, KeyError, ZeroDivisionError, OverflowError, MemoryError,
    RecursionError and more; no list of them is ever complete.
    """
    try:
        yield
    except UnoccludeError:
        raise
    except Exception as error:
        raise InputError(f"{path}: {told} ({reason(error)}); {remedy}") from error


def reason(error: BaseException) -> str:
    """An error's own words in one short line."""
    words = str(getattr(error, "strerror", None) or error).strip() or type(error).__name__
    if isinstance(error, KeyError | MemoryError):  # their words say nothing without the name
        words = f"{type(error).__name__} {error}".strip()
    return _UNPRINTABLE.sub("?", words.splitlines()[0])[:200]
