"""Amodal masks of a shot (section 3.2) from each kind of network, or given by the user."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import torch

from unocclude.masks import MaskTrack
from unocclude.methods.diffusion_vas.options import DiffusionVASOptions
from unocclude.methods.diffusion_vas.pipeline import DiffusionVASPipeline, Pictures
from unocclude.methods.diffusion_vas.sampling import choose_conditions, denoise
from unocclude.methods.diffusion_vas.videomae import MaskRegressor
from unocclude.methods.framing import Framing
from unocclude.methods.network_inputs import NetworkInputs
from unocclude.methods.windows import blend, split_windows
from unocclude.scene import Scene

Sources: TypeAlias = Mapping[str, Pictures]
"""All clips that a network can be conditioned on, by name."""


class Segmenter(ABC):
    """Predicts the amodal masks of a shot."""

    @abstractmethod
    def predict(self, sources: Sources, generator: torch.Generator) -> Iterator[np.ndarray]:
        """Yield the sum of the three channels of each frame's decoded mask, (h, w) uint16, 0 to 765."""


class Denoiser(Segmenter):
    """A diffusion network: the mean of `draws` samples, binarised."""

    def __init__(self, pipeline: DiffusionVASPipeline, conditions: Sequence[str], options: DiffusionVASOptions):
        self.pipeline, self.conditions, self.options = pipeline, conditions, options

    def predict(self, sources: Sources, generator: torch.Generator) -> Iterator[np.ndarray]:
        seen = choose_conditions(sources, self.conditions)
        draws = [denoise(self.pipeline, seen, self.options, generator) for _ in range(self.options.draws)]
        for chunks in zip(*map(self.pipeline.decode, draws), strict=True):
            yield from channel_sums(sum(chunk.numpy() for chunk in chunks) / len(chunks))


class OneStep(Segmenter):
    """The same network as a regressor (baseline 3D-UNet, section A.2)."""

    def __init__(
        self, pipeline: DiffusionVASPipeline, conditions: Sequence[str], tokens: str, options: DiffusionVASOptions
    ):
        self.pipeline, self.conditions, self.tokens, self.options = pipeline, conditions, tokens, options

    def predict(self, sources: Sources, generator: torch.Generator) -> Iterator[np.ndarray]:
        options = self.options
        latents = self.pipeline.predict_in_one_step(
            choose_conditions(sources, self.conditions), tokens=self.tokens, window=options.window,
            overlap=min(options.overlap, options.window - 1),
        )  # fmt: skip
        for chunk in self.pipeline.decode(latents):
            yield from channel_sums(chunk.numpy())


class VideoMAESegmenter(Segmenter):
    """The baseline VideoMAE, which takes clips of one length: a shorter clip is continued with its last frame, a longer
    one goes through overlapping windows."""

    def __init__(self, network: MaskRegressor, options: DiffusionVASOptions, device: str):
        self.network, self.options, self.device = network.to(device), options, device

    @torch.no_grad()
    def predict(self, sources: Sources, generator: torch.Generator) -> Iterator[np.ndarray]:
        visible, length = sources["visible"], self.network.frames
        count = max(len(visible), length)
        overlap = min(self.options.overlap, length - 1)

        def logits(part: range) -> torch.Tensor:
            frames = torch.stack([visible[min(i, len(visible) - 1)] for i in part])
            answer: torch.Tensor = self.network(frames[None].to(self.device)).float().cpu()
            return answer

        blended = blend(logits, count, split_windows(count, length, length - overlap))
        for mask in (blended[0, : len(visible)] > 0).numpy():
            yield mask * np.uint16(WHITE_SUM)


WHITE_SUM = 765
"""Sum of the channels of a white pixel."""


def channel_sums(frames: np.ndarray) -> np.ndarray:
    """The sum of the channels, each rounded to 0..255, of decoded masks (F, h, w, 3) in [0, 1]; (F, h, w) uint16."""
    return (255 * frames).round().sum(-1).astype(np.uint16)


def object_pixels(frames: np.ndarray, threshold: int) -> np.ndarray:
    """Binarise decoded masks (F, h, w, 3) in [0, 1] to (F, h, w) bool; see the option `threshold`."""
    return channel_sums(frames) > threshold


class AmodalMasks(ABC):
    """The amodal masks of a shot, on the canvas and as another network sees them."""

    @abstractmethod
    def on_canvas(self, k: int) -> np.ndarray:
        """The mask of the k-th frame, (H, W) bool."""

    def framed(self, framing: Framing, k: int) -> np.ndarray:
        """The mask of the k-th frame in a framing, (h, w) bool."""
        return framing.crop(self.on_canvas(k)) > 127


class PredictedMasks(AmodalMasks):
    """Masks that a network predicted, united with the visible ones; kept as one bit per pixel.

    sums: see `Segmenter.predict`; with `binarise` "after" they are kept too, and cut off on the canvas.
    """

    def __init__(self, inputs: NetworkInputs, sums: Iterator[np.ndarray], options: DiffusionVASOptions):
        self.framings, self.threshold = inputs.framings, options.threshold
        self.packed, self.soft = [], []
        for k, frame in enumerate(sums):
            self.packed.append(np.packbits((frame > options.threshold) | (inputs.visible_mask(k) > 127)))
            if options.binarise == "after":
                self.soft.append(frame)

    def on_canvas(self, k: int) -> np.ndarray:
        framing = self.framings[k]
        if self.soft:
            return framing.uncrop(self.soft[k].astype(np.float32)) > self.threshold
        return framing.uncrop(self.framed(framing, k).astype(np.float32)) > 0.5

    def framed(self, framing: Framing, k: int) -> np.ndarray:
        own = self.framings[k]
        if framing != own:
            return super().framed(framing, k)
        width, height = own.size
        return np.unpackbits(self.packed[k], count=width * height).reshape(height, width).astype(bool)


class GivenMasks(AmodalMasks):
    """The user's amodal masks of a clip, united with the visible ones."""

    def __init__(self, scene: Scene, shot: range, masks: MaskTrack):
        self.scene, self.shot, self.masks = scene, shot, masks

    def on_canvas(self, k: int) -> np.ndarray:
        i = self.shot[k]
        return self.scene.on_canvas(self.masks[i]) | self.scene.visible(i)
