"""`unocclude batch`: complete all objects of a list or a data set."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from unocclude.cli import options as shared
from unocclude.cli.echo import echo
from unocclude.errors import InputError, UnoccludeError


def run(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="LIST",
            help="A list with a run in each row: CSV, JSON Lines or Parquet with the columns input, name, masks, box, "
            "point, text and any option of `complete`; or a pattern, as 'clips/*.mp4', of clips with masks beside "
            "them; or a data set, [KIND:]PATH[?OPTION=VALUE&...]. Also URLs (s3://, gs://, az://, https:// ...).",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("-o", "--out", metavar="OUT", help="The folder or URL to write, with a sub-folder for each row."),
    ] = None,
    method: shared.MethodName = "recall",
    settings: shared.Settings = None,
    pad: shared.PadOrData = None,
    seed: shared.Seed = 0,
    device: shared.Device = "auto",
    weights: shared.Weights = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Process only the first N rows.")
    ] = None,
    workers: shared.Workers = None,
    ray: shared.Ray = None,
    status: Annotated[
        str | None, typer.Option("--status", metavar="OUT", help="Say how far the batch in OUT is, and do nothing.")
    ] = None,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Complete all objects of a list, each into OUT/NAME. Rows that are already finished are skipped.

    If a row fails, the reason is printed, and the others go on. batch.csv, batch.parquet and failures.csv say what
    became of each.
    """
    if status is not None:
        from unocclude.batch.records import read_status

        echo(str(read_status(status)))
        return
    if source is None or out is None:
        raise InputError("give a LIST and the folder for the results, as in: unocclude batch rows.csv -o out")
    pairs = shared.read_pairs(settings)

    from unocclude.batch import storage
    from unocclude.batch.job import Defaults
    from unocclude.batch.records import FAILURES
    from unocclude.batch.run import run_batch
    from unocclude.cli.progress import show_progress
    from unocclude.executor import Executor, cluster, processes_for
    from unocclude.methods import create
    from unocclude.methods.base import RunSettings

    run_settings = RunSettings(seed, 1, device, weights)
    chosen = create(method, pairs, run_settings)
    defaults = Defaults(method, pairs, pad, run_settings, type(chosen))
    executor: Callable[[int], Executor] = partial(processes_for, workers=workers, alone=not chosen.independent)
    helpers: Callable[[], Executor] | None = None
    if ray is not None:
        executor, helpers = cluster(ray, chosen.resources, workers)
    failed = total = 0
    with show_progress(quiet, unit="rows") as progress:

        def report(done: int, count: int) -> None:
            nonlocal total
            total = count
            progress("rows", done, count)

        def note(text: str) -> None:
            if not quiet:
                echo(f"note: {text}", err=True)

        outcomes = run_batch(
            source, out, defaults, executor, limit=limit, helpers=helpers, note=note, progress=report
        )  # fmt: skip
        for outcome in outcomes:
            if outcome.failure:
                failed += 1
                if debug and outcome.failure.trace:
                    echo(outcome.failure.trace, err=True)
                echo(f"{outcome.argument.name}: {outcome.failure.message}", err=True)
            elif not quiet:
                echo(storage.join(out, outcome.argument.name))
    if failed:
        raise UnoccludeError(f"{failed} of {total} failed; the reasons are above and in {storage.join(out, FAILURES)}")
