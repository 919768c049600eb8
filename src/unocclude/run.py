"""Complete or track one object of a clip: the functions behind the command line and the API."""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unocclude import methods
from unocclude.clip import Clip
from unocclude.completion import Completion, FrameResult
from unocclude.errors import UnoccludeError
from unocclude.layout import TRACK_FILE
from unocclude.masks import MaskTrack, encode
from unocclude.methods.base import Method, RunSettings
from unocclude.output import PictureFolder, frame_figures
from unocclude.perception.locate import locate
from unocclude.perception.prompt import Prompt
from unocclude.report.preview import write_preview
from unocclude.report.report import write_report
from unocclude.scene import Scene, canvas_size, check_masks, check_pad
from unocclude.types import Progress
from unocclude.version import __version__


def _silent(stage: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class Request:
    """What one run of `complete` is asked for.

    prompt: the object's visible masks in all frames, or a `Prompt` to track. occluders: masks of what is known to be in
    front. pad: the canvas is larger than the frame by this fraction of it on every side. Raises InputError where the
    parts do not fit each other.
    """

    clip: Clip
    prompt: MaskTrack | Prompt
    method: Method
    occluders: MaskTrack | None = None
    pad: float = 0.0

    def __post_init__(self) -> None:
        check_pad(self.clip, self.pad)
        _check_prompt(self.clip, self.prompt)
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
        return _files(self.clip, self.prompt, self.occluders)

    def scene(self, track: MaskTrack) -> Scene:
        """The scene of the object whose visible masks are `track`."""
        return Scene(self.clip, track, self.occluders, self.pad)


Frames = Clip | np.ndarray | Sequence[np.ndarray]
"""A clip, or frames in memory: (T, H, W, 3) uint8 RGB, or a sequence of (H, W, 3)."""
Object = MaskTrack | Prompt | np.ndarray | Sequence[np.ndarray]
"""Which object: its visible masks in all frames, also as (T, H, W) or a sequence of (H, W), or a prompt to track."""


def complete(
    clip: Frames,
    prompt: Object,
    *,
    method: str | Method = "recall",
    options: dict[str, Any] | None = None,
    settings: RunSettings | None = None,
    occluders: MaskTrack | np.ndarray | None = None,
    pad: float = 0.0,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    pictures: bool = True,
    progress: Progress = _silent,
    **more: Any,
) -> Completion:
    """Complete one object of a clip and write its OUT folder (docs/output-format.md).

    clip: a `Clip`, or frames in memory, (T, H, W, 3) uint8 RGB. prompt: the object's visible masks in all frames, a
    `MaskTrack` or (T, H, W) with non-zero pixels for the object; or a `Prompt` (box, points, mask or text) to track.
    method: a method's name, with its own `options` as in `--set` and its settings (`seed`, `hypotheses`, `device`,
    `weights`, one by one or as `settings`); or a method that `methods.create` made. occluders: masks of what is known
    to be in front. pad: enlarge the canvas by this fraction of the frame on every side. out: the folder to write; None
    for a temporary one that lives as long as the result, without preview and report. resume: continue an unfinished run
    of the same request. overwrite: replace a result. pictures: write preview.mp4 and report.html. progress: called with
    a stage, the frames done and their number.

    Raises InputError for bad input, before anything is written; UnoccludeError if the run fails.
    """
    request = _request(clip, prompt, method, options, settings or RunSettings(**more), occluders, pad)
    keep = None
    if out is None:
        keep = tempfile.TemporaryDirectory(prefix="unocclude-")
        out, resume, overwrite, pictures = keep.name, True, False, False
    folder = PictureFolder(
        out, request.identity, resume=resume, overwrite=overwrite, inputs=request.files,
        count=len(request.clip), size=canvas_size(request.clip, pad), hypotheses=request.method.settings.hypotheses,
    )  # fmt: skip
    if not folder.finished:
        with _at_work(folder):
            _write(request, folder, pictures, progress)
    return Completion(folder.given, keep)


def stream(
    clip: Frames,
    prompt: Object,
    *,
    method: str | Method = "recall",
    options: dict[str, Any] | None = None,
    settings: RunSettings | None = None,
    occluders: MaskTrack | np.ndarray | None = None,
    pad: float = 0.0,
    progress: Progress = _silent,
    **more: Any,
) -> Iterator[FrameResult]:
    """Complete one object of a clip and yield every frame's `FrameResult` as soon as it is ready; nothing is written.

    The arguments, and what is raised, are those of `complete`.
    """
    request = _request(clip, prompt, method, options, settings or RunSettings(**more), occluders, pad)
    track = request.prompt
    if isinstance(track, Prompt):
        device = request.method.settings.device
        track = locate(request.clip, track, lambda done, total: progress("tracking", done, total), device)
    return _stream(request, track, progress)


def _stream(request: Request, track: MaskTrack, progress: Progress) -> Iterator[FrameResult]:
    for result in request.method.complete(request.scene(track)):
        progress("completing", result.index + 1, len(request.clip))
        yield result


def _request(
    clip: Frames,
    prompt: Object,
    method: str | Method,
    options: dict[str, Any] | None,
    settings: RunSettings,
    occluders: MaskTrack | np.ndarray | None,
    pad: float,
) -> Request:
    """A request from what the API takes."""
    if not isinstance(method, Method):
        text = prompt.text if isinstance(prompt, Prompt) else None
        options = methods.with_description(methods.get_method(method), options or {}, text)
        method = methods.create(method, options, settings)
    return Request(
        clip if isinstance(clip, Clip) else Clip.from_frames(clip),
        prompt if isinstance(prompt, MaskTrack | Prompt) else MaskTrack.from_masks(prompt),
        method,
        occluders if occluders is None or isinstance(occluders, MaskTrack) else MaskTrack.from_masks(occluders),
        pad,
    )


def _write(request: Request, folder: PictureFolder, pictures: bool, progress: Progress) -> None:
    """Run a request and write all that its OUT folder holds."""
    timings: dict[str, float] = {}
    clip, method, count = request.clip, request.method, len(request.clip)
    track = _locate(clip, request.prompt, folder, progress, timings)
    scene = request.scene(track)
    folder.claim(track.origin)
    if not folder.masks_done():
        folder.write_visible(scene.visible(i) for i in range(count))

    first = folder.frames_done()
    figures = [folder.figures(i, track.areas[i]) for i in range(first)]
    with _timed(timings, "completing"):
        progress("completing", first, count)
        for result in _checked(method, scene, first):
            folder.write_frame(result)
            figures.append(frame_figures(result.provenance, track.areas[result.index]))
            progress("completing", result.index + 1, count)
        scene.forget()

    info = {
        **_common_info(request.clip, track, request.arguments, timings),
        "method": _about(method),
        "seed": method.settings.seed,
        "notes": all_notes(clip, track, request.occluders),
        **_uneven_times(clip),
        "canvas": {"width": scene.width, "height": scene.height, "offset": list(scene.offset)},
        "resumed_at": first,
        "frames": figures,
    }

    def preview(path: Path) -> None:
        with _timed(timings, "preview"):
            write_preview(path, scene, progress)

    extras: list[Callable[[Path], None]] = [preview, lambda path: write_report(path, scene, info)]
    folder.finish(info, extras if pictures else [])


def _checked(method: Method, scene: Scene, first: int) -> Iterator[FrameResult]:
    """The results of a method from frame `first` on. What it raises gets a note on where; raises UnoccludeError where
    frames are missing or out of order."""
    expected = first
    try:
        for result in method.complete(scene, start=first):
            if result.index != expected:
                raise UnoccludeError(
                    f"method {method.name} returned frame {result.index} where {expected} was due, which is a bug in it"
                )
            yield result
            expected += 1
    except UnoccludeError:
        raise
    except Exception as error:
        error.add_note(f"in method {method.name}, frame {expected}")
        raise
    if expected != len(scene):
        raise UnoccludeError(
            f"method {method.name} returned {expected - first} of {len(scene) - first} frames, which is a bug in it"
        )


def all_notes(clip: Clip, *tracks: MaskTrack | Prompt | None) -> list[str]:
    """What was assumed of the clip and the masks, or may be wrong with them, one sentence each."""
    return [*clip.notes, *(note for track in tracks for note in getattr(track, "notes", ()))]


def _common_info(clip: Clip, track: MaskTrack, arguments: dict[str, Any], timings: dict[str, float]) -> dict[str, Any]:
    """What result.json and track.json both say of a run."""
    return {
        "unocclude": __version__,
        "input": str(clip.path) if clip.path else None,
        **({"source_range": [clip.numbers.start, clip.numbers.stop]} if clip.numbers else {}),
        **({"signal": tags} if (tags := clip.signal and clip.signal.to_json()) else {}),
        "arguments": arguments,
        "notes": all_notes(clip, track),
        "tracker": track.origin,
        "fps": clip.fps,
        "frame_count": len(clip),
        "timings": timings,
    }


def _about(method: Method) -> dict[str, Any]:
    about = {"name": method.name, "version": method.version, "options": method.options.model_dump(mode="json")}
    report = method.report()
    return about | ({"report": report} if report else {})


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Note how many seconds a stage took."""
    started = time.perf_counter()
    yield
    timings[stage] = round(time.perf_counter() - started, 3)


def _check_prompt(clip: Clip, prompt: MaskTrack | Prompt) -> None:
    if isinstance(prompt, MaskTrack):
        check_masks(clip, prompt)
    else:
        prompt.check(clip)


def describe(prompt: MaskTrack | Prompt) -> dict[str, Any]:
    """Describe a prompt as JSON; masks are given by a hash of their pixels."""
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
    """The files and folders that clip and masks come from."""
    paths = (clip.path, *(masks.path for masks in given if isinstance(masks, MaskTrack)))
    return [path for path in paths if path is not None]


@contextmanager
def _at_work(folder: PictureFolder) -> Iterator[None]:
    """Convert disk errors to UnoccludeError, and release the folder at the end in any case."""
    try:
        yield
    except OSError as error:
        raise UnoccludeError(
            f"could not write to {folder.given}: {error.strerror or error}; finished frames are kept, continue with "
            "--resume"
        ) from error
    finally:
        folder.release()


def _locate(
    clip: Clip, prompt: MaskTrack | Prompt, folder: PictureFolder, progress: Progress, timings: dict[str, float]
) -> MaskTrack:
    """The object's visible masks: given, written before this run was resumed, or tracked now."""
    if isinstance(prompt, MaskTrack):
        return prompt
    if folder.masks_done():
        return MaskTrack.from_masks((_frame_part(clip, folder.visible(i)) for i in range(len(clip))), folder.tracker)
    with _timed(timings, "tracking"):
        progress("tracking", 0, len(clip))
        device = folder.identity.get("device", "auto")
        return locate(clip, prompt, lambda done, total: progress("tracking", done, total), device)


def _frame_part(clip: Clip, mask: Any) -> Any:
    """Crop a canvas to the frame in its centre."""
    y, x = (mask.shape[0] - clip.height) // 2, (mask.shape[1] - clip.width) // 2
    return mask[y : y + clip.height, x : x + clip.width]


def _uneven_times(clip: Clip) -> dict[str, list[float]]:
    """The frame times in seconds, unless they are evenly spaced by 1 / fps."""
    if clip.is_constant_rate:
        return {}
    return {"times": [round(float(time), 6) for time in clip.times]}


def track_to(
    clip: Clip,
    prompt: MaskTrack | Prompt,
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = _silent,
) -> Path:
    """Track one object of a clip, write `visible_masks/` and track.json to the folder `out`, and return the folder.

    `resume`, `overwrite` and the exceptions are as in `complete`.
    """
    _check_prompt(clip, prompt)
    arguments = {"prompt": describe(prompt)}
    folder = PictureFolder(
        out, {"verb": "track", "input": clip.fingerprint, "fps": clip.fps, **arguments},
        resume=resume, overwrite=overwrite, result=TRACK_FILE, inputs=_files(clip, prompt),
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
        frames = [{"visible_area": int(area)} for area in track.areas]
        folder.finish({**_common_info(clip, track, arguments, timings), "frames": frames})
    return folder.given
