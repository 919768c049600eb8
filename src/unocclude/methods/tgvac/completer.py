"""Completion of a shot with TGVAC."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from unocclude.completion import FrameResult
from unocclude.methods.base import RunSettings
from unocclude.methods.description import describe_object
from unocclude.methods.framing import Framing
from unocclude.methods.network_inputs import NetworkInputs, object_framings
from unocclude.methods.postprocess import (
    SampledFrame,
    compose_hypotheses,
    empty_results,
    majority,
    paste_back,
    restrict,
)
from unocclude.methods.tgvac.options import TGVACOptions
from unocclude.methods.tgvac.pipeline import TGVACPipeline
from unocclude.networks import device_for
from unocclude.networks.loading import dtype_for, prepare_pipeline
from unocclude.scene import Scene


class TGVACCompleter:
    """Completes the shots of a scene."""

    def __init__(self, scene: Scene, folder: Path, options: TGVACOptions, settings: RunSettings):
        self.scene, self.options, self.settings = scene, options, settings
        device = device_for("tgvac", settings.device)
        pipeline = TGVACPipeline.from_pretrained(folder, dtype_for(device), options.motion)
        self.pipeline: TGVACPipeline = prepare_pipeline(pipeline, device)
        self.description = describe_object(scene, options.description, "tgvac", device) if options.text else ""

    def complete(self, shot: range) -> Iterator[FrameResult]:
        """Yield the results of a shot's frames, in order."""
        if not any(self.scene.track.areas[i] for i in shot):
            yield from empty_results(self.scene, shot)
            return
        inputs = NetworkInputs(self.scene, shot, self._framings(shot))
        samples = [self._sample(inputs, self.settings.seed + k) for k in range(self.settings.hypotheses)]
        yield from compose_hypotheses(self.scene, shot, samples)

    def _framings(self, shot: range) -> list[Framing]:
        side = self.options.side or self.pipeline.side
        return object_framings(self.scene, shot, (side, side), self.options.framing == "follow")

    def _sample(self, inputs: NetworkInputs, seed: int) -> Iterator[SampledFrame]:
        """One sample of every frame: the majority of `draws` runs."""
        options = self.options
        generator = torch.Generator().manual_seed(seed)
        draws = [self._decoded(self._denoise(inputs, generator)) for _ in range(options.draws)]
        for i, framing, *pictures in zip(inputs.shot, inputs.framings, *draws, strict=True):
            amodal, picture = paste_back(framing, *majority(np.stack(pictures), options.white))
            yield restrict(self.scene, i, amodal, options.within), picture

    def _denoise(self, inputs: NetworkInputs, generator: torch.Generator) -> torch.Tensor:
        options = self.options
        picture = inputs.frame if self.pipeline.conditioning.picture == "frames" else inputs.object_on_white
        return self.pipeline.denoise(
            inputs.tensors(picture), inputs.tensors(inputs.visible_mask),
            self.description,
            num_inference_steps=options.steps, guidance_scale=options.guidance, window=options.window,
            stride=options.stride, together=options.together, generator=generator,
        )  # fmt: skip

    def _decoded(self, latents: torch.Tensor) -> Iterator[np.ndarray]:
        return (frame.numpy() for chunk in self.pipeline.decode(latents) for frame in chunk)
