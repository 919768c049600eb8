"""`unocclude track`: the visible masks of one object or several, without completing them."""

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
    device: shared.Device = "auto",
    fps: shared.Fps = None,
    start: shared.Start = 0,
    end: shared.End = None,
    workers: shared.Workers = None,
    resume: shared.Resume = False,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
    debug: shared.Debug = False,
) -> None:
    """Track one object, or all in --objects: their visible masks in all frames, with a confidence for each."""
    from unocclude.cli.advice import doubt_line, tracker_line
    from unocclude.cli.progress import show_progress
    from unocclude.outfolder import check_out

    given = prompts.PromptOptions(masks, box, point, not_point, mask, hidden, objects, text, frame, object_id)
    given.check()
    check_out(out, resume=resume, overwrite=overwrite, inputs=(input, *given.files))

    import unocclude
    from unocclude.executor.cores import useful_workers
    from unocclude.layout import TRACK_FILE
    from unocclude.media.jsonfile import read_json
    from unocclude.tracking import track_to

    clip = unocclude.open(input, fps=fps, start=start, end=end)
    prompt = given.read_objects() if objects else given.read(clip)
    notes = notes_of(clip, *(() if isinstance(prompt, list) else [prompt]))
    with show_progress(quiet, notes=notes) as progress:
        folder = track_to(
            clip, prompt, out, device=device, resume=resume, overwrite=overwrite,
            workers=workers or (useful_workers(len(prompt)) if isinstance(prompt, list) else None), progress=progress,
        )  # fmt: skip
    if not quiet:
        info = read_json(folder / TRACK_FILE)
        say(tracker_line(info), err=True)
        echo(folder)
        say(doubt_line(info))
