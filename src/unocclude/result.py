"""What result.json and track.json say of a run: its input, prompt, timings, and how far the masks can be trusted."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unocclude.clip import Clip
from unocclude.masks import MaskTrack, encode
from unocclude.perception.prompt import Cue, Prompt
from unocclude.scene import check_masks
from unocclude.version import __version__


def common_info(clip: Clip, track: MaskTrack, arguments: dict[str, Any], timings: dict[str, float]) -> dict[str, Any]:
    """What result.json and track.json both say of a run."""
    return {
        "unocclude": __version__,
        "input": str(clip.path) if clip.path else None,
        **({"source_range": [clip.numbers.start, clip.numbers.stop]} if clip.numbers else {}),
        **({"source_frames": list(clip.names)} if clip.names else {}),
        **({"signal": tags} if (tags := clip.signal and clip.signal.to_json()) else {}),
        "arguments": arguments,
        "tracker": track.origin,
        "notes": [*clip.notes, *track.notes],
        **({"mask_cleaning": dict(zip(("pixels", "frames"), track.cleaned, strict=True))} if track.cleaned else {}),
        "fps": clip.fps,
        "frame_count": len(clip),
        "timings": timings,
    }


def uneven_times(clip: Clip) -> dict[str, list[float]]:
    """The frame times in seconds, unless they are evenly spaced by 1 / fps."""
    if clip.is_constant_rate:
        return {}
    return {"times": [round(float(time), 6) for time in clip.times]}


def confidences(track: MaskTrack) -> list[dict[str, float]]:
    """The confidence of each frame, as result.json has it; nothing where masks were given."""
    if track.confidence is None:
        return [{}] * len(track)
    return [{"confidence": round(float(value), 4)} for value in track.confidence]


def describe(prompt: MaskTrack | Prompt) -> dict[str, Any]:
    """Describe a prompt as JSON; masks are given by a hash of their pixels."""
    if isinstance(prompt, MaskTrack):
        return {"masks": prompt.fingerprint}
    if prompt.description is not None:
        return {"text": prompt.description, "frame": prompt.frame}
    return {"cues": [{"frame": frame, **_described(cue)} for frame, cue in sorted(prompt.cues.items())]}


def _described(cue: Cue) -> dict[str, Any]:
    if cue.hidden:
        return {"hidden": True}
    given: dict[str, Any] = {}
    if len(cue.boxes):
        given["boxes"] = [list(box) for box in cue.boxes]
    if len(cue.points):
        given["points"] = [[*point, sign] for point, sign in zip(cue.points, cue.signs, strict=True)]
    if cue.mask is not None:
        given["mask"] = hashlib.sha256(encode(cue.mask)).hexdigest()[:16]
    return given


def check_prompt(clip: Clip, prompt: MaskTrack | Prompt) -> None:
    if isinstance(prompt, MaskTrack):
        check_masks(clip, prompt)
    else:
        prompt.check(clip)


def input_files(clip: Clip, *given: MaskTrack | Prompt | None) -> list[Path]:
    """The files and folders that clip and masks come from."""
    paths = (clip.path, *(masks.path for masks in given if isinstance(masks, MaskTrack)))
    return [path for path in paths if path is not None]


@contextmanager
def timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    """Note how many seconds a stage took."""
    started = time.perf_counter()
    yield
    timings[stage] = round(time.perf_counter() - started, 3)
