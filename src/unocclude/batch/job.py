"""One row of a batch: runs in a worker, which may be on another machine."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from unocclude import clip as clips
from unocclude.batch import storage
from unocclude.batch.rows import Row
from unocclude.clip import Clip
from unocclude.completion import OCCLUDED, doubtful_spans
from unocclude.datasets import find_sample
from unocclude.errors import InputError
from unocclude.executor import Executor
from unocclude.layout import RESULT_FILE
from unocclude.mask_files import cut_to, read_union
from unocclude.methods import create, get_method, with_description
from unocclude.methods.base import DEFAULT_SETTINGS, Method, RunSettings
from unocclude.perception.prompt import Prompt
from unocclude.perception.prompt_options import PromptOptions
from unocclude.run import Request, run_request
from unocclude.types import no_progress

LONG = 400
"""Clips with more frames are shared by the workers of a cluster."""


@dataclass(frozen=True)
class Defaults:
    """What holds for rows that do not say otherwise. pairs: options of the method."""

    method: str = "recall"
    pairs: dict[str, Any] = field(default_factory=dict)
    pad: float | None = None
    settings: RunSettings = DEFAULT_SETTINGS
    method_class: type[Method] | None = None


@dataclass
class RunRow:
    """Completes a row, in its folder in `out`; returns its figures. helpers: opens an executor for long clips.

    A row that is already finished is not run again; an unfinished one goes on.
    """

    out: str
    defaults: Defaults
    helpers: Callable[[], Executor] | None = None

    def __call__(self, row: Row) -> dict[str, Any]:
        to = storage.join(self.out, row.name)
        request = self._request(row)
        if isinstance(to, Path):
            return self._run(request, to)
        if storage.exists(storage.join(to, RESULT_FILE)):
            return _finished(request, to)
        folder = storage.cache_folder() / "results" / storage.key(to)
        folder.parent.mkdir(parents=True, exist_ok=True)
        figures = self._run(request, folder)
        storage.upload(folder, to, RESULT_FILE)
        shutil.rmtree(folder, ignore_errors=True)
        return figures

    def _run(self, request: Request, folder: Path) -> dict[str, Any]:
        workers: Executor | None = None
        if self.helpers and len(request.clip) > LONG and request.method.independent:
            workers = self.helpers()
        try:
            run_request(
                request, folder, resume=True, overwrite=False, pictures=True, progress=no_progress, executor=workers
            )
        finally:
            if workers is not None:
                workers.close()
        return _figures(json.loads((folder / RESULT_FILE).read_bytes()))

    # What is asked ----------------------------------------------------------------------------------------------

    def _request(self, row: Row) -> Request:
        if row.sample is not None:
            return self._of_sample(row)
        given = row.arguments
        settings = self.defaults.settings
        settings = replace(
            settings, **{key: given[key] for key in ("seed", "hypotheses", "device", "weights") if key in given}
        )
        method = given.get("method", self.defaults.method)
        clip = open_input(given["input"], given.get("fps"), given.get("start", 0), given.get("end"))
        prompt = PromptOptions(
            masks=_local(given.get("masks")), box=given.get("box"), point=given.get("point"),
            not_point=given.get("not_point"), mask=[_local_mask(mask) for mask in given.get("mask", ())],
            hidden=given.get("hidden"), objects=_local(given.get("objects")), text=given.get("text"),
            frame=given.get("frame", 0), object_id=given.get("object_id"),
        ).read(clip)  # fmt: skip
        occluders = _local(given.get("occluders"))
        pairs = self.defaults.pairs | dict(_pair(text) for text in given.get("set", ()))
        return Request(
            clip, prompt, self._method(method, pairs, settings, given.get("text")),
            None if occluders is None else cut_to(read_union(occluders), clip).for_all_frames(len(clip)),
            given.get("pad", self.defaults.pad or 0.0),
        )  # fmt: skip

    def _of_sample(self, row: Row) -> Request:
        defaults = self.defaults
        sample = find_sample(row.arguments["input"], str(row.sample))
        prompt = sample.visible if sample.has_masks else Prompt().text(str(sample.text))
        method = self._method(defaults.method, defaults.pairs, defaults.settings, sample.text)
        return Request(sample.clip, prompt, method, pad=sample.pad if defaults.pad is None else defaults.pad)

    def _method(self, name: str, pairs: dict[str, Any], settings: RunSettings, text: str | None) -> Method:
        known = self.defaults.method_class
        kind = known if known is not None and name == self.defaults.method else get_method(name)
        return create(name, with_description(kind, pairs, text), settings, kind)


def open_input(source: str, fps: float | None, start: int, end: int | None) -> Clip:
    """Open a clip from a path or URL. Behind a URL, other machines open it from there."""
    clip = clips.open(storage.local(source), fps=fps, start=start, end=end)
    if storage.is_url(source):
        clip.reopen = partial(open_input, source, fps, start, end)
    return clip


def _local(place: str | None) -> Path | None:
    return None if place is None else storage.local(place)


def _local_mask(value: str) -> str:
    """FILE[@FRAME] with a file on this machine."""
    if not storage.is_url(value):
        return value
    url, at, frame = value.rpartition("@")
    return f"{storage.local(url)}@{frame}" if at and frame.isdigit() else str(storage.local(value))


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"set {text}: expected KEY=VALUE; `unocclude methods` lists the keys")
    return key.strip(), value.strip()


def _finished(request: Request, url: str) -> dict[str, Any]:
    """The figures of a result that was uploaded earlier; raises InputError if it is that of other arguments."""
    info: dict[str, Any] = {}
    with suppress(ValueError):
        info = json.loads(storage.read(storage.join(url, RESULT_FILE)))
    if info.get("identity") != json.loads(json.dumps(request.identity)):
        raise InputError(f"{url} holds a run with other arguments; give another folder for -o")
    return _figures(info)


def _figures(info: dict[str, Any]) -> dict[str, Any]:
    frames = info["frames"]
    rates = [frame["occlusion_rate"] for frame in frames]
    return {
        "frames": len(frames),
        "width": info["canvas"]["width"],
        "height": info["canvas"]["height"],
        "tracker": info["tracker"],
        "mean_occlusion_rate": round(sum(rates) / len(rates), 6),
        "occluded_frames": sum(rate > OCCLUDED for rate in rates),
        "generated": round(sum(frame["provenance"]["generated"] for frame in frames) / len(frames), 6),
        "doubtful_frames": sum(map(len, doubtful_spans(frames))),
    }
