"""Results of the project as the page shows them, also while they are being written."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from unocclude.app import project as folders
from unocclude.app.project import PageEdit
from unocclude.app.tasks import run_id
from unocclude.completion import doubtful_spans
from unocclude.errors import InputError
from unocclude.layers.result import Layers
from unocclude.layout import LAYERS_FILE, RESULT_FILE
from unocclude.outfolder import read_run_record, staging_folder

PLATE = "background/rgb"


@dataclass
class Run:
    """A run of `layers` in the project. objects: the ids. ready: by id, how many frames from the first are there."""

    id: str
    folder: Path
    finished: bool
    frames: int
    objects: list[int]
    hypotheses: int
    pad: float
    ready: dict[int, int] = field(default_factory=dict)
    plate: int = 0


class Results:
    """The runs in a project's folder: the finished one, and the one that is to replace it."""

    def __init__(self, project: folders.Project):
        self._project = project
        self._lock = Lock()
        self._known: dict[str, Run] = {}
        self._composed: tuple[str, PageEdit, Any] | None = None

    def runs(self) -> list[Run]:
        """The finished run first."""
        out = self._project.folder / folders.LAYERS
        with self._lock:
            found = [run for folder in (out, staging_folder(out)) if (run := self._look(folder))]
            self._known = {run.id: run for run in reversed(found)}
        return found

    def run(self, number: str) -> Run | None:
        return next((run for run in self.runs() if run.id == number), None)

    def _look(self, folder: Path) -> Run | None:
        clip = self._project.clip
        if not folder.is_dir() or clip is None:
            return None
        record = read_run_record(folder)
        if record is None or record.result != LAYERS_FILE or record.identity.get("input") != clip.fingerprint:
            return None
        number, asked = run_id(record.identity), record.identity
        run = self._known.get(number)
        if run is None or run.folder != folder or run.finished is record.unfinished:
            objects = [int(item["id"]) for item in asked["objects"]]
            run = Run(
                number, folder, not record.unfinished, len(clip), objects, int(asked["hypotheses"]), float(asked["pad"])
            )
        for number_, start in ((item, run.ready.get(item, 0)) for item in run.objects):
            run.ready[number_] = _count(folder / "objects" / str(number_) / "provenance", start, run.frames)
        run.plate = _count(folder / "background" / "provenance", run.plate, run.frames)
        return run

    def picture(self, run: Run, kind: str, i: int, number: int | None = None) -> Path | None:
        """The file of a picture; None while it is not there."""
        if number is None:
            known, folder = run.plate, run.folder
        elif number in run.objects:
            known, folder = run.ready[number], run.folder / "objects" / str(number)
        else:
            return None
        return folder / kind / f"{i:05d}.png" if 0 <= i < known else None

    def figures(self, run: Run) -> dict[int, list[dict[str, Any]]]:
        """For each finished object the `frames` of its result.json."""
        found = {}
        for number in run.objects:
            file = run.folder / "objects" / str(number) / RESULT_FILE
            try:
                found[number] = json.loads(file.read_bytes())["frames"]
            except (OSError, ValueError, KeyError):
                continue
        return found

    def composed(self, run: Run, edit: PageEdit, i: int) -> np.ndarray:
        """Frame i of the layers as edited. Raises InputError if the edit does not fit them."""
        with self._lock:
            if self._composed is None or self._composed[:2] != (run.id, edit):
                kept = {number: change for number, change in edit.objects.items() if number in run.objects}
                layers = Layers(run.folder).compose(edit.model_copy(update={"objects": kept}))
                self._composed = (run.id, edit, layers)
            frames = self._composed[2]
        try:
            return frames[i]
        except IndexError:
            raise InputError(f"frame {i} does not exist") from None


def _count(folder: Path, start: int, most: int) -> int:
    """How many consecutive frames are there; provenance is written last."""
    count = start
    while count < most and (folder / f"{count:05d}.png").exists():
        count += 1
    return count


def spans(frames: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(span.start, span.stop) for span in doubtful_spans(frames)]
