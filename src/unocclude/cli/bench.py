"""`unocclude bench`: evaluate every method on every clip and tabulate the results."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unocclude.cli import options as shared
from unocclude.cli.echo import echo
from unocclude.errors import InputError

if TYPE_CHECKING:
    from unocclude.executor import Workers


def run(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...",
            help="[NAME=][KIND:]PATH[?OPTION=VALUE&...]: a GT folder, a folder of them, or a data set of KIND davis, "
            "sail-vos, movi ... (docs/datasets.md). NAME is the title of its table.",
            show_default=False,
        ),
    ],
    out: shared.Out,
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods",
            metavar="A,B,...",
            help="The rows: methods, or LABEL=METHOD to run one several times. By default modal, convex, convex-r and "
            "recall, or all rows of --table; '' for none.",
        ),
    ] = None,
    table: Annotated[
        str,
        typer.Option(
            "--table",
            metavar="NAME",
            help="A table of a paper, as ic-amodal-ablation or tgvac-3: its rows and its metrics (docs/reproduce.md).",
        ),
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="METHOD.KEY=VALUE", help="An option of a method or row; repeatable."),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights", metavar="METHOD=DIR", help="The checkpoint of a method or row: a folder or an id; repeatable."
        ),
    ] = None,
    predictions: Annotated[
        list[str] | None,
        typer.Option(
            "--predictions",
            metavar="NAME=DIR",
            help="What another tool predicted, to be evaluated as NAME: a folder with a sub-folder for every clip, "
            "each as `evaluate` takes it; repeatable.",
        ),
    ] = None,
    metrics: Annotated[
        str,
        typer.Option("--metrics", metavar="A,B,...", help=shared.METRICS_HELP),
    ] = "",
    hypotheses: Annotated[
        int,
        typer.Option(
            "--hypotheses", metavar="K", min=0, help="Samples per clip for Top-1 to Top-K, of methods that sample."
        ),
    ] = 0,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Use only the first N clips of each data set.")
    ] = None,
    seed: shared.Seed = 0,
    workers: shared.Workers = None,
    ray: shared.Ray = None,
    resume: shared.Resume = False,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Run methods on data with ground truth and tabulate the metrics.

    Writes to OUT: the runs, all metrics, plot.png, and table.md with 95 % confidence intervals and, for data sets that
    papers report on, their published numbers.
    """
    options: dict[str, dict[str, object]] = {}
    for key, value in shared.read_pairs(settings).items():
        method, dot, own = key.rpartition(".")
        if not dot:
            raise InputError(f"--set {key}={value}: expected METHOD.KEY=VALUE, as in recall.references=8")
        options.setdefault(method, {})[own] = value

    folders = {method: str(folder) for method, folder in shared.read_pairs(weights, "--weights", "METHOD=DIR").items()}
    others = {name: str(folder) for name, folder in shared.read_pairs(predictions, "--predictions", "NAME=DIR").items()}

    from unocclude.benchmark.bench import bench
    from unocclude.benchmark.summary import as_text
    from unocclude.cli.progress import show_progress
    from unocclude.datasets import open_dataset

    sets = {}
    for entry in data:
        named = re.match(r"([\w .-]+)=(.+)", entry)
        name, path = named.groups() if named else (_name(entry), entry)
        if name in sets:
            raise InputError(f"two data sets are called {name}; give them different names with NAME=PATH")
        sets[name] = open_dataset(path, limit)
    chosen = None if methods is None else shared.names(methods)
    shared_by = _workers(_methods(chosen, table), sum(map(len, sets.values())), workers, ray)
    with show_progress(quiet, unit="runs") as progress:
        figures = bench(
            sets, out, chosen, options, table=table, weights=folders, predictions=others,
            metrics=shared.names(metrics), hypotheses=hypotheses, seed=seed, partial=limit is not None, resume=resume,
            overwrite=overwrite, workers=shared_by, progress=progress,
        )  # fmt: skip
    if not quiet:
        echo(as_text(figures))
        echo(out / "table.md")


def _methods(names: list[str] | None, table: str) -> list[str]:
    """The methods of the rows."""
    from unocclude.benchmark.bench import DEFAULT_METHODS
    from unocclude.benchmark.rows import choose_rows, get_table

    chosen = get_table(table) if table else None
    return [row.method for row in choose_rows(chosen, DEFAULT_METHODS if names is None and chosen is None else names)]


def _workers(methods: list[str], clips: int, workers: int | None, ray: str | None) -> "Workers":
    """Who runs the methods: by default one worker, if each would load a checkpoint."""
    from unocclude.executor import cluster
    from unocclude.executor.cores import useful_workers
    from unocclude.methods import get_method

    kinds = [get_method(name) for name in methods]
    if ray is not None:
        needs = max((kind.resources for kind in kinds), key=lambda needs: needs.memory)
        return cluster(ray, needs, workers)[0](clips)
    return workers or (useful_workers(clips, 2) if all(kind.independent for kind in kinds) else None)


def _name(entry: str) -> str:
    """The default name of a data set: its kind, or its folder."""
    from unocclude.datasets import DATASETS

    kind, colon, _ = entry.partition(":")
    return kind if colon and kind in DATASETS and kind != "gt" else Path(entry.partition("?")[0]).absolute().name
