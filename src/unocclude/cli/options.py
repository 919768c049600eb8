"""Arguments and options that several commands share, and how they are parsed."""

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
        help="The object's visible masks: a folder of PNGs (one per frame), one PNG (the mask in --frame, "
        "tracked from there), a mask video, or JSON with COCO RLEs or in SA-V's format.",
    ),
]
Box = Annotated[
    list[str] | None,
    typer.Option("--box", metavar="X0,Y0,X1,Y1", help="A box around the object in --frame, in pixels; repeatable."),
]
Point = Annotated[
    list[str] | None,
    typer.Option("--point", metavar="X,Y", help="A point on the object in --frame, in pixels; repeatable."),
]
Text = Annotated[
    str | None, typer.Option("--text", metavar="WORDS", help="A description of the object; needs downloaded weights.")
]
FrameNumber = Annotated[
    int, typer.Option("--frame", metavar="N", help="The frame of the prompt (box, point or single mask).")
]
ObjectId = Annotated[
    int | None,
    typer.Option("--object-id", metavar="K", help="The id of the object, if --masks holds several."),
]


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
Resume = Annotated[bool, typer.Option("--resume", help="Continue an unfinished run with the same arguments.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it was made by this tool.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing unless something fails.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print the traceback on failure.")]


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
        raise InputError("no object is given; give one of --masks, --box, --point or --text")
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
    """Parse the prompt options: masks of all frames, or a prompt to track from `frame`.

    Raises InputError unless exactly one kind of prompt is given, or if it does not fit the clip.
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
    track = cut_masks(read_masks(masks, object_id=object_id), clip)
    if len(clip) > 1 and len(track) == 1 and masks.is_file() and is_image(masks):
        prompt = Prompt(frame=frame, mask=track[0])
        prompt.check(clip)
        return prompt
    if frame:
        raise InputError(
            f"--frame {frame} is only for --box, --point or one mask image; {masks} holds masks of all frames"
        )
    return track


def _numbers(flag: str, value: str, form: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in value.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != form.count(",") + 1 or not all(math.isfinite(n) for n in numbers):
        raise InputError(f"{flag} {value}: expected {form} in pixels, without spaces")
    return numbers


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


def cut_masks(masks: "MaskTrack", clip: "Clip") -> "MaskTrack":
    """The masks of the frames that `--start` and `--end` select, if `masks` has one for every frame of the file."""
    from unocclude.masks import MaskTrack

    if clip.numbers is None or len(masks) != clip.total:
        return masks
    cut = MaskTrack.from_masks((masks[i] for i in clip.numbers), masks.origin)
    cut.path = masks.path
    return cut


def names(value: str) -> list[str]:
    """Names separated by commas."""
    return [name.strip() for name in value.split(",") if name.strip()]


def check_file(path: Path) -> None:
    """Raise InputError if `path` is a folder or its parent folder does not exist."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a file")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; make it first")
