"""How many cores this process may use, and how many threads its libraries start."""

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POOLS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)  # fmt: skip
"""Environment variables that limit the thread pools of numpy's libraries, torch and OpenCV, read when they load."""
THREADS = "UNOCCLUDE_THREADS"
"""Environment variable that limits our own threads (`threads`)."""
MOST_THREADS = 8


def cores(cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """The cores that this process may use: its affinity, or the limit of its cgroup (as of a container) if lower."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if sys.platform == "linux":
        count = min([count, *(max(1, math.ceil(limit)) for limit in _limits(cgroups, own))])
    return max(1, count)


def _limits(cgroups: Path, own: Path) -> Iterator[float]:
    """The CPU limits of this process's cgroup and those above it, in cores; versions 1 and 2 of cgroups."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroups if not controllers else cgroups / "cpu"
        here = root / name.strip("/")
        # inside a container the path may be that of the host, which is not mounted
        for folder in {root, *(path for path in (here, *here.parents) if path.is_relative_to(root))}:
            try:
                if controllers:
                    quota = int((folder / "cpu.cfs_quota_us").read_text())
                    period = int((folder / "cpu.cfs_period_us").read_text())
                else:
                    first, second = (folder / "cpu.max").read_text().split()
                    quota, period = (-1 if first == "max" else int(first)), int(second)
            except (OSError, ValueError):
                continue
            if quota > 0 and period > 0:
                yield quota / period


def threads() -> int:
    """The number of threads that this process should use for its own work, at most 8."""
    try:
        limit = int(os.environ.get(THREADS, ""))
    except ValueError:
        limit = 0
    return limit if limit > 0 else min(MOST_THREADS, cores())


@contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Processes that are started in this context use `count` threads at a time; limits that the user set stay."""
    names = [name for name in POOLS if name not in os.environ]
    before = os.environ.get(THREADS)
    os.environ.update(dict.fromkeys(names, str(count)))
    os.environ[THREADS] = str(count)
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]
        if before is None:
            del os.environ[THREADS]
        else:
            os.environ[THREADS] = before


def useful_workers(pieces: int, least: int = 1) -> int | None:
    """How many worker processes to use for `pieces` of work where the user does not say: one a core, each with at least
    `least` pieces; None for this process alone."""
    count = min(cores(), pieces // least)
    return count if count > 1 else None
