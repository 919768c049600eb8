"""Run and evaluate every method on every clip of every data set. Interrupted runs can be resumed."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unocclude.benchmark import published, summary
from unocclude.benchmark.plot import write_plot
from unocclude.benchmark.pooling import Pooled, frame_values
from unocclude.benchmark.rows import RowRun, choose_rows, get_table, prepare
from unocclude.benchmark.set_metrics import check_clips, measure_sets, set_metric
from unocclude.benchmark.sources import MethodRuns, Source, find_predictions
from unocclude.completion import Completion
from unocclude.datasets import root_of
from unocclude.datasets.base import Sample
from unocclude.errors import InputError
from unocclude.evaluation import evaluate, with_nulls, write_json
from unocclude.executor import Executor, Serial, Workers, executor_of
from unocclude.layout import BENCH_FILE
from unocclude.media.files import safe_name, write_bytes
from unocclude.metrics.registry import SETS, check_here, expand, get_metric
from unocclude.outfolder import OutFolder
from unocclude.predictions import read_predictions
from unocclude.types import Progress

DEFAULT_METHODS = ("modal", "convex", "convex-r", "recall")
EXTRAS = ("frames", "hypotheses")
"""Entries of a clip's figures that are not metrics of the clip."""


def bench(
    data: Mapping[str, Sequence[Sample]],
    out: str | Path,
    methods: Sequence[str] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    table: str = "",
    weights: Mapping[str, str] | None = None,
    predictions: Mapping[str, str | Path] | None = None,
    metrics: Sequence[str] = (),
    hypotheses: int = 0,
    seed: int = 0,
    partial: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    workers: Workers = None,
    progress: Progress = lambda stage, done, total: None,
) -> summary.Figures:
    """Run `methods` on all samples of all data sets (name → samples) and evaluate the results.

    Writes to `out`: runs/DATA/CLIP/ROW (the OUT folder of `complete`), figures/DATA/CLIP/ROW.json (the result of
    `evaluate`), table.md (means with 95 % bootstrap intervals over clips, means over the frames of all clips, Top-K
    curves, published numbers beside ours where data and protocol are the same, and the metrics of each clip), plot.png
    if matplotlib is installed, and finally bench.json.

    methods: rows of the table, METHOD or LABEL=METHOD; by default DEFAULT_METHODS. table: a table of a paper
    (`rows.tables`), which gives rows, metrics and the number of hypotheses; `methods` then chooses among its rows.
    options: method or label → its options. weights: method or label → folder or id of a checkpoint, if not the default.
    predictions: name → folder with what another tool predicted, which is evaluated under this name: a sub-folder for
    every clip, CLIP or DATA/CLIP, each as `evaluate` takes it. metrics: further ones, as in `evaluate`, and `fvd`.
    hypotheses: K of Top-K, for methods that sample; 0 for that of the table, or 1. partial: whether only a part of the
    data sets is given, which published numbers cannot be compared with. A method that takes a description of the object
    (`Method.text_option`) gets each clip's caption, made from the ground truth, unless its options contain one. Options
    that a data set's published evaluation uses (`Sample.options`) are defaults. workers: as in `complete`; they share
    the runs. Returns data set → row → clip → metric → value.

    Raises InputError for unknown methods, metrics or options, methods that cannot run here, no data, predictions that
    leave out a clip, or an `out` that exists and is neither resumed nor overwritten.
    """
    predictions = predictions or {}
    chosen = get_table(table) if table else None
    rows = choose_rows(chosen, DEFAULT_METHODS if methods is None and chosen is None else methods)
    count = hypotheses or (chosen.hypotheses if chosen else 1)
    runs = prepare(rows, options or {}, weights or {}, seed, count)
    if not (runs or predictions) or not any(data.values()):
        raise InputError("nothing to evaluate; give at least one method or --predictions, and one data set")
    given = find_predictions(data, predictions, runs)
    names = expand([*(chosen.metrics if chosen else ()), *metrics], sets=True)
    asked: dict[str, Any] = {
        "data": {name: [sample.name for sample in samples] for name, samples in data.items()},
        "methods": {label: run.method.options.model_dump(mode="json") for label, run in runs.items()},
        "weights": dict(weights or {}),
        "seed": seed,
        **({"rows": {label: run.row.method for label, run in runs.items()}} if _labelled(runs) else {}),
        **({"hypotheses": count} if count > 1 else {}),
        **({"metrics": names} if names else {}),
        **({"predictions": {name: source.digest for name, source in given.items()}} if given else {}),
    }
    for name in names:
        check_here(set_metric(name) if name in SETS else get_metric(name))
    for sample in (sample for samples in data.values() for sample in samples):
        if not sample.has_truth:
            raise InputError(f"{sample.name} of {sample.origin} has no ground truth; leave it out")
    for samples in data.values():
        check_clips(names, samples)
    origins = {name: samples[0].origin for name, samples in data.items() if samples}
    if odd := next((name for name in data if safe_name(name) != name), None):
        raise InputError(f"a data set is called {odd!r}, which is not a valid folder name; rename it with NAME=PATH")
    identity = {"verb": "bench", **asked}
    inputs = [*(root_of(origin) for origin in origins.values() if origin), *predictions.values()]
    folder = _BenchFolder(out, identity, resume=resume, overwrite=overwrite, result=BENCH_FILE, inputs=inputs)
    if folder.finished:
        return _read_figures(folder.path)
    try:
        folder.claim()
        runners = {label: MethodRuns(folder.path, run) for label, run in runs.items()}
        sources: dict[str, Source] = {**runners, **given}
        with executor_of(workers) as executor:
            figures, pooled = _measure_all(executor or Serial(), folder.path, data, sources, names, progress)
        _write_tables(folder.path, figures, pooled, published.comparable(origins, partial, table))
        folder.finish(with_nulls({"asked": asked, "origins": origins, **_summary(figures), **pooled.as_json()}))
    finally:
        folder.release()
    return figures


def _labelled(runs: Mapping[str, RowRun]) -> bool:
    return any(label != run.row.method for label, run in runs.items())


class _BenchFolder(OutFolder):
    def is_complete(self) -> bool:
        """Whether the metrics of every run can be read."""
        asked = self.identity
        return all(
            _earlier(_figures_file(self.path, data, clip, row))
            for data, clips in asked["data"].items()
            for clip in clips
            for row in (*asked["methods"], *asked.get("predictions", ()))
        )


def _figures_file(out: Path, data: str, clip: str, row: str) -> Path:
    return out / "figures" / data / clip / f"{row}.json"


def _read_figures(out: Path) -> summary.Figures:
    """Read the metrics of a finished benchmark."""
    clips = json.loads((out / BENCH_FILE).read_bytes())["clips"]
    return {
        data: {m: {clip: _with_nan(values) for clip, values in by_clip.items()} for m, by_clip in methods.items()}
        for data, methods in clips.items()
    }


def _measure_all(
    executor: Executor,
    out: Path,
    data: Mapping[str, Sequence[Sample]],
    sources: Mapping[str, Source],
    metrics: Sequence[str],
    progress: Progress,
) -> tuple[summary.Figures, Pooled]:
    figures: dict[str, dict[str, dict[str, dict[str, float]]]] = {name: {row: {} for row in sources} for name in data}
    for name, samples in data.items():  # in the order of the tables
        for row in sources:
            figures[name][row] = {sample.name: {} for sample in samples}
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    of_clips, of_sets = [m for m in metrics if m not in SETS], [m for m in metrics if m in SETS]
    total = sum(map(len, data.values())) * len(sources)
    progress("measuring", 0, total)
    runs = ((name, sample, row) for name, samples in data.items() for sample in samples for row in sources)
    for done, outcome in enumerate(executor.run(_Measure(out, sources, of_clips), runs), start=1):
        name, sample, row = outcome.argument
        found[name, sample.name, row] = outcome.result()
        progress("measuring", done, total)
    pooled = Pooled()
    for name, samples in data.items():  # sums depend on their order
        for sample in samples:
            for row in sources:
                values = found[name, sample.name, row]
                figures[name][row][sample.name] = {k: v for k, v in values.items() if k not in EXTRAS}
                pooled.add(name, row, values)
        for row, source in sources.items() if of_sets else ():
            pairs = [(read_predictions(source.folder(name, sample)), sample.truth) for sample in samples]
            pooled.add_sets(name, row, measure_sets(of_sets, pairs))
    return figures, pooled


@dataclass(frozen=True)
class _Measure:
    """Metrics of one row on one clip, in a file. It is run and evaluated unless an earlier run did."""

    out: Path
    sources: Mapping[str, Source]
    metrics: Sequence[str]

    def __call__(self, run: tuple[str, Sample, str]) -> dict[str, Any]:
        data, sample, row = run
        file = _figures_file(self.out, data, sample.name, row)
        if found := _earlier(file):
            return found
        result = self.sources[row].result(data, sample)
        figures = evaluate(result, sample.truth, self.metrics)
        if isinstance(result, Completion) and len(result.hypotheses) > 1:
            figures["hypotheses"] = frame_values(result.hypotheses, sample.truth, figures)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, figures)
        return figures


def _write_tables(out: Path, figures: summary.Figures, pooled: Pooled, tables: published.Comparable) -> None:
    parts = [
        summary.as_markdown(figures),
        pooled.as_markdown(figures),
        published.as_markdown(tables, figures, pooled),
        summary.clips_as_markdown(figures),
    ]
    write_bytes(out / "table.md", "\n".join(part for part in parts if part).rstrip("\n").encode() + b"\n")
    write_plot(out / "plot.png", figures)


def _summary(figures: summary.Figures) -> dict[str, Any]:
    estimates = {
        data: {m: {k: vars(e) for k, e in names.items()} for m, names in methods.items()}
        for data, methods in summary.summarise(figures).items()
    }
    return {"estimates": estimates, "clips": figures}


def _earlier(file: Path) -> dict[str, Any]:
    """Metrics of an earlier run; empty if there are none or they cannot be read."""
    try:
        return _with_nan(json.loads(file.read_bytes()))
    except (OSError, ValueError, AttributeError):
        return {}


def _with_nan(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in figures.items()}
