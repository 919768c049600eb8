"""`unocclude bench`: every method on every clip, measured, in one table."""

from pathlib import Path
from typing import Annotated

import typer

from unocclude.cli import options as shared
from unocclude.errors import InputError


def run(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...",
            help="[NAME=]PATH: a GT folder, or a folder of GT folders. NAME heads its table (default: the folder's).",
            show_default=False,
        ),
    ],
    out: shared.Out,
    methods: Annotated[
        str, typer.Option("--methods", metavar="A,B,...", help="Which methods to run.")
    ] = "modal,convex,convex-r,recall",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="METHOD.KEY=VALUE", help="An option of one method; may be repeated."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="The first N clips of each data set only.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of all that is drawn at random.")] = 0,
    resume: shared.Resume = False,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Run methods on data with truth and tabulate the figures.

    OUT gets the runs, all figures, table.md with 95 % intervals and, where they fit, the papers' rows, and plot.png.
    """
    options: dict[str, dict[str, object]] = {}
    for key, value in shared.read_pairs(settings).items():
        method, dot, own = key.partition(".")
        if not dot:
            raise InputError(f"--set {key}={value}: expected METHOD.KEY=VALUE, as in recall.references=8")
        options.setdefault(method, {})[own] = value

    from unocclude.benchmark.bench import bench
    from unocclude.benchmark.samples import find_samples
    from unocclude.benchmark.summary import as_text
    from unocclude.cli.progress import show_progress

    sets = {}
    for entry in data:
        name, equals, path = entry.partition("=")
        name, path = (name, path) if equals else (Path(entry).absolute().name, entry)
        if name in sets:
            raise InputError(f"two data sets are called {name}; name them: NAME=PATH")
        sets[name] = find_samples(path, limit)
    chosen = [name for name in methods.split(",") if name]
    with show_progress(quiet, unit="runs") as progress:
        figures = bench(sets, out, chosen, options, seed=seed, resume=resume, overwrite=overwrite, progress=progress)
    if not quiet:
        typer.echo(as_text(figures))
        typer.echo(out / "table.md")
