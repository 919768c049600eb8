"""Diffusion pipeline of TGVAC (sections 3.3, 3.4).

Stable Diffusion conditioned on the visible object and a description, for clips of any length by temporal diffusion.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiffusionPipeline, UNetMotionModel
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from transformers import CLIPTextModel

from unocclude.errors import InputError
from unocclude.methods.tgvac.checkpoint import MOTION, check_motion, has_motion, load_components, with_motion
from unocclude.methods.tgvac.conditioning import LATENTS, conditioning_for_channels
from unocclude.methods.tgvac.motion import LENGTH, Network, run
from unocclude.methods.windows import blend_answers, split_windows, uniform_weights

AT_ONCE = 8
"""Frames encoded or decoded per batch."""

Pictures = Sequence[torch.Tensor]
"""A clip: (3, H, W) float32 in [-1, 1] per frame, possibly computed on access."""


@dataclass
class TGVACOutput(BaseOutput):
    """frames: (1, F, H, W, 3) float32 in [0, 1], the whole object on white; None with output_type "latent". latents:
    (1, F, 4, h, w), denoised. Both on the CPU."""

    frames: torch.Tensor | None
    latents: torch.Tensor


class TGVACPipeline(DiffusionPipeline):
    """Generates the whole object on white for each frame of a clip.

    `unet` is the frame network or the inflated one; its number of input channels determines the conditioning (see
    `conditioning`).
    """

    model_cpu_offload_seq = "text_encoder->unet->vae"

    def __init__(
        self, vae: AutoencoderKL, text_encoder: CLIPTextModel, tokenizer: Any, unet: Network, scheduler: DDIMScheduler
    ):
        super().__init__()
        self.register_modules(vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet, scheduler=scheduler)
        self.factor = 2 ** (len(vae.config.block_out_channels) - 1)
        self.conditioning = conditioning_for_channels(unet.config.in_channels)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, torch_dtype: torch.dtype = torch.float32, motion: bool | None = None
    ) -> "TGVACPipeline":
        """Load the pipeline from a folder written by the recipes.

        motion: whether to use motion modules (table 3); by default if there are any. Raises InputError if the folder
        does not hold a pipeline.
        """
        folder = Path(folder)
        if motion:
            check_motion(folder)
        parts = load_components(folder, torch_dtype)
        if has_motion(folder) and motion is not False:
            parts["unet"] = with_motion(parts["unet"], folder / MOTION)
        return cls(**parts)

    @property
    def side(self) -> int:
        """Side in pixels of the images the network was trained on."""
        return int(self.unet.config.sample_size) * self.factor

    @property
    def length(self) -> int:
        """Number of frames of the clips the network was trained on."""
        return int(getattr(self.unet.config, "motion_max_seq_length", LENGTH))

    @torch.no_grad()
    def __call__(
        self,
        objects: torch.Tensor,
        masks: torch.Tensor,
        description: str = "",
        num_inference_steps: int = 30,
        guidance_scale: float = 7.5,
        window: int | None = None,
        stride: int = 4,
        together: int = 1,
        generator: torch.Generator | None = None,
        output_type: str = "pt",
    ) -> TGVACOutput:
        """objects, masks: (1, F, 3, H, W) float in [-1, 1], any F from 1 on, H and W divisible by the VAE's factor: the
        visible object on white, or the frames (see `conditioning.picture`), and its mask. The other options are those
        of `denoise`. output_type: "pt" or "latent".

        Raises InputError for inputs of another shape.
        """
        self._check(objects, masks)
        denoised = self.denoise(
            list(objects[0].float().cpu()), list(masks[0].float().cpu()), description,
            num_inference_steps=num_inference_steps, guidance_scale=guidance_scale, window=window, stride=stride,
            together=together, generator=generator,
        )  # fmt: skip
        frames = None if output_type == "latent" else torch.cat(list(self.decode(denoised)))[None]
        self.maybe_free_model_hooks()
        return TGVACOutput(frames=frames, latents=denoised)

    @torch.no_grad()
    def denoise(
        self,
        objects: Pictures,
        masks: Pictures,
        description: str,
        *,
        num_inference_steps: int,
        guidance_scale: float,
        window: int | None,
        stride: int,
        together: int,
        generator: torch.Generator | None,
    ) -> torch.Tensor:
        """Denoised latents (1, F, 4, h, w) on the CPU. Only latents are kept for all frames.

        description: of the object; guidance is off if it is empty. guidance_scale: of classifier-free guidance, off at
        1. window: frames denoised together, by default as many as in training. stride: between windows; at every step
        the predictions of all windows that contain a frame are averaged (equation 5). together: windows per call of
        the network. generator: draws the noise of each frame once, in order.
        """
        count = len(objects)
        window = window or self.length
        self._check_window(window)
        encoded = self._encode(objects, masks)
        guided = guidance_scale != 1 and description != ""
        text_embeddings = self.embed(["", description] if guided else [description])
        shape = (1, 1, LATENTS, *encoded.shape[-2:])
        latents = torch.cat([randn_tensor(shape, generator=generator) for _ in range(count)], 1)
        self.scheduler.set_timesteps(num_inference_steps)
        latents = latents * self.scheduler.init_noise_sigma
        parts = split_windows(count, window, min(stride, window))

        def answers(t: torch.Tensor) -> Iterator[torch.Tensor]:
            for start in range(0, len(parts), together):
                spans = [slice(part.start, part.stop) for part in parts[start : start + together]]
                noisy = torch.cat([latents[:, span] for span in spans])
                inputs = torch.cat([noisy, torch.cat([encoded[:, span] for span in spans])], 2).to(text_embeddings)
                inputs = inputs.repeat(len(text_embeddings), 1, 1, 1, 1)
                answer = run(self.unet, inputs, t, text_embeddings.repeat_interleave(len(spans), 0)).float().cpu()
                if guided:
                    without, with_ = answer.chunk(2)
                    answer = without + guidance_scale * (with_ - without)
                yield from answer.split(1)

        with self.progress_bar(total=num_inference_steps) as bar:
            for t in self.scheduler.timesteps:
                prediction = blend_answers(answers(t), count, parts, uniform_weights)
                latents = self.scheduler.step(prediction, t, latents).prev_sample
                bar.update()
        return latents

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> Iterator[torch.Tensor]:
        """Decode latents (1, F, 4, h, w) to (n, H, W, 3) float32 in [0, 1] on the CPU, a few frames at a time."""
        for part in (latents[0] / self.vae.config.scaling_factor).split(AT_ONCE):
            frames = self.vae.decode(part.to(self._execution_device, self.vae.dtype)).sample.float().cpu()
            yield (frames / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)

    def embed(self, texts: Sequence[str]) -> torch.Tensor:
        """CLIP embeddings C(y) of texts, (n, L, D)."""
        token_ids = tokenize(self.tokenizer, texts).to(self._execution_device)
        embedded: torch.Tensor = self.text_encoder(token_ids).last_hidden_state
        return embedded

    def _encode(self, objects: Pictures, masks: Pictures) -> torch.Tensor:
        """Conditioning channels of all frames, (1, F, C, h, w), on the CPU."""

        def encode(pictures: torch.Tensor) -> torch.Tensor:
            latents = self.vae.encode(pictures.to(self._execution_device, self.vae.dtype)).latent_dist.mode()
            scaled: torch.Tensor = latents.cpu() * self.vae.config.scaling_factor
            return scaled

        condition = []
        for start in range(0, len(objects), AT_ONCE):
            some = range(start, min(start + AT_ONCE, len(objects)))
            condition.append(
                self.conditioning(
                    encode, torch.stack([objects[i] for i in some]), torch.stack([masks[i] for i in some])
                )
            )
        return torch.cat(condition)[None]

    def _check_window(self, window: int) -> None:
        if window > self.length and isinstance(self.unet, UNetMotionModel):
            raise InputError(f"window is {window}; the motion modules take at most {self.length} frames")

    def _check(self, objects: torch.Tensor, masks: torch.Tensor) -> None:
        shape = objects.shape
        if objects.ndim != 5 or shape[0] != 1 or shape[2] != 3 or masks.shape != shape:
            raise InputError(
                f"objects are {tuple(shape)}, masks {tuple(masks.shape)}; expected (1, F, 3, H, W), both the same"
            )
        if not shape[1] or shape[3] % self.factor or shape[4] % self.factor:
            raise InputError(
                f"{shape[1]} frames of {shape[4]}x{shape[3]}: at least one frame, sides divisible by {self.factor}"
            )


def tokenize(tokenizer: Any, texts: Sequence[str]) -> torch.Tensor:
    """Token ids (n, L) int64 of texts for the text encoder."""
    found: torch.Tensor = tokenizer(
        list(texts), padding="max_length", truncation=True, max_length=tokenizer.model_max_length, return_tensors="pt"
    ).input_ids
    return found
