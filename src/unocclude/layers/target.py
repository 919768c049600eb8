"""The file or folder that layers are written to: checked first, and written by one process at a time."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from unocclude.errors import InputError, UnoccludeError
from unocclude.layout import LAYERS_FILE, RESULT_FILE, is_named
from unocclude.lock import Lock
from unocclude.media import files


def check_target(folder: Path, file: Path, overwrite: bool, first: Path | None = None) -> None:
    """Raise InputError if writing `file` would replace a part of the result in `folder`, or any file without
    `overwrite`. first: the first file that is written, if that is another one."""
    out, place = folder.resolve(), file.resolve()
    if place.is_relative_to(out):
        inside = place.relative_to(out)
        if is_named(inside, LAYERS_FILE) or is_named(inside, RESULT_FILE):
            raise InputError(f"{file} is part of the result itself; give another name")
    if not file.absolute().parent.is_dir():
        raise InputError(f"{file}: the folder {file.parent} does not exist; make it first")
    first = first or file
    if first.exists() and not overwrite:
        raise InputError(f"{first} exists; use --overwrite to replace it, or give another name")


@contextmanager
def writing(file: Path) -> Iterator[None]:
    """Lock `file` while it is written; disk errors become UnoccludeError."""
    lock = Lock.of_file(file)
    lock.take()
    try:
        yield
    except OSError as error:
        raise UnoccludeError(f"could not write {file}: {error.strerror or error}") from error
    finally:
        lock.release()


@contextmanager
def whole_folder(place: Path, folder: Path | None = None) -> Iterator[Path]:
    """Yield a temporary folder beside `place`; on success its files are moved to `folder` (by default `place`), on
    failure nothing is.

    Files of the same names are replaced, and others stay.
    """
    folder = folder or place
    part = files.temporary(place)
    part.mkdir()
    try:
        yield part
        files.sync_tree(part)
        for path in sorted(path for path in part.rglob("*") if path.is_file()):
            target = folder / path.relative_to(part)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    files.sync(folder)


def frame_range(start: int, end: int | None, count: int) -> range:
    """The frames from `start` to before `end` (None: the last) of `count`; raises InputError if there are none."""
    stop = count if end is None else end
    if not 0 <= start < stop <= count:
        raise InputError(f"frames {start} to before {stop} do not exist; the result has frames 0 to {count - 1}")
    return range(start, stop)


def times_of(times: Sequence[float] | None, frames: range) -> list[float] | None:
    """The times of some frames, in seconds from the first of them."""
    return None if times is None else [times[i] - times[frames.start] for i in frames]
