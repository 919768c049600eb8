"""`unocclude compose`: a picture or video of layers, put together as edited."""

from pathlib import Path
from typing import Annotated

import typer

from unocclude.cli import options as shared
from unocclude.cli.echo import echo


def run(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The OUT folder of `unocclude layers`.", show_default=False)
    ],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="FILE.mp4, .mov, .webm, .gif, .png or .exr; a single frame also .jpg.",
            show_default=False,
        ),
    ],
    edit: Annotated[
        Path | None, typer.Option("--edit", metavar="EDIT.json", help="What to change; without it, the clip again.")
    ] = None,
    overwrite: shared.OverwriteFile = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Put layers together again, as edited: hide, move, scale, fade, shift in time, reorder, another background.

    EDIT.json is {"background": "plate", "objects": {"1": {"move": [40, 0], "z": 2}}}.
    """  # fmt: skip
    from unocclude.cli.progress import show_progress
    from unocclude.layers.composition import write_composition

    shared.check_file(file)
    with show_progress(quiet) as progress:
        files = write_composition(out, file, edit, overwrite=overwrite, progress=progress)
    if not quiet:
        echo("\n".join(str(file) for file in files))
