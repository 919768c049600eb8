"""Files on this machine and behind URLs (fsspec: s3, gs, az, http, file ...): inputs are cached, results uploaded."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from unocclude.errors import InputError, UnoccludeError

CACHE = "UNOCCLUDE_CACHE"
"""Environment variable: the folder of cached inputs, and of results until they are uploaded."""
CACHE_GB = "UNOCCLUDE_CACHE_GB"
"""Environment variable: cached inputs are removed, oldest first, beyond this many GB."""


def is_url(place: str | Path) -> bool:
    """Whether a place is a URL, as s3://bucket/folder, and not a path."""
    return "://" in str(place)


def join(place: str | Path, *names: str) -> str | Path:
    """A place in a folder."""
    return "/".join([str(place).rstrip("/"), *names]) if is_url(place) else Path(place, *names)


def key(place: str | Path) -> str:
    """A short name for a place, as a valid file name."""
    return hashlib.sha256(str(place).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def cache_folder() -> Path:
    """The folder of cached inputs."""
    given = os.environ.get(CACHE)
    return Path(given) if given else Path.home() / ".cache" / "unocclude"


@contextmanager
def _explained(url: str | Path) -> Iterator[None]:
    """Turns what file systems raise into one line."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{url}: there is no such file or folder; check the address") from None
    except PermissionError as error:
        raise InputError(f"{url}: no permission ({_short(error)}); check the credentials") from None
    except InputError:
        raise
    except Exception as error:  # each file system has its own
        raise UnoccludeError(f"{url}: {type(error).__name__}: {_short(error)}") from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _open(url: str | Path) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    try:
        import fsspec
    except ModuleNotFoundError:
        raise InputError(f"{url} needs fsspec, which is not installed; pip install 'unocclude[cluster]'") from None
    try:
        return fsspec.core.url_to_fs(str(url))
    except ImportError as error:  # of the package for this kind of URL
        raise InputError(f"{url}: {_short(error)}") from None
    except ValueError as error:
        raise InputError(f"{url} is no address that fsspec knows ({_short(error)})") from None


def exists(place: str | Path) -> bool:
    """Whether there is a file or folder."""
    if not is_url(place):
        return Path(place).exists()
    system, path = _open(place)
    system.invalidate_cache()
    with _explained(place):
        return bool(system.exists(path))


def read(place: str | Path) -> bytes:
    """The content of a file."""
    if not is_url(place):
        return Path(place).read_bytes()
    system, path = _open(place)
    with _explained(place):
        return bytes(system.cat_file(path))


def write(place: str | Path, data: bytes) -> None:
    """Write a file whole."""
    if not is_url(place):
        from unocclude.media.files import write_bytes

        Path(place).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(place, data)
        return
    system, path = _open(place)
    with _explained(place):
        _with_folder(system, path, lambda: system.pipe_file(path, data))


def remove(place: str | Path) -> None:
    """Remove a file, if it is there."""
    if not is_url(place):
        Path(place).unlink(missing_ok=True)
    elif exists(place):
        system, path = _open(place)
        with _explained(place):
            system.rm_file(path)


def _with_folder(system: Any, path: str, write: Callable[[], object]) -> None:
    """Write a file; make its folder where that is necessary, which it is not in object stores."""
    try:
        write()
    except FileNotFoundError:
        system.makedirs(path.rpartition("/")[0], exist_ok=True)
        write()


def expand(pattern: str) -> list[str]:
    """The places that match a pattern with *, ? or [...], sorted."""
    from unocclude.media.files import natural_key

    if is_url(pattern):
        system, path = _open(pattern)
        with _explained(pattern):
            found = [system.unstrip_protocol(name) for name in system.glob(path)]
    else:
        import glob

        found = glob.glob(pattern, recursive=True)  # noqa: PTH207  a pattern may be absolute
    return sorted(found, key=natural_key)


def local(place: str | Path) -> Path:
    """A file or folder on this machine: the path itself, or a URL's content, downloaded to the cache once.

    The cache goes by content: what the file system tells of it (size, time, hash). A name that is changed behind the
    same URL is downloaded again.
    """
    if not is_url(place):
        return Path(place)
    system, path = _open(place)
    system.invalidate_cache()
    with _explained(place):
        info = system.info(path)
        found = {path: info} if info.get("type") == "file" else system.find(path, detail=True)
        names = sorted(name for name in found if not name.endswith("/"))
        if not names:
            raise FileNotFoundError(place)
        state = [(name, _state(found[name])) for name in names]
        folder = cache_folder() / "inputs" / key(repr((system.unstrip_protocol(path), state)))
        target = folder / Path(path.rstrip("/")).name
        if not folder.exists():
            _download(system, path.rstrip("/"), names, folder, target.name)
            _trim(folder.parent, keep=folder)
        os.utime(folder)
    return target


def _state(info: dict[str, Any]) -> str:
    """What tells one content of a file from another."""
    known = [str(info[key]) for key in ("ETag", "etag", "md5", "content_md5", "checksum") if info.get(key)]
    times = [str(info[key]) for key in ("LastModified", "mtime", "last_modified", "updated") if info.get(key)]
    return f"{info.get('size')} {' '.join(known or times)}"


def _download(system: Any, path: str, names: Sequence[str], folder: Path, name: str) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for remote in names:
            inside = remote[len(path) :].lstrip("/")
            if ".." in Path(inside).parts:
                raise InputError(f"{remote}: its name leaves the folder; rename it")
            to = part / name / inside if inside else part / name
            to.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(remote, str(to))
        with suppress(OSError):  # another process was faster
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _trim(inputs: Path, keep: Path) -> None:
    """Remove the inputs that were not used for the longest time, beyond the limit."""
    limit = float(os.environ.get(CACHE_GB) or 20) * 1e9
    entries = sorted((path for path in inputs.iterdir() if path.name[0] != "."), key=lambda path: -_mtime(path))
    total = 0
    for path in entries:
        total += sum(_size(file) for file in path.rglob("*"))
        if total > limit and path != keep:
            shutil.rmtree(path, ignore_errors=True)


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def upload(folder: Path, url: str, last: str) -> None:
    """Upload a folder; the file `last`, whose presence means that it is whole, is uploaded last."""
    system, path = _open(url)
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != ".lock")
    with _explained(url):
        for file in sorted(files, key=lambda file: file == folder / last):
            to = f"{path.rstrip('/')}/{file.relative_to(folder).as_posix()}"
            _with_folder(system, to, partial(system.put_file, str(file), to))
