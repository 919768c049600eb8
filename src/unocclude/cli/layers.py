"""`unocclude layers`: several objects of a clip as layers, their order, and the clean plate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unocclude.cli import options as shared
from unocclude.cli import prompt as prompts
from unocclude.cli.echo import echo, notes_of, say
from unocclude.errors import InputError

if TYPE_CHECKING:
    from unocclude.clip import Clip
    from unocclude.perception.objects import ObjectPrompt

Masks = Annotated[
    Path | None,
    typer.Option(
        "--masks",
        metavar="PATH",
        help="The objects' visible masks: images in which objects have ids (DAVIS palette, grey levels or colours), a "
        "folder with a folder for each object, or JSON in SA-V's format.",
    ),
]
Text = Annotated[
    str | None,
    typer.Option("--text", metavar="WORDS", help='Descriptions, as in "a dog. a person"; needs downloaded weights.'),
]

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A method option, as in `complete`; or plate=ID_OR_DIR, an inpainting checkpoint for what no frame shows "
        "of the background.",
    ),
]


def run(
    input: shared.Input,
    out: shared.Out,
    masks: Masks = None,
    objects: prompts.Objects = None,
    text: Text = None,
    frame: prompts.FrameNumber = 0,
    occluders: Annotated[
        Path | None,
        typer.Option("--occluders", metavar="PATH", help="Masks of what is in front and is none of the objects."),
    ] = None,
    method: shared.MethodName = "recall",
    settings: Settings = None,
    hypotheses: shared.Hypotheses = 1,
    pad: shared.Pad = 0.0,
    seed: shared.Seed = 0,
    fps: shared.Fps = None,
    start: shared.Start = 0,
    end: shared.End = None,
    device: shared.Device = "auto",
    weights: shared.Weights = None,
    workers: shared.Workers = None,
    resume: shared.Resume = False,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Complete several objects as layers: each whole, in their order, over a clean plate.

    Writes to OUT: a folder for each object as `complete` writes it, the background without objects, and layers.json
    with the order back to front. `unocclude compose` puts the layers together again, with edits.
    """
    from unocclude.cli.advice import doubt_line, tracker_line
    from unocclude.cli.memory import use_single_heap
    from unocclude.cli.progress import show_progress
    from unocclude.outfolder import check_out

    if sum(value is not None for value in (masks, objects, text)) != 1:
        raise InputError("give the objects with one of --masks, --objects and --text")
    if frame and text is None:
        raise InputError(f"--frame {frame} is only for --text; leave it out")
    pairs = shared.read_pairs(settings)
    check_out(out, resume=resume, overwrite=overwrite, inputs=(input, occluders, masks, objects))

    use_single_heap()

    import unocclude
    from unocclude.executor.cores import useful_workers
    from unocclude.frames import FEW
    from unocclude.layers.run import layers
    from unocclude.mask_files import cut_to, read_union
    from unocclude.methods import create
    from unocclude.methods.base import RunSettings

    checkpoint = pairs.pop("plate", None)
    plate = None if checkpoint is None else str(checkpoint)
    chosen = create(method, pairs, RunSettings(seed, hypotheses, device, weights))
    clip = unocclude.open(input, fps=fps, start=start, end=end)
    items = _read(clip, masks, objects, text, frame)
    in_front = None if occluders is None else cut_to(read_union(occluders), clip)
    notes = notes_of(clip, *(item.prompt for item in items), in_front)
    with show_progress(quiet, notes=notes) as progress:
        result = layers(
            clip, items, method=chosen, occluders=in_front, pad=pad, plate=plate, out=out, resume=resume,
            overwrite=overwrite,
            workers=workers or (useful_workers(len(clip) * len(items), FEW) if chosen.independent else None),
            progress=progress,
        )  # fmt: skip
    if not quiet:
        infos = [layer.completion.info | {"name": layer.name} for layer in result.objects]
        say(next(filter(None, map(tracker_line, infos)), ""), err=True)
        echo(f"{result.folder}\n{result.folder / 'report.html'}")
        for info in infos:
            say(doubt_line({**info, "objects": [info]}))


def _read(clip: "Clip", masks: Path | None, objects: Path | None, text: str | None, frame: int) -> "list[ObjectPrompt]":
    """The objects that the options name."""
    from unocclude.mask_files import read_objects_for
    from unocclude.perception.objects import ObjectPrompt, read_objects
    from unocclude.perception.prompt import Prompt

    if objects is not None:
        return read_objects(objects)
    if masks is not None:
        return [
            ObjectPrompt(number, name or f"object {number}", prompts.as_prompt(found))
            for number, (name, found) in read_objects_for(clip, masks).items()
        ]
    phrases = [phrase.strip() for phrase in (text or "").split(".") if phrase.strip()]
    if not phrases:
        raise InputError('--text names no object; give descriptions, as in "a dog. a person"')
    return [ObjectPrompt(k, phrase, Prompt().text(phrase, frame=frame)) for k, phrase in enumerate(phrases, start=1)]
