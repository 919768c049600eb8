"""TGVAC on a shot of any length and size."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from unocclude.completion import FrameResult
from unocclude.methods.base import Setting
from unocclude.methods.framing import around
from unocclude.methods.samples import Sample, composed, laid_back, nothing
from unocclude.methods.shown import Shown, object_boxes, off_white
from unocclude.methods.tgvac.options import TGVACOptions
from unocclude.methods.tgvac.pipeline import TGVACPipeline
from unocclude.networks import device_for
from unocclude.networks.loading import placed, precision_on
from unocclude.scene import Scene


class Shots:
    """The pipeline, and what it sees of a scene."""

    def __init__(self, scene: Scene, folder: Path, options: TGVACOptions, setting: Setting):
        self.scene, self.options, self.setting = scene, options, setting
        device = device_for("tgvac", setting.device)
        pipeline = TGVACPipeline.from_pretrained(folder, precision_on(device), options.motion)
        self.pipeline: TGVACPipeline = placed(pipeline, device)

    def complete(self, shot: range) -> Iterator[FrameResult]:
        """The shot's frames, in order."""
        boxes = object_boxes(self.scene, shot)
        if not boxes:
            yield from nothing(self.scene, shot)
            return
        side = self.options.side or self.pipeline.side
        framing = around(boxes, (self.scene.width, self.scene.height), 0, size=(side, side))
        shown = Shown(self.scene, shot, [framing] * len(shot))
        samples = [self._sample(shown, self.setting.seed + k) for k in range(self.setting.hypotheses)]
        yield from composed(self.scene, shot, samples)

    def _sample(self, shown: Shown, seed: int) -> Iterator[Sample]:
        options = self.options
        latents = self.pipeline.denoise(
            shown.all(shown.object), shown.all(shown.mask), options.description if options.text else "",
            num_inference_steps=options.steps, guidance_scale=options.guidance, window=options.window,
            stride=options.stride, together=options.together, generator=torch.Generator().manual_seed(seed),
        )  # fmt: skip
        pictures = (frame.numpy() for chunk in self.pipeline.decode(latents) for frame in chunk)
        for framing, picture in zip(shown.framings, pictures, strict=True):
            yield laid_back(framing, off_white(picture), (picture * 255).round().astype(np.uint8))
