"""Fuzzing of readers: whatever the file, a reader succeeds, or raises UnoccludeError in one line, soon.

A target is a module with `seeds() -> list[bytes]`, small valid files, and `target(data: bytes) -> None`, which reads
`data` and raises anything but UnoccludeError where the reader is wrong. `run` tries mutated seeds in a child process,
which is watched. With atheris installed, `python fuzz_image.py` is a libFuzzer harness, as OSS-Fuzz wants it; without
it, `python fuzz_image.py SECONDS [SEED]` fuzzes here and leaves what failed in the current folder.
"""

import hashlib
import importlib
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from unocclude.errors import UnoccludeError

SECONDS, MEGABYTES = 10, 2000  # for one input
ODD = (b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0")


@contextmanager
def as_file(data: bytes, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="unocclude-fuzz") as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


@contextmanager
def one_line() -> Iterator[None]:
    """Let UnoccludeError pass, when it is one line."""
    try:
        yield
    except UnoccludeError as error:
        assert str(error) and len(str(error).splitlines()) == 1, repr(str(error))


# Mutations --------------------------------------------------------------------------------------------------


def mutations(seeds: Sequence[bytes], seed: int, amount: int | None = None) -> Iterator[bytes]:
    """The seeds themselves, then seeds with up to eight changes each; the same ones for the same `seed`."""
    yield from seeds[:amount]
    rng = np.random.default_rng(seed)
    for _ in count() if amount is None else range(amount - len(seeds)):
        data = bytearray(seeds[rng.integers(len(seeds))])
        for _ in range(1 << rng.integers(4)):
            _change(data, seeds, rng)
        yield bytes(data)


def _change(data: bytearray, seeds: Sequence[bytes], rng: np.random.Generator) -> None:
    # headers lie in front: half of the changes are there
    at = int(rng.integers(min(len(data), 200) if rng.random() < 0.5 else len(data)) if data else 0)
    length = int(rng.integers(1, 64))
    kind = rng.integers(7)
    if kind == 0 and data:
        data[at] ^= 1 << int(rng.integers(8))
    elif kind == 1 and data:
        data[at] = int(rng.integers(256))
    elif kind == 2:
        odd = ODD[rng.integers(len(ODD))]
        data[at : at + len(odd)] = odd
    elif kind == 3:
        del data[at : at + length]
    elif kind == 4:
        data[at:at] = rng.bytes(length) if rng.random() < 0.5 else data[at : at + length]
    elif kind == 5:
        other = seeds[rng.integers(len(seeds))]
        start = int(rng.integers(len(other)))
        data[at : at + length] = other[start : start + length]
    elif rng.random() < 0.3:
        del data[at:]


# Watching ---------------------------------------------------------------------------------------------------


@dataclass
class Findings:
    """How many inputs were tried, and what went wrong: (what, the input) each."""

    tried: int = 0
    failures: list[tuple[str, bytes]] = field(default_factory=list)
    slowest: float = 0.0
    megabytes: float = 0.0


def run(module: str, inputs: Iterator[bytes], seconds: float | None = None) -> Findings:
    """Feed `inputs` to a target's module in a child process until they, or the seconds, are over."""
    findings = Findings()
    until = time.monotonic() + seconds if seconds else None
    child = _Child(module)
    for data in inputs:
        if until and time.monotonic() > until:
            break
        wrong, took, megabytes = child.try_(data)
        findings.tried += 1
        findings.slowest, findings.megabytes = max(findings.slowest, took), max(findings.megabytes, megabytes)
        if wrong:
            findings.failures.append((wrong, data))
            child.stop()
            child = _Child(module)
    child.stop()
    return findings


class _Child:
    def __init__(self, module: str):
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(module, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._ours.recv()  # it has imported everything

    def try_(self, data: bytes) -> tuple[str, float, float]:
        """What went wrong ("" for nothing), the seconds it took and the megabytes it has ever had."""
        start = time.monotonic()
        try:
            self._ours.send_bytes(data)
            if not self._ours.poll(2 * SECONDS):
                return f"over {2 * SECONDS} seconds", 2 * SECONDS, 0
            wrong, processor, megabytes = self._ours.recv()
        except (EOFError, OSError):
            self._process.join()
            return f"the process died ({self._process.exitcode})", time.monotonic() - start, 0
        if not wrong and processor > SECONDS:
            wrong = f"{processor:.1f} seconds"
        if not wrong and megabytes > MEGABYTES:
            wrong = f"{megabytes:.0f} MB"
        return wrong, processor, megabytes

    def stop(self) -> None:
        self._process.kill()
        self._process.join()


def _work(module: str, pipe: Any) -> None:
    target: Callable[[bytes], None] = importlib.import_module(module).target
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, resource.RLIM_INFINITY))  # for the sake of the machine
    pipe.send("ready")
    while True:
        data, start, wrong = pipe.recv_bytes(), time.monotonic(), ""
        try:
            target(data)
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << (20 if sys.platform == "darwin" else 10))
        pipe.send((wrong, time.monotonic() - start, peak))


def main(module: ModuleType) -> None:
    """What a target's module does when it is run."""
    try:
        import atheris  # type: ignore[import-not-found]
    except ImportError:
        seconds, seed = (*(int(word) for word in sys.argv[1:3]), 60, 0)[:2] if sys.argv[1:] else (60, 0)
        name = Path(str(module.__file__)).stem
        found = run(name, mutations(module.seeds(), seed), seconds)
        print(f"{name}: {found.tried} inputs, slowest {found.slowest:.1f} s, {found.megabytes:.0f} MB at most")
        for wrong, data in found.failures:
            path = Path(f"{name}-{hashlib.sha256(data).hexdigest()[:8]}")
            path.write_bytes(data)
            print(f"{path}: {wrong}")
    else:
        atheris.Setup(sys.argv, module.target)
        atheris.Fuzz()
