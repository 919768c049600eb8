"""What a benchmark evaluates: the results of a row's method, or what another tool predicted."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from unocclude.benchmark.rows import RowRun
from unocclude.completion import Completion
from unocclude.datasets import captions
from unocclude.datasets.base import Sample
from unocclude.errors import InputError
from unocclude.media.files import safe_name, write_bytes
from unocclude.methods import with_description
from unocclude.predictions import Predictions, read_predictions
from unocclude.run import complete

TRUE_BOXES = "truth"
"""The option `boxes` with this value crops every clip to its true amodal boxes."""


class Source(Protocol):
    """What gives the results of one row of the table."""

    def folder(self, data: str, sample: Sample) -> Path:
        """The folder of the result for a sample of a data set (by name)."""

    def result(self, data: str, sample: Sample) -> Completion | Predictions:
        """The result, which is in `folder` afterwards."""


@dataclass(frozen=True)
class MethodRuns:
    """Runs of a row's method, written to OUT/runs/DATA/CLIP/ROW."""

    out: Path
    run: RowRun

    def folder(self, data: str, sample: Sample) -> Path:
        return self.out / "runs" / data / sample.name / self.run.row.label

    def result(self, data: str, sample: Sample) -> Completion:
        kind, row, own = type(self.run.method), self.run.row, self.run.arguments
        options = {**sample.options.get(row.method, {}), **own["options"]}
        if options.get("boxes") == TRUE_BOXES:
            options["boxes"] = str(self._write_boxes(data, sample))
        if kind.text_option:
            options = with_description(kind, options, captions.of_truth(sample.truth))
        return complete(
            sample.clip, sample.visible, method=row.method, out=self.folder(data, sample), pad=sample.pad, resume=True,
            pictures=False, **{**own, "options": options},
        )  # fmt: skip

    def _write_boxes(self, data: str, sample: Sample) -> Path:
        """The sample's true amodal boxes as a file for the option `boxes`."""
        path = (self.out / "boxes" / data / f"{sample.name}.json").absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, json.dumps(sample.truth.amodal_boxes.tolist()).encode())
        return path


@dataclass(frozen=True)
class Given:
    """What another tool predicted: (data set, clip) → folder."""

    folders: Mapping[tuple[str, str], Path]

    def folder(self, data: str, sample: Sample) -> Path:
        return self.folders[data, sample.name]

    def result(self, data: str, sample: Sample) -> Predictions:
        return read_predictions(self.folder(data, sample))

    @property
    def digest(self) -> str:
        """A hash of the names, sizes and times of all files, so that a resumed benchmark notices other predictions."""
        return _digest(self.folders.values())


def find_predictions(
    data: Mapping[str, Sequence[Sample]], predictions: Mapping[str, str | Path], rows: Iterable[str]
) -> dict[str, Given]:
    """Predictions by name, a folder for every clip: DATA/CLIP or CLIP under the given one.

    Raises InputError if a name is no free file name, or a folder is missing.
    """
    found = {}
    for name, root in predictions.items():
        if safe_name(name) != name or name in rows:
            raise InputError(f"predictions cannot be called {name!r}; give a name of letters that is not a method's")
        found[name] = Given({
            (title, sample.name): _prediction_folder(Path(root), title, sample)
            for title, samples in data.items()
            for sample in samples
        })  # fmt: skip
    return found


def _prediction_folder(root: Path, data: str, sample: Sample) -> Path:
    found = next((path for path in (root / data / sample.name, root / sample.name) if path.is_dir()), None)
    if found is None:
        raise InputError(f"{root} has no folder {sample.name}; give one for every clip of {data}, named as the clip")
    return found


def _digest(folders: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            found = path.stat()
            digest.update(f"{path.absolute()}\0{found.st_size}\0{found.st_mtime_ns}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]
