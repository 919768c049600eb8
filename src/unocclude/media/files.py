"""Writing files whole or not at all."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_MARK = ".part"


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, delete it on failure.

    The temporary name keeps the suffix, because encoders choose their format by it. A process that is
    killed leaves at most `.NAME.part.SUFFIX` behind, which `sweep` removes.
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}{TEMPORARY_MARK}{path.suffix}")
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write `data` to `path` whole or not at all."""
    with whole(path) as part:
        part.write_bytes(data)


def is_temporary(name: str) -> bool:
    """Whether a file of this name is what `whole` leaves behind in a killed process."""
    return name.startswith(".") and TEMPORARY_MARK in name


def sweep(folder: str | Path) -> None:
    """Remove what a killed process left half-written under `folder`."""
    for root, _, names in os.walk(folder):
        for name in names:
            if is_temporary(name):
                (Path(root) / name).unlink(missing_ok=True)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key of natural name order: `frame2` before `frame10`."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name.lower())]


LONGEST_NAME = 200
"""Bytes of a name that `safe_name` keeps: file systems take 255, and suffixes come on top."""

_NEVER = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|^\.+|[. ]+$')
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])\s*(\.|$)", re.IGNORECASE)


def safe_name(name: str) -> str:
    """`name` as one part of a path on any system: without separators, control and reserved characters, leading dots,
    names that Windows keeps for devices, and not too long. What had to be changed gets a hash of the original, so that
    different names stay different; what is fine stays as it is.
    """
    made = _NEVER.sub("_", name)
    if _DEVICE.match(made):
        made = f"_{made}"
    if made == name and made and len(made.encode()) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{made.encode()[: LONGEST_NAME - 9].decode(errors='ignore').rstrip('. ')}-{digest}"
