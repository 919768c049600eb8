"""The baseline CogVideoX-Amodal (TGVAC, section A and table 6): CogVideoX conditioned on a clip and its masks."""

from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional

from unocclude.methods.checkpoint_kind import CheckpointKind
from unocclude.methods.cogvideox_amodal.pipeline import AmodalCogVideoX, read_pipeline
from unocclude.networks.expand_conv_in import expand_conv
from unocclude.networks.loading import quiet
from unocclude.training import recipe, training_clips
from unocclude.training.object_on_white import ObjectOnWhiteRecipe
from unocclude.training.recipe import Batch
from unocclude.training.training_clips import TrainingClip

FOLDER = "pipeline"


class CogVideoXOptions(recipe.RecipeOptions, training_clips.ClipOptions):
    """[recipe] of `cogvideox`."""

    base: str = Field(description="folder of CogVideoX 2B or 5B in diffusers' format, or pipeline/ of an earlier run")
    frames: int = Field(13, ge=1, description="frames per training clip: a multiple of 4, plus 1")
    dropout: float = Field(
        0.1, ge=0, le=1, description="probability of dropping a caption, for classifier-free guidance"
    )
    sampled: int = Field(30, ge=1, description="denoising steps in evaluation")
    guidance: float = Field(6.0, ge=0, description="guidance scale in evaluation")


class CogVideoX(ObjectOnWhiteRecipe):
    """Concatenates latents of frames and visible masks to the noisy ones; new input channels start at zero."""

    name = "cogvideox"
    summary = "CogVideoX-Amodal, a baseline of TGVAC: the clip, its visible masks and words to the whole object"
    Options = CogVideoXOptions
    options: CogVideoXOptions

    def network(self) -> torch.nn.Module:
        self.pipeline = read_pipeline(Path(self.options.base))
        self.generator = AmodalCogVideoX(self.pipeline)
        self.generator.check_frames(self.options.frames)
        self.schedule = self.pipeline.scheduler
        for part in (self.pipeline.vae, self.pipeline.text_encoder):
            part.requires_grad_(False)
        transformer = self.pipeline.transformer
        channels = 3 * transformer.config.out_channels
        transformer.patch_embed.proj = expand_conv(transformer.patch_embed.proj, channels)
        transformer.register_to_config(in_channels=channels)
        network: torch.nn.Module = transformer
        return network

    def batch(self, number: int, size: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        drawn = [self.clips.draw(rng) for _ in range(size)]
        texts = [clip.caption if rng.uniform() >= self.options.dropout else "" for clip in drawn]
        kinds = ("frames", "visible", "wholes")
        clips = {kind: torch.stack([training_clips.to_tensor(getattr(clip, kind)) for clip in drawn]) for kind in kinds}
        return {**clips, "tokens": self.generator.tokenize(texts)}

    def loss(self, network: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """Mean squared error of v (Salimans and Ho 2022), CogVideoX's training target."""
        with torch.no_grad():
            whole = self.generator.encode(batch["wholes"], sample=True)
            condition = self.generator.condition(batch["frames"], batch["visible"])
            text_embeddings = self.generator.embed(batch["tokens"])
        time = torch.randint(self.schedule.config.num_train_timesteps, (len(whole),)).to(whole.device)
        noise = torch.randn_like(whole)
        noisy = self.schedule.add_noise(whole, noise, time)
        answer = self.generator.predict(network, noisy, condition, text_embeddings, time)
        return functional.mse_loss(answer, self.schedule.get_velocity(whole, noise, time)), {}

    @torch.no_grad()
    def answer(self, network: torch.nn.Module, clip: TrainingClip, seed: int = 0) -> torch.Tensor:
        """The network's output for a clip, (F, H, W, 3) float32 in [0, 1]."""
        self.pipeline.register_modules(transformer=network)
        device = next(network.parameters()).device
        self.pipeline.vae.to(device)
        frames, visible = (training_clips.to_tensor(part)[None] for part in (clip.frames, clip.visible))
        return self.generator(
            frames, visible, clip.caption,
            num_inference_steps=self.options.sampled, guidance_scale=self.options.guidance,
            generator=torch.Generator().manual_seed(seed), device=device,
        )  # fmt: skip

    def export(self, network: torch.nn.Module, folder: Path) -> list[Path]:
        self.pipeline.register_modules(transformer=network)
        with quiet():
            self.pipeline.save_pretrained(folder / FOLDER)
        options = self.options
        CheckpointKind(
            recipe=self.name, methods=("cogvideox-amodal",), conditions=("frames", "visible"), target="wholes",
            size=options.size, frames=options.frames, crop=options.crop,
        ).write(folder / FOLDER)  # fmt: skip
        return [folder / FOLDER]
