"""Completion of single frames with pix2gestalt."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from unocclude.completion import FrameResult
from unocclude.methods.base import RunSettings
from unocclude.methods.framing import crop_around, whole_canvas
from unocclude.methods.network_inputs import NetworkInputs, object_boxes, tensor
from unocclude.methods.pix2gestalt.options import Pix2GestaltOptions
from unocclude.methods.pix2gestalt.pipeline import Pix2GestaltPipeline
from unocclude.methods.postprocess import SampledFrame, compose_hypotheses, empty_results, paste_back
from unocclude.networks import device_for
from unocclude.networks.loading import dtype_for, prepare_pipeline
from unocclude.scene import Scene
from unocclude.types import Box


class Pix2GestaltCompleter:
    """Completes the frames of a scene."""

    def __init__(self, scene: Scene, folder: Path, options: Pix2GestaltOptions, settings: RunSettings):
        self.scene, self.options, self.settings = scene, options, settings
        device = device_for("pix2gestalt", settings.device)
        self.pipeline: Pix2GestaltPipeline = prepare_pipeline(
            Pix2GestaltPipeline.from_pretrained(folder, dtype_for(device)), device
        )

    def complete(self, i: int) -> Iterator[FrameResult]:
        """Yield the result of frame i; it is empty if the object is not visible in it."""
        frame = range(i, i + 1)
        if boxes := object_boxes(self.scene, frame):
            seeds = range(self.settings.seed, self.settings.seed + self.settings.hypotheses)
            yield from compose_hypotheses(self.scene, frame, [iter([self._sample(i, boxes, seed)]) for seed in seeds])
        else:
            yield from empty_results(self.scene, frame)

    def _sample(self, i: int, boxes: list[Box], seed: int) -> SampledFrame:
        options, canvas = self.options, (self.scene.width, self.scene.height)
        size = (options.side, options.side)
        framing = (
            whole_canvas(canvas, size) if options.framing == "squeeze" else crop_around(boxes, canvas, 0, size=size)
        )
        inputs = NetworkInputs(self.scene, range(i, i + 1), [framing])
        picture = self.pipeline(
            tensor(inputs.frame(0))[None], tensor(inputs.visible_mask(0))[None], num_inference_steps=options.steps,
            guidance_scale=options.guidance, eta=options.eta,
            generator=torch.Generator().manual_seed(seed * 1_000_003 + i),  # independent noise in each frame
        )[0]  # fmt: skip
        colour = (picture.numpy() * 255).round().astype(np.uint8)
        whole = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY) <= options.white
        return paste_back(framing, whole, colour)
