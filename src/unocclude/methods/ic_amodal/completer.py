"""The stages on a shot: the exemplar (section 3.2), then every frame beside it (sections 3.1, 3.3)."""

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
from unocclude.methods.ic_amodal.frame_selection import choose_collaborator, choose_exemplar, is_occluded
from unocclude.methods.ic_amodal.grid import Cell, Sheet
from unocclude.methods.ic_amodal.inputs import Ask, Cells
from unocclude.methods.ic_amodal.options import ICAmodalOptions
from unocclude.methods.ic_amodal.pipeline import Generator, Job
from unocclude.methods.postprocess import empty_results
from unocclude.methods.recall import Recall, RecallOptions
from unocclude.networks import device_for
from unocclude.perception import caption
from unocclude.scene import Scene

TOGETHER = 8
"""Frames that are denoised beside one exemplar whose keys and values are shared."""
LEAST = 0.01
"""Share of a silhouette that no frame shows, up to which recall's own filling does."""
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
    def row(self) -> list[Cell]:
        return [Cell(self.frame), Cell(self.whole)]


class Stages:
    """The generator, and what it is shown of a scene. `report` says what was done, for result.json."""

    def __init__(self, scene: Scene, folder: Path, options: ICAmodalOptions, settings: RunSettings, blended: bool):
        self.scene, self.options, self.settings, self.blended = scene, options, settings, blended
        self.generator = Generator.from_folder(folder, options, device_for("ic-amodal", settings.device))
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
        }

    def complete(self, shot: range, start: int = 0) -> Iterator[FrameResult]:
        """The shot's frames from `start` on, in order; those before are not worked out."""
        wanted = range(max(shot.start, start), shot.stop)
        if not any(self.scene.track.areas[i] for i in shot):
            yield from empty_results(self.scene, wanted)
            return
        cells = Cells(self.scene, shot, self.options.cell, self.generator.side, self.options.ground)
        seeds = range(self.settings.seed, self.settings.seed + self.settings.hypotheses)
        exemplar = self._exemplar_of(cells, shot)
        what = self._describe(exemplar[0])
        exemplars = [self._complete_exemplar(exemplar, what, seed) for seed in seeds]
        asks = self._asks(cells, wanted)
        while block := list(islice(asks, TOGETHER if self.options.reuse else 1)):
            samples = [self._fill(block, beside, what, seed) for beside, seed in zip(exemplars, seeds, strict=True)]
            for ask in block:
                results = [self._result(cells, ask, pictures.get(ask.index)) for pictures in samples]
                yield replace(results[0], hypotheses=results if len(results) > 1 else ())

    def _asks(self, cells: Cells, wanted: range) -> Iterator[Ask]:
        recalled = self.recall.complete(self.scene, wanted.start)
        return (cells.ask(result, take=self.options.recall) for result in islice(recalled, len(wanted)))

    def _needed(self, ask: Ask) -> bool:
        """Whether there is anything to generate in a frame."""
        if self.options.recall:
            return bool(ask.hole.sum() > LEAST * (ask.hole | ask.known).sum())
        return bool(ask.hole.any()) and is_occluded(self.scene, ask.recalled)

    def _exemplar_of(self, cells: Cells, shot: range) -> list[Ask]:
        """The frame that shows most of the object, and, for rectification, its collaborator where there is one."""
        areas = [int(self.scene.track.areas[i]) for i in shot]
        chosen = choose_exemplar(areas)
        assert chosen is not None
        asks = list(self._asks(cells, range(shot[chosen], shot[chosen] + 1)))
        if self.options.ablation == "a1":
            return asks
        told: dict[str, Any] = {"frame": shot[chosen], "collaborator": None, "generated": self._needed(asks[0])}
        if told["generated"] and self.options.ablation != "a2":
            partner = choose_collaborator(areas, chosen, self.options.apart)
            if partner is None:
                told["note"] = "no other frame shows the object, so the exemplar was completed by itself"
            else:
                asks += self._asks(cells, range(shot[partner], shot[partner] + 1))
                told["collaborator"] = shot[partner]
        self.exemplars.append(told)
        return asks

    def _complete_exemplar(self, asks: Sequence[Ask], what: str, seed: int) -> Exemplar | None:
        """A_ex: as it is where nothing hides it, else completed at once with its collaborator (dual-frame
        collaboration), or by itself."""
        ask = asks[0]
        if self.options.ablation == "a1":
            return None
        if not self._needed(ask):
            return Exemplar(ask.index, ask.frame, ask.shown if ask.start is None else ask.start)
        if len(asks) == 1:
            return Exemplar(ask.index, ask.frame, self._alone(ask, what, seed))
        pair = Sheet([[Cell(one.frame), Cell(one.shown, one.hole, one.start)] for one in asks])
        filled = self.generator.fill([Job(pair, seed)], BESIDE.format(what))[0]
        return Exemplar(ask.index, ask.frame, pair.cell(filled, 2))

    def _alone(self, ask: Ask, what: str, seed: int) -> np.ndarray:
        """A frame completed without any other."""
        sheet = Sheet([[Cell(ask.shown, ask.hole, ask.start)]])
        return self.generator.fill([Job(sheet, seed)], ALONE.format(what))[0]

    def _fill(self, asks: Sequence[Ask], exemplar: Exemplar | None, what: str, seed: int) -> dict[int, np.ndarray]:
        """The completed sub-images, by frame, of the frames that need it."""
        found = {}
        needed = [ask for ask in asks if self._needed(ask)]
        if exemplar is not None:
            found = {ask.index: exemplar.whole for ask in needed if ask.index == exemplar.index}
            needed = [ask for ask in needed if ask.index != exemplar.index]
        for ask in needed:
            self.by_frame[ask.index] = self.by_frame.get(ask.index, 0) + 1
        if exemplar is None:
            return {ask.index: self._alone(ask, what, seed) for ask in needed}
        if not needed:
            return found
        sheets = [Sheet([exemplar.row, [Cell(ask.frame), Cell(ask.shown, ask.hole, ask.start)]]) for ask in needed]
        jobs = [Job(sheet, seed, self.options.ablation == "full") for sheet in sheets]
        itself = Job(Sheet([exemplar.row, exemplar.row]), seed) if self.options.reuse else None
        filled = self.generator.fill(jobs, BESIDE.format(what), itself)
        return found | {a.index: s.cell(p, 4) for a, s, p in zip(needed, sheets, filled, strict=True)}

    def _result(self, cells: Cells, ask: Ask, completed: np.ndarray | None) -> FrameResult:
        """A frame on the canvas. Blended (IC-Amodal+), visible pixels are the frame's own; else all of what was
        generated is the network's, and says so."""
        image, visible, own = self.scene.frame(ask.index), self.scene.visible(ask.index), ask.recalled
        recalled, amodal, colour = np.zeros_like(visible), visible, image
        if self.options.recall:
            recalled, amodal, colour = own.provenance == RECALLED, own.amodal, own.rgba[..., :3]
        if completed is None:
            return compose(ask.index, image, visible, amodal, colour, recalled)
        back = cells.framing.uncrop
        if not self.options.recall:
            grown = back(cells.object(completed, ask).astype(np.float32)) > 0.5
            amodal = visible | (grown & self.scene.completion_mask(ask.index))
        colour = np.where(recalled[..., None], colour, back(completed))
        seen = visible if self.blended else np.zeros_like(visible)
        return compose(ask.index, image, seen, amodal, colour, recalled)

    def _describe(self, ask: Ask) -> str:
        """What the object is, for the prompt."""
        what = self.options.prompt
        if not what:
            what = self._captioner(ask.shown) if self._captioner else "object"
        if what not in self.prompts:
            self.prompts.append(what)
        return what

    @cached_property
    def _captioner(self) -> caption.Captioner | None:
        """BLIP-2, where its weights are."""
        return caption.Captioner(device=self.settings.device) if checkpoints.have(caption.DEFAULT) else None
