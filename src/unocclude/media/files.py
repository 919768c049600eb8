"""Atomic writes: after a kill or a power cut, a file is either complete or absent."""

import ctypes
import hashlib
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h

token = secrets.token_hex(8)
"""Part of the names of this process's temporary files, so that a later run can recognise them."""


def set_token(other: str) -> None:
    """Use the token of the parent process for temporary files; called in worker processes."""
    global token
    token = other


def temporary(path: str | Path) -> Path:
    """A random temporary path next to `path`. It keeps the suffix, because encoders choose their format by it."""
    path = Path(path)
    return path.with_name(f".{path.stem[:32]}.{token}-{secrets.token_hex(4)}.part{path.suffix[:16]}")


def is_temporary(name: str, tokens: Iterable[str] | None = None) -> bool:
    """Whether a name was made by `temporary`, in a process with one of `tokens` if they are given."""
    found = re.fullmatch(r"\..*\.([0-9a-f]{16})-[0-9a-f]{8}\.part(\.[^.]*)?", name, re.DOTALL)
    return found is not None and (tokens is None or found[1] in tokens)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; rename it to `path` on success, delete it on failure.

    The temporary file is created exclusively, so a planted link is an error, and it is on disk before it is renamed.
    """
    path = Path(path)
    part = temporary(path)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield part
        sync(part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextmanager
def atomic_write_unnamed(path: str | Path) -> Iterator[Path]:
    """As `atomic_write`, but on Linux the temporary file has no name, so that a killed process leaves nothing.

    The yielded path may have no suffix, so encoders need an explicit format.
    """
    path = Path(path)
    try:
        descriptor = os.open(path.parent, os.O_TMPFILE | os.O_RDWR, 0o666)
    except (AttributeError, OSError):  # not supported by the system or file system
        with atomic_write(path) as part:
            yield part
        return
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
        _name(descriptor, path)
    finally:
        os.close(descriptor)
    sync(path.parent)


def _name(descriptor: int, path: Path) -> None:
    """Give an unnamed file the name `path`, via a temporary name, because linking cannot replace a file."""
    part = temporary(path)
    descriptors = os.open("/proc/self/fd", os.O_RDONLY)
    try:
        os.link(str(descriptor), part, src_dir_fd=descriptors, follow_symlinks=True)
    finally:
        os.close(descriptors)
    try:
        sync(part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_write(path) as part:
        part.write_bytes(data)


class FileBatch:
    """A context manager that writes several files together.

    All files are on disk before the first is renamed; they are renamed in the order of `add`. On an error, files that
    are not renamed yet are deleted.
    """

    def __init__(self) -> None:
        self._parts: list[tuple[Path, Path]] = []

    def __enter__(self) -> "FileBatch":
        return self

    def add(self, path: Path, data: bytes) -> None:
        """Write a file under a temporary name."""
        part = temporary(path)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        self._parts.append((part, path))
        part.write_bytes(data)

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._publish()
        finally:
            for part, _path in self._parts:
                part.unlink(missing_ok=True)

    def _publish(self) -> None:
        for part, _ in self._parts:
            sync(part)
        folders = dict.fromkeys(path.parent for _, path in self._parts)
        while self._parts:
            part, path = self._parts[0]
            part.replace(path)
            del self._parts[0]
        for folder in folders:
            sync(folder)


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk (fsync)."""
    if sys.platform == "win32" and path.is_dir():  # neither possible nor necessary on Windows
        return
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Call `sync` for `folder` and every file and folder in it."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync(Path(root) / name)
        sync(Path(root))


def remove_temporary(folder: str | Path, tokens: Iterable[str]) -> None:
    """Delete the temporary files under `folder` that processes with these tokens left."""
    tokens = frozenset(tokens)
    for root, folders, names in os.walk(folder):
        for name in names:
            if is_temporary(name, tokens):
                (Path(root) / name).unlink(missing_ok=True)
        for name in [name for name in folders if is_temporary(name, tokens)]:
            if not (Path(root) / name).is_symlink():
                shutil.rmtree(Path(root) / name, ignore_errors=True)
            folders.remove(name)


def swap_folders(a: Path, b: Path) -> None:
    """Swap two folders with the same parent: atomically on Linux, elsewhere in three renames, undone on failure."""
    if sys.platform == "linux":
        rename = getattr(ctypes.CDLL(None), "renameat2", None)
        if rename and not rename(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE):
            sync(a.parent)
            return
    aside = temporary(a)
    a.rename(aside)
    try:
        b.rename(a)
    except BaseException:
        aside.rename(a)
        raise
    with suppress(OSError):
        aside.rename(b)
    sync(a.parent)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key for natural order: `frame2` before `frame10`."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name.lower())]


MAX_NAME_BYTES = 200
"""Maximum length of the result of `safe_name`; file systems allow 255, including suffixes."""

_NEVER = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|^\.+|[. ]+$')
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])\s*(\.|$)", re.IGNORECASE)


def safe_name(name: str) -> str:
    """Convert `name` to a valid file name on any system.

    Separators, control and reserved characters, leading dots, and names reserved by Windows are replaced, and long
    names are shortened. A changed name gets a hash of the original, so that different names stay different.
    """
    made = _NEVER.sub("_", name)
    if _DEVICE.match(made):
        made = f"_{made}"
    if made == name and made and len(made.encode()) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{made.encode()[: MAX_NAME_BYTES - 9].decode(errors='ignore').rstrip('. ')}-{digest}"
