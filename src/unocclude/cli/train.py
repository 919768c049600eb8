"""`unocclude train`: train a network from a configuration file."""

from pathlib import Path
from typing import Annotated

import typer

from unocclude.cli import options as shared
from unocclude.cli.echo import echo
from unocclude.training import RECIPES


def run(
    recipe: Annotated[
        str,
        typer.Argument(metavar="RECIPE", help=f"One of {', '.join(RECIPES)}.", show_default=False),
    ],
    out: shared.Out,
    config: Annotated[
        Path,
        typer.Option(
            "--config",
            metavar="FILE.toml",
            help="Configuration with the tables [recipe] and [loop].",
            show_default=False,
        ),
    ],
    resume: shared.Resume = False,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Train a network.

    Writes to OUT: checkpoints/, log.jsonl, tensorboard/, samples/ and, at the end, the exported network and train.json.
    """
    from unocclude.outfolder import check_out

    check_out(out, resume=resume, overwrite=overwrite, inputs=(config,))
    from unocclude.cli.progress import show_progress
    from unocclude.training.run import run_training

    with show_progress(quiet, unit="steps") as progress:
        result = run_training(recipe, config, out, resume=resume, overwrite=overwrite, progress=progress)
    if not quiet:
        for name, value in result["figures"].items():
            echo(f"{name:<28}{value:8.4f}")
        for name in result["files"]:
            echo(out / name)
