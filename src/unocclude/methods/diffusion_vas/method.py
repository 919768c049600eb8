"""The method Diffusion-VAS."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unocclude.completion import FrameResult
from unocclude.errors import InputError
from unocclude.mask_files import read_masks
from unocclude.masks import MaskTrack
from unocclude.methods.checkpoint_method import MINI_ADVICE, CheckpointMethod, packaged_folder
from unocclude.methods.diffusion_vas.options import DiffusionVASOptions
from unocclude.methods.diffusion_vas.stages import check_folder, check_stages, find_stages, used_kinds
from unocclude.scene import Scene, check_masks
from unocclude.types import Box

FRAMINGS = {"object": "object", "follow": "follow", "whole": "squeeze"}
"""The option `framing` for each way to crop training clips."""


class DiffusionVAS(CheckpointMethod):
    name = "diffusion-vas"
    summary = "video diffusion: amodal masks from visible masks and depth, then their content (Chen et al. 2024)"
    checkpoint = "diffusion-vas"
    needs = "the diffusion extra and the published weights (diffusion-vas); a GPU with 12 GB for full size"
    advice = MINI_ADVICE
    mini = packaged_folder(__package__)
    Options = DiffusionVASOptions
    options: DiffusionVASOptions

    @classmethod
    def check_folder(cls, folder: Path) -> None:
        check_folder(folder)

    @classmethod
    def recommended_options(cls, folder: Path) -> dict[str, Any]:
        """As trained, for checkpoints that say how, and then as options.json says."""
        stages = find_stages(folder)
        kind = next((stage.kind for stage in (stages.segmentation, stages.completion) if stage), None)
        trained: dict[str, Any] = {"window": kind.frames} if kind and kind.frames else {}
        if kind and kind.crop in FRAMINGS:
            trained["framing"] = FRAMINGS[kind.crop]
        return trained | super().recommended_options(folder)

    @property
    def can_sample(self) -> bool:
        stages = find_stages(self.folder)
        return not all(kind.one_step for kind in used_kinds(stages, self.options))

    def check(self) -> None:
        check_stages(find_stages(self.folder), self.options, self.settings.hypotheses)
        if self.options.amodal_masks is not None:
            self._given_masks()

    def complete(self, scene: Scene, start: int = 0) -> Iterator[FrameResult]:
        from unocclude.methods.diffusion_vas.completer import DiffusionVASCompleter

        boxes, given = self._boxes(scene), self._given_masks()
        if given is not None:
            check_masks(scene.clip, given, "amodal mask")
        completer = DiffusionVASCompleter(scene, self.folder, self.options, self.settings, boxes, given)
        for shot in scene.shots:
            if shot.stop > start:
                yield from (result for result in completer.complete(shot) if result.index >= start)

    def _given_masks(self) -> MaskTrack | None:
        """Amodal masks from the option `amodal_masks`."""
        return None if self.options.amodal_masks is None else read_masks(self.options.amodal_masks)

    def _boxes(self, scene: Scene) -> list[Box] | None:
        """Amodal boxes from the option `boxes`, on the canvas."""
        if self.options.boxes is None:
            return None
        path = self.options.boxes
        try:
            boxes = json.loads(path.read_text())
            if len(boxes) != len(scene):
                raise InputError(f"{path} holds {len(boxes)} boxes for {len(scene)} frames; give one for every frame")
            x, y = scene.offset
            found = [(float(a) + x, float(b) + y, float(c) + x, float(d) + y) for a, b, c, d in boxes]
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{path} is not a JSON list of boxes [x0, y0, x1, y1]: {error}") from error
        if any(x1 <= x0 or y1 <= y0 for x0, y0, x1, y1 in found):
            raise InputError(f"{path}: a box has no area; boxes are [x0, y0, x1, y1] with x1 > x0 and y1 > y0")
        return found
