"""Run and evaluate every method on every clip of every data set. Interrupted runs can be resumed."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unocclude.benchmark import published, summary
from unocclude.benchmark.pooling import Pooled, frame_values
from unocclude.benchmark.rows import RowRun, choose_rows, get_table, prepare
from unocclude.benchmark.set_metrics import check_clips, measure_sets, set_metric
from unocclude.datasets import captions, root_of
from unocclude.datasets.base import Sample
from unocclude.errors import InputError
from unocclude.evaluation import evaluate, with_nulls, write_json
from unocclude.layout import BENCH_FILE
from unocclude.media.files import atomic_write, safe_name, write_bytes
from unocclude.methods import with_description
from unocclude.metrics.registry import SETS, check_here, describe, direction, expand, get_metric
from unocclude.outfolder import OutFolder
from unocclude.run import complete
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
    metrics: Sequence[str] = (),
    hypotheses: int = 0,
    seed: int = 0,
    partial: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> summary.Figures:
    """Run `methods` on all samples of all data sets (name → samples) and evaluate the results.

    Writes to `out`: runs/DATA/CLIP/ROW (the OUT folder of `complete`), figures/DATA/CLIP/ROW.json (the result of
    `evaluate`), table.md (means with 95 % bootstrap intervals over clips, means over the frames of all clips, Top-K
    curves, published numbers beside ours where data and protocol are the same, and the metrics of each clip), plot.png
    if matplotlib is installed, and finally bench.json.

    methods: rows of the table, METHOD or LABEL=METHOD. table: a table of a paper (`rows.tables`), which gives rows,
    metrics and the number of hypotheses; `methods` then chooses among its rows. options: method or label → its options.
    weights: method or label → folder or id of a checkpoint, if not the default. metrics: further ones, as in
    `evaluate`, and `fvd`. hypotheses: K of Top-K, for methods that sample; 0 for that of the table, or 1. partial:
    whether only a part of the data sets is given, which published numbers cannot be compared with. A method that takes
    a description of the object (`Method.text_option`) gets each clip's caption, made from the ground truth, unless its
    options contain one. Options that a data set's published evaluation uses (`Sample.options`) are defaults. Returns
    data set → row → clip → metric → value.

    Raises InputError for unknown methods, metrics or options, methods that cannot run here, no data, or an `out` that
    exists and is neither resumed nor overwritten.
    """
    chosen = get_table(table) if table else None
    rows = choose_rows(chosen, methods if methods is not None else () if chosen else DEFAULT_METHODS)
    count = hypotheses or (chosen.hypotheses if chosen else 1)
    runs = prepare(rows, options or {}, weights or {}, seed, count)
    if not runs or not any(data.values()):
        raise InputError("nothing to evaluate; give at least one method and one data set")
    names = expand([*(chosen.metrics if chosen else ()), *metrics], sets=True)
    asked: dict[str, Any] = {
        "data": {name: [sample.name for sample in samples] for name, samples in data.items()},
        "methods": {label: run.method.options.model_dump(mode="json") for label, run in runs.items()},
        "weights": dict(weights or {}),
        "seed": seed,
        **({"rows": {label: run.row.method for label, run in runs.items()}} if _labelled(runs) else {}),
        **({"hypotheses": count} if count > 1 else {}),
        **({"metrics": names} if names else {}),
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
    inputs = [root_of(origin) for origin in origins.values() if origin]
    folder = _BenchFolder(out, identity, resume=resume, overwrite=overwrite, result=BENCH_FILE, inputs=inputs)
    if folder.finished:
        return _read_figures(folder.path)
    try:
        folder.claim()
        figures, pooled = _measure_all(folder.path, data, runs, names, progress)
        _write_tables(folder.path, figures, pooled, published.comparable(origins, partial))
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
            _earlier(_figures_file(self.path, data, clip, method))
            for data, clips in asked["data"].items()
            for clip in clips
            for method in asked["methods"]
        )


def _figures_file(out: Path, data: str, clip: str, method: str) -> Path:
    return out / "figures" / data / clip / f"{method}.json"


def _run_folder(out: Path, data: str, clip: str, method: str) -> Path:
    return out / "runs" / data / clip / method


def _read_figures(out: Path) -> summary.Figures:
    """Read the metrics of a finished benchmark."""
    clips = json.loads((out / BENCH_FILE).read_bytes())["clips"]
    return {
        data: {m: {clip: _with_nan(values) for clip, values in by_clip.items()} for m, by_clip in methods.items()}
        for data, methods in clips.items()
    }


def _measure_all(
    out: Path,
    data: Mapping[str, Sequence[Sample]],
    runs: Mapping[str, RowRun],
    metrics: Sequence[str],
    progress: Progress,
) -> tuple[summary.Figures, Pooled]:
    figures: dict[str, dict[str, dict[str, dict[str, float]]]] = {name: {label: {} for label in runs} for name in data}
    pooled = Pooled()
    of_clips = [name for name in metrics if name not in SETS]
    total = sum(map(len, data.values())) * len(runs)
    done = 0
    progress("measuring", 0, total)
    for name, samples in data.items():
        for sample in samples:
            for label, run in runs.items():
                found = _measure(out, name, sample, run, of_clips)
                figures[name][label][sample.name] = {k: v for k, v in found.items() if k not in EXTRAS}
                pooled.add(name, label, found)
                done += 1
                progress("measuring", done, total)
        for label in runs:
            folders = [(_run_folder(out, name, sample.name, label), sample.truth) for sample in samples]
            pooled.add_sets(name, label, measure_sets([m for m in metrics if m in SETS], folders))
    return figures, pooled


def _measure(out: Path, data: str, sample: Sample, run: RowRun, metrics: Sequence[str]) -> dict[str, Any]:
    """Metrics of one row on one clip. The method is run and evaluated unless an earlier run did."""
    label, kind = run.row.label, type(run.method)
    file = _figures_file(out, data, sample.name, label)
    if found := _earlier(file):
        return found
    own = dict(run.arguments) | {"options": {**sample.options.get(run.row.method, {}), **run.arguments["options"]}}
    if kind.text_option:
        own["options"] = with_description(kind, own["options"], captions.of_truth(sample.truth))
    result = complete(
        sample.clip, sample.visible, method=run.row.method, out=_run_folder(out, data, sample.name, label),
        pad=sample.pad, resume=True, pictures=False, **own,
    )  # fmt: skip
    figures = evaluate(result, sample.truth, metrics)
    if own["hypotheses"] > 1:
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


def write_plot(path: Path, figures: summary.Figures) -> None:
    """Plot the mean and interval of each metric as bars: one panel per metric, one group per data set.

    Does nothing without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return
    estimates = summary.summarise(figures)
    methods = list(next(iter(estimates.values())))
    shown = list(dict.fromkeys(name for by_clip in figures.values() for name in summary.columns(by_clip)))
    figure = Figure(figsize=(12, 3 * math.ceil(len(shown) / 3)), layout="constrained")
    grid = figure.subplots(math.ceil(len(shown) / 3), 3, squeeze=False).ravel()
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    nothing = summary.estimate([])
    for axes, name in zip(grid, shown, strict=False):
        for k, method in enumerate(methods):
            found = [by_method[method].get(name, nothing) for by_method in estimates.values()]
            means = [0.0 if math.isnan(e.mean) else e.mean for e in found]
            errors = [[0.0 if math.isnan(e.mean) else abs(e.mean - end) for e, end in zip(found, ends, strict=True)]
                      for ends in ([e.low for e in found], [e.high for e in found])]  # fmt: skip
            places = [d + (k - (len(methods) - 1) / 2) * 0.8 / len(methods) for d in range(len(found))]
            axes.bar(places, means, 0.75 / len(methods), yerr=errors, label=method, capsize=2)
        axes.set_xticks(range(len(estimates)), list(estimates))
        axes.set_title(name)
        axes.set_ylabel(direction(describe(name)), fontsize="small")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(methods))
    with atomic_write(path) as part:
        figure.savefig(part, dpi=110)
