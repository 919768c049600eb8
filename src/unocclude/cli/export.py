"""`unocclude export`: a result as one file that editors and browsers open."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unocclude.cli import options as shared
from unocclude.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from unocclude.completion import Completion
    from unocclude.types import Progress

FORMATS = {
    ".mov": "ProRes 4444 with alpha",
    ".webm": "VP9 with alpha",
    ".mp4": "H.264, no alpha",
    ".gif": "GIF",
    ".png": "APNG",
    ".exr": "OpenEXR",
}


def run(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The OUT folder of a finished run.", show_default=False)],
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="FILE.mov, .webm, .mp4, .gif, .png or .exr.", show_default=False),
    ],
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Write a result as one file for editors and browsers.

    The suffix of FILE is the format: .mov (ProRes 4444) and .webm (VP9) are video with alpha, .mp4 is
    without, .gif and .png (APNG) are animations, .exr is one file a frame.
    """
    from unocclude.cli.progress import show_progress

    if file.suffix.lower() not in FORMATS:
        raise InputError(f"{file}: unknown format {file.suffix!r}; use one of {', '.join(FORMATS)}")
    shared.check_file(file)

    from unocclude.completion import Completion
    from unocclude.errors import UnoccludeError
    from unocclude.media.layers import write_layers

    result = Completion(out)
    try:
        with show_progress(quiet) as progress:
            files = write_layers(file, _frames(result, progress), result.info["fps"], result.info.get("times"))
    except OSError as error:
        raise UnoccludeError(f"could not write {file}: {error.strerror or error}") from error
    if not quiet:
        typer.echo("\n".join(str(file) for file in files))


def _frames(result: "Completion", progress: "Progress") -> "Iterator[np.ndarray]":
    progress("exporting", 0, len(result))
    for i, rgba in enumerate(result.rgba):
        yield rgba
        progress("exporting", i + 1, len(result))
