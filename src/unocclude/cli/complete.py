"""`unocclude complete`: the amodal mask and amodal RGB of an object in every frame."""

from pathlib import Path
from typing import Annotated

import typer

from unocclude.cli import options as shared
from unocclude.cli import prompt as prompts
from unocclude.cli.echo import echo, notes_of, say


def run(
    input: shared.Input,
    out: shared.Out,
    masks: prompts.Masks = None,
    box: prompts.Box = None,
    point: prompts.Point = None,
    not_point: prompts.NotPoint = None,
    mask: prompts.Mask = None,
    hidden: prompts.Hidden = None,
    objects: prompts.Objects = None,
    text: prompts.Text = None,
    frame: prompts.FrameNumber = 0,
    object_id: prompts.ObjectId = None,
    occluders: Annotated[
        Path | None,
        typer.Option(
            "--occluders",
            metavar="PATH",
            help="Masks of known occluders, in the formats of --masks; a single still mask stands for all frames.",
        ),
    ] = None,
    method: shared.MethodName = "recall",
    settings: shared.Settings = None,
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
    """Complete one object: its amodal mask and RGBA in every frame.

    Writes to OUT: the visible and amodal masks, the RGBA, the provenance of every pixel, a preview and a report.
    """
    from unocclude.cli.advice import doubt_line, tracker_line
    from unocclude.cli.memory import use_single_heap
    from unocclude.cli.progress import show_progress
    from unocclude.outfolder import check_out

    # cheap checks first
    given = prompts.PromptOptions(masks, box, point, not_point, mask, hidden, objects, text, frame, object_id)
    given.check()
    pairs = shared.read_pairs(settings)
    check_out(out, resume=resume, overwrite=overwrite, inputs=(input, occluders, *given.files))

    use_single_heap()

    import unocclude
    from unocclude.executor.cores import useful_workers
    from unocclude.frames import FEW
    from unocclude.mask_files import cut_to, read_union
    from unocclude.methods import create, get_method, with_description
    from unocclude.methods.base import RunSettings

    options = with_description(get_method(method), pairs, text)
    chosen = create(method, options, RunSettings(seed, hypotheses, device, weights))
    clip = unocclude.open(input, fps=fps, start=start, end=end)
    prompt = given.read(clip)
    in_front = None if occluders is None else cut_to(read_union(occluders), clip)
    with show_progress(quiet, notes=notes_of(clip, prompt, in_front)) as progress:
        result = unocclude.complete(
            clip,
            prompt,
            method=chosen,
            out=out,
            occluders=in_front,
            pad=pad,
            resume=resume,
            overwrite=overwrite,
            workers=workers or (useful_workers(len(clip), FEW) if chosen.independent else None),
            progress=progress,
        )
    if not quiet:
        say(tracker_line(result.info), err=True)
        echo(f"{result.folder}\n{result.folder / 'report.html'}")
        say(doubt_line(result.info))
