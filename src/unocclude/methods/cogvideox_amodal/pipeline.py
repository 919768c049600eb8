"""CogVideoX (Yang et al. 2024) with the latents of a clip and of its visible masks beside the noisy ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXPipeline, CogVideoXTransformer3DModel
from transformers import AutoTokenizer, T5EncoderModel

from unocclude.errors import InputError
from unocclude.networks.loading import checked_loading, load_pretrained


class AmodalCogVideoX:
    """Generates the whole object on white for a clip, with the components of a CogVideoXPipeline.

    The transformer's input channels are the noisy latents, those of the frames and those of the visible masks.
    """

    def __init__(self, pipeline: CogVideoXPipeline):
        self.pipeline = pipeline
        pipeline.set_progress_bar_config(disable=True)

    @classmethod
    def from_pretrained(cls, folder: Path, torch_dtype: torch.dtype = torch.float32) -> "AmodalCogVideoX":
        """Load what recipe `cogvideox` wrote; raises InputError if the folder holds another network."""
        pipeline = read_pipeline(folder, torch_dtype)
        config = pipeline.transformer.config
        if config.in_channels != 3 * config.out_channels:
            raise InputError(
                f"{folder / 'transformer'} has {config.in_channels} input channels, CogVideoX-Amodal has "
                f"{3 * config.out_channels}; train it with recipe cogvideox"
            )
        return cls(pipeline)

    @property
    def factor(self) -> int:
        """Frames per latent frame, after the first."""
        return int(self.pipeline.vae_scale_factor_temporal)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the images that the transformer was made for."""
        config, factor = self.pipeline.transformer.config, self.pipeline.vae_scale_factor_spatial
        return config.sample_width * factor, config.sample_height * factor

    @property
    def frames(self) -> int:
        """Number of frames that the transformer was made for."""
        return int(self.pipeline.transformer.config.sample_frames)

    def check_frames(self, count: int) -> None:
        """Raise InputError unless the VAE takes clips of `count` frames."""
        if count % self.factor != 1 % self.factor:
            raise InputError(f"frames = {count}; the VAE takes a multiple of {self.factor}, plus 1")

    @torch.no_grad()
    def __call__(
        self, frames: torch.Tensor, visible: torch.Tensor, description: str, *, num_inference_steps: int,
        guidance_scale: float, generator: torch.Generator, device: torch.device | str = "cpu",
    ) -> torch.Tensor:  # fmt: skip
        """The whole object on white, (F, H, W, 3) float32 in [0, 1] on the CPU.

        frames, visible: the clip and its visible masks, (1, F, 3, H, W) in [-1, 1]. guidance_scale: of classifier-free
        guidance, off at 1.
        """
        condition = self.condition(frames.to(device), visible.to(device))
        guided = guidance_scale != 1
        text_embeddings = self.embed(self.tokenize(["", description] if guided else [description]).to(device))
        shape = (*condition.shape[:2], condition.shape[2] // 2, *condition.shape[3:])
        latents = torch.randn(shape, generator=generator).to(device, condition.dtype)
        scheduler, transformer = self.pipeline.scheduler, self.pipeline.transformer.to(device)
        scheduler.set_timesteps(num_inference_steps)
        for time in scheduler.timesteps:
            noisy, conditions = (part.repeat(len(text_embeddings), 1, 1, 1, 1) for part in (latents, condition))
            times = time.repeat(len(text_embeddings)).to(device)
            answer = self.predict(transformer, noisy, conditions, text_embeddings, times)
            if guided:
                without, with_ = answer.chunk(2)
                answer = without + guidance_scale * (with_ - without)
            latents = scheduler.step(answer, time, latents, return_dict=False)[0].to(condition.dtype)
        decoded = self.pipeline.decode_latents(latents)[0].float().cpu()
        return (decoded / 2 + 0.5).clamp(0, 1).permute(1, 2, 3, 0)

    def predict(
        self,
        network: Any,
        noisy: torch.Tensor,
        condition: torch.Tensor,
        text_embeddings: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """The output of the transformer, `network`, for noisy latents (N, f, C, h, w), float32."""
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

    def condition(self, frames: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """Latents of the frames and of the visible masks, (N, f, 2 C, h, w)."""
        return torch.cat([self.encode(frames), self.encode(visible)], 2)

    def encode(self, clips: torch.Tensor, sample: bool = False) -> torch.Tensor:
        """Encode (N, F, 3, H, W) in [-1, 1] to scaled latents (N, f, C, h, w)."""
        vae = self.pipeline.vae.to(clips.device)
        latents = vae.encode(clips.transpose(1, 2).to(vae.dtype)).latent_dist
        scaled: torch.Tensor = (latents.sample() if sample else latents.mode()) * vae.config.scaling_factor
        return scaled.transpose(1, 2)

    def tokenize(self, texts: Sequence[str]) -> torch.Tensor:
        """Token ids (n, L) of texts."""
        longest = self.pipeline.transformer.config.max_text_seq_length
        found: torch.Tensor = self.pipeline.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=longest, return_tensors="pt"
        ).input_ids
        return found

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """T5 embeddings (n, L, D) of token ids."""
        embedded: torch.Tensor = self.pipeline.text_encoder.to(tokens.device)(tokens)[0]
        return embedded


def read_pipeline(folder: Path, dtype: torch.dtype = torch.float32) -> CogVideoXPipeline:
    """Load CogVideoX from a folder in diffusers' format; raises InputError if a part is missing or does not fit."""
    with checked_loading(folder / "scheduler", "scheduler of diffusers"):
        scheduler = CogVideoXDDIMScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    with checked_loading(folder / "tokenizer", "T5 tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True, trust_remote_code=False)
    transformer = load_pretrained(
        CogVideoXTransformer3DModel, folder / "transformer", "CogVideoX transformer", torch_dtype=dtype
    )
    if transformer.config.patch_size_t is not None:
        raise InputError(f"{folder} is CogVideoX 1.5, which patchifies in time; give CogVideoX 2B or 5B")
    return CogVideoXPipeline(
        tokenizer=tokenizer,
        text_encoder=load_pretrained(T5EncoderModel, folder / "text_encoder", "T5 encoder", dtype=dtype),
        vae=load_pretrained(AutoencoderKLCogVideoX, folder / "vae", "VAE of CogVideoX", torch_dtype=dtype),
        transformer=transformer,
        scheduler=scheduler,
    )
