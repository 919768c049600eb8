"""Run and evaluate every method on every clip of every data set. Interrupted runs can be resumed."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from unocclude.benchmark import published, summary
from unocclude.completion import Completion
from unocclude.datasets import captions, root_of
from unocclude.datasets.base import Sample
from unocclude.errors import InputError
from unocclude.evaluation import evaluate, with_nulls, write_json
from unocclude.executor import Executor, Serial, Workers, executor_of
from unocclude.layout import BENCH_FILE
from unocclude.media.files import atomic_write, safe_name, write_bytes
from unocclude.methods import create, with_description
from unocclude.methods.base import Method, RunSettings
from unocclude.metrics.registry import check_here, describe, direction, get_metric
from unocclude.outfolder import OutFolder
from unocclude.predictions import Predictions, read_predictions
from unocclude.run import complete
from unocclude.types import Progress

DEFAULT_METHODS = ("modal", "convex", "convex-r", "recall")


def bench(
    data: Mapping[str, Sequence[Sample]],
    out: str | Path,
    methods: Sequence[str] = DEFAULT_METHODS,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    weights: Mapping[str, str] | None = None,
    predictions: Mapping[str, str | Path] | None = None,
    metrics: Sequence[str] = (),
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    workers: Workers = None,
    progress: Progress = lambda stage, done, total: None,
) -> summary.Figures:
    """Run `methods` on all samples of all data sets (name → samples) and evaluate the results.

    Writes to `out`: runs/DATA/CLIP/METHOD (the OUT folder of `complete`), figures/DATA/CLIP/METHOD.json (the result of
    `evaluate`), table.md (means with 95 % bootstrap intervals over clips, the metrics of each clip, and published
    numbers for data sets of these names), plot.png if matplotlib is installed, and finally bench.json.

    options: method → its options. weights: method → folder or id of a checkpoint, if not the default. predictions: name
    → folder with what another tool predicted, which is evaluated under this name: a sub-folder for every clip, CLIP or
    DATA/CLIP, each as `evaluate` takes it. metrics: further ones, as in `evaluate`. A method that takes a description
    of the object (`Method.text_option`) gets each clip's caption, made from the ground truth, unless its options
    contain one. workers: as in `complete`; they share the runs. Returns data set → method → clip → metric → value.

    Raises InputError for unknown methods, metrics or options, methods that cannot run here, no data, predictions that
    leave out a clip, or an `out` that exists and is neither resumed nor overwritten.
    """
    options, weights, predictions = options or {}, weights or {}, predictions or {}
    for what, given in (("options", options), ("weights", weights)):
        if unused := sorted(set(given) - set(methods)):
            raise InputError(f"{what} are given for {', '.join(unused)}, which is not one of the methods")
    chosen = {
        method: create(method, dict(options.get(method, {})), RunSettings(seed=seed, weights=weights.get(method)))
        for method in methods
    }
    if not (methods or predictions) or not any(data.values()):
        raise InputError("nothing to evaluate; give at least one method or --predictions, and one data set")
    folders = _prediction_folders(data, predictions, methods)
    asked: dict[str, Any] = {
        "data": {name: [sample.name for sample in samples] for name, samples in data.items()},
        "methods": {method: worker.options.model_dump(mode="json") for method, worker in chosen.items()},
        "weights": dict(weights),
        "seed": seed,
        **({"metrics": list(metrics)} if metrics else {}),
        **({"predictions": {name: _digest(by_clip.values()) for name, by_clip in folders.items()}} if folders else {}),
    }
    for metric in metrics:
        check_here(get_metric(metric))
    for sample in (sample for samples in data.values() for sample in samples):
        if not sample.has_truth:
            raise InputError(f"{sample.name} of {sample.origin} has no ground truth; leave it out")
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
        sources: dict[str, _Source] = {}
        for method, worker in chosen.items():
            own = {"options": dict(options.get(method, {})), "weights": weights.get(method), "seed": seed}
            sources[method] = partial(_complete, folder.path, method, own, type(worker))
        for name, by_clip in folders.items():
            sources[name] = partial(_read_predictions, by_clip)
        with executor_of(workers) as executor:
            figures = _measure_all(executor or Serial(), folder.path, data, sources, metrics, progress)
        _write_tables(folder.path, figures)
        folder.finish(with_nulls({"asked": asked, "origins": origins, **_summary(figures)}))
    finally:
        folder.release()
    return figures


class _BenchFolder(OutFolder):
    def is_complete(self) -> bool:
        """Whether the metrics of every run can be read."""
        asked = self.identity
        return all(
            _earlier(_figures_file(self.path, data, clip, method))
            for data, clips in asked["data"].items()
            for clip in clips
            for method in (*asked["methods"], *asked.get("predictions", ()))
        )


def _figures_file(out: Path, data: str, clip: str, method: str) -> Path:
    return out / "figures" / data / clip / f"{method}.json"


def _read_figures(out: Path) -> summary.Figures:
    """Read the metrics of a finished benchmark."""
    clips = json.loads((out / BENCH_FILE).read_bytes())["clips"]
    return {
        data: {m: {clip: _with_nan(values) for clip, values in by_clip.items()} for m, by_clip in methods.items()}
        for data, methods in clips.items()
    }


_Source = Callable[[str, Sample], Completion | Predictions]
"""What is evaluated for a sample of a data set (by name)."""


def _prediction_folders(
    data: Mapping[str, Sequence[Sample]], predictions: Mapping[str, str | Path], methods: Sequence[str]
) -> dict[str, dict[tuple[str, str], Path]]:
    """name → (data set, clip) → folder; raises InputError if a name is no free file name, or a folder is missing."""
    folders: dict[str, dict[tuple[str, str], Path]] = {}
    for name, root in predictions.items():
        if safe_name(name) != name or name in methods:
            raise InputError(f"predictions cannot be called {name!r}; give a name of letters that is not a method's")
        folders[name] = {
            (title, sample.name): _prediction_folder(Path(root), title, sample)
            for title, samples in data.items()
            for sample in samples
        }
    return folders


def _prediction_folder(root: Path, data: str, sample: Sample) -> Path:
    found = next((path for path in (root / data / sample.name, root / sample.name) if path.is_dir()), None)
    if found is None:
        raise InputError(f"{root} has no folder {sample.name}; give one for every clip of {data}, named as the clip")
    return found


def _digest(folders: Iterable[Path]) -> str:
    """A hash of the names, sizes and times of all files, so that a resumed benchmark notices other predictions."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            found = path.stat()
            digest.update(f"{path.absolute()}\0{found.st_size}\0{found.st_mtime_ns}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _measure_all(
    executor: Executor,
    out: Path,
    data: Mapping[str, Sequence[Sample]],
    sources: Mapping[str, _Source],
    metrics: Sequence[str],
    progress: Progress,
) -> summary.Figures:
    figures: dict[str, dict[str, dict[str, dict[str, float]]]] = {
        name: {source: {} for source in sources} for name in data
    }
    for name, samples in data.items():  # in the order of the tables
        for source in sources:
            figures[name][source] = {sample.name: {} for sample in samples}
    total = sum(map(len, data.values())) * len(sources)
    progress("measuring", 0, total)
    runs = ((name, sample, source) for name, samples in data.items() for sample in samples for source in sources)
    for done, outcome in enumerate(executor.run(_Measure(out, sources, metrics), runs), start=1):
        name, sample, source = outcome.argument
        figures[name][source][sample.name] = {k: v for k, v in outcome.result().items() if k != "frames"}
        progress("measuring", done, total)
    return figures


@dataclass(frozen=True)
class _Measure:
    """Metrics of one method on one clip, in a file. It is run and evaluated unless an earlier run did."""

    out: Path
    sources: Mapping[str, _Source]
    metrics: Sequence[str]

    def __call__(self, run: tuple[str, Sample, str]) -> dict[str, Any]:
        data, sample, source = run
        file = _figures_file(self.out, data, sample.name, source)
        if found := _earlier(file):
            return found
        figures = evaluate(self.sources[source](data, sample), sample.truth, self.metrics)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, figures)
        return figures


def _complete(
    out: Path, method: str, own: Mapping[str, Any], kind: type[Method], data: str, sample: Sample
) -> Completion:
    """The result of a method, written to runs/. own: its options, seed and weights. kind: its class."""
    options = dict(own["options"])
    if kind.text_option:
        options = with_description(kind, options, captions.of_truth(sample.truth))
    run = out / "runs" / data / sample.name / method
    return complete(
        sample.clip, sample.visible, method=method, out=run, pad=sample.pad, resume=True, pictures=False,
        **{**own, "options": options},
    )  # fmt: skip


def _read_predictions(folders: Mapping[tuple[str, str], Path], data: str, sample: Sample) -> Predictions:
    return read_predictions(folders[data, sample.name])


def _write_tables(out: Path, figures: summary.Figures) -> None:
    names = {name.lower() for name in figures}
    tables = [table for table in published.published_tables() if table.data.lower() in names]
    text = summary.as_markdown(figures, clips=True) + "\n" + published.as_markdown(tables)
    write_bytes(out / "table.md", text.rstrip("\n").encode() + b"\n")
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
