"""Recipes of Diffusion-VAS (Chen et al. 2024, sections 3, 4.1 and A.1).

Both stages, masks (with or without depth) and content; the one-stage model of table 7; the 3D U-Net regressor of A.2.
"""

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from unocclude.errors import InputError
from unocclude.methods.checkpoint_kind import CheckpointKind
from unocclude.methods.diffusion_vas.checkpoint import load_components
from unocclude.methods.diffusion_vas.conditioning import token_rows
from unocclude.methods.diffusion_vas.options import THRESHOLD, THRESHOLD_DESCRIPTION
from unocclude.methods.diffusion_vas.pipeline import (
    FPS,
    MOTION,
    DiffusionVASPipeline,
    PerFrameEmbeddings,
    clip_embeddings,
)
from unocclude.methods.diffusion_vas.segmentation import object_pixels
from unocclude.methods.diffusion_vas.small_pipeline import small_components
from unocclude.methods.diffusion_vas.stages import LATENTS, METHOD
from unocclude.networks.expand_conv_in import expand_conv_in
from unocclude.networks.group_norm import apply_config_groups
from unocclude.training import clip_metrics, object_on_white, recipe, training_clips
from unocclude.training.recipe import Batch
from unocclude.training.training_clips import TrainingClip

FOLDER = "pipeline"
TRAINED = ("temporal_transformer_block", "conv_in")
PLACES = ("first", "second", "third")
"""Conditioning clips as the pipeline calls them, in the order of the input channels."""


class VASOptions(recipe.RecipeOptions, training_clips.ClipOptions):
    """[recipe] options that all recipes here share."""

    base: str = Field(
        "", description="pipeline folder to start from: Stable Video Diffusion's, or pipeline/ of an earlier run"
    )
    vae: str = Field("", description="without base: folder of a VAE trained with recipe vae")
    widths: list[int] = Field([32, 64], description="without base: channels per level of the network")
    pretrained: bool = Field(True, description="false: the base's architecture with random weights (table 6)")
    second: Literal["none", "depth", "frames", "frames+depth"] = Field(
        "none", description="conditioning clips after the first (table 3); frames is RGB"
    )
    zero: bool = Field(True, description="initialise new input channels with zeros (table 4)")
    trained: Literal["published", "all"] = Field(
        "published", description="parameters to train; published: only the temporal transformers and the first layer"
    )
    tokens: Literal["own", "all"] = Field(
        "own",
        description="CLIP embeddings a frame attends to: own, as at inference; all, as in published training",
    )
    dropout: float = Field(
        0.1, ge=0, lt=1 / 3, description="probability of dropping conditions, for classifier-free guidance"
    )
    regression: bool = Field(False, description="predict in one step without noise (baseline 3D-UNet)")
    sampled: int = Field(10, ge=1, description="denoising steps in evaluation")
    threshold: int = Field(THRESHOLD, ge=0, lt=765, description="in evaluation: " + THRESHOLD_DESCRIPTION)


class MaskDepthOptions(VASOptions):
    second: Literal["none", "depth", "frames", "frames+depth"] = "depth"


class ContentOptions(VASOptions):
    second: Literal["amodal"] = "amodal"  # type: ignore[assignment]


class RegressionOptions(MaskDepthOptions):
    trained: Literal["published", "all"] = "all"
    regression: bool = True


class VAS(training_clips.ClipRecipe):
    """A denoiser of latents under EDM's preconditioning (Karras et al. 2022, table 1; equation 1)."""

    options: VASOptions
    first: str
    """Names of the first condition and of the training target, fields of `TrainingClip`."""
    target: Literal["amodal", "wholes"]

    @property
    def conditions(self) -> list[str]:
        """Names of the conditioning clips, fields of `TrainingClip`, in the order of the input channels."""
        others = [] if self.options.second == "none" else self.options.second.split("+")
        return [self.first, *others]

    @property
    def kind(self) -> CheckpointKind:
        """What the trained network is."""
        options = self.options
        return CheckpointKind.model_validate(
            {
                "recipe": self.name, "methods": (METHOD,), "conditions": self.conditions, "target": self.target,
                "one_step": options.regression, "tokens": options.tokens, "size": options.size,
                "frames": options.frames, "crop": options.crop,
            }
        )  # fmt: skip

    def network(self) -> torch.nn.Module:
        options = self.options
        if options.base:
            self.parts = load_components(Path(options.base), torch.float32)
            if not options.pretrained:
                self.parts["unet"] = apply_config_groups(
                    type(self.parts["unet"]).from_config(self.parts["unet"].config)
                )
        elif options.vae:
            self.parts = small_components(Path(options.vae), options.widths, LATENTS * 2, options.size)
        else:
            raise InputError(f"recipe {self.name} needs base, a pipeline to start from, or vae, the VAE of a new one")
        for name in ("vae", "image_encoder"):
            self.parts[name].requires_grad_(False)
        network: torch.nn.Module = expand_conv_in(
            self.parts["unet"], LATENTS * (1 + len(self.conditions)), zero=options.zero
        )
        if options.trained == "published":
            for name, value in network.named_parameters():
                value.requires_grad_(any(part in name for part in TRAINED))
        return network

    def batch(self, number: int, size: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        drawn = [self.clips.draw(rng) for _ in range(size)]
        return {"target": self._stack(drawn, self.target), **self._conditions(drawn)}

    def _conditions(self, clips: list[TrainingClip]) -> dict[str, torch.Tensor]:
        """The conditioning clips, (N, F, 3, H, W) each, by the names of the pipeline's arguments."""
        return {place: self._stack(clips, name) for place, name in zip(PLACES, self.conditions, strict=False)}

    @staticmethod
    def _stack(clips: list[TrainingClip], field: str) -> torch.Tensor:
        return torch.stack([training_clips.to_tensor(getattr(clip, field)) for clip in clips])

    def loss(self, network: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        with torch.no_grad():
            target = self._encode(batch["target"], sample=True) * self.parts["vae"].config.scaling_factor
            rows = self._embed(batch["first"])
            strength = torch.exp(torch.randn(len(target), device=target.device) * 0.5 - 3)
            conditions = torch.cat(
                [
                    self._encode(clip + strength.view(-1, 1, 1, 1, 1) * torch.randn_like(clip), sample=True)
                    for clip in (batch[place] for place in PLACES if place in batch)
                ],
                2,
            )
        if self.options.regression:
            answer = self._run(network, torch.zeros_like(target), torch.ones(len(target)), conditions, rows, strength)
            loss = ((answer - target) ** 2).mean()
            return loss, {"squared": float(loss.detach())}
        sigma = torch.exp(torch.randn(len(target), device=target.device) * 1.6 + 0.7)
        rows, conditions = dropped(rows, conditions, self.options.dropout, torch.rand(len(target)))
        noisy = target + sigma.view(-1, 1, 1, 1, 1) * torch.randn_like(target)
        answer = self._run(network, noisy, sigma, conditions, rows, strength)
        loss = edm_loss(answer, noisy, target, sigma)
        return loss, {"squared": float(((edm_denoised(answer, noisy, sigma) - target) ** 2).mean().detach())}

    def _run(
        self, network: torch.nn.Module, noisy: torch.Tensor, sigma: torch.Tensor, conditions: torch.Tensor,
        rows: torch.Tensor, strength: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """The network output F of equation 1, float32, for noisy latents (N, F, 4, h, w)."""
        count = len(noisy)
        wide = sigma.to(noisy).view(-1, 1, 1, 1, 1)
        ids = torch.tensor([[FPS - 1.0, MOTION, 0.0]], device=noisy.device).repeat(count, 1)
        ids[:, 2] = strength
        rows = token_rows(rows, self.options.tokens)
        inputs = torch.cat([noisy / (wide**2 + 1).sqrt(), conditions], 2)
        answer: torch.Tensor = network(
            inputs, 0.25 * sigma.to(noisy).log(), PerFrameEmbeddings(rows), added_time_ids=ids
        ).sample
        return answer.float()

    def _encode(self, clips: torch.Tensor, sample: bool) -> torch.Tensor:
        """Encode (N, F, 3, H, W) to latents (N, F, 4, h, w), not scaled."""
        vae = self.parts["vae"].to(clips.device)
        latents = vae.encode(clips.flatten(0, 1)).latent_dist
        return (latents.sample() if sample else latents.mode()).unflatten(0, clips.shape[:2])

    def _embed(self, clips: torch.Tensor) -> torch.Tensor:
        """(N, F, D) CLIP embeddings of the frames."""
        encoder = self.parts["image_encoder"].to(clips.device)
        found = clip_embeddings(encoder, self.parts["feature_extractor"], clips.flatten(0, 1), clips.device)
        return found.to(clips.device).unflatten(0, clips.shape[:2])

    def _pipeline(self, network: torch.nn.Module) -> DiffusionVASPipeline:
        pipeline = DiffusionVASPipeline(**self.parts | {"unet": network})
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    @torch.no_grad()
    def answer(self, network: torch.nn.Module, clip: TrainingClip, seed: int = 0) -> torch.Tensor:
        """The network's output for a clip, (F, H, W, 3) float32 in [0, 1]."""
        pipeline = self._pipeline(network).to(next(network.parameters()).device)
        conditions = self._conditions([clip])
        if self.options.regression:
            latents = pipeline.predict_in_one_step(
                [list(part[0]) for part in conditions.values()], tokens=self.options.tokens, window=None, overlap=None
            )
            return torch.cat(list(pipeline.decode(latents)))
        generator = torch.Generator().manual_seed(seed)
        frames = pipeline(**conditions, num_inference_steps=self.options.sampled, generator=generator).frames
        assert frames is not None
        return frames[0]

    def evaluate(self, network: torch.nn.Module) -> dict[str, float]:
        return clip_metrics.mean(
            [self.frame_metrics(clip, self.answer(network, clip).numpy()) for clip in self.clips.held]
        )

    @abstractmethod
    def frame_metrics(self, clip: TrainingClip, answer: np.ndarray) -> clip_metrics.FrameMetrics:
        """Metrics per frame of an output (F, H, W, 3) in [0, 1]."""

    def picture(self, network: torch.nn.Module) -> np.ndarray:
        """Two rows per clip: the target and the network's output."""
        rows = []
        for clip in self.clips.held[:6]:
            answer = self.answer(network, clip).permute(0, 3, 1, 2) * 2 - 1
            rows += [
                training_clips.side_by_side(training_clips.to_tensor(getattr(clip, self.target))),
                training_clips.side_by_side(answer),
            ]
        return np.vstack(rows)

    def export(self, network: torch.nn.Module, folder: Path) -> list[Path]:
        self._pipeline(network).save_pretrained(folder / FOLDER)
        self.kind.write(folder / FOLDER)
        return [folder / FOLDER]


def dropped(
    rows: torch.Tensor, conditions: torch.Tensor, rate: float, chance: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Drop conditions for classifier-free guidance (InstructPix2Pix, Brooks et al. 2023, section 3.2.1).

    chance: (N,) uniform random numbers. CLIP embeddings are dropped below 2 rate, latents between rate and 3 rate.
    """
    chance = chance.to(rows.device)
    kept_rows = (chance >= 2 * rate).view(-1, 1, 1)
    kept = ((chance < rate) | (chance >= 3 * rate)).view(-1, 1, 1, 1, 1)
    return rows * kept_rows, conditions * kept


def edm_denoised(answer: torch.Tensor, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Denoised D of equation 1 for v-prediction, z / (sigma^2 + 1) - F sigma / sqrt(sigma^2 + 1); `answer` is F."""
    sigma = sigma.view(-1, *[1] * (noisy.ndim - 1))
    return noisy / (sigma**2 + 1) - answer * sigma / (sigma**2 + 1).sqrt()


def edm_loss(answer: torch.Tensor, noisy: torch.Tensor, target: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The loss of equation 1, with weight (1 + sigma^2) / sigma^2."""
    weight = ((1 + sigma**2) / sigma**2).view(-1, *[1] * (noisy.ndim - 1))
    return (weight * (edm_denoised(answer, noisy, sigma) - target) ** 2).mean()


class Mask(VAS):
    """Stage 1a: visible masks to amodal masks (section 3.2)."""

    name = "vas-mask"
    summary = "Diffusion-VAS, stage 1a: visible masks to amodal masks"
    Options: ClassVar[type[recipe.RecipeOptions]] = VASOptions
    first, target = "visible", "amodal"
    needs_content = False

    def frame_metrics(self, clip: TrainingClip, answer: np.ndarray) -> clip_metrics.FrameMetrics:
        return clip_metrics.mask_metrics(clip, object_pixels(answer, self.options.threshold))


class MaskDepth(Mask):
    """Stage 1b: with a second condition, whose input channels are initialised with zeros (section 3.3)."""

    name = "vas-mask-depth"
    summary = "Diffusion-VAS, stage 1b: visible masks and depth to amodal masks"
    Options: ClassVar[type[recipe.RecipeOptions]] = MaskDepthOptions


class UNet3D(MaskDepth):
    """Regression of amodal masks in one step (baseline 3D-UNet, section A.2)."""

    name = "3d-unet"
    summary = "the network of Diffusion-VAS as a regressor: one step, no noise"
    Options: ClassVar[type[recipe.RecipeOptions]] = RegressionOptions


class Content(VAS):
    """Stage 2: the visible object and its amodal mask to the whole object (section 3.4)."""

    name = "vas-content"
    summary = "Diffusion-VAS, stage 2: the visible object and its amodal mask to the whole object"
    Options: ClassVar[type[recipe.RecipeOptions]] = ContentOptions
    first, target = "objects", "wholes"

    def frame_metrics(self, clip: TrainingClip, answer: np.ndarray) -> clip_metrics.FrameMetrics:
        return clip_metrics.content_metrics(clip, answer)


class OneStage(Content):
    """Content from the visible object and depth in one stage; the mask is where the output is not white (table 7)."""

    name = "vas-one-stage"
    summary = "Diffusion-VAS in one stage: the visible object and depth to the whole object"
    Options: ClassVar[type[recipe.RecipeOptions]] = MaskDepthOptions

    def frame_metrics(self, clip: TrainingClip, answer: np.ndarray) -> clip_metrics.FrameMetrics:
        return object_on_white.clip_metrics_of(clip, answer)
