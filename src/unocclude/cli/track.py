"""`unocclude track`: the visible masks of one object, without completing it."""

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
    fps: shared.Fps = None,
    start: shared.Start = 0,
    end: shared.End = None,
    resume: shared.Resume = False,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Track one object: its visible masks in all frames."""
    from unocclude.cli.progress import show_progress
    from unocclude.outfolder import check_out

    shared.check_kinds(masks, box, point, text, object_id)
    check_out(out, resume=resume, overwrite=overwrite, inputs=(input, masks))

    import unocclude
    from unocclude.run import all_notes, track_to

    clip = unocclude.open(input, fps=fps, start=start, end=end)
    prompt = shared.read_prompt(clip, masks, box, point, text, frame, object_id)
    with show_progress(quiet, notes=all_notes(clip, prompt)) as progress:
        folder = track_to(clip, prompt, out, resume=resume, overwrite=overwrite, progress=progress)
    if not quiet:
        echo(folder)
