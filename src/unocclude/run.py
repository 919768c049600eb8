"""The functions behind the command line and the API: complete or track one object of a clip."""

import hashlib
import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unocclude import __version__
from unocclude.clip import Clip
from unocclude.completion import Completion
from unocclude.errors import InputError, UnoccludeError
from unocclude.layout import TRACK_FILE
from unocclude.masks import MaskTrack, encode
from unocclude.methods import get_method, read_options, with_description
from unocclude.methods.base import Method, RunSettings
from unocclude.output import PictureFolder, frame_figures
from unocclude.perception.locate import locate
from unocclude.perception.prompt import Prompt
from unocclude.report.preview import write_preview
from unocclude.report.report import write_report
from unocclude.scene import Scene, canvas_size, check_fit, check_pad
from unocclude.types import Progress

"""Told of every step: what is being done, how many frames are done, of how many."""

DEVICES = ("auto", "cpu", "cuda")


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
    pictures: bool = True,
    progress: Progress = lambda stage, done, total: None,
) -> Completion:
    """Complete one object of a clip and write the OUT folder of the contract.

    prompt: the object's visible masks in all frames, or a `Prompt` (box, point or mask in one frame) to
    track. options: the method's own, as in `--set`. occluders: masks of what is known to be in front. pad:
    enlarge the canvas by this fraction of the frame on every side. out: the folder to write; None for a
    temporary one that lives as long as the result. resume goes on with an unfinished run of the same
    arguments; overwrite replaces a result. pictures: write preview.mp4 and report.html, too.

    Raises InputError for bad input, before anything is written; UnoccludeError when the run fails.
    """
    setting = RunSettings(seed=seed, hypotheses=hypotheses, device=device, weights=weights)
    text = prompt.text if isinstance(prompt, Prompt) else None
    worker = prepare(method, with_description(get_method(method), options or {}, text), setting)
    check_pad(clip, pad)
    _check_prompt(clip, prompt)
    if occluders is not None:
        check_fit(clip, occluders, "occluder mask")

    keep = None
    if out is None:
        keep = tempfile.TemporaryDirectory(prefix="unocclude-")
        out, resume, overwrite = keep.name, True, False
    identity = {
        "verb": "complete",
        "input": clip.fingerprint,
        "prompt": describe(prompt),
        "occluders": occluders.fingerprint if occluders is not None else None,
        "method": method,
        "method_version": worker.version,
        "options": worker.options.model_dump(mode="json"),
        "hypotheses": hypotheses,
        "pad": pad,
        "seed": seed,
        "device": device,
        "weights": weights,
    }
    folder = PictureFolder(
        out, identity, resume=resume, overwrite=overwrite, inputs=_files(clip, prompt, occluders),
        count=len(clip), size=canvas_size(clip, pad), hypotheses=hypotheses,
    )  # fmt: skip
    if not folder.finished:
        with _at_work(folder):
            _run(worker, clip, prompt, occluders, pad, folder, pictures, progress)
    return Completion(folder.given, keep)


def prepare(method: str, options: dict[str, Any], setting: RunSettings) -> Method:
    """The method, ready to run; raises InputError where it or one of its settings is unknown or cannot be
    had here."""
    cls = get_method(method)
    chosen = read_options(cls, options)
    if setting.hypotheses < 1:
        raise InputError(f"hypotheses is {setting.hypotheses}, expected 1 or more")
    if setting.hypotheses > 1 and not cls.samples:
        raise InputError(f"method {method} cannot sample several hypotheses; leave out --hypotheses")
    if setting.device not in DEVICES:
        raise InputError(f"device is {setting.device!r}, expected one of {', '.join(DEVICES)}")
    if setting.device == "cuda" and not _has_cuda():
        raise InputError("device cuda: torch finds no CUDA GPU here; use --device auto or --device cpu")
    if setting.weights is not None and not cls.takes_weights:
        raise InputError(f"method {method} takes no weights; leave out --weights")
    if lacking := cls.missing(setting.weights):
        raise InputError(f"method {method} cannot run here: {lacking}")
    return cls(cls.resolve_options(chosen, setting.weights), setting)


def _has_cuda() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _check_prompt(clip: Clip, prompt: MaskTrack | Prompt) -> None:
    if isinstance(prompt, MaskTrack):
        check_fit(clip, prompt)
    else:
        prompt.check(clip)


def describe(prompt: MaskTrack | Prompt) -> dict[str, Any]:
    """A prompt as JSON: what was pointed at, masks by a hash of their pixels."""
    if isinstance(prompt, MaskTrack):
        return {"masks": prompt.fingerprint}
    given: dict[str, Any] = {"frame": prompt.frame}
    if prompt.boxes:
        given["boxes"] = [list(box) for box in prompt.boxes]
    if prompt.points:
        given["points"] = [list(point) for point in prompt.points]
    if prompt.mask is not None:
        given["mask"] = hashlib.sha256(encode(prompt.mask)).hexdigest()[:16]
    if prompt.text is not None:
        given["text"] = prompt.text
    return given


def _files(clip: Clip, *given: MaskTrack | Prompt | None) -> list[Path]:
    """The files and folders that a run reads."""
    paths = (clip.path, *(masks.path for masks in given if isinstance(masks, MaskTrack)))
    return [path for path in paths if path is not None]


@contextmanager
def _at_work(folder: PictureFolder) -> Iterator[None]:
    """A disk that fails is one plain line; the folder's lock is given back however the work ends."""
    try:
        yield
    except OSError as error:
        raise UnoccludeError(
            f"could not write to {folder.given}: {error.strerror or error}; what is finished stays, go on with --resume"
        ) from error
    finally:
        folder.release()


def _locate(
    clip: Clip, prompt: MaskTrack | Prompt, folder: PictureFolder, progress: Progress, timings: dict[str, float]
) -> MaskTrack:
    """The object's visible masks: given, from an earlier part of this run, or tracked now."""
    if isinstance(prompt, MaskTrack):
        return prompt
    if folder.masks_done():
        return MaskTrack.from_masks((_frame_part(clip, folder.visible(i)) for i in range(len(clip))), folder.tracker)
    started = time.perf_counter()
    progress("tracking", 0, len(clip))
    device = folder.identity.get("device", "auto")
    track = locate(clip, prompt, lambda done, total: progress("tracking", done, total), device)
    timings["tracking"] = round(time.perf_counter() - started, 3)
    return track


def _frame_part(clip: Clip, mask: Any) -> Any:
    """The frame's part of a canvas, in whose middle it lies."""
    y, x = (mask.shape[0] - clip.height) // 2, (mask.shape[1] - clip.width) // 2
    return mask[y : y + clip.height, x : x + clip.width]


def _run(
    method: Method,
    clip: Clip,
    prompt: MaskTrack | Prompt,
    occluders: MaskTrack | None,
    pad: float,
    folder: PictureFolder,
    pictures: bool,
    progress: Progress,
) -> None:
    timings: dict[str, float] = {}
    count = len(clip)
    track = _locate(clip, prompt, folder, progress, timings)
    scene = Scene(clip, track, occluders, pad)
    folder.claim(track.origin)
    if not folder.masks_done():
        folder.write_visible(scene.visible(i) for i in range(count))

    started = time.perf_counter()
    first = folder.frames_done()
    figures = [folder.figures(i, track.areas[i]) for i in range(first)]
    progress("completing", first, count)
    for result in method.complete(scene, start=first):
        folder.write_frame(result)
        figures.append(frame_figures(result.provenance, track.areas[result.index]))
        progress("completing", result.index + 1, count)
    scene.forget()
    timings["completing"] = round(time.perf_counter() - started, 3)

    about = {"name": method.name, "version": method.version, "options": folder.identity["options"]}
    if report := method.report():
        about["report"] = report
    info = {
        "unocclude": __version__,
        "method": about,
        "input": str(clip.path) if clip.path else None,
        "arguments": {
            key: folder.identity[key] for key in ("prompt", "occluders", "hypotheses", "pad", "device", "weights")
        },
        "seed": folder.identity["seed"],
        "tracker": track.origin,
        "fps": clip.fps,
        **_uneven_times(clip),
        "frame_count": count,
        "canvas": {"width": scene.width, "height": scene.height, "offset": list(scene.offset)},
        "resumed_at": first,
        "timings": timings,
        "frames": figures,
    }

    def preview(path: Path) -> None:
        started = time.perf_counter()
        write_preview(path, scene, progress)
        timings["preview"] = round(time.perf_counter() - started, 3)

    extras: list[Callable[[Path], None]] = [preview, lambda path: write_report(path, scene, info)]
    folder.finish(info, extras if pictures else [])


def _uneven_times(clip: Clip) -> dict[str, list[float]]:
    """The frames' times in seconds, where they do not simply follow fps."""
    if all(abs(time - i / clip.fps) < 1e-3 for i, time in enumerate(clip.times)):
        return {}
    return {"times": [round(float(time), 6) for time in clip.times]}


def track_to(
    clip: Clip,
    prompt: MaskTrack | Prompt,
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> Path:
    """Track one object of a clip and write `visible_masks/` and track.json to the folder `out`; returns the
    folder.

    The rules of the folder, and what is raised, are those of `complete`.
    """
    _check_prompt(clip, prompt)
    identity = {"verb": "track", "input": clip.fingerprint, "prompt": describe(prompt)}
    folder = PictureFolder(
        out, identity, resume=resume, overwrite=overwrite, result=TRACK_FILE, inputs=_files(clip, prompt),
        count=len(clip), size=(clip.height, clip.width), completes=False,
    )  # fmt: skip
    if folder.finished:
        return folder.given
    timings: dict[str, float] = {}
    with _at_work(folder):
        track = _locate(clip, prompt, folder, progress, timings)
        folder.claim(track.origin)
        if not folder.masks_done():
            folder.write_visible(iter(track))
        folder.finish(
            {
                "unocclude": __version__,
                "input": str(clip.path) if clip.path else None,
                "arguments": {"prompt": folder.identity["prompt"]},
                "tracker": track.origin,
                "fps": clip.fps,
                "frame_count": len(clip),
                "timings": timings,
                "frames": [{"visible_area": int(area)} for area in track.areas],
            }
        )
    return folder.given
