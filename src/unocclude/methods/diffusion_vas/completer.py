"""Completion of a shot in two stages: amodal masks (sections 3.2, 3.3), then content (section 3.4)."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from unocclude.completion import FrameResult, LazySequence
from unocclude.errors import InputError
from unocclude.geometry import round_out
from unocclude.methods.base import RunSettings
from unocclude.methods.diffusion_vas.conditioning import get_conditioning_order
from unocclude.methods.diffusion_vas.options import DiffusionVASOptions
from unocclude.methods.diffusion_vas.pipeline import DiffusionVASPipeline, Pictures
from unocclude.methods.framing import Framing, crop_around, whole_canvas
from unocclude.methods.network_inputs import NetworkInputs, object_boxes, tensor
from unocclude.methods.postprocess import SampledFrame, compose_hypotheses, empty_results, paste_back, restrict
from unocclude.networks import device_for
from unocclude.networks.loading import dtype_for, prepare_pipeline
from unocclude.scene import Scene
from unocclude.types import Box

SEGMENTATION, COMPLETION, DEPTH = "amodal-segmentation", "content-completion", "depth"
FPS, MOTION, NOISE = 8, 127, 0.02
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class DiffusionVASCompleter:
    """Completes the shots of a scene with both pipelines."""

    def __init__(
        self, scene: Scene, folder: Path, options: DiffusionVASOptions, settings: RunSettings, boxes: list[Box] | None
    ):
        self.scene, self.options, self.settings, self.boxes = scene, options, settings, boxes
        self.device = device_for("diffusion-vas", settings.device)
        self.segmentation = self._pipeline(folder / SEGMENTATION)
        self.completion = self._pipeline(folder / COMPLETION)
        self.depth_weights = self._depth_weights(folder / DEPTH)

    def _pipeline(self, folder: Path) -> DiffusionVASPipeline:
        precision = PRECISIONS.get(self.options.precision, dtype_for(self.device))
        pipeline = DiffusionVASPipeline.from_pretrained(folder, precision)
        if self.options.compile:
            pipeline.unet.compile()
        ready: DiffusionVASPipeline = prepare_pipeline(pipeline, self.device)
        return ready

    def _depth_weights(self, folder: Path) -> Path | None:
        there = (folder / "config.json").is_file()
        if self.options.depth == "anything" and not there:
            raise InputError(f"depth=anything needs Depth Anything V2 in {folder}; put it there or set depth=layers")
        return folder if there and self.options.depth != "layers" else None

    def complete(self, shot: range) -> Iterator[FrameResult]:
        """Yield the results of a shot's frames, in order."""
        scene = self.scene
        if not any(scene.track.areas[i] for i in shot):
            yield from empty_results(scene, shot)
            return
        frames = NetworkInputs(scene, shot, self._framings(shot))
        depth = scene.depth(shot, self.depth_weights, self.settings.device)  # shared by all hypotheses, as it is slow
        samples = [self._sample(frames, depth, self.settings.seed + k) for k in range(self.settings.hypotheses)]
        yield from compose_hypotheses(scene, shot, samples)

    def _sample(self, inputs: NetworkInputs, depth: Callable[[int], np.ndarray], seed: int) -> Iterator[SampledFrame]:
        """One sample of every frame: the mean of `draws` runs of stage 1, then one run of stage 2."""
        generator = torch.Generator().manual_seed(seed)
        seen = [inputs.tensors(inputs.visible_mask), inputs.tensors(lambda k: inputs.depth(depth, k))]
        draws = [self._denoise(self.segmentation, seen, generator) for _ in range(self.options.draws)]
        # kept as one bit per pixel
        masks = [np.packbits(mask | (inputs.visible_mask(k) > 127)) for k, mask in enumerate(self._masks(draws))]
        shape = inputs.framings[0].size[::-1]

        def mask(k: int) -> np.ndarray:
            return np.unpackbits(masks[k], count=shape[0] * shape[1]).reshape(shape).astype(bool)

        whole = LazySequence(len(masks), lambda k: tensor(mask(k) * np.uint8(255)))
        latents = self._denoise(self.completion, [inputs.tensors(inputs.object_on_white), whole], generator)
        colours = (frame for chunk in self.completion.decode(latents) for frame in chunk)
        for k, (framing, colour) in enumerate(zip(inputs.framings, colours, strict=True)):
            picture = (colour.numpy() * 255).round().astype(np.uint8)
            amodal, picture = paste_back(framing, mask(k), picture, clean=self.options.conditioning_order != "parity")
            yield restrict(self.scene, inputs.shot[k], amodal, self.options.within), picture

    def _denoise(
        self, pipeline: DiffusionVASPipeline, conditions: Sequence[Pictures], generator: torch.Generator
    ) -> torch.Tensor:
        options = self.options
        return pipeline.denoise(
            conditions, num_inference_steps=options.steps, guidance=(options.guidance, options.guidance), fps=FPS,
            motion_bucket_id=MOTION, noise_aug_strength=NOISE, how=get_conditioning_order(options.conditioning_order),
            generator=generator, window=options.window, overlap=min(options.overlap, options.window - 1),
        )  # fmt: skip

    def _masks(self, draws: Sequence[torch.Tensor]) -> Iterator[np.ndarray]:
        """Masks (h, w) bool per frame, from the mean of all decoded draws."""
        for chunks in zip(*map(self.segmentation.decode, draws), strict=True):
            mean = sum(chunk.numpy() for chunk in chunks) / len(chunks)
            yield from object_pixels(mean, self.options.threshold)

    def _framings(self, shot: range) -> list[Framing]:
        scene, canvas = self.scene, (self.scene.width, self.scene.height)
        multiple = max(self.segmentation.multiple, self.completion.multiple)
        if self.boxes is not None:
            size = crop_around([self.boxes[i] for i in shot], canvas, self.options.pixels, 0.0, multiple).size
            return [
                Framing(round_out(self.boxes[i]), size, canvas) for i in shot
            ]  # boxes are stretched to the same size
        if self.options.framing == "squeeze":
            height = max(1, round((self.options.pixels / 2) ** 0.5 / multiple)) * multiple
            return [whole_canvas(canvas, (2 * height, height))] * len(shot)
        return [crop_around(object_boxes(scene, shot), canvas, self.options.pixels, multiple=multiple)] * len(shot)


def object_pixels(frames: np.ndarray, threshold: int) -> np.ndarray:
    """Binarise decoded masks (F, h, w, 3) in [0, 1] to (F, h, w) bool; see the option `threshold`."""
    found: np.ndarray = (255 * frames).round().sum(-1) > threshold
    return found
