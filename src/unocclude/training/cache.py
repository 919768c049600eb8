"""A disk cache of preprocessed training clips, shared by runs."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from unocclude.executor import open_executor, results
from unocclude.media.files import write_bytes
from unocclude.types import Progress

Work = Callable[[int], list[bytes]]


class Source(Protocol):
    """Scenes by number. spec: what they are, for the name of their folder; without: what they leave out."""

    @property
    def spec(self) -> str: ...
    @property
    def without(self) -> tuple[str, ...]: ...
    @property
    def count(self) -> int: ...


def cached(source: Source, cache: Path, kind: str, work: Work, workers: int, progress: Progress) -> list[Path]:
    """The preprocessed files of all scenes of a source, in order; missing ones are created in worker processes.

    cache: folder that holds them. kind: short name of the preprocessing, part of the folder's name. work: a picklable
    function; `work(i)` returns the contents of the files of scene i.
    """
    scenes = re.sub(r"count=\d+&?", "", source.spec)  # so that a larger count reuses the clips of a smaller one
    key = hashlib.sha256(repr((scenes, source.without)).encode()).hexdigest()[:12]
    folder = cache / f"{kind}-{re.sub('[^a-z0-9]+', '-', source.spec.partition('?')[0].lower()).strip('-')}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    count = source.count
    todo = [i for i in range(count) if not (folder / f"{i:06d}.done").exists()]
    for n, _ in enumerate(results(open_executor(min(workers, len(todo))), _Keep(work, folder), todo)):
        progress(f"preparing {kind}", count - len(todo) + n + 1, count)
    names = sorted(path.name for path in folder.glob("*.npz"))
    return [folder / name for name in names if int(name[:6]) < count]


@dataclass(frozen=True)
class _Keep:
    work: Work
    folder: Path

    def __call__(self, i: int) -> int:
        for k, content in enumerate(self.work(i)):
            write_bytes(self.folder / f"{i:06d}_{k}.npz", content)
        write_bytes(self.folder / f"{i:06d}.done", b"")
        return i
