"""The one function behind the command line and the API: complete one object of a clip."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unocclude import __version__
from unocclude.clip import Clip
from unocclude.completion import Completion
from unocclude.errors import InputError, UnoccludeError
from unocclude.masks import MaskTrack
from unocclude.methods import find, read_options
from unocclude.methods.base import Method, Setting
from unocclude.output import OutFolder, frame_figures
from unocclude.perception.prompt import Prompt
from unocclude.perception.track import track_prompt
from unocclude.report.preview import write_preview
from unocclude.report.report import write_report
from unocclude.scene import Scene, check_fit

Progress = Callable[[str, int, int], None]
"""Told of every step: what is being done, how many frames are done, of how many."""


def complete(
    clip: Clip,
    prompt: MaskTrack | Prompt,
    *,
    method: str = "recall",
    options: dict[str, Any] | None = None,
    out: str | Path | None = None,
    occluders: MaskTrack | None = None,
    hypotheses: int = 1,
    pad: float = 0.0,
    seed: int = 0,
    device: str = "auto",
    weights: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> Completion:
    """Complete one object of a clip and write the OUT folder of the contract.

    prompt: the object's visible masks in all frames, or a `Prompt` (box, point or mask in one frame) to track.
    options: the method's own, as in `--set`. occluders: masks of what is known to be in front. pad: enlarge the
    canvas by this fraction of the frame on every side. out: the folder to write; None for a temporary one that lives
    as long as the result. resume goes on with an unfinished run of the same arguments; overwrite replaces a result.

    Raises InputError for bad input, before anything is written; UnoccludeError when the run fails.
    """
    cls = find(method)
    chosen = read_options(cls, options or {})
    if hypotheses < 1:
        raise InputError(f"hypotheses is {hypotheses}, expected 1 or more")
    if hypotheses > 1 and not cls.samples:
        raise InputError(f"method {method} cannot sample several hypotheses; leave out --hypotheses")
    if lacking := cls.missing(weights):
        raise InputError(f"method {method} cannot run here: {lacking}")
    if isinstance(prompt, MaskTrack):
        check_fit(clip, prompt)
    else:
        prompt.check(clip)
    if occluders is not None:
        check_fit(clip, occluders, "occluder mask")

    keep = None
    if out is None:
        keep = tempfile.TemporaryDirectory(prefix="unocclude-")
        out, resume = keep.name, True
    identity = {
        "input": clip.fingerprint,
        "prompt": prompt.fingerprint,
        "occluders": occluders.fingerprint if occluders is not None else None,
        "method": method,
        "method_version": cls.version,
        "options": chosen.model_dump(mode="json"),
        "hypotheses": hypotheses,
        "pad": pad,
        "seed": seed,
        "device": device,
        "weights": weights,
    }
    folder = OutFolder(out, identity, resume=resume, overwrite=overwrite)
    if not folder.finished:
        worker = cls(chosen, Setting(seed=seed, hypotheses=hypotheses, device=device, weights=weights))
        try:
            _run(worker, clip, prompt, occluders, pad, folder, progress)
        except OSError as error:
            raise UnoccludeError(
                f"could not write to {folder.path}: {error.strerror or error}; what is finished stays, "
                "go on with --resume"
            ) from error
    return Completion(folder.path, keep)


def _run(
    method: Method,
    clip: Clip,
    prompt: MaskTrack | Prompt,
    occluders: MaskTrack | None,
    pad: float,
    folder: OutFolder,
    progress: Progress,
) -> None:
    timings: dict[str, float] = {}
    count = len(clip)

    started = time.perf_counter()
    if isinstance(prompt, MaskTrack):
        track = prompt
    else:
        track = track_prompt(clip, prompt, progress=lambda done, total: progress("tracking", done, total))
        timings["tracking"] = time.perf_counter() - started
    scene = Scene(clip, track, occluders, pad)
    folder.claim()
    if not folder.masks_done(count):
        folder.write_visible(scene.visible(i) for i in range(count))

    started = time.perf_counter()
    first = folder.frames_done()
    figures = [folder.figures(i, track.areas[i]) for i in range(first)]
    progress("completing", first, count)
    for result in method.complete(scene, start=first):
        folder.write_frame(result)
        figures.append(frame_figures(result.provenance, track.areas[result.index]))
        progress("completing", result.index + 1, count)
    timings["completing"] = time.perf_counter() - started

    info = {
        "unocclude": __version__,
        "method": {"name": method.name, "version": method.version, "options": folder.identity["options"]},
        "input": str(clip.path) if clip.path else None,
        "arguments": {k: folder.identity[k] for k in ("hypotheses", "pad", "device", "weights")},
        "seed": folder.identity["seed"],
        "tracker": track.origin,
        "fps": clip.fps,
        "frame_count": count,
        "canvas": {"width": scene.width, "height": scene.height, "offset": list(scene.offset)},
        "resumed_at": first,
        "timings": {stage: round(seconds, 3) for stage, seconds in timings.items()},
        "frames": figures,
    }
    folder.finish(
        info,
        [
            lambda path: write_preview(path, scene, progress),
            lambda path: write_report(path, scene, info),
        ],
    )
