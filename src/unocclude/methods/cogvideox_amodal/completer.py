"""Completion of a shot with CogVideoX-Amodal."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from unocclude.completion import FrameResult
from unocclude.methods.base import RunSettings
from unocclude.methods.checkpoint_kind import read_kind
from unocclude.methods.cogvideox_amodal.options import CogVideoXAmodalOptions
from unocclude.methods.cogvideox_amodal.pipeline import AmodalCogVideoX
from unocclude.methods.description import describe_object
from unocclude.methods.network_inputs import NetworkInputs, object_framings
from unocclude.methods.postprocess import (
    SampledFrame,
    compose_hypotheses,
    empty_results,
    majority,
    paste_back,
    restrict,
)
from unocclude.methods.windows import split_windows
from unocclude.networks import device_for
from unocclude.networks.loading import dtype_for
from unocclude.scene import Scene


class CogVideoXAmodalCompleter:
    """Completes the shots of a scene. The papers do not say what the baseline does with long clips: here consecutive
    windows are completed independently, the last one shifted so that it ends with the shot."""

    def __init__(self, scene: Scene, folder: Path, options: CogVideoXAmodalOptions, settings: RunSettings):
        self.scene, self.options, self.settings = scene, options, settings
        self.device = device_for("cogvideox-amodal", settings.device)
        self.network = AmodalCogVideoX.from_pretrained(folder, dtype_for(self.device))
        kind = read_kind(folder)
        self.size = kind.size if kind and kind.size else self.network.size
        self.window = options.window or self.network.frames
        self.network.check_frames(self.window)
        self.description = describe_object(scene, options.description, "cogvideox-amodal", self.device)

    def complete(self, shot: range) -> Iterator[FrameResult]:
        """Yield the results of a shot's frames, in order."""
        if not any(self.scene.track.areas[i] for i in shot):
            yield from empty_results(self.scene, shot)
            return
        framings = object_framings(self.scene, shot, self.size, self.options.framing == "follow")
        inputs = NetworkInputs(self.scene, shot, framings)
        samples = [self._sample(inputs, self.settings.seed + k) for k in range(self.settings.hypotheses)]
        yield from compose_hypotheses(self.scene, shot, samples)

    def _sample(self, inputs: NetworkInputs, seed: int) -> Iterator[SampledFrame]:
        """One sample of every frame: the majority of `draws` runs."""
        generator, done = torch.Generator().manual_seed(seed), 0
        for part in split_windows(len(inputs.shot), self.window, self.window):
            draws = np.stack([self._window(inputs, part, generator) for _ in range(self.options.draws)])
            for k in range(done, part.stop):
                mask, picture = majority(draws[:, k - part.start], self.options.white)
                amodal, picture = paste_back(inputs.framings[k], mask, picture)
                yield restrict(self.scene, inputs.shot[k], amodal, self.options.within), picture
            done = part.stop

    def _window(self, inputs: NetworkInputs, part: range, generator: torch.Generator) -> np.ndarray:
        """The network's output for a window, (F, h, w, 3) float32; a clip shorter than the VAE takes is continued with
        its last frame."""
        length = len(part) + (1 - len(part)) % self.network.factor
        chosen = [min(k, part.stop - 1) for k in range(part.start, part.start + length)]
        frames, visible = (
            torch.stack([clip[k] for k in chosen])[None]
            for clip in (inputs.tensors(inputs.frame), inputs.tensors(inputs.visible_mask))
        )
        pictures = self.network(
            frames, visible, self.description, num_inference_steps=self.options.steps,
            guidance_scale=self.options.guidance, generator=generator, device=self.device,
        )  # fmt: skip
        return pictures[: len(part)].numpy()
