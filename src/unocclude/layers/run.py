"""Complete all objects of a clip: the function behind `unocclude layers` and `unocclude.layers`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from unocclude import methods
from unocclude import weights as checkpoints
from unocclude.clip import Clip, as_clip
from unocclude.completion import Completion, TemporaryFolder
from unocclude.errors import InputError
from unocclude.executor import Executor, Workers, executor_of
from unocclude.executor.ranges import run_ranges, short_ranges
from unocclude.layers import order
from unocclude.layers.inpaint import InpaintingFill
from unocclude.layers.plate import Plate
from unocclude.layers.preview import write_preview
from unocclude.layers.report import write_report
from unocclude.layers.result import Layers, LayersInfo
from unocclude.masks import MaskTrack
from unocclude.methods.base import Method, RunSettings
from unocclude.motion.camera import SharedCamera
from unocclude.output import LayersFolder, encode_plate
from unocclude.perception import depth
from unocclude.perception import order as order_networks
from unocclude.perception.locate import locate
from unocclude.perception.objects import ObjectPrompt
from unocclude.perception.prompt import Prompt
from unocclude.result import check_prompt, describe, input_files
from unocclude.run import (
    Frames,
    Object,
    Request,
    clean_masks,
    keep_masks,
    open_folder,
    run_request,
    tracked_before,
    tracker_info,
)
from unocclude.scene import OtherObject, canvas_size, check_masks, check_pad
from unocclude.types import Progress, no_progress
from unocclude.version import __version__

MAX_ID = 65_535
Objects = Mapping[int, Object] | Sequence[Object | ObjectPrompt]
"""Several objects: by id, or in a sequence, with ids from 1 unless they are `ObjectPrompt`s."""


def layers(
    clip: Frames,
    objects: Objects,
    *,
    method: str | Method = "recall",
    options: dict[str, Any] | None = None,
    settings: RunSettings | None = None,
    occluders: MaskTrack | np.ndarray | None = None,
    pad: float = 0.0,
    plate: str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    pictures: bool = True,
    workers: Workers = None,
    progress: Progress = no_progress,
    **more: Any,
) -> Layers:
    """Complete several objects of a clip, find their order and the clean plate, and write the OUT folder of layers
    (docs/output-format.md).

    objects: what marks each object, as in `complete`: visible masks in all frames, or a `Prompt` to track; in a
    sequence, or by id; or `ObjectPrompt`s, which also have names and `in_front_of`. Each object is completed with the
    others as its occluders where they are in front of it, and as background where they are behind it. plate: an
    inpainting checkpoint (id or folder) for what no frame shows of the background; by default it is filled smoothly.
    The other arguments, and what is raised, are those of `complete`; they hold for all objects.

    Example:
        scene = unocclude.layers(clip, [track_a, track_b], out="layers/")
        picture = scene.compose({"objects": {"1": {"move": [40, 0]}}})[0]
    """
    if not isinstance(method, Method):
        method = methods.create(method, options or {}, settings or RunSettings(**more))
    request = LayersRequest(
        as_clip(clip),
        tuple(_named(objects)),
        method,
        occluders if occluders is None or isinstance(occluders, MaskTrack) else MaskTrack.from_masks(occluders),
        pad,
        None if plate is None else InpaintingFill(plate, method.settings.device, method.settings.seed),
    )
    keep = TemporaryFolder() if out is None else None
    if keep is not None:
        out, resume, overwrite, pictures = keep.path, True, False, False
    assert out is not None
    run_layers(request, out, resume=resume, overwrite=overwrite, pictures=pictures, workers=workers, progress=progress)
    return Layers(out, keep)


def run_layers(
    request: "LayersRequest",
    out: str | Path,
    *,
    resume: bool,
    overwrite: bool,
    pictures: bool = True,
    workers: Workers = None,
    progress: Progress = no_progress,
    known: Mapping[int, MaskTrack] | None = None,
) -> None:
    """Run a request, unless its OUT folder is finished; see `layers`.

    known: by id, what `locate` gave for the prompts of this request, so that they need not be tracked again.
    """
    folder = LayersFolder(
        out, request.identity, resume=resume, overwrite=overwrite, result=LayersInfo.FILE, inputs=request.files,
        count=len(request.clip), size=canvas_size(request.clip, request.pad), ids=request.ids,
    )  # fmt: skip
    if not folder.finished:
        with folder.working(), executor_of(workers) as executor:
            _Run(request, folder, pictures, progress, executor, known or {}).write()


def _named(objects: Objects) -> Iterator[ObjectPrompt]:
    pairs = objects.items() if isinstance(objects, Mapping) else enumerate(objects, start=1)
    for number, item in pairs:
        if isinstance(item, ObjectPrompt):
            yield item
        else:
            prompt = item if isinstance(item, MaskTrack | Prompt) else MaskTrack.from_masks(item)
            yield ObjectPrompt(int(number), f"object {number}", prompt)


@dataclass(frozen=True)
class LayersRequest:
    """What one run of `layers` is asked for; see `run.Request`. Raises InputError where the parts do not fit."""

    clip: Clip
    objects: tuple[ObjectPrompt, ...]
    method: Method
    occluders: MaskTrack | None = None
    pad: float = 0.0
    plate: InpaintingFill | None = None

    def __post_init__(self) -> None:
        if not self.objects:
            raise InputError("no object is given; give at least one")
        check_pad(self.clip, self.pad)
        for item in self.objects:
            if not 0 < item.id <= MAX_ID or self.ids.count(item.id) > 1:
                raise InputError(f"object id {item.id} is outside 1 to {MAX_ID}, or given twice; give each its own")
            try:
                check_prompt(self.clip, item.prompt)
            except InputError as error:
                raise InputError(f"object {item.id}: {error}") from None
            if isinstance(item.prompt, MaskTrack) and not item.prompt.areas.any():
                raise InputError(f"object {item.id}: its mask is empty in all frames; leave it out")
        if self.occluders is not None:
            check_masks(self.clip, self.occluders, "occluder mask")
        order.check_user_order(len(self.objects), self.in_front_of)

    @property
    def ids(self) -> list[int]:
        return [item.id for item in self.objects]

    @property
    def in_front_of(self) -> list[tuple[int, int]]:
        """Pairs of indices (a, b) for which the user says that a is in front of b."""
        at = {number: k for k, number in enumerate(self.ids)}
        pairs = [(at[item.id], other) for item in self.objects for other in item.in_front_of]
        if unknown := [other for _, other in pairs if other not in at]:
            raise InputError(f"in_front_of names object {unknown[0]}, which is not given; the ids are {self.ids}")
        return [(k, at[other]) for k, other in pairs]

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that decides the result: a run is resumed only by the same request."""
        settings = self.method.settings
        return {
            "verb": "layers",
            "input": self.clip.fingerprint,
            "method": self.method.name,
            "method_version": self.method.version,
            "options": self.method.options.model_dump(mode="json"),
            "seed": settings.seed,
            "objects": [
                {"id": item.id, "name": item.name, **describe(item.prompt), "in_front_of": list(item.in_front_of)}
                for item in self.objects
            ],
            "occluders": self.occluders.fingerprint if self.occluders is not None else None,
            "hypotheses": settings.hypotheses,
            "pad": self.pad,
            "plate": self.plate and self.plate.weights,
            "device": settings.device,
            "weights": settings.weights,
        }

    @property
    def files(self) -> list[Path]:
        """The files and folders that the run reads."""
        return input_files(self.clip, *(item.prompt for item in self.objects), self.occluders)


class _Run:
    """One run of `layers`."""

    def __init__(
        self,
        request: LayersRequest,
        folder: LayersFolder,
        pictures: bool,
        progress: Progress,
        executor: Executor | None,
        known: Mapping[int, MaskTrack],
    ):
        self.executor = executor
        self.request, self.folder, self.pictures, self.progress = request, folder, pictures, progress
        self.known = known
        self.clip, self.objects = request.clip, request.objects

    def write(self) -> None:
        """Run the request and write all that its OUT folder holds."""
        before = self._before()
        tracks, relations = before or self._analyse()
        camera = SharedCamera(self.clip, tracks)
        requests = [self._request(k, tracks, relations, camera) for k in range(len(tracks))]
        self.folder.claim(
            {
                "tracks": {str(item.id): tracker_info(t) for item, t in zip(self.objects, tracks, strict=True)},
                "relations": relations.as_json(),
            }
        )
        if before is None:
            self._keep_masks(requests, tracks)
        completions = self._complete(requests)
        self._write_plate(tracks, camera)

        found = order.from_completions(
            relations, [c.visible_masks for c in completions], [c.amodal_masks for c in completions], self.clip.shots
        )
        ranges = order.ordered(found, self.request.ids, tracks)
        info = LayersInfo.of(self.clip, self.folder.size, self.objects, ranges, completions, __version__)
        extras: list[Callable[[Path], None]] = [
            lambda path: write_preview(Layers.unfinished(path, info), self.clip, self.progress),
            lambda path: write_report(Layers.unfinished(path, info), self.clip),
        ]
        self.folder.finish(info.as_json(), extras if self.pictures else [])

    def _before(self) -> tuple[list[MaskTrack], order.Relations] | None:
        """The visible masks and relations that an earlier run found; None unless all of them are there."""
        record = self.folder.tracked
        if not self.folder.resumed or not record or not all(map(self.folder.masks_done, self.folder.ids)):
            return None
        tracks = [
            clean_masks(self.clip, item.prompt, self.progress, self.executor)
            if isinstance(item.prompt, MaskTrack)
            else tracked_before(self.clip, partial(self.folder.visible, item.id), record["tracks"][str(item.id)])
            for item in self.objects
        ]
        return tracks, order.Relations.from_json(record["relations"], len(tracks), len(self.clip))

    def _analyse(self) -> tuple[list[MaskTrack], order.Relations]:
        """The visible masks of all objects, those to track tracked together, and their relations."""
        device = self.request.method.settings.device
        given = {item.id: item.prompt for item in self.objects if isinstance(item.prompt, MaskTrack)} | dict(self.known)
        to_track = [item.prompt for item in self.objects if item.id not in given and isinstance(item.prompt, Prompt)]
        found: Iterator[MaskTrack] = iter(())
        if to_track:
            self.progress("tracking", 0, len(self.clip))
            found = iter(
                locate(self.clip, to_track, lambda n, total: self.progress("tracking", n, total), device, self.executor)
            )
        tracks = [given[item.id] if item.id in given else next(found) for item in self.objects]
        tracks = [clean_masks(self.clip, track, self.progress, self.executor) for track in tracks]
        for item, track in zip(self.objects, tracks, strict=True):
            if not track.areas.any():
                raise InputError(f"object {item.id} ({item.name}) was found in no frame; mark it in another one")
        relations = order.relations(
            self.clip, tracks, self.request.in_front_of, _order_cue(device),
            lambda done, total: self.progress("order", done, total),
        )  # fmt: skip
        return tracks, relations

    def _keep_masks(self, requests: Sequence[Request], tracks: Sequence[MaskTrack]) -> None:
        """Write the visible masks of all objects, so that a resumed run need not track them again."""
        self.folder.start_objects()
        for item, request, track in zip(self.objects, requests, tracks, strict=True):
            keep_masks(request, track, open_folder(request, self.folder.object(item.id), resume=True))

    def _request(
        self, k: int, tracks: Sequence[MaskTrack], relations: order.Relations, camera: SharedCamera
    ) -> Request:
        """The request of object k alone, with what is known of the others."""
        others = tuple(OtherObject(tracks[b], side) for b, side in order.sides_of(relations, k).items())
        whole = self.request
        return Request(self.clip, tracks[k], whole.method, whole.occluders, whole.pad, others, camera)

    def _complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete all objects: one in each worker, or one after the other with all workers."""
        folders = [self.folder.object(item.id) for item in self.objects]
        if self.executor is None or len(requests) < self.executor.count:
            for item, request, folder in zip(self.objects, requests, folders, strict=True):
                complete = _CompleteObject(self.pictures, partial(self._progress, item.name), self.executor)
                complete((request, folder))
        else:
            self.progress("completing", 0, len(requests))
            outcomes = self.executor.run(_CompleteObject(self.pictures), zip(requests, folders, strict=True))
            for done, outcome in enumerate(outcomes, start=1):
                outcome.result()
                self.progress("completing", done, len(requests))
        return [Completion(folder) for folder in folders]

    def _progress(self, name: str, stage: str, done: int, total: int) -> None:
        self.progress(f"{name}: {stage}", done, total)

    def _write_plate(self, tracks: Sequence[MaskTrack], camera: SharedCamera) -> None:
        plate = Plate(self.clip, tracks, camera, self.request.plate)
        first, count = self.folder.plates_done(), len(self.clip)
        self.progress("clean plate", first, count)
        height, width = self.folder.size
        margins = (height - self.clip.height) // 2, (width - self.clip.width) // 2
        make = _MakePlate(plate, margins)
        frames = range(first, count)
        parts = map(make, short_ranges(frames)) if self.executor is None else run_ranges(self.executor, make, frames)
        for done, (i, images) in enumerate(chain.from_iterable(parts), start=first + 1):
            self.folder.write_plate(i, images)
            self.progress("clean plate", done, count)


@dataclass(frozen=True)
class _CompleteObject:
    """Completes one object, with what is known of the others."""

    pictures: bool
    progress: Progress = no_progress
    executor: Executor | None = None

    def __call__(self, run: tuple[Request, Path]) -> None:
        request, folder = run
        run_request(
            request, folder, resume=True, overwrite=False, pictures=self.pictures, progress=self.progress,
            executor=self.executor,
        )  # fmt: skip


@dataclass(frozen=True)
class _MakePlate:
    """Makes the clean plate of a range of frames. margins: rows and columns of the canvas around the frame."""

    plate: Plate
    margins: tuple[int, int]

    def __call__(self, frames: range) -> list[tuple[int, dict[str, bytes]]]:
        found = ((i, self.plate[i].padded(*self.margins)) for i in frames)
        return [(i, encode_plate(frame.rgb, frame.edges, frame.provenance)) for i, frame in found]


def _order_cue(device: str) -> order.OrderCue | None:
    """A network for the order of objects, if its weights are present."""
    if any(map(checkpoints.is_present, (order_networks.DEFAULT, depth.DEFAULT))):
        return order_networks.best(device)
    return None
