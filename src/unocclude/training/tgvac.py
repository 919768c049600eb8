"""Recipes of TGVAC (sections 3.3 and 4.1): first the frame network, then motion modules on its frozen layers."""

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional

from unocclude.errors import InputError
from unocclude.methods.checkpoint_kind import CheckpointKind
from unocclude.methods.tgvac.checkpoint import load_components, save_components
from unocclude.methods.tgvac.conditioning import CONDITIONINGS, LATENTS, conditioning_for_channels
from unocclude.methods.tgvac.motion import LENGTH, Network, inflate, run
from unocclude.methods.tgvac.pipeline import TGVACPipeline, tokenize
from unocclude.methods.tgvac.small_pipeline import small_components, zero_terminal_snr
from unocclude.networks.expand_conv_in import expand_conv_in
from unocclude.training import recipe, training_clips
from unocclude.training.object_on_white import ObjectOnWhiteRecipe
from unocclude.training.recipe import Batch
from unocclude.training.training_clips import TrainingClip

FOLDER = "pipeline"


class TGVACOptions(recipe.RecipeOptions, training_clips.ClipOptions):
    """[recipe] options that both phases share."""

    base: str = Field(
        "", description="pipeline folder to start from: Stable Diffusion 1.5, or pipeline/ of an earlier run"
    )
    text: bool = Field(True, description="false: train without captions (table 3)")
    keep_latents: bool = Field(
        False, description="encode each clip once, in the worker that loads it, and keep its latents in memory"
    )
    dropout: float = Field(
        0.1, ge=0, le=1, description="probability of dropping a caption, for classifier-free guidance"
    )
    sampled: int = Field(30, ge=1, description="denoising steps in evaluation")
    guidance: float = Field(7.5, ge=0, description="guidance scale in evaluation")


class FrameOptions(TGVACOptions):
    vae: str = Field("", description="without base: folder of a VAE trained with recipe vae, temporal = false")
    widths: list[int] = Field([32, 64], description="without base: channels per level of the network")
    conditioning: Literal["visible", "mask-latent", "frames"] = Field(
        "visible",
        description="visible: latents of the visible object, and its mask; mask-latent: as in equation 2; frames: "
        "latents of the frames and of the mask, as in equation 5",
    )
    prediction: Literal["epsilon", "v_prediction"] = Field(
        "epsilon",
        description="training target; epsilon: the noise, as published; v_prediction (Salimans and Ho 2022), with a "
        "zero-terminal-SNR schedule, learns to follow the caption sooner",
    )


class MotionOptions(TGVACOptions):
    frames: int = Field(LENGTH, ge=1, description="frames per training clip")
    heads: int = Field(8, ge=1, description="attention heads of the motion modules")


class Frame(ObjectOnWhiteRecipe):
    """Phase 1 (equation 2): every frame is a separate sample with its own timestep."""

    name = "tgvac-frame"
    summary = "TGVAC, phase 1: the visible object and words to the whole object, frame by frame"
    Options: ClassVar[type[recipe.RecipeOptions]] = FrameOptions
    options: Any

    def __init__(self, options: Any, seed: int):
        super().__init__(options, seed)
        self.kept: dict[tuple[Path, bool], tuple[Batch, str]] = {}

    def network(self) -> torch.nn.Module:
        options = self.options
        if options.base:
            self.parts = load_components(Path(options.base), torch.float32)
        elif options.vae:
            self.parts = small_components(Path(options.vae), options.widths, options.size[1], self.clips.captions)
        else:
            raise InputError(f"recipe {self.name} needs base, a pipeline to start from, or vae, the VAE of a new one")
        for name in ("vae", "text_encoder"):
            self.parts[name].requires_grad_(False)
        self.conditioning = CONDITIONINGS[options.conditioning]
        self.parts["scheduler"].register_to_config(prediction_type=options.prediction)
        if options.prediction == "v_prediction":
            self.parts["scheduler"] = zero_terminal_snr(self.parts["scheduler"])
        network: torch.nn.Module = expand_conv_in(self.parts["unet"], LATENTS + self.conditioning.channels)
        factor = 2 ** (len(self.parts["vae"].config.block_out_channels) - 1)
        self.parts["unet"].register_to_config(sample_size=options.size[1] // factor)
        return network

    def batch(self, number: int, size: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        drawn = [self.clips.draw_segment(rng) for _ in range(size)]
        clips = [self._load_segment(part) for part in drawn]
        texts = [caption if self.options.text and rng.uniform() >= self.options.dropout else "" for _, caption in clips]
        stacked = {name: torch.stack([clip[name] for clip, _ in clips]) for name in clips[0][0]}
        return stacked | {"tokens": tokenize(self.parts["tokenizer"], texts)}

    def _load_segment(self, drawn: training_clips.ClipSegment) -> tuple[Batch, str]:
        """Images of a segment, or their cached latents, (F, ...) each; and its caption."""
        if not self.options.keep_latents:
            clip = training_clips.load_segment(drawn)
            return self._pictures(clip), clip.caption
        key = drawn.file, drawn.mirrored
        if key not in self.kept:
            clip = training_clips.load(drawn.file)
            clip = clip.mirrored() if drawn.mirrored else clip
            with torch.no_grad():
                whole, condition = self._latents(self._pictures(clip), sample=False)
            self.kept[key] = {"latents": whole.half(), "condition": condition.half()}, clip.caption
        latents, caption = self.kept[key]
        return {name: part[drawn.frames].float() for name, part in latents.items()}, caption

    def _pictures(self, clip: TrainingClip) -> Batch:
        """Images of a clip, (F, 3, h, w) in [-1, 1] each."""
        shown = {"objects": getattr(clip, self.conditioning.picture), "masks": clip.visible, "wholes": clip.wholes}
        return {name: training_clips.to_tensor(part) for name, part in shown.items()}

    def _latents(self, clip: Batch, sample: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents of the whole object and the conditioning channels of n frames, (n, C, h, w) each."""
        if "latents" in clip:
            return clip["latents"], clip["condition"]
        condition = self.conditioning(self._encode, clip["objects"], clip["masks"])
        return self._encode(clip["wholes"], sample=sample), condition

    def loss(self, network: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """Mean squared error of the predicted noise (equations 2 and 4) or of v."""
        clips = {name: part for name, part in batch.items() if name != "tokens"}
        count, frames = next(iter(clips.values())).shape[:2]
        with torch.no_grad():
            whole, condition = self._latents({name: part.flatten(0, 1) for name, part in clips.items()}, sample=True)
            text_embeddings = self.parts["text_encoder"].to(whole.device)(batch["tokens"]).last_hidden_state
        schedule = self.parts["scheduler"]
        time = self._times(count, frames, schedule.config.num_train_timesteps).to(whole.device)
        noise = torch.randn_like(whole)
        times = time.repeat_interleave(len(whole) // len(time))
        noisy = schedule.add_noise(whole, noise, times)
        answer = run(network, torch.cat([noisy, condition], 1).unflatten(0, (count, frames)), time, text_embeddings)
        if schedule.config.prediction_type == "v_prediction":
            noise = schedule.get_velocity(whole, noise, times)
        return functional.mse_loss(answer.float().flatten(0, 1), noise), {}

    def _times(self, count: int, frames: int, steps: int) -> torch.Tensor:
        return torch.randint(steps, (count * frames,))

    def _encode(self, pictures: torch.Tensor, sample: bool = False) -> torch.Tensor:
        """Scaled latents (n, 4, h, w)."""
        vae = self.parts["vae"].to(pictures.device)
        latents = vae.encode(pictures).latent_dist
        scaled: torch.Tensor = (latents.sample() if sample else latents.mode()) * vae.config.scaling_factor
        return scaled

    @torch.no_grad()
    def answer(self, network: Network, clip: TrainingClip, seed: int = 0, caption: str | None = None) -> torch.Tensor:
        """The network's output for a clip, (F, H, W, 3) float32 in [0, 1]. caption: replaces the clip's own."""
        pipeline = TGVACPipeline(**self.parts | {"unet": network}).to(next(network.parameters()).device)
        pipeline.set_progress_bar_config(disable=True)
        text = clip.caption if caption is None else caption
        shown = self._pictures(clip)
        frames = pipeline(
            shown["objects"][None], shown["masks"][None],
            text if self.options.text else "",
            num_inference_steps=self.options.sampled, guidance_scale=self.options.guidance,
            generator=torch.Generator().manual_seed(seed),
        ).frames  # fmt: skip
        assert frames is not None
        return frames[0]

    def export(self, network: Any, folder: Path) -> list[Path]:
        return self._save(folder / FOLDER, self.parts | {"unet": network})

    def _save(self, folder: Path, parts: dict[str, Any], motion: Any | None = None) -> list[Path]:
        save_components(folder, parts, motion)
        options = self.options
        CheckpointKind(
            recipe=self.name, methods=("tgvac",), conditions=self.conditioning.seen, target="wholes",
            size=options.size, frames=options.frames, crop=options.crop,
        ).write(folder)  # fmt: skip
        return [folder]


class Motion(Frame):
    """Phase 2 (equation 4): motion modules on the frozen frame layers; one timestep per clip."""

    name = "tgvac-motion"
    summary = "TGVAC, phase 2: the motion modules, on the frozen layers of phase 1"
    Options: ClassVar[type[recipe.RecipeOptions]] = MotionOptions

    def network(self) -> torch.nn.Module:
        if not self.options.base:
            raise InputError(f"recipe {self.name} needs base, the {FOLDER}/ written by recipe {Frame.name}")
        self.parts = load_components(Path(self.options.base), torch.float32)
        for name in ("vae", "text_encoder"):
            self.parts[name].requires_grad_(False)
        self.conditioning = conditioning_for_channels(self.parts["unet"].config.in_channels)
        network = inflate(self.parts["unet"], self.options.frames, self.options.heads)
        network.freeze_unet2d_params()
        whole: torch.nn.Module = network
        return whole

    def _times(self, count: int, frames: int, steps: int) -> torch.Tensor:
        return torch.randint(steps, (count,))

    def export(self, network: Any, folder: Path) -> list[Path]:
        return self._save(folder / FOLDER, self.parts, network)
