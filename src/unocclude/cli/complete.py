"""`unocclude complete`: the object's whole silhouette and appearance in every frame."""

from pathlib import Path
from typing import Annotated

import typer

from unocclude.cli import options as shared
from unocclude.cli.echo import echo


def run(
    input: shared.Input,
    out: shared.Out,
    masks: shared.Masks = None,
    box: shared.Box = None,
    point: shared.Point = None,
    text: shared.Text = None,
    frame: shared.FrameNumber = 0,
    object_id: shared.ObjectId = None,
    occluders: Annotated[
        Path | None,
        typer.Option("--occluders", metavar="PATH", help="Masks of what is known to be in front; formats of --masks."),
    ] = None,
    method: shared.MethodName = "recall",
    settings: shared.Settings = None,
    hypotheses: Annotated[
        int,
        typer.Option("--hypotheses", metavar="K", help="How many samples to draw, from a method that can."),
    ] = 1,
    pad: shared.Pad = 0.0,
    seed: shared.Seed = 0,
    device: shared.Device = "auto",
    weights: shared.Weights = None,
    resume: shared.Resume = False,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Complete one object: amodal masks and RGBA of all frames.

    OUT gets the masks, the RGBA, where every pixel comes from, a preview and a report.
    """
    from unocclude.cli.memory import share_one_heap
    from unocclude.cli.progress import show_progress
    from unocclude.outfolder import check_out

    # what costs nothing to check comes first
    shared.check_kinds(masks, box, point, text, object_id)
    pairs = shared.read_pairs(settings)
    check_out(out, resume=resume, overwrite=overwrite, inputs=(input, masks, occluders))

    share_one_heap()

    import unocclude
    from unocclude.masks import read_track
    from unocclude.methods import create
    from unocclude.methods.base import RunSettings

    chosen = create(method, pairs, RunSettings(seed, hypotheses, device, weights))
    clip = unocclude.open(input)
    prompt = shared.read_prompt(clip, masks, box, point, text, frame, object_id)
    in_front = None if occluders is None else read_track(occluders)
    with show_progress(quiet) as progress:
        result = unocclude.complete(
            clip,
            prompt,
            method=chosen,
            out=out,
            occluders=in_front,
            pad=pad,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    if not quiet:
        echo(f"{result.folder}\n{result.folder / 'report.html'}")
