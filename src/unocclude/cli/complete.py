"""`unocclude complete`: the amodal mask and amodal RGB of an object in every frame."""

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
        typer.Option("--occluders", metavar="PATH", help="Masks of known occluders, in the formats of --masks."),
    ] = None,
    method: shared.MethodName = "recall",
    settings: shared.Settings = None,
    hypotheses: Annotated[
        int,
        typer.Option("--hypotheses", metavar="K", help="Number of samples to draw; only for methods that can sample."),
    ] = 1,
    pad: shared.Pad = 0.0,
    seed: shared.Seed = 0,
    fps: shared.Fps = None,
    start: shared.Start = 0,
    end: shared.End = None,
    device: shared.Device = "auto",
    weights: shared.Weights = None,
    resume: shared.Resume = False,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Complete one object: its amodal mask and RGBA in every frame.

    Writes to OUT: the visible and amodal masks, the RGBA, the provenance of every pixel, a preview and a report.
    """
    from unocclude.cli.memory import use_single_heap
    from unocclude.cli.progress import show_progress
    from unocclude.outfolder import check_out

    # cheap checks first
    shared.check_kinds(masks, box, point, text, object_id)
    pairs = shared.read_pairs(settings)
    check_out(out, resume=resume, overwrite=overwrite, inputs=(input, masks, occluders))

    use_single_heap()

    import unocclude
    from unocclude.masks import read_track
    from unocclude.methods import create, get_method, with_description
    from unocclude.methods.base import RunSettings
    from unocclude.run import all_notes

    options = with_description(get_method(method), pairs, text)
    chosen = create(method, options, RunSettings(seed, hypotheses, device, weights))
    clip = unocclude.open(input, fps=fps, start=start, end=end)
    prompt = shared.read_prompt(clip, masks, box, point, text, frame, object_id)
    in_front = None if occluders is None else shared.cut_masks(read_track(occluders), clip)
    with show_progress(quiet, notes=all_notes(clip, prompt, in_front)) as progress:
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
