"""Diffusion pipeline of both stages of Diffusion-VAS (Chen et al. 2024, section 3).

Stable Video Diffusion, conditioned on two clips.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLTemporalDecoder, DiffusionPipeline, EulerDiscreteScheduler
from diffusers import UNetSpatioTemporalConditionModel as UNet
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from transformers import CLIPVisionModelWithProjection

from unocclude.errors import InputError
from unocclude.methods.diffusion_vas import checkpoint
from unocclude.methods.diffusion_vas.conditioning import (
    Aligned,
    ConditioningOrder,
    get_conditioning_order,
    token_rows,
)
from unocclude.methods.diffusion_vas.stages import LATENTS
from unocclude.methods.windows import blend, split_windows

FPS, MOTION, NOISE = 8, 127, 0.02
"""Frame rate, motion bucket and noise augmentation that the published code tells the network."""
ENCODED = 8
"""Frames encoded per batch."""

Pictures = Sequence[torch.Tensor]
"""A clip: (3, H, W) float32 in [-1, 1] per frame, possibly computed on access."""


@dataclass
class DiffusionVASOutput(BaseOutput):
    """frames: (1, F, H, W, 3) float32 in [0, 1], None with output_type "latent". latents: (1, F, 4, h, w), the
    denoised latents before decoding. Both on the CPU."""

    frames: torch.Tensor | None
    latents: torch.Tensor


class PerFrameEmbeddings:
    """CLIP embeddings that differ per frame; diffusers' U-Net would repeat one for all frames of a clip."""

    def __init__(self, rows: torch.Tensor):
        self.rows = rows
        self.shape = rows.shape

    def repeat_interleave(self, frames: int, dim: int, output_size: int) -> torch.Tensor:
        return self.rows


class DiffusionVASPipeline(DiffusionPipeline):
    """Denoises a clip conditioned on one to three clips.

    Segmentation: first = visible masks, second = pseudo-depth or RGB frames. Completion: first = the visible object on
    white, second = amodal masks. The U-Net's input channels are noisy latents, first and second, in this order; a U-Net
    with 8 input channels (mask-only stage) takes no second clip, one with 16 takes a third (table 3).
    """

    model_cpu_offload_seq = "image_encoder->unet->vae"

    def __init__(
        self,
        vae: AutoencoderKLTemporalDecoder,
        image_encoder: CLIPVisionModelWithProjection,
        unet: UNet,
        scheduler: EulerDiscreteScheduler,
        feature_extractor: Any,
    ):
        super().__init__()
        self.register_modules(
            vae=vae, image_encoder=image_encoder, unet=unet, scheduler=scheduler, feature_extractor=feature_extractor
        )
        self.factor = 2 ** (len(vae.config.block_out_channels) - 1)
        self.multiple = self.factor * 2 ** (len(unet.config.block_out_channels) - 1)
        """Sides divisible by this can be halved at every level of the U-Net; 64 as published."""

    @classmethod
    def from_pretrained(cls, folder: str | Path, torch_dtype: torch.dtype = torch.float32) -> "DiffusionVASPipeline":
        """Load a pipeline from a folder, with weights in full or half precision (`.fp16`).

        Raises InputError if the folder does not hold one.
        """
        return cls(**checkpoint.load_components(Path(folder), torch_dtype))

    @torch.no_grad()
    def __call__(
        self,
        first: torch.Tensor,
        second: torch.Tensor | None = None,
        third: torch.Tensor | None = None,
        num_inference_steps: int = 25,
        min_guidance_scale: float = 1.5,
        max_guidance_scale: float = 1.5,
        fps: int = 8,
        motion_bucket_id: int = 127,
        noise_aug_strength: float = 0.02,
        decode_chunk_size: int = 8,
        conditioning_order: str = "aligned",
        generator: torch.Generator | None = None,
        output_type: str = "pt",
        window: int | None = None,
        overlap: int | None = None,
    ) -> DiffusionVASOutput:
        """first, second, third: (1, F, 3, H, W) float in [-1, 1], any F from 1 on, H and W divisible by the VAE's
        factor (8).

        min_guidance_scale, max_guidance_scale: guidance scale of the first and of the last frame, linear in between;
        guidance is on if the latter exceeds 1. conditioning_order: "parity" (as published) or "aligned". generator:
        draws the noise of first, of second and of the latents, in this order. window: frames denoised together, by
        default all; longer clips are split into windows that overlap by `overlap` frames (default: half), whose
        predictions are blended at every step. output_type: "pt" or "latent".

        Raises InputError for inputs of another shape.
        """
        conditions = [clip for clip in (first, second, third) if clip is not None]
        self._check(conditions)
        denoised = self.denoise(
            [list(clip[0].float().cpu()) for clip in conditions], num_inference_steps=num_inference_steps,
            guidance=(min_guidance_scale, max_guidance_scale), fps=fps, motion_bucket_id=motion_bucket_id,
            noise_aug_strength=noise_aug_strength, how=get_conditioning_order(conditioning_order), generator=generator,
            window=window,
            overlap=overlap,
        )  # fmt: skip
        frames = None
        if output_type != "latent":
            frames = torch.cat(list(self.decode(denoised, decode_chunk_size)))[None]
        self.maybe_free_model_hooks()
        return DiffusionVASOutput(frames=frames, latents=denoised.cpu())

    @torch.no_grad()
    def denoise(
        self,
        conditions: Sequence[Pictures],
        *,
        num_inference_steps: int,
        guidance: tuple[float, float],
        fps: int,
        motion_bucket_id: int,
        noise_aug_strength: float,
        how: ConditioningOrder,
        generator: torch.Generator | None,
        window: int | None,
        overlap: int | None,
    ) -> torch.Tensor:
        """Denoised latents (1, F, 4, h, w); options as in `__call__`. Only latents are kept for all frames."""
        self._check_number(conditions)
        count = len(conditions[0])
        guided = guidance[1] > 1
        latents, embeddings = self._encode(conditions[0], how, noise_aug_strength, generator, embed=True)
        assert embeddings is not None
        dtype = embeddings.dtype
        others = [self._encode(clip, how, noise_aug_strength, generator, embed=False)[0] for clip in conditions[1:]]
        encoded = torch.cat([latents, *others], 2).to(dtype)
        ids = torch.tensor([[fps - 1, motion_bucket_id, noise_aug_strength]], dtype=dtype)
        device = self._execution_device
        ids = ids.repeat(2 if guided else 1, 1).to(device)

        self.scheduler.set_timesteps(num_inference_steps)
        height, width = encoded.shape[-2:]
        latents = randn_tensor((1, count, LATENTS, height, width), generator=generator, dtype=dtype)
        latents = latents * self.scheduler.init_noise_sigma
        scale = torch.linspace(*guidance, count).to(dtype).view(1, count, 1, 1, 1)
        parts = _windows(count, window, overlap)
        with self.progress_bar(total=num_inference_steps) as bar:
            for t in self.scheduler.timesteps:
                noisy = self.scheduler.scale_model_input(latents, t)

                def predict(part: range, noisy: torch.Tensor = noisy, t: torch.Tensor = t) -> torch.Tensor:
                    span = slice(part.start, part.stop)
                    inputs = torch.cat([noisy[:, span], encoded[:, span]], 2).to(device)
                    if guided:
                        blank = inputs.clone()
                        blank[:, :, LATENTS:] = 0
                        inputs = torch.cat([blank, inputs])
                    rows = how.rows(embeddings[span], guided).to(device)
                    answer = self.unet(inputs, t, PerFrameEmbeddings(rows), added_time_ids=ids, return_dict=False)[
                        0
                    ].cpu()
                    if guided:
                        without, with_ = answer.chunk(2)
                        answer = without + scale[:, span] * (with_ - without)
                    return answer

                prediction = blend(predict, count, parts)
                latents = self.scheduler.step(prediction, t, latents).prev_sample
                bar.update()
        return latents

    @torch.no_grad()
    def predict_in_one_step(
        self, conditions: Sequence[Pictures], *, tokens: str, window: int | None, overlap: int | None
    ) -> torch.Tensor:
        """Latents (1, F, 4, h, w) that a network trained as a regressor predicts, from zeros in place of noise.

        tokens: see `token_rows`. window, overlap: as in `__call__`.
        """
        self._check_number(conditions)
        latents, embeddings = self._encode(conditions[0], Aligned(), None, None, embed=True)
        assert embeddings is not None
        others = [self._encode(clip, Aligned(), None, None, embed=False)[0] for clip in conditions[1:]]
        encoded = torch.cat([torch.zeros_like(latents), latents, *others], 2).to(embeddings.dtype)
        device = self._execution_device
        ids = torch.tensor([[FPS - 1, MOTION, NOISE]], dtype=embeddings.dtype, device=device)

        def predict(part: range) -> torch.Tensor:
            span = slice(part.start, part.stop)
            rows = token_rows(embeddings[None, span], tokens).to(device)
            time = torch.zeros((), device=device)
            answer = self.unet(encoded[:, span].to(device), time, PerFrameEmbeddings(rows), added_time_ids=ids)
            return answer.sample.float().cpu()

        count = len(conditions[0])
        return blend(predict, count, _windows(count, window, overlap))

    @torch.no_grad()
    def decode(self, latents: torch.Tensor, chunk: int = 8) -> Iterator[torch.Tensor]:
        """Decode latents (1, F, 4, h, w) to (n, H, W, 3) float32 in [0, 1] on the CPU, `chunk` frames at a time.

        The temporal decoder smooths frames of one chunk over time.
        """
        scaled = latents[0] / self.vae.config.scaling_factor
        for start in range(0, len(scaled), chunk):
            part = scaled[start : start + chunk].to(self._execution_device, self.vae.dtype)
            frames = self.vae.decode(part, num_frames=len(part)).sample.float().cpu()
            yield (frames / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)

    def _encode(
        self,
        frames: Pictures,
        how: ConditioningOrder,
        strength: float | None,
        generator: torch.Generator | None,
        embed: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Encode a conditioning clip: latents (1, F, 4, h, w), modes, not scaled, of the frames with noise added.

        strength: of the noise; None for none.
        embed: also return the CLIP embeddings (F, D) of the frames without noise.
        """
        upcast = self.vae.dtype == torch.float16 and self.vae.config.force_upcast
        if upcast:
            self.vae.to(torch.float32)
        latents, embeddings = [], []
        for start in range(0, len(frames), ENCODED):
            part = [frames[i] for i in range(start, min(start + ENCODED, len(frames)))]
            if embed:
                embeddings.append(
                    clip_embeddings(
                        self.image_encoder, self.feature_extractor, torch.stack(part), self._execution_device
                    )
                )
            seen = torch.stack([how.frame(frame) for frame in part])
            if strength is not None:
                # drawn frame by frame, which gives the same numbers as drawing all at once
                noise = torch.cat([randn_tensor((1, *seen.shape[1:]), generator=generator) for _ in part])
                seen = seen + strength * noise
            seen = seen.to(self._execution_device, self.vae.dtype)
            latents.append(self.vae.encode(seen).latent_dist.mode().cpu())
        if upcast:
            self.vae.to(torch.float16)
        return torch.cat(latents)[None], torch.cat(embeddings) if embed else None

    def _check_number(self, conditions: Sequence[Any]) -> None:
        expected = self.unet.config.in_channels // LATENTS - 1
        if len(conditions) != expected:
            raise InputError(f"this network takes {expected} conditioning clips, {len(conditions)} were given")

    def _check(self, conditions: Sequence[torch.Tensor]) -> None:
        self._check_number(conditions)
        shape = conditions[0].shape
        for clip in conditions:
            if clip.ndim != 5 or clip.shape[0] != 1 or clip.shape[2] != 3 or clip.shape != shape:
                raise InputError(f"conditioning clips are {tuple(clip.shape)}, expected (1, F, 3, H, W), all the same")
        if not shape[1] or shape[3] % self.factor or shape[4] % self.factor:
            raise InputError(
                f"{shape[1]} frames of {shape[4]}x{shape[3]}: at least one frame, sides divisible by {self.factor}"
            )


def _windows(count: int, window: int | None, overlap: int | None) -> list[range]:
    length = min(count, window or count)
    stride = max(1, length - (length // 2 if overlap is None else overlap))
    return split_windows(count, length, stride)


def clip_embeddings(encoder: Any, extractor: Any, images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """CLIP image embeddings (n, D), on the CPU, of (n, 3, H, W) in [-1, 1], resized as in Stable Video Diffusion.

    extractor: image processor whose mean and standard deviation are used. device: where the encoder runs.
    """
    side = encoder.config.image_size
    mean, std = (
        torch.tensor(getattr(extractor, name)).view(1, 3, 1, 1).to(images) for name in ("image_mean", "image_std")
    )
    pixels = ((_resize_with_antialiasing(images, (side, side)) + 1) / 2 - mean) / std
    found: torch.Tensor = encoder(pixels.to(device, encoder.dtype)).image_embeds.cpu()
    return found
