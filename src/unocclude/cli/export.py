"""`unocclude export`: write a result as a file for editors and browsers."""

from pathlib import Path
from typing import Annotated

import typer

from unocclude.cli import options as shared
from unocclude.cli.echo import echo, print_notes


def run(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The OUT folder of a finished run.", show_default=False)],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="FILE.mov, .webm, .mp4, .gif, .png or .exr; of layers .otio, .exr, .psd or a folder.",
            show_default=False,
        ),
    ],
    square: Annotated[
        int | None, typer.Option("--square", metavar="PIXELS", help="Write square crops around the object to a folder.")
    ] = None,
    background: Annotated[
        str, typer.Option("--background", metavar="COLOUR", help="Of --square: white, black, grey, #rrggbb or none.")
    ] = "white",
    frame: Annotated[int, typer.Option("--frame", metavar="N", help="The frame of a .psd.")] = 0,
    overwrite: shared.OverwriteFile = False,
    fps: shared.Fps = None,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Write a result as a file for editors and browsers.

    The suffix of FILE selects the format: .mov (ProRes 4444) and .webm (VP9) are videos with alpha, .mp4 is a video
    without, .gif and .png (APNG) are animations, and .exr writes one file per frame, as do names
    like layer_%04d.png and layer.####.exr. Videos get the clip's sound. Layers are written together: .otio is a
    timeline with a clip for each, .exr and .psd have layers, and a folder gets PNGs.
    """
    from unocclude import export
    from unocclude.cli.progress import show_progress

    if file.suffix and square is None:
        shared.check_file(file)
    with show_progress(quiet) as progress:
        notes: list[str] = []
        files = export(
            out, file, overwrite=overwrite, fps=fps, square=square, background=background, frame=frame,
            progress=progress, note=notes.append,
        )  # fmt: skip
    if not quiet:
        print_notes(notes)
        echo("\n".join(str(file) for file in files))
