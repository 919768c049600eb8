"""Track one object or several: the function behind `unocclude track`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unocclude.clip import Clip
from unocclude.executor import Executor, Workers, executor_of
from unocclude.layout import TRACK_FILE
from unocclude.masks import MaskTrack
from unocclude.output import TrackFolder
from unocclude.perception.locate import locate
from unocclude.perception.objects import ObjectPrompt
from unocclude.perception.prompt import Prompt
from unocclude.result import check_prompt, common_info, confidences, describe, input_files, timed
from unocclude.types import Progress, no_progress


def track_to(
    clip: Clip,
    prompts: MaskTrack | Prompt | Sequence[ObjectPrompt],
    out: str | Path,
    *,
    device: str = "auto",
    resume: bool = False,
    overwrite: bool = False,
    workers: Workers = None,
    progress: Progress = no_progress,
) -> Path:
    """Track one object or several, write their visible masks and track.json to the folder `out`, and return the folder.

    One object's masks are in `visible_masks/`, those of several in `objects/<id>/visible_masks/`. `resume`,
    `overwrite`, `workers`, which share the objects, and the exceptions are as in `complete`.
    """
    objects = None if isinstance(prompts, MaskTrack | Prompt) else list(prompts)
    asked: list[MaskTrack | Prompt]
    asked = [prompts] if isinstance(prompts, MaskTrack | Prompt) else [item.prompt for item in prompts]
    for prompt in asked:
        check_prompt(clip, prompt)
    if objects is None:
        arguments: dict[str, Any] = {"prompt": describe(asked[0])}
    else:
        arguments = {"objects": [{"id": item.id, "name": item.name, **describe(item.prompt)} for item in objects]}
    folder = TrackFolder(
        out, {"verb": "track", "input": clip.fingerprint, **arguments, "device": device},
        resume=resume, overwrite=overwrite, result=TRACK_FILE, inputs=input_files(clip, *asked),
        count=len(clip), size=(clip.height, clip.width),
        objects=[""] if objects is None else [f"objects/{item.id}" for item in objects],
    )  # fmt: skip
    if folder.finished:
        return folder.given
    timings: dict[str, float] = {}
    with folder.working():
        with timed(timings, "tracking"), executor_of(workers) as executor:
            tracks = _track_all(clip, asked, device, progress, executor)
        folder.claim()
        folder.write(tracks)
        folder.finish(_track_info(clip, tracks, objects, arguments, timings))
    return folder.given


def _track_all(
    clip: Clip,
    prompts: Sequence[MaskTrack | Prompt],
    device: str,
    progress: Progress,
    executor: Executor | None,
) -> Sequence[MaskTrack]:
    if isinstance(prompts[0], MaskTrack):
        return [prompts[0]]
    progress("tracking", 0, len(clip))
    to_track = [prompt for prompt in prompts if isinstance(prompt, Prompt)]
    tracks = locate(clip, to_track, lambda done, total: progress("tracking", done, total), device, executor)
    for track, prompt in zip(tracks, to_track, strict=True):
        track.notes = prompt.notes
    return tracks


def _track_info(
    clip: Clip,
    tracks: Sequence[MaskTrack],
    objects: list[ObjectPrompt] | None,
    arguments: dict[str, Any],
    timings: dict[str, float],
) -> dict[str, Any]:
    """The content of track.json."""
    frames = [
        [{"visible_area": int(area)} | more for area, more in zip(track.areas, confidences(track), strict=True)]
        for track in tracks
    ]
    info = common_info(clip, tracks[0], arguments, timings)
    if objects is None:
        return {**info, "frames": frames[0]}
    about = zip(objects, frames, strict=True)
    return {
        **info,
        "objects": [
            {"id": item.id, "name": item.name, "folder": f"objects/{item.id}", "frames": figures}
            for item, figures in about
        ],
    }
