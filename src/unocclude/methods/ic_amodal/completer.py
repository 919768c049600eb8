"""Completion of a shot: first the exemplar (section 3.2), then each frame beside it (sections 3.1, 3.3)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from unocclude import weights as checkpoints
from unocclude.completion import RECALLED, FrameResult
from unocclude.methods.base import RunSettings
from unocclude.methods.compose import compose
from unocclude.methods.feather import feathered
from unocclude.methods.ic_amodal.completion_masks import choose_completion_mask
from unocclude.methods.ic_amodal.frame_selection import choose_collaborator, choose_exemplar, is_occluded
from unocclude.methods.ic_amodal.grid import Grid, SubImage
from unocclude.methods.ic_amodal.inputs import FrameInput, ShotInputs
from unocclude.methods.ic_amodal.options import ICAmodalOptions
from unocclude.methods.ic_amodal.pipeline import FillJob, GridFiller
from unocclude.methods.postprocess import empty_results
from unocclude.methods.recall import Recall, RecallOptions
from unocclude.networks import device_for
from unocclude.perception import caption
from unocclude.scene import Scene

TOGETHER = 8
"""Frames denoised per exemplar when its keys and values are reused."""
LEAST = 0.01
"""If no frame shows at most this fraction of a silhouette, recall's own inpainting is kept."""
BESIDE = (
    "A two by two grid of pictures of one {0}: on the left it is partly hidden, on the right the same {0} is whole and "
    "alone on a plain ground."
)
ALONE = "The whole {0}, alone on a plain ground."


@dataclass(frozen=True)
class Exemplar:
    """(X_ex, A_ex): frame `index` of the clip and its completion, (h, w, 3) uint8."""

    index: int
    frame: np.ndarray
    whole: np.ndarray

    @property
    def row(self) -> list[SubImage]:
        return [SubImage(self.frame), SubImage(self.whole)]


class ICAmodalCompleter:
    """Completes the shots of a scene. `report` is a record for result.json."""

    def __init__(self, scene: Scene, folder: Path, options: ICAmodalOptions, settings: RunSettings, blended: bool):
        self.scene, self.options, self.settings, self.blended = scene, options, settings, blended
        self.generator = GridFiller.from_folder(folder, options, device_for("ic-amodal", settings.device))
        self.masks, self.completion_mask = choose_completion_mask(scene, options, settings.device)
        self.recall = Recall(RecallOptions.model_validate({}), RunSettings(seed=settings.seed))
        self.by_frame: dict[int, int] = {}
        self.exemplars: list[dict[str, Any]] = []
        self.prompts: list[str] = []

    @property
    def report(self) -> dict[str, Any]:
        return {
            "generator_calls": self.generator.calls,
            "calls_by_frame": self.by_frame,
            "exemplars": self.exemplars,
            "prompts": self.prompts,
            "completion_masks": self.masks,
        }

    def complete(self, shot: range, start: int = 0) -> Iterator[FrameResult]:
        """Yield the shot's frames from `start` on, in order; earlier ones are not computed."""
        wanted = range(max(shot.start, start), shot.stop)
        if not any(self.scene.track.areas[i] for i in shot):
            yield from empty_results(self.scene, wanted)
            return
        inputs = ShotInputs(
            self.scene, shot, self.options.cell, self.generator.side, self.options.ground, self.completion_mask
        )
        seeds = range(self.settings.seed, self.settings.seed + self.settings.hypotheses)
        exemplar = self._exemplar_of(inputs, shot)
        what = self._describe(exemplar[0])
        exemplars = [self._complete_exemplar(exemplar, what, seed) for seed in seeds]
        frames = self._frame_inputs(inputs, wanted)
        while block := list(islice(frames, TOGETHER if self.options.reuse else 1)):
            samples = [self._fill(block, beside, what, seed) for beside, seed in zip(exemplars, seeds, strict=True)]
            for frame in block:
                results = [self._result(inputs, frame, pictures.get(frame.index)) for pictures in samples]
                yield replace(results[0], hypotheses=results if len(results) > 1 else ())

    def _frame_inputs(self, inputs: ShotInputs, wanted: range) -> Iterator[FrameInput]:
        recalled = self.recall.complete(self.scene, wanted.start)
        return (inputs.frame_input(result, take=self.options.recall) for result in islice(recalled, len(wanted)))

    def _needed(self, frame: FrameInput) -> bool:
        """Whether anything has to be generated in a frame."""
        if not self.options.skip:
            return True
        if self.options.recall:
            return bool(frame.hole.sum() > LEAST * (frame.hole | frame.known).sum())
        return bool(frame.hole.any()) and is_occluded(self.scene, frame.recalled)

    def _exemplar_of(self, inputs: ShotInputs, shot: range) -> list[FrameInput]:
        """Inputs of the exemplar and, for rectification, of its collaborator if there is one."""
        areas = [int(self.scene.track.areas[i]) for i in shot]
        chosen = choose_exemplar(areas)
        assert chosen is not None
        frames = list(self._frame_inputs(inputs, range(shot[chosen], shot[chosen] + 1)))
        if self.options.ablation == "a1":
            return frames
        record: dict[str, Any] = {"frame": shot[chosen], "collaborator": None, "generated": self._needed(frames[0])}
        if record["generated"] and self.options.ablation != "a2":
            partner = choose_collaborator(areas, chosen, self.options.apart)
            if partner is None:
                record["note"] = "no other frame shows the object, so the exemplar was completed by itself"
            else:
                frames += self._frame_inputs(inputs, range(shot[partner], shot[partner] + 1))
                record["collaborator"] = shot[partner]
        self.exemplars.append(record)
        return frames

    def _complete_exemplar(self, frames: Sequence[FrameInput], what: str, seed: int) -> Exemplar | None:
        """A_ex: the exemplar itself if it is not occluded, else completed together with its collaborator (dual-frame
        collaboration) or alone."""
        frame = frames[0]
        if self.options.ablation == "a1":
            return None
        if not self._needed(frame):
            return Exemplar(frame.index, frame.frame, frame.object_image if frame.start is None else frame.start)
        if len(frames) == 1:
            return Exemplar(frame.index, frame.frame, self._alone(frame, what, seed))
        pair = Grid([[SubImage(one.frame), SubImage(one.object_image, one.hole, one.start)] for one in frames])
        filled = self.generator.fill([FillJob(pair, seed)], BESIDE.format(what))[0]
        return Exemplar(frame.index, frame.frame, pair.sub_image(filled, 2))

    def _alone(self, frame: FrameInput, what: str, seed: int) -> np.ndarray:
        """Complete a frame without an exemplar."""
        grid = Grid([[SubImage(frame.object_image, frame.hole, frame.start)]])
        return self.generator.fill([FillJob(grid, seed)], ALONE.format(what))[0]

    def _fill(
        self, frames: Sequence[FrameInput], exemplar: Exemplar | None, what: str, seed: int
    ) -> dict[int, np.ndarray]:
        """Completed sub-images by frame, for the frames that need completion."""
        found = {}
        needed = [frame for frame in frames if self._needed(frame)]
        if exemplar is not None:
            found = {frame.index: exemplar.whole for frame in needed if frame.index == exemplar.index}
            needed = [frame for frame in needed if frame.index != exemplar.index]
        for frame in needed:
            self.by_frame[frame.index] = self.by_frame.get(frame.index, 0) + 1
        if exemplar is None:
            return {frame.index: self._alone(frame, what, seed) for frame in needed}
        if not needed:
            return found
        grids = [
            Grid([exemplar.row, [SubImage(frame.frame), SubImage(frame.object_image, frame.hole, frame.start)]])
            for frame in needed
        ]
        jobs = [FillJob(grid, seed, self.options.ablation == "full") for grid in grids]
        itself = FillJob(Grid([exemplar.row, exemplar.row]), seed) if self.options.reuse else None
        filled = self.generator.fill(jobs, BESIDE.format(what), itself)
        return found | {a.index: s.sub_image(p, 4) for a, s, p in zip(needed, grids, filled, strict=True)}

    def _result(self, inputs: ShotInputs, frame: FrameInput, completed: np.ndarray | None) -> FrameResult:
        """Result of a frame. With `blended` (IC-Amodal+) visible pixels are the frame's own; otherwise mask and pixels
        are the network's, and count as generated."""
        image, visible, own = self.scene.frame(frame.index), self.scene.visible(frame.index), frame.recalled
        recalled, amodal, colour = np.zeros_like(visible), visible, image
        if self.options.recall:
            recalled, amodal, colour = own.provenance == RECALLED, own.amodal, own.rgba[..., :3]
        if completed is None:
            return compose(frame.index, image, visible, amodal, colour, recalled)
        back = inputs.framing.uncrop
        if not self.options.recall:
            drawn = inputs.object_mask if self.blended else inputs.own_mask
            amodal = back(drawn(completed, frame).astype(np.float32)) > 0.5
            if self.blended:
                amodal = visible | (amodal & frame.open_)
        colour = np.where(recalled[..., None], colour, back(completed))
        if self.blended and self.options.blend == "soft":
            colour = np.where(recalled[..., None], colour, feathered(colour, image, visible))
        seen = visible if self.blended else np.zeros_like(visible)
        return compose(frame.index, image, seen, amodal, colour, recalled)

    def _describe(self, frame: FrameInput) -> str:
        """A description of the object for the prompt."""
        what = self.options.prompt
        if not what:
            what = self._captioner(frame.object_image) if self._captioner else "object"
        if what not in self.prompts:
            self.prompts.append(what)
        return what

    @cached_property
    def _captioner(self) -> caption.Captioner | None:
        """BLIP-2, if its weights are present."""
        return caption.Captioner(device=self.settings.device) if checkpoints.is_present(caption.DEFAULT) else None
