"""`unocclude batch`: complete all objects of a list or a data set."""

from pathlib import Path
from typing import Annotated

import typer

from unocclude.cli import options as shared
from unocclude.cli.echo import echo


def run(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="[KIND:]PATH[?OPTION=VALUE&...], such as open-world:QUERIES.json?names=LIST.txt, open-world:ROWS.csv "
            "with the columns image,query[,masks], or any data set that `unocclude bench` reads.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="OUT", help="The folder to write, with one sub-folder per object.")
    ],
    method: shared.MethodName = "recall",
    settings: shared.Settings = None,
    pad: shared.PadOrData = None,
    seed: shared.Seed = 0,
    device: shared.Device = "auto",
    weights: shared.Weights = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Process only the first N objects.")
    ] = None,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Complete all objects of a list, each into OUT/NAME. Objects that are already finished are skipped.

    If an object fails, the reason is printed and written to OUT/failures.csv, and the run continues with the next one.
    """
    from unocclude.cli.progress import show_progress

    pairs = shared.read_pairs(settings)

    import unocclude
    from unocclude.batch.run import FAILURES, run_batch
    from unocclude.datasets import Sample, open_dataset
    from unocclude.errors import UnoccludeError
    from unocclude.methods import create, with_description
    from unocclude.methods.base import RunSettings
    from unocclude.perception.prompt import Prompt

    run_settings = RunSettings(seed, 1, device, weights)
    worker = create(method, pairs, run_settings)
    samples = open_dataset(data, limit)

    def complete(sample: Sample, folder: Path) -> None:
        with show_progress(quiet) as progress:
            unocclude.complete(
                sample.clip,
                sample.visible if sample.has_masks else Prompt().text(str(sample.text)),
                method=method,
                options=with_description(type(worker), pairs, sample.text),
                out=folder,
                pad=sample.pad if pad is None else pad,
                settings=run_settings,
                resume=True,
                progress=progress,
            )

    failed = 0
    for row in run_batch(samples, out, complete):
        if row.failure:
            failed += 1
            if debug and row.failure.trace:
                echo(row.failure.trace, err=True)
            echo(f"{row.name}: {row.failure.message}", err=True)
        elif not quiet:
            echo(row.folder)
    if failed:
        raise UnoccludeError(f"{failed} of {len(samples)} failed; the reasons are above and in {out / FAILURES}")
