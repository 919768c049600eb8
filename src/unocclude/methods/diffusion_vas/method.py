"""Diffusion-VAS behind the contract."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from unocclude import weights as checkpoints
from unocclude.completion import FrameResult
from unocclude.errors import InputError
from unocclude.methods.base import Method, MethodOptions
from unocclude.networks import device_for
from unocclude.scene import Scene

CHECKPOINT = "diffusion-vas"

Box = tuple[float, float, float, float]


class DiffusionVASOptions(MethodOptions):
    conditioning_order: Literal["aligned", "parity"] = Field(
        "aligned", description="parity: as the published code conditions its network, quirks and all"
    )
    framing: Literal["object", "squeeze"] = Field(
        "object", description="object: a crop around it, aspect kept; squeeze: the whole frame, as published"
    )
    pixels: int = Field(256 * 512, ge=64 * 64, description="pixels of the picture that the networks see")
    steps: int = Field(25, ge=1, le=1000, description="denoising steps")
    guidance: float = Field(1.5, ge=0, le=20, description="scale of classifier-free guidance, off up to 1")
    window: int = Field(25, ge=1, description="frames that are denoised together")
    overlap: int = Field(8, ge=0, description="frames by which windows overlap")
    depth: Literal["auto", "anything", "layers"] = Field(
        "auto",
        description="anything: Depth Anything V2; layers: what lies in front, by recall's evidence; auto: the former "
        "where its weights are",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="of the networks; auto: fp16 on a GPU, else fp32"
    )
    compile: bool = Field(False, description="compile the networks first: minutes once, then faster steps")
    boxes: Path | None = Field(
        None,
        description="JSON list of the object's amodal box in every frame, [x0, y0, x1, y1]: each is cropped to it",
    )


class DiffusionVAS(Method):
    name = "diffusion-vas"
    summary = "video diffusion: amodal masks from visible masks and depth, then their content (Chen et al. 2024)"
    samples = True
    takes_weights = True
    needs = "the diffusion extra and the published weights (diffusion-vas); a GPU with 12 GB for full size"
    Options = DiffusionVASOptions
    options: DiffusionVASOptions

    @classmethod
    def missing(cls, weights: str | None = None) -> str:
        try:
            device_for(cls.name, transformers=True, extra="diffusion")
            checkpoints.find(weights or CHECKPOINT, CHECKPOINT)
        except InputError as error:
            return str(error)
        return ""

    def complete(self, scene: Scene, start: int = 0) -> Iterator[FrameResult]:
        from unocclude.methods.diffusion_vas.stages import Stages

        boxes = self._boxes(scene)
        folder = checkpoints.find(self.setting.weights or CHECKPOINT, CHECKPOINT)
        stages = Stages(scene, folder, self.options, self.setting, boxes)
        for shot in scene.shots:
            if shot.stop > start:
                yield from (result for result in stages.complete(shot) if result.index >= start)

    def _boxes(self, scene: Scene) -> list[Box] | None:
        """The given amodal boxes on the canvas."""
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
            raise InputError(f"{path} is no JSON list of boxes [x0, y0, x1, y1]: {error}") from error
        if any(x1 <= x0 or y1 <= y0 for x0, y0, x1, y1 in found):
            raise InputError(f"{path}: a box has no area; boxes are [x0, y0, x1, y1] with x1 > x0 and y1 > y0")
        return found
