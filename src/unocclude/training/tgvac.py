"""The recipes of TGVAC (section 3.3 and 4.1): the frame layers, then the motion modules on top of them, frozen."""

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional

from unocclude.errors import InputError
from unocclude.methods.tgvac.checkpoint import read_parts, write_parts
from unocclude.methods.tgvac.conditioning import KINDS, LATENTS, of_inputs
from unocclude.methods.tgvac.motion import LENGTH, Network, inflated, run
from unocclude.methods.tgvac.parts import small_parts, without_signal_at_the_end
from unocclude.methods.tgvac.pipeline import TGVACPipeline, tokens
from unocclude.networks.widened import widened
from unocclude.training import recipe, training_clips
from unocclude.training.object_on_white import ObjectOnWhiteRecipe
from unocclude.training.recipe import Batch
from unocclude.training.training_clips import TrainingClip

FOLDER = "pipeline"


class TGVACOptions(recipe.Options, training_clips.ClipOptions):
    """[recipe] of both."""

    base: str = Field("", description="folder of a pipeline to begin with: Stable Diffusion 1.5, or an earlier run's")
    text: bool = Field(True, description="false: captions are left out (table 3)")
    keep_latents: bool = Field(
        False, description="work out a clip's latents once, where batches are made, and keep them in memory"
    )
    dropout: float = Field(0.1, ge=0, le=1, description="share of samples whose caption is left out, for guidance")
    sampled: int = Field(30, ge=1, description="denoising steps in evaluation")
    guidance: float = Field(7.5, ge=0, description="scale of guidance by the caption in evaluation")


class FrameOptions(TGVACOptions):
    vae: str = Field(
        "", description="folder of a VAE of our own (recipe vae, temporal = false), where there is no base"
    )
    widths: list[int] = Field([32, 64], description="channels of the network's levels, where there is no base")
    conditioning: Literal["visible", "mask-latent"] = Field(
        "visible",
        description="visible: latents of the visible object, and its mask; mask-latent: as equation 2 says",
    )
    prediction: Literal["epsilon", "v_prediction"] = Field(
        "epsilon",
        description="what the network predicts; epsilon: the noise, as published; v_prediction (Salimans and Ho 2022), "
        "on a schedule that ends in noise alone, minds the words sooner, since early steps weigh more",
    )


class MotionOptions(TGVACOptions):
    frames: int = Field(LENGTH, ge=1, description="frames of a training clip")
    heads: int = Field(8, ge=1, description="heads of the motion modules")


class Frame(ObjectOnWhiteRecipe):
    """Phase 1 (equation 2): every frame is a sample of its own, with a time of its own."""

    name = "tgvac-frame"
    summary = "TGVAC, phase 1: the visible object and words to the whole object, frame by frame"
    Options: ClassVar[type[recipe.Options]] = FrameOptions
    options: Any

    def __init__(self, options: Any, seed: int):
        super().__init__(options, seed)
        self.kept: dict[tuple[Path, bool], tuple[Batch, str]] = {}

    def network(self) -> torch.nn.Module:
        options = self.options
        if options.base:
            self.parts = read_parts(Path(options.base), torch.float32)
        elif options.vae:
            self.parts = small_parts(Path(options.vae), options.widths, options.size[1], self.clips.captions)
        else:
            raise InputError(f"recipe {self.name} needs base, a pipeline to begin with, or vae, a VAE of its own")
        for name in ("vae", "text_encoder"):
            self.parts[name].requires_grad_(False)
        self.conditioning = KINDS[options.conditioning]
        self.parts["scheduler"].register_to_config(prediction_type=options.prediction)
        if options.prediction == "v_prediction":
            self.parts["scheduler"] = without_signal_at_the_end(self.parts["scheduler"])
        network: torch.nn.Module = widened(self.parts["unet"], LATENTS + self.conditioning.channels)
        factor = 2 ** (len(self.parts["vae"].config.block_out_channels) - 1)
        self.parts["unet"].register_to_config(sample_size=options.size[1] // factor)
        return network

    def batch(self, number: int, size: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        drawn = [self.clips.draw_segment(rng) for _ in range(size)]
        clips = [self._told(part) for part in drawn]
        said = [caption if self.options.text and rng.uniform() >= self.options.dropout else "" for _, caption in clips]
        stacked = {name: torch.stack([clip[name] for clip, _ in clips]) for name in clips[0][0]}
        return stacked | {"tokens": tokens(self.parts["tokenizer"], said)}

    def _told(self, drawn: training_clips.ClipSegment) -> tuple[Batch, str]:
        """(F, ...) what `_latents` makes latents of, or these; and the caption."""
        if not self.options.keep_latents:
            clip = training_clips.load_maybe_mirrored(drawn.file, drawn.mirrored).select(drawn.frames)
            return _pictures(clip), clip.caption
        key = drawn.file, drawn.mirrored
        if key not in self.kept:
            clip = training_clips.load_maybe_mirrored(*key)
            with torch.no_grad():
                whole, told = self._latents(_pictures(clip), sample=False)
            self.kept[key] = {"latents": whole.half(), "told": told.half()}, clip.caption
        latents, caption = self.kept[key]
        return {name: part[drawn.frames].float() for name, part in latents.items()}, caption

    def _latents(self, clip: Batch, sample: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """(n, C, h, w) of n frames: the whole object's latents, and what the network is told."""
        if "latents" in clip:
            return clip["latents"], clip["told"]
        told = self.conditioning(self._encode, clip["objects"], clip["masks"])
        return self._encode(clip["wholes"], sample=sample), told

    def loss(self, network: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """Mean squared error of the predicted noise (equations 2 and 4), or of v."""
        clips = {name: part for name, part in batch.items() if name != "tokens"}
        count, frames = next(iter(clips.values())).shape[:2]
        with torch.no_grad():
            whole, told = self._latents({name: part.flatten(0, 1) for name, part in clips.items()}, sample=True)
            words = self.parts["text_encoder"].to(whole.device)(batch["tokens"]).last_hidden_state
        schedule = self.parts["scheduler"]
        time = self._times(count, frames, schedule.config.num_train_timesteps).to(whole.device)
        noise = torch.randn_like(whole)
        times = time.repeat_interleave(len(whole) // len(time))
        noisy = schedule.add_noise(whole, noise, times)
        answer = run(network, torch.cat([noisy, told], 1).unflatten(0, (count, frames)), time, words)
        if schedule.config.prediction_type == "v_prediction":
            noise = schedule.get_velocity(whole, noise, times)
        return functional.mse_loss(answer.float().flatten(0, 1), noise), {}

    def _times(self, count: int, frames: int, steps: int) -> torch.Tensor:
        return torch.randint(steps, (count * frames,))

    def _encode(self, pictures: torch.Tensor, sample: bool = False) -> torch.Tensor:
        """(n, 4, h, w) latents, scaled."""
        vae = self.parts["vae"].to(pictures.device)
        latents = vae.encode(pictures).latent_dist
        scaled: torch.Tensor = (latents.sample() if sample else latents.mode()) * vae.config.scaling_factor
        return scaled

    @torch.no_grad()
    def answer(self, network: Network, clip: TrainingClip, seed: int = 0, caption: str | None = None) -> torch.Tensor:
        """(F, H, W, 3) float32 in [0, 1] of the trained network for a clip; caption: instead of its own."""
        pipeline = TGVACPipeline(**self.parts | {"unet": network}).to(next(network.parameters()).device)
        pipeline.set_progress_bar_config(disable=True)
        told = clip.caption if caption is None else caption
        frames = pipeline(
            training_clips.to_tensor(clip.objects)[None], training_clips.to_tensor(clip.visible)[None],
            told if self.options.text else "",
            num_inference_steps=self.options.sampled, guidance_scale=self.options.guidance,
            generator=torch.Generator().manual_seed(seed),
        ).frames  # fmt: skip
        assert frames is not None
        return frames[0]

    def export(self, network: Any, folder: Path) -> list[Path]:
        write_parts(folder / FOLDER, self.parts | {"unet": network})
        return [folder / FOLDER]


def _pictures(clip: TrainingClip) -> Batch:
    """(F, 3, h, w) in [-1, 1] each."""
    shown = {"objects": clip.objects, "masks": clip.visible, "wholes": clip.wholes}
    return {name: training_clips.to_tensor(part) for name, part in shown.items()}


class Motion(Frame):
    """Phase 2 (equation 4): the frame layers, frozen, between motion modules; a clip has one time."""

    name = "tgvac-motion"
    summary = "TGVAC, phase 2: the motion modules, on the frozen layers of phase 1"
    Options: ClassVar[type[recipe.Options]] = MotionOptions

    def network(self) -> torch.nn.Module:
        if not self.options.base:
            raise InputError(f"recipe {self.name} needs base, the {FOLDER}/ that recipe {Frame.name} wrote")
        self.parts = read_parts(Path(self.options.base), torch.float32)
        for name in ("vae", "text_encoder"):
            self.parts[name].requires_grad_(False)
        self.conditioning = of_inputs(self.parts["unet"].config.in_channels)
        network = inflated(self.parts["unet"], self.options.frames, self.options.heads)
        network.freeze_unet2d_params()
        whole: torch.nn.Module = network
        return whole

    def _times(self, count: int, frames: int, steps: int) -> torch.Tensor:
        return torch.randint(steps, (count,))

    def export(self, network: Any, folder: Path) -> list[Path]:
        write_parts(folder / FOLDER, self.parts, network)
        return [folder / FOLDER]
