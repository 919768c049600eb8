"""Completion of a shot in two stages: amodal masks (sections 3.2, 3.3), then content (section 3.4)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from unocclude.completion import FrameResult, LazySequence
from unocclude.errors import InputError
from unocclude.geometry import round_out
from unocclude.masks import MaskTrack
from unocclude.methods.base import RunSettings
from unocclude.methods.diffusion_vas.options import DiffusionVASOptions
from unocclude.methods.diffusion_vas.pipeline import DiffusionVASPipeline
from unocclude.methods.diffusion_vas.sampling import choose_conditions, denoise
from unocclude.methods.diffusion_vas.segmentation import (
    AmodalMasks,
    Denoiser,
    GivenMasks,
    OneStep,
    PredictedMasks,
    Segmenter,
    Sources,
    VideoMAESegmenter,
)
from unocclude.methods.diffusion_vas.stages import DEPTH, VIDEOMAE, Stage, find_stages, input_channels
from unocclude.methods.diffusion_vas.videomae import MaskRegressor
from unocclude.methods.framing import Framing, crop_around, whole_canvas
from unocclude.methods.inpaint import inpaint
from unocclude.methods.network_inputs import NetworkInputs, foreground, object_boxes, object_framings, tensor
from unocclude.methods.postprocess import SampledFrame, compose_hypotheses, empty_results, paste_back, restrict
from unocclude.networks import device_for
from unocclude.networks.loading import dtype_for, prepare_pipeline
from unocclude.scene import Scene
from unocclude.types import Box

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SQUEEZED, PIXELS = 2.0, 512 * 256
"""Aspect ratio and size of the published network input."""


class DiffusionVASCompleter:
    """Completes the shots of a scene with the networks of a checkpoint.

    given: amodal masks of all frames, which replace stage 1.
    """

    def __init__(
        self,
        scene: Scene,
        folder: Path,
        options: DiffusionVASOptions,
        settings: RunSettings,
        boxes: list[Box] | None,
        given: MaskTrack | None,
    ):
        self.scene, self.options, self.settings, self.boxes, self.given = scene, options, settings, boxes, given
        self.device = device_for("diffusion-vas", settings.device)
        self.stages = find_stages(folder)
        self.multiple = 1
        """Sides of the network input are divisible by this."""
        self.segmenter: Segmenter | None = None
        self.completion: DiffusionVASPipeline | None = None
        if given is None and not self.stages.one_stage:
            assert self.stages.segmentation is not None
            self.segmenter = self._segmenter(self.stages.segmentation)
        if options.content == "network":
            assert self.stages.completion is not None
            self.completion = self._pipeline(self.stages.completion)
        self.depth_weights = self._depth_weights(folder / DEPTH)

    def _segmenter(self, stage: Stage) -> Segmenter:
        if stage.kind.recipe == VIDEOMAE:
            return VideoMAESegmenter(MaskRegressor.from_pretrained(stage.folder), self.options, self.device)
        pipeline, kind = self._pipeline(stage), stage.kind
        if kind.one_step:
            return OneStep(pipeline, kind.conditions, kind.tokens, self.options)
        return Denoiser(pipeline, kind.conditions, self.options)

    def _pipeline(self, stage: Stage) -> DiffusionVASPipeline:
        precision = PRECISIONS.get(self.options.precision, dtype_for(self.device))
        pipeline = DiffusionVASPipeline.from_pretrained(stage.folder, precision)
        channels, expected = pipeline.unet.config.in_channels, input_channels(stage.kind)
        if channels != expected:
            raise InputError(
                f"{stage.folder} has {channels} input channels, the published network {expected}; a checkpoint of your "
                "own needs the kind.json that training saves with it"
            )
        if self.options.compile:
            pipeline.unet.compile()
        self.multiple = max(self.multiple, pipeline.multiple)
        ready: DiffusionVASPipeline = prepare_pipeline(pipeline, self.device)
        return ready

    def _depth_weights(self, folder: Path) -> Path | None:
        there = (folder / "config.json").is_file()
        if self.options.depth == "anything" and not there:
            raise InputError(f"depth=anything needs Depth Anything V2 in {folder}; put it there or set depth=layers")
        return folder if there and self.options.depth != "layers" else None

    def complete(self, shot: range) -> Iterator[FrameResult]:
        """Yield the results of a shot's frames, in order."""
        if not any(self.scene.track.areas[i] for i in shot):
            yield from empty_results(self.scene, shot)
            return
        stages = self.stages
        seen = NetworkInputs(self.scene, shot, self._framings(shot, stages.segmentation or stages.completion))
        inputs = NetworkInputs(self.scene, shot, self._framings(shot, stages.completion or stages.segmentation))
        depth = self._depth(shot)
        sources, seen_sources = (self._sources(part, depth) for part in (inputs, seen))
        samples = []
        for seed in range(self.settings.seed, self.settings.seed + self.settings.hypotheses):
            generator = torch.Generator().manual_seed(seed)
            if self.stages.one_stage:
                frames = self._one_stage(inputs, sources, generator)
            else:
                frames = self._content(inputs, sources, self._masks(seen, seen_sources, generator), generator)
            samples.append(self._restricted(shot, frames))
        yield from compose_hypotheses(self.scene, shot, samples)

    def _depth(self, shot: range) -> Callable[[int], np.ndarray] | None:
        """Pseudo-depth of a shot if a network needs it; shared by all hypotheses, as it is slow."""
        stages = (
            self.stages.segmentation if self.segmenter else None,
            self.stages.completion if self.completion else None,
        )
        if not any(stage and "depth" in stage.kind.conditions for stage in stages):
            return None
        return self.scene.depth(shot, self.depth_weights, self.settings.device)

    @staticmethod
    def _sources(inputs: NetworkInputs, depth: Callable[[int], np.ndarray] | None) -> Sources:
        """What a network can be conditioned on, but for amodal masks."""
        sources = {
            "visible": inputs.tensors(inputs.visible_mask),
            "frames": inputs.tensors(inputs.frame),
            "objects": inputs.tensors(inputs.object_on_white),
        }
        if depth is not None:
            sources["depth"] = inputs.tensors(lambda k: inputs.depth(depth, k))
        return sources

    def _masks(self, inputs: NetworkInputs, sources: Sources, generator: torch.Generator) -> AmodalMasks:
        """Stage 1, or the masks that are given."""
        if self.given is not None:
            return GivenMasks(self.scene, inputs.shot, self.given)
        assert self.segmenter is not None
        return PredictedMasks(inputs, self.segmenter.predict(sources, generator), self.options)

    def _content(
        self, inputs: NetworkInputs, sources: Sources, masks: AmodalMasks, generator: torch.Generator
    ) -> Iterator[SampledFrame]:
        """Stage 2: each frame's mask and colours, which the network predicts or which are inpainted."""
        if self.completion is None:
            for k, i in enumerate(inputs.shot):
                amodal = masks.on_canvas(k)
                yield amodal, inpaint(self.scene.frame(i), self.scene.visible(i), amodal)
            return
        framings = inputs.framings
        whole = LazySequence(len(framings), lambda k: tensor(masks.framed(framings[k], k) * np.uint8(255)))
        for k, picture in enumerate(self._pictures({**sources, "amodal": whole}, generator)):
            yield masks.on_canvas(k), self._pasted(framings[k], masks.framed(framings[k], k), picture)[1]

    def _one_stage(self, inputs: NetworkInputs, sources: Sources, generator: torch.Generator) -> Iterator[SampledFrame]:
        """Masks and content from one network (table 7): the object is where its output is not white."""
        for k, picture in enumerate(self._pictures(sources, generator)):
            mask = foreground(picture / 255, self.options.white) | (inputs.visible_mask(k) > 127)
            yield self._pasted(inputs.framings[k], mask, picture)

    def _pictures(self, sources: Sources, generator: torch.Generator) -> Iterator[np.ndarray]:
        """The content network's output, (h, w, 3) uint8 per frame."""
        assert self.completion is not None and self.stages.completion is not None
        conditions = choose_conditions(sources, self.stages.completion.kind.conditions)
        latents = denoise(self.completion, conditions, self.options, generator)
        for chunk in self.completion.decode(latents):
            yield from (chunk.numpy() * 255).round().astype(np.uint8)

    def _pasted(self, framing: Framing, mask: np.ndarray, picture: np.ndarray) -> SampledFrame:
        return paste_back(framing, mask, picture, clean=self.options.conditioning_order != "parity")

    def _restricted(self, shot: range, frames: Iterator[SampledFrame]) -> Iterator[SampledFrame]:
        for i, (amodal, picture) in zip(shot, frames, strict=True):
            yield restrict(self.scene, i, amodal, self.options.within), picture

    def _framings(self, shot: range, stage: Stage | None) -> list[Framing]:
        """The framing of each frame of a shot for one network."""
        scene, options = self.scene, self.options
        canvas, pixels = (scene.width, scene.height), options.pixels or PIXELS
        trained = stage.kind.size if stage else None
        fixed = stage is not None and stage.kind.recipe == VIDEOMAE
        size = trained if fixed or not options.pixels else None
        if self.boxes is not None:
            boxes = [self.boxes[i] for i in shot]
            size = size or crop_around(boxes, canvas, pixels, 0.0, self.multiple).size
            return [Framing(round_out(box), size, canvas) for box in boxes]  # boxes are stretched to the same size
        if options.framing == "squeeze":
            return [whole_canvas(canvas, size or self._squeezed(trained, pixels))] * len(shot)
        if options.framing == "follow":
            size = size or crop_around(object_boxes(scene, shot), canvas, pixels, multiple=self.multiple).size
            return object_framings(scene, shot, size, follow=True)
        crop = crop_around(object_boxes(scene, shot), canvas, pixels, multiple=self.multiple, size=size)
        return [crop] * len(shot)

    def _squeezed(self, trained: tuple[int, int] | None, pixels: int) -> tuple[int, int]:
        """Size of the whole frame as the network sees it, of the aspect ratio that it was trained on."""
        aspect = trained[0] / trained[1] if trained else SQUEEZED
        height = max(1, round((pixels / aspect) ** 0.5 / self.multiple)) * self.multiple
        return max(1, round(height * aspect / self.multiple)) * self.multiple, height
