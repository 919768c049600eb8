"""Arguments that several verbs share, and what they mean."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unocclude.errors import InputError

if TYPE_CHECKING:
    from unocclude.clip import Clip
    from unocclude.masks import MaskTrack
    from unocclude.perception.prompt import Prompt

Input = Annotated[
    Path,
    typer.Argument(metavar="INPUT", help="A video file, a folder of frames, or an image.", show_default=False),
]
Out = Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help="The folder to write.", show_default=False)]
Masks = Annotated[
    Path | None,
    typer.Option(
        "--masks",
        metavar="PATH",
        help="The object's visible masks: a folder of PNGs (one a frame), one PNG (the mask in --frame, "
        "tracked from there), a mask video, or a COCO-RLE / SA-V json.",
    ),
]
Box = Annotated[
    list[str] | None,
    typer.Option(
        "--box", metavar="X0,Y0,X1,Y1", help="A box around the object in --frame, in pixels; may be repeated."
    ),
]
Point = Annotated[
    list[str] | None,
    typer.Option("--point", metavar="X,Y", help="A point on the object in --frame; may be repeated."),
]
Text = Annotated[
    str | None, typer.Option("--text", metavar="WORDS", help="The object in words; needs downloaded weights.")
]
FrameNumber = Annotated[
    int, typer.Option("--frame", metavar="N", help="The frame in which the prompt points at the object.")
]
ObjectId = Annotated[
    int | None,
    typer.Option("--object-id", metavar="K", help="Which object of --masks that hold several (DAVIS palette)."),
]


def known_methods(incomplete: str) -> list[str]:
    """Names for shell completion."""
    from unocclude.methods import METHODS

    return [name for name in METHODS if name.startswith(incomplete)]


MethodName = Annotated[
    str,
    typer.Option("--method", metavar="NAME", help="See `unocclude methods`.", autocompletion=known_methods),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="An option of the method; may be repeated."),
]
_PAD = typer.Option("--pad", metavar="FRACTION", help="Enlarge the canvas by this part of the frame on every side.")
Pad = Annotated[float, _PAD]
PadOrData = Annotated[float | None, _PAD]
"""None: as far as the data set says."""
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Seed of all that is drawn at random.")]
Device = Annotated[str, typer.Option("--device", metavar="DEVICE", help="auto, cpu or cuda.")]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights", metavar="ID_OR_DIR", help="Weights of the method, where it takes some; mini where one ships."
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run of the same arguments.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT, if this tool made it.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing unless something fails.")]
Debug = Annotated[bool, typer.Option("--debug", help="On failure print the traceback as well.")]


def check_kinds(
    masks: Path | None,
    box: list[str] | None,
    point: list[str] | None,
    text: str | None,
    object_id: int | None,
) -> None:
    """Raise InputError unless exactly one kind of prompt is given."""
    given = {
        "--masks": masks is not None,
        "--box": bool(box),
        "--point": bool(point),
        "--text": text is not None,
    }
    kinds = [name for name, is_given in given.items() if is_given]
    if not kinds:
        raise InputError("nothing says which object: give one of --masks, --box, --point or --text")
    if len(kinds) > 1:
        raise InputError(f"{' and '.join(kinds)} are two kinds of prompt; give exactly one")
    if object_id is not None and masks is None:
        raise InputError("--object-id picks an object of --masks; give --masks, or leave it out")


def read_prompt(
    clip: "Clip",
    masks: Path | None,
    box: list[str] | None,
    point: list[str] | None,
    text: str | None,
    frame: int,
    object_id: int | None,
) -> "MaskTrack | Prompt":
    """What the prompt flags say: masks of all frames, or something to track from `frame`.

    Raises InputError where they say nothing, several things, or what the clip does not have.
    """
    from unocclude.masks import read_masks
    from unocclude.media.source import is_image
    from unocclude.perception.prompt import Prompt

    check_kinds(masks, box, point, text, object_id)
    if not 0 <= frame < len(clip):
        raise InputError(f"--frame {frame} does not exist; the clip has frames 0 to {len(clip) - 1}")
    if masks is None:
        boxes = tuple(_numbers("--box", value, "X0,Y0,X1,Y1") for value in box or ())
        points = tuple(_numbers("--point", value, "X,Y") for value in point or ())
        prompt = Prompt(frame=frame, boxes=boxes, points=points, text=text)  # type: ignore[arg-type]
        prompt.check(clip)
        return prompt
    track = read_masks(masks, object_id=object_id)
    if len(clip) > 1 and len(track) == 1 and masks.is_file() and is_image(masks):
        prompt = Prompt(frame=frame, mask=track[0])
        prompt.check(clip)
        return prompt
    if frame:
        raise InputError(
            f"--frame {frame} goes with --box, --point or one mask image; {masks} holds masks of all frames"
        )
    return track


def _numbers(flag: str, value: str, form: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in value.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != form.count(",") + 1 or not all(math.isfinite(n) for n in numbers):
        raise InputError(f"{flag} {value}: expected {form} in pixels, without blanks")
    return numbers


def read_pairs(
    values: list[str] | None, option: str = "--set", form: str = "KEY=VALUE; `unocclude methods` lists the keys"
) -> dict[str, object]:
    """Pairs of an option of this form; raises InputError for what has no `=`."""
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
    """Raise InputError where a file cannot be written there, before the work that fills it."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a file")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; make it first")
