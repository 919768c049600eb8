"""Arguments and options that several commands share, and how they are parsed."""

from pathlib import Path
from typing import Annotated

import typer

from unocclude.errors import InputError

Input = Annotated[
    Path,
    typer.Argument(metavar="INPUT", help="A video file, a folder of frames, or an image.", show_default=False),
]
Out = Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help="The folder to write.", show_default=False)]


def known_methods(incomplete: str) -> list[str]:
    """Method names for shell completion."""
    from unocclude.methods import METHODS

    return [name for name in METHODS if name.startswith(incomplete)]


MethodName = Annotated[
    str,
    typer.Option(
        "--method", metavar="NAME", help="The method; `unocclude methods` lists them.", autocompletion=known_methods
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="An option of the method; repeatable."),
]
Fps = Annotated[
    float | None,
    typer.Option("--fps", metavar="F", help="Frames per second, for a folder of frames; videos have their own."),
]
Start = Annotated[int, typer.Option("--start", metavar="N", help="The first frame to use; frames count from 0.")]
End = Annotated[int | None, typer.Option("--end", metavar="N", help="The frame after the last one to use.")]
_PAD = typer.Option("--pad", metavar="FRACTION", help="Enlarge the canvas by this fraction of the frame on every side.")
Pad = Annotated[float, _PAD]
PadOrData = Annotated[float | None, _PAD]
"""As `Pad`; None for the value of the data set."""
Hypotheses = Annotated[
    int,
    typer.Option("--hypotheses", metavar="K", help="Number of samples to draw; only for methods that can sample."),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the random numbers.")]
Device = Annotated[str, typer.Option("--device", metavar="DEVICE", help="auto, cpu or cuda.")]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="ID_OR_DIR",
        help="Checkpoint of the method, for methods that take one: an id, a folder, or mini.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=1,
        help="Worker processes; by default one a core where that pays.",
        show_default=False,
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray", metavar="ADDRESS", help="Run on a Ray cluster: its address, auto, or local for a new one here."
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue an unfinished run with the same arguments.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it was made by this tool.")]
OverwriteFile = Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it exists.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing unless something fails.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print the traceback on failure.")]


METRICS_HELP = (
    "Further metrics: names, as lpips, miou_hard or miou_visible, or groups: masks, appearance, paper:vas, "
    "paper:tgvac, paper:ic-amodal."
)


def read_pairs(
    values: list[str] | None, option: str = "--set", form: str = "KEY=VALUE; `unocclude methods` lists the keys"
) -> dict[str, object]:
    """Parse the KEY=VALUE pairs of a repeatable option; raises InputError if one has no `=`."""
    pairs: dict[str, object] = {}
    for value in values or ():
        key, equals, rest = value.partition("=")
        if not equals or not key:
            raise InputError(f"{option} {value}: expected {form}")
        pairs[key.strip()] = rest
    return pairs


def names(value: str) -> list[str]:
    """Names separated by commas."""
    return [name.strip() for name in value.split(",") if name.strip()]


def check_file(path: Path) -> None:
    """Raise InputError if `path` is a folder or its parent folder does not exist."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a file")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; make it first")
