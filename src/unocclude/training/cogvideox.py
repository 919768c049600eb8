"""The baseline CogVideoX-Amodal (TGVAC, section A and table 6): CogVideoX conditioned on a clip and its masks."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXPipeline, CogVideoXTransformer3DModel
from pydantic import Field
from torch.nn import functional
from transformers import AutoTokenizer, T5EncoderModel

from unocclude.errors import InputError
from unocclude.networks.expand_conv_in import expand_conv
from unocclude.networks.loading import checked_loading, load_pretrained, quiet
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
        self.pipeline.set_progress_bar_config(disable=True)
        factor = self.pipeline.vae_scale_factor_temporal
        if self.options.frames % factor != 1 % factor:
            raise InputError(f"frames = {self.options.frames}; the VAE takes a multiple of {factor}, plus 1")
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
        return {**clips, "tokens": self._tokens(texts)}

    def loss(self, network: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """Mean squared error of v (Salimans and Ho 2022), CogVideoX's training target."""
        with torch.no_grad():
            whole = self._encode(batch["wholes"], sample=True)
            condition = self._condition(batch["frames"], batch["visible"])
            text_embeddings = self._embed(batch["tokens"])
        time = torch.randint(self.schedule.config.num_train_timesteps, (len(whole),)).to(whole.device)
        noise = torch.randn_like(whole)
        noisy = self.schedule.add_noise(whole, noise, time)
        answer = self._run(network, noisy, condition, text_embeddings, time)
        return functional.mse_loss(answer, self.schedule.get_velocity(whole, noise, time)), {}

    def _run(
        self,
        network: Any,
        noisy: torch.Tensor,
        condition: torch.Tensor,
        text_embeddings: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """The network's output for noisy latents (N, f, C, h, w), float32."""
        config = self.pipeline.transformer.config
        positions = None
        if config.use_rotary_positional_embeddings:
            factor = self.pipeline.vae_scale_factor_spatial
            height, width = (side * factor for side in noisy.shape[-2:])
            positions = self.pipeline._prepare_rotary_positional_embeddings(height, width, noisy.shape[1], noisy.device)
        answer: torch.Tensor = network(
            hidden_states=torch.cat([noisy, condition], 2), encoder_hidden_states=text_embeddings, timestep=time,
            image_rotary_emb=positions, return_dict=False,
        )[0]  # fmt: skip
        return answer.float()

    def _encode(self, clips: torch.Tensor, sample: bool = False) -> torch.Tensor:
        """Encode (N, F, 3, H, W) in [-1, 1] to scaled latents (N, f, C, h, w)."""
        vae = self.pipeline.vae.to(clips.device)
        latents = vae.encode(clips.transpose(1, 2)).latent_dist
        scaled: torch.Tensor = (latents.sample() if sample else latents.mode()) * vae.config.scaling_factor
        return scaled.transpose(1, 2)

    def _condition(self, frames: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        return torch.cat([self._encode(frames), self._encode(visible)], 2)

    def _tokens(self, texts: list[str]) -> torch.Tensor:
        longest = self.pipeline.transformer.config.max_text_seq_length
        found: torch.Tensor = self.pipeline.tokenizer(
            texts, padding="max_length", truncation=True, max_length=longest, return_tensors="pt"
        ).input_ids
        return found

    def _embed(self, tokens: torch.Tensor) -> torch.Tensor:
        embedded: torch.Tensor = self.pipeline.text_encoder.to(tokens.device)(tokens)[0]
        return embedded

    @torch.no_grad()
    def answer(self, network: torch.nn.Module, clip: TrainingClip, seed: int = 0) -> torch.Tensor:
        """The network's output for a clip, (F, H, W, 3) float32 in [0, 1]."""
        device = next(network.parameters()).device
        condition = self._condition(
            *(training_clips.to_tensor(getattr(clip, kind))[None].to(device) for kind in ("frames", "visible"))
        )
        text_embeddings = self._embed(self._tokens(["", clip.caption]).to(device))
        shape = (*condition.shape[:2], condition.shape[2] // 2, *condition.shape[3:])
        latents = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device)
        self.schedule.set_timesteps(self.options.sampled)
        for time in self.schedule.timesteps:
            noisy, conditions = (part.repeat(2, 1, 1, 1, 1) for part in (latents, condition))
            without, with_ = self._run(network, noisy, conditions, text_embeddings, time.repeat(2).to(device)).chunk(2)
            guided = without + self.options.guidance * (with_ - without)
            latents = self.schedule.step(guided, time, latents, return_dict=False)[0]
        self.pipeline.vae.to(device)
        decoded = self.pipeline.decode_latents(latents)[0].float().cpu()
        return (decoded / 2 + 0.5).clamp(0, 1).permute(1, 2, 3, 0)

    def export(self, network: torch.nn.Module, folder: Path) -> list[Path]:
        self.pipeline.register_modules(transformer=network)
        with quiet():
            self.pipeline.save_pretrained(folder / FOLDER)
        return [folder / FOLDER]


def read_pipeline(folder: Path) -> CogVideoXPipeline:
    """Load CogVideoX from a folder in diffusers' format; raises InputError if a part is missing or does not fit."""
    with checked_loading(folder / "scheduler", "scheduler of diffusers"):
        scheduler = CogVideoXDDIMScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    with checked_loading(folder / "tokenizer", "T5 tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True, trust_remote_code=False)
    transformer = load_pretrained(CogVideoXTransformer3DModel, folder / "transformer", "CogVideoX transformer")
    if transformer.config.patch_size_t is not None:
        raise InputError(f"{folder} is CogVideoX 1.5, which patchifies in time; give CogVideoX 2B or 5B")
    return CogVideoXPipeline(
        tokenizer=tokenizer,
        text_encoder=load_pretrained(T5EncoderModel, folder / "text_encoder", "T5 encoder"),
        vae=load_pretrained(AutoencoderKLCogVideoX, folder / "vae", "VAE of CogVideoX"),
        transformer=transformer,
        scheduler=scheduler,
    )
