"""`unocclude complete`: the object's whole silhouette and appearance in every frame."""

from pathlib import Path
from typing import Annotated

import typer

from unocclude.cli import options as shared


def known_methods(incomplete: str) -> list[str]:
    """Names for shell completion."""
    from unocclude.methods import WHERE

    return [name for name in WHERE if name.startswith(incomplete)]


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
    method: Annotated[
        str,
        typer.Option("--method", metavar="NAME", help="See `unocclude methods`.", autocompletion=known_methods),
    ] = "recall",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the method; may be repeated."),
    ] = None,
    hypotheses: Annotated[
        int,
        typer.Option("--hypotheses", metavar="K", help="How many samples to draw, from a method that can."),
    ] = 1,
    pad: Annotated[
        float,
        typer.Option("--pad", metavar="FRACTION", help="Enlarge the canvas by this part of the frame on every side."),
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed of all that is drawn at random.")] = 0,
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="auto, cpu or cuda.")] = "auto",
    weights: Annotated[
        str | None,
        typer.Option("--weights", metavar="ID_OR_DIR", help="Weights of the method, where it takes some."),
    ] = None,
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
    from unocclude.output import check_out

    # what costs nothing to check comes first
    shared.check_kinds(masks, box, point, text, object_id)
    pairs = shared.read_pairs(settings)
    check_out(out, resume=resume, overwrite=overwrite)

    share_one_heap()

    import unocclude
    from unocclude.masks import MaskTrack
    from unocclude.media import masks as mask_files
    from unocclude.methods.base import Setting
    from unocclude.run import prepare

    prepare(method, pairs, Setting(seed, hypotheses, device, weights))
    clip = unocclude.open(input)
    prompt = shared.read_prompt(clip, masks, box, point, text, frame, object_id)
    in_front = None if occluders is None else MaskTrack.from_masks(mask_files.read(occluders))
    with show_progress(quiet) as progress:
        result = unocclude.complete(
            clip,
            prompt,
            method=method,
            options=pairs,
            out=out,
            occluders=in_front,
            hypotheses=hypotheses,
            pad=pad,
            seed=seed,
            device=device,
            weights=weights,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    if not quiet:
        typer.echo(f"{result.folder}\n{result.folder / 'report.html'}")
