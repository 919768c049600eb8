"""Diffusion pipeline of pix2gestalt (Ozguroglu et al. 2024, section 3.2), as in its inference.py (commit 1726a9d).

Latent diffusion conditioned on the image's CLIP embedding and on the latents of image and mask.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiffusionPipeline, UNet2DConditionModel
from diffusers.utils.torch_utils import randn_tensor
from torch.nn import functional
from transformers import CLIPVisionModelWithProjection

from unocclude.methods.pix2gestalt.checkpoint import load_components
from unocclude.perception.prepare import CLIP

LATENTS = 4
SCALE = 0.18215
"""Scaling factor of the denoised latents; those of image and mask are not scaled."""


class Pix2GestaltPipeline(DiffusionPipeline):
    """Generates the whole object on white from one image and the object's visible mask."""

    model_cpu_offload_seq = "image_encoder->unet->vae"

    def __init__(
        self,
        vae: AutoencoderKL,
        image_encoder: CLIPVisionModelWithProjection,
        unet: UNet2DConditionModel,
        scheduler: DDIMScheduler,
    ):
        super().__init__()
        self.register_modules(vae=vae, image_encoder=image_encoder, unet=unet, scheduler=scheduler)

    @classmethod
    def from_pretrained(cls, folder: str | Path, torch_dtype: torch.dtype = torch.float32) -> "Pix2GestaltPipeline":
        """Load the pipeline from a folder with the published .ckpt. Raises InputError if there is none."""
        return cls(**load_components(Path(folder), torch_dtype))

    @torch.no_grad()
    def __call__(
        self,
        image: torch.Tensor,
        mask: torch.Tensor,
        num_inference_steps: int = 200,
        guidance_scale: float = 2.0,
        eta: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """image, mask: (1, 3, H, W) float in [-1, 1], sides divisible by 64. Returns (1, H, W, 3) float32 in [0, 1] on
        the CPU."""
        device, dtype = self._execution_device, self.unet.dtype
        image_embedding = self._embed(image)[:, None].to(device, dtype)
        condition = torch.cat(
            [self.vae.encode(part.to(device, dtype)).latent_dist.mode().to(device) for part in (image, mask)], 1
        )
        guided = guidance_scale != 1
        if guided:
            image_embedding, condition = (
                torch.cat([torch.zeros_like(part), part]) for part in (image_embedding, condition)
            )
        self.scheduler.set_timesteps(num_inference_steps)
        latents = randn_tensor((1, LATENTS, *condition.shape[-2:]), generator=generator)
        timesteps = self.scheduler.timesteps[1:]  # the published sampler skips the noisiest step
        with self.progress_bar(total=len(timesteps)) as bar:
            for t in timesteps:
                inputs = torch.cat([latents.to(condition).repeat(len(condition), 1, 1, 1), condition], 1)
                noise = self.unet(inputs, t, image_embedding).sample.float().cpu()
                if guided:
                    without, with_ = noise.chunk(2)
                    noise = without + guidance_scale * (with_ - without)
                latents = self.scheduler.step(noise, t, latents, eta=eta, generator=generator).prev_sample
                bar.update()
        whole: torch.Tensor = self.vae.decode((latents / SCALE).to(device, dtype)).sample.float().cpu()
        self.maybe_free_model_hooks()
        return (whole / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)

    def _embed(self, image: torch.Tensor) -> torch.Tensor:
        """Projected CLIP embedding (1, D); the image is resized without antialiasing, corners aligned, as published."""
        side = self.image_encoder.config.image_size
        small = functional.interpolate(image, (side, side), mode="bicubic", align_corners=True) / 2 + 0.5
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in CLIP)
        encoder: Any = self.image_encoder
        embedded: torch.Tensor = encoder(((small - mean) / std).to(self._execution_device, encoder.dtype)).image_embeds
        return embedded
