"""Writing files whole or not at all."""

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
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name.lower())]
