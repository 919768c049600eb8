"""`unocclude synth`: generate clips with exact ground truth."""

from pathlib import Path
from typing import Annotated

import typer

from unocclude.cli import options as shared
from unocclude.cli.echo import echo
from unocclude.errors import InputError


def run(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="sprites (2-D figures and shapes), footage (the same, as a camera would record them), "
            "rigid (a flat textured object), worlds (physics; needs MuJoCo), "
            "composite (an object of --sources behind another one), carve (an object of --sources with parts removed), "
            "pseudo (amodal masks by diffusion-vas for a data set that has only amodal boxes).",
            show_default=False,
        ),
    ],
    out: shared.Out,
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, help="Number of clips.")] = 10,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed; each seed gives different clips.")] = 0,
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames", metavar="T", min=1, help="Frames per clip (24; carve: 25; composite: all unoccluded ones)."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--size",
            metavar="WxH",
            help="Size of the frames (256x256; rigid: 320x240; carve: 256x128; composite: that of the source).",
        ),
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--sources",
            metavar="PATH",
            help="For composite and carve: a folder of source clips, or a data set as davis:PATH; repeatable. For "
            "footage, optional: a folder of photographs to cut textures from. For pseudo: a data set, KIND:PATH.",
        ),
    ] = None,
    occluders: Annotated[
        list[str] | None,
        typer.Option(
            "--occluders",
            metavar="PATH",
            help="For carve: where the removed masks come from, as --sources; by default those of --sources.",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="ID_OR_DIR",
            help="For composite: the BLIP-2 checkpoint for captions (blip2-opt-2.7b if it is installed, else captions "
            "are the class names); for pseudo: the Diffusion-VAS checkpoint.",
        ),
    ] = None,
    workers: shared.Workers = None,
    ray: shared.Ray = None,
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol",
            metavar="NAME",
            help="For worlds: kubric-static (only the camera moves) or kubric-dynamic, written as a Kubric export.",
        ),
    ] = "",
    shards: Annotated[
        bool, typer.Option("--shards", help="Write WebDataset shards of 100 clips instead of folders.")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="FILE.png", help="Also draw a contact sheet of the first clips.")
    ] = None,
    resume: shared.Resume = False,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Generate clips with exact ground truth: amodal masks and RGB, also where the object is hidden.

    Writes to OUT: 00000/, 00001/ ... in the GT layout (or 00000.tar ... with --shards), and synth.json with statistics.
    The same seed gives the same clips, whatever the number of workers.
    """
    if sheet is not None:
        if protocol:
            raise InputError("--sheet draws our own layout; leave it out with --protocol")
        if sheet.suffix.lower() != ".png":
            raise InputError(f"--sheet {sheet}: give a file name that ends in .png")
        shared.check_file(sheet)
    from unocclude.outfolder import check_out

    places = [Path(source) for source in (*(sources or ()), *(occluders or ())) if Path(source).exists()]
    check_out(out, resume=resume, overwrite=overwrite, inputs=(*places, sheet))

    from unocclude.cli.progress import show_progress
    from unocclude.executor import Resources, cluster, open_executor
    from unocclude.executor.cores import cores
    from unocclude.synthesis import statistics
    from unocclude.synthesis.dataset import SHARD, make_dataset, rows
    from unocclude.synthesis.dataset_spec import prepare_dataset_spec, read_size
    from unocclude.synthesis.sheet import write_sheet

    recipe = prepare_dataset_spec(
        kind, seed, frames, read_size(size) if size else None, sources or (), weights, occluders or (), protocol
    )
    executor = open_executor(workers or cores()) if ray is None else cluster(ray, Resources(), workers)[0](count)
    with show_progress(quiet, unit="clips") as progress:
        info = make_dataset(
            recipe, out, count, executor=executor, shards=SHARD if shards else 0,
            resume=resume, overwrite=overwrite, progress=progress,
        )  # fmt: skip
    if sheet is not None:
        write_sheet(sheet, rows(out))
    if not quiet:
        echo(statistics.as_text(info["statistics"]))
        echo(out)
