"""Complete or track one object of a clip: the functions behind the command line and the API."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unocclude import methods
from unocclude.clip import Clip, as_clip
from unocclude.completion import Completion, FrameResult, TemporaryFolder
from unocclude.executor import Executor, Workers, executor_of
from unocclude.frames import complete_here, complete_in
from unocclude.masks import MaskTrack
from unocclude.media.in_memory import to_masks
from unocclude.methods.base import Method, RunSettings
from unocclude.motion.working import FrameMotion
from unocclude.output import EncodedFrame, PictureFolder, count_provenance, frame_figures
from unocclude.perception.clean_masks import clean
from unocclude.perception.locate import locate
from unocclude.perception.prompt import Prompt
from unocclude.perception.steady_edges import steady
from unocclude.report.preview import write_preview
from unocclude.report.report import write_report
from unocclude.result import check_prompt, common_info, confidences, describe, input_files, timed, uneven_times
from unocclude.scene import OtherObject, Scene, canvas_size, check_masks, check_pad
from unocclude.types import ArrayLike, Progress, no_progress


@dataclass(frozen=True)
class Request:
    """What one run of `complete` is asked for.

    prompt: the object's visible masks in all frames, or a `Prompt` to track. occluders: masks of what is known to be in
    front. pad: the canvas is larger than the frame by this fraction of it on every side. others, camera: what is known
    of the clip's other objects and of the camera; see `Scene`. Raises InputError where the parts do not fit each other.
    """

    clip: Clip
    prompt: MaskTrack | Prompt
    method: Method
    occluders: MaskTrack | None = None
    pad: float = 0.0
    others: tuple[OtherObject, ...] = ()
    camera: FrameMotion | None = None

    def __post_init__(self) -> None:
        check_pad(self.clip, self.pad)
        check_prompt(self.clip, self.prompt)
        if self.occluders is not None:
            check_masks(self.clip, self.occluders, "occluder mask")

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments as result.json lists them."""
        settings = self.method.settings
        return {
            "prompt": describe(self.prompt),
            "occluders": self.occluders.fingerprint if self.occluders is not None else None,
            "hypotheses": settings.hypotheses,
            "pad": self.pad,
            "device": settings.device,
            "weights": settings.weights,
            **({"others": _fingerprint(self.others)} if self.others else {}),
        }

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that decides the result: a run is resumed only by the same request."""
        return {
            "verb": "complete",
            "input": self.clip.fingerprint,
            "method": self.method.name,
            "method_version": self.method.version,
            "fps": self.clip.fps,
            "options": self.method.options.model_dump(mode="json"),
            "seed": self.method.settings.seed,
            **self.arguments,
        }

    @property
    def files(self) -> list[Path]:
        """The files and folders that the run reads."""
        return input_files(self.clip, self.prompt, self.occluders)

    def scene(self, track: MaskTrack) -> Scene:
        """The scene of the object whose visible masks are `track`."""
        return Scene(self.clip, track, self.occluders, self.pad, self.others, self.camera)


def _fingerprint(others: Sequence[OtherObject]) -> str:
    """A hash of what is known of other objects."""
    digest = hashlib.sha256()
    for other in others:
        digest.update(other.track.fingerprint.encode() + other.side.astype(np.int8).tobytes())
    return digest.hexdigest()[:16]


Frames = Clip | ArrayLike | Iterable[ArrayLike]
"""A clip, or frames in memory as `Clip.from_frames` takes them."""
Masks = MaskTrack | ArrayLike | Iterable[ArrayLike]
"""Masks of all frames, also in memory as `MaskTrack.from_masks` takes them."""
Object = Masks | Prompt
"""Which object: its visible masks in all frames, or a prompt to track."""


def complete(
    clip: Frames,
    prompt: Object,
    *,
    method: str | Method = "recall",
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    hypotheses: int = 1,
    device: str = "auto",
    weights: str | Path | None = None,
    settings: RunSettings | None = None,
    occluders: Masks | None = None,
    pad: float = 0.0,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    pictures: bool = True,
    workers: Workers = None,
    progress: Progress = no_progress,
) -> Completion:
    """Complete one object of a clip and write its OUT folder (docs/output-format.md).

    clip: a `Clip`, or frames in memory, (T, H, W, 3) uint8 RGB or what else `Clip.from_frames` takes; BGR frames cannot
    be recognised. prompt: the object's visible masks in all frames, a `MaskTrack`, (T, H, W) bool or what else
    `MaskTrack.from_masks` takes; or a `Prompt` (boxes, points, masks or a text) to track.
    method: a method's name, with its own `options` as in `--set` and its settings (`seed`, `hypotheses`, `device`,
    `weights`, one by one or as `settings`); or a method that `methods.create` made. occluders: masks of what is known
    to be in front; a single still mask stands for all frames. pad: enlarge the canvas by this fraction of the frame on
    every side. out: the folder to write; None for a temporary one that lives as long as the result, without preview and
    report. resume: continue an unfinished run of the same request. overwrite: replace a result. pictures: write
    preview.mp4 and report.html. workers: who completes the frames, with the same result: None for this process, with
    threads; 1 for one core of it; a number of worker processes, if the method allows it (`Method.independent`); or an
    executor. Processes are spawned, so a script needs `if __name__ == "__main__"`. progress: called with a stage, the
    frames done and their number.

    Raises InputError for bad input, before anything is written; UnoccludeError if the run fails.
    """
    settings = settings or RunSettings(seed, hypotheses, device, None if weights is None else str(weights))
    request = _request(clip, prompt, method, options, settings, occluders, pad)
    keep = TemporaryFolder() if out is None else None
    if keep is not None:
        out, resume, overwrite, pictures = keep.path, True, False, False
    assert out is not None
    with executor_of(workers) as executor:
        folder = run_request(
            request, out, resume=resume, overwrite=overwrite, pictures=pictures, progress=progress, executor=executor
        )
    return Completion(folder.given, keep)


def run_request(
    request: Request,
    out: str | Path,
    *,
    resume: bool,
    overwrite: bool,
    pictures: bool,
    progress: Progress,
    executor: Executor | None = None,
) -> PictureFolder:
    """Run a request, unless its OUT folder is finished; see `complete`. executor: completes the frames."""
    folder = open_folder(request, out, resume=resume, overwrite=overwrite)
    if not folder.finished:
        with folder.working():
            _write(request, folder, pictures, progress, executor)
    return folder


def open_folder(request: Request, out: str | Path, *, resume: bool, overwrite: bool = False) -> PictureFolder:
    """The OUT folder of a request."""
    return PictureFolder(
        out, request.identity, resume=resume, overwrite=overwrite, inputs=request.files,
        count=len(request.clip), size=canvas_size(request.clip, request.pad),
        hypotheses=request.method.settings.hypotheses,
    )  # fmt: skip


def keep_masks(request: Request, track: MaskTrack, folder: PictureFolder) -> None:
    """Write an object's visible masks to the OUT folder of a request, so that they need not be found again."""
    with folder.working():
        folder.claim(tracker_info(track))
        folder.write_visible(request.scene(track).visible(i) for i in range(len(track)))


def stream(
    clip: Frames,
    prompt: Object,
    *,
    method: str | Method = "recall",
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    hypotheses: int = 1,
    device: str = "auto",
    weights: str | Path | None = None,
    settings: RunSettings | None = None,
    occluders: Masks | None = None,
    pad: float = 0.0,
    progress: Progress = no_progress,
) -> Iterator[FrameResult]:
    """Complete one object of a clip and yield every frame's `FrameResult` as soon as it is ready; nothing is written.

    The arguments, and what is raised, are those of `complete`.
    """
    settings = settings or RunSettings(seed, hypotheses, device, None if weights is None else str(weights))
    request = _request(clip, prompt, method, options, settings, occluders, pad)
    track = request.prompt
    if isinstance(track, Prompt):
        device = request.method.settings.device
        track = locate(request.clip, [track], lambda done, total: progress("tracking", done, total), device)[0]
    return _stream(request, clean_masks(request.clip, track, progress), progress)


def _stream(request: Request, track: MaskTrack, progress: Progress) -> Iterator[FrameResult]:
    for result in request.method.complete(request.scene(track)):
        progress("completing", result.index + 1, len(request.clip))
        yield result


def _request(
    clip: Frames,
    prompt: Object,
    method: str | Method,
    options: Mapping[str, Any] | None,
    settings: RunSettings,
    occluders: Masks | None,
    pad: float,
) -> Request:
    """A request from what the API takes."""
    if not isinstance(method, Method):
        text = prompt.description if isinstance(prompt, Prompt) else None
        options = methods.with_description(methods.get_method(method), dict(options or {}), text)
        method = methods.create(method, options, settings)
    clip = as_clip(clip)
    in_front = None if occluders is None else _track(clip, occluders).for_all_frames(len(clip))
    return Request(clip, prompt if isinstance(prompt, Prompt) else _track(clip, prompt), method, in_front, pad)


def _track(clip: Clip, masks: Masks) -> MaskTrack:
    if isinstance(masks, MaskTrack):
        return masks
    return MaskTrack.from_masks(to_masks(masks, (clip.height, clip.width), len(clip)))


def _write(
    request: Request, folder: PictureFolder, pictures: bool, progress: Progress, executor: Executor | None
) -> None:
    """Run a request and write all that its OUT folder holds."""
    timings: dict[str, float] = {}
    clip, method, count = request.clip, request.method, len(request.clip)
    track = _locate(clip, request.prompt, folder, progress, timings, executor)
    scene = request.scene(track)
    folder.claim(tracker_info(track))
    if not folder.masks_done():
        folder.write_visible(scene.visible(i) for i in range(count))

    missing = folder.missing_frames()
    figures = {i: folder.figures(i, track.areas[i]) for i in sorted({*range(count)}.difference(missing))}
    with timed(timings, "completing"):
        progress("completing", len(figures), count)
        for frame in _frames(method, scene, missing, executor, folder.hypotheses):
            folder.write_frame(frame)
            counts = frame.provenance if isinstance(frame, EncodedFrame) else count_provenance(frame.provenance)
            figures[frame.index] = frame_figures(counts, track.areas[frame.index])
            progress("completing", len(figures), count)
        scene.forget()

    info = {
        **common_info(request.clip, track, request.arguments, timings),
        "method": _about(method),
        "seed": method.settings.seed,
        **uneven_times(clip),
        "canvas": {"width": scene.width, "height": scene.height, "offset": list(scene.offset)},
        "resumed_at": missing[0] if missing else count,
        "frames": [figures[i] | confidence for i, confidence in enumerate(confidences(track))],
    }

    def preview(path: Path) -> None:
        with timed(timings, "preview"):
            write_preview(path, scene, progress)

    extras: list[Callable[[Path], None]] = [preview, lambda path: write_report(path, scene, info)]
    folder.finish(info, extras if pictures else [])


def _frames(
    method: Method, scene: Scene, frames: Sequence[int], executor: Executor | None, hypotheses: int
) -> Iterator[FrameResult | EncodedFrame]:
    if executor is None or not method.independent or len(frames) < 2:
        return complete_here(method, scene, frames)
    return complete_in(executor, method, scene, frames, hypotheses)


def _about(method: Method) -> dict[str, Any]:
    about = {"name": method.name, "version": method.version, "options": method.options.model_dump(mode="json")}
    report = method.report()
    return about | ({"report": report} if report else {})


def _locate(
    clip: Clip,
    prompt: MaskTrack | Prompt,
    folder: PictureFolder,
    progress: Progress,
    timings: dict[str, float],
    executor: Executor | None,
) -> MaskTrack:
    """The object's visible masks, cleaned: given, written before this run was resumed, or tracked now."""
    if isinstance(prompt, MaskTrack):
        return clean_masks(clip, prompt, progress, executor)
    if folder.masks_done():
        return tracked_before(clip, folder.visible, folder.tracked)
    with timed(timings, "tracking"):
        progress("tracking", 0, len(clip))
        device = folder.identity.get("device", "auto")
        track = locate(clip, [prompt], lambda done, total: progress("tracking", done, total), device)[0]
    track.notes = prompt.notes
    return clean_masks(clip, track, progress, executor)


def tracker_info(track: MaskTrack) -> dict[str, Any]:
    """What a resumed run has to know of the visible masks, beside their pixels."""
    confidence = None if track.confidence is None else [round(float(value), 4) for value in track.confidence]
    return {
        "tracker": track.origin,
        "confidence": confidence,
        "notes": list(track.notes),
        "cleaned": None if track.cleaned is None else list(track.cleaned),
    }


def tracked_before(clip: Clip, visible: Callable[[int], np.ndarray], tracked: dict[str, Any]) -> MaskTrack:
    """The masks that were written before this run was resumed. visible: reads one. tracked: their `tracker_info`."""
    track = MaskTrack.from_masks(_frame_part(clip, visible(i)) for i in range(len(clip)))
    track.origin = str(tracked.get("tracker", "given"))
    track.notes = tuple(str(note) for note in tracked.get("notes") or ())
    confidence, cleaned = tracked.get("confidence"), tracked.get("cleaned")
    if isinstance(confidence, list) and len(confidence) == len(clip):
        track.confidence = np.array(confidence, np.float32)
    if isinstance(cleaned, list) and len(cleaned) == 2:
        track.cleaned = int(cleaned[0]), int(cleaned[1])
    return track


def clean_masks(clip: Clip, track: MaskTrack, progress: Progress, executor: Executor | None = None) -> MaskTrack:
    """Remove specks from masks, and steady the edges of given ones if they wobble; a tracker's follow the image.

    Masks that were cleaned before stay as they are.
    """
    if track.cleaned is not None:
        return track
    cleaned = clean(track, clip.shots, executor)
    if track.origin != "given":
        return cleaned
    return steady(clip, cleaned, lambda done, total: progress("steadying edges", done, total))


def _frame_part(clip: Clip, mask: Any) -> Any:
    """Crop a canvas to the frame in its centre."""
    y, x = (mask.shape[0] - clip.height) // 2, (mask.shape[1] - clip.width) // 2
    return mask[y : y + clip.height, x : x + clip.width]
