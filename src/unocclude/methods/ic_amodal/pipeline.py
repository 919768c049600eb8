"""FLUX.1-Fill on grids: loading, memory management, and denoising of several frames beside one exemplar."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.flux.pipeline_flux_fill import FluxFillPipeline, calculate_shift, retrieve_timesteps

from unocclude.errors import InputError
from unocclude.methods.ic_amodal.grid import Grid
from unocclude.methods.ic_amodal.modulation import AttentionGuide, KeyValue, Modulation, install
from unocclude.methods.ic_amodal.options import ICAmodalOptions
from unocclude.methods.network_inputs import tensor
from unocclude.networks.loading import checked_loading, load_pretrained

GIB = 1 << 30
ROOMY, LARGE = 28, 40
"""GiB of GPU memory from which the transformer's weights (11.9 billion, 22 GiB in 16 bits) are not compressed, and
from which all components (31 GiB) stay on the GPU. Estimated from parameter counts, not measured."""


@dataclass(frozen=True)
class FillJob:
    """A grid to fill.

    modulated: modulate the attention of the last sub-image (section 3.3); needs a 2x2 grid.
    """

    grid: Grid
    seed: int
    modulated: bool = False


@dataclass(frozen=True)
class _Ready:
    """A job's tokens in the order of `Grid.token_order`.

    latents: (1, N, C). known: (1, N, K), mask and masked image. ids: (N, 3) positions. order: (N,) raster indices.
    queries: how many of the last tokens are modulated.
    """

    latents: torch.Tensor
    known: torch.Tensor
    ids: torch.Tensor
    order: torch.Tensor
    queries: int


class GridFiller:
    """Fills grids with a FluxFillPipeline. `calls` counts the grids filled."""

    def __init__(self, pipeline: Any, options: ICAmodalOptions):
        self.pipeline, self.options = pipeline, options
        self.side = 2 * pipeline.vae_scale_factor
        install(pipeline.transformer, single=options.blocks == "all")
        self.calls = 0
        self._texts: dict[str, tuple[torch.Tensor, ...]] = {}

    @classmethod
    def from_folder(cls, folder: Path, options: ICAmodalOptions, device: str) -> "GridFiller":
        """Load a pipeline in the published format; compresses and offloads its parts if the GPU is too small."""
        gpu = device.startswith("cuda")
        pipeline = read_pipeline(folder, torch.bfloat16 if gpu else torch.float32)
        memory = torch.cuda.get_device_properties(device).total_memory if gpu else 1 << 62
        storage, offload = plan(memory, options.storage, options.offload)
        if storage == "float8":
            pipeline.transformer.enable_layerwise_casting(
                storage_dtype=torch.float8_e4m3fn, compute_dtype=pipeline.transformer.dtype
            )
        if gpu and offload == "model":
            pipeline.enable_model_cpu_offload()
        elif gpu and offload == "sequential":
            pipeline.enable_sequential_cpu_offload()
        else:
            pipeline.to(device)
        return cls(pipeline, options)

    @torch.no_grad()
    def fill(self, jobs: Sequence[FillJob], prompt: str, exemplar: FillJob | None = None) -> list[np.ndarray]:
        """Fill the grids of `jobs`: (H, W, 3) uint8 each, independent of each other.

        exemplar: a job whose upper row all jobs share. It is denoised once, on its own, and the lower rows of the jobs
        attend to its keys and values.
        """
        pipeline = self.pipeline
        height, width = jobs[0].grid.hole.shape
        text = self._text(prompt)
        timesteps = self._timesteps((height // self.side) * (width // self.side))
        ready = [self._prepare(job, timesteps) for job in (*([exemplar] if exemplar else []), *jobs)]
        half = ready[0].latents.shape[1] // 2 if exemplar else 0
        parts = [slice(half, None)] * len(ready)
        if exemplar:
            parts[0] = slice(0, half)
        latents = torch.cat([job.latents[:, part] for job, part in zip(ready, parts, strict=True)])
        length = text[0].shape[1]
        for t in timesteps:
            answers: list[torch.Tensor] = []
            kept: dict[str, KeyValue] = {}
            for k, (job, part) in enumerate(zip(ready, parts, strict=True)):
                keeping = exemplar is not None and k == 0
                guide = AttentionGuide(length, None if keeping else self._modulation(job, length), kept, keeping)
                inputs = torch.cat([latents[k : k + 1], job.known[:, part]], 2)
                answers.append(self._velocity(inputs, job.ids[part], t, text, guide))
            latents = pipeline.scheduler.step(torch.cat(answers), t, latents, return_dict=False)[0]
        if exemplar:
            latents = torch.cat([latents[:1].expand(len(jobs), -1, -1), latents[1:]], 1)
        pictures = [
            self._decode(tokens[None], job.order, height, width)
            for tokens, job in zip(latents, ready[-len(jobs) :], strict=True)
        ]
        pipeline.maybe_free_model_hooks()
        self.calls += len(jobs)
        return pictures

    def _velocity(
        self,
        inputs: torch.Tensor,
        ids: torch.Tensor,
        t: torch.Tensor,
        text: tuple[torch.Tensor, ...],
        guide: AttentionGuide,
    ) -> torch.Tensor:
        transformer = self.pipeline.transformer
        guidance = None
        if transformer.config.guidance_embeds:
            guidance = torch.full([1], self.options.guidance, device=inputs.device, dtype=torch.float32)
        answer: torch.Tensor = transformer(
            hidden_states=inputs, timestep=t.expand(1).to(inputs) / 1000, guidance=guidance,
            encoder_hidden_states=text[0], pooled_projections=text[1], txt_ids=text[2], img_ids=ids,
            joint_attention_kwargs={"guide": guide}, return_dict=False,
        )[0]  # fmt: skip
        return answer

    def _timesteps(self, tokens: int) -> torch.Tensor:
        """Timesteps as in the published pipeline for this number of image tokens; `strength` < 1 skips the first
        ones."""
        pipeline, steps = self.pipeline, self.options.steps
        asked = [pipeline.scheduler.config.get(*pair) for pair in SHIFT]
        sigmas = np.linspace(1.0, 1 / steps, steps)
        device = pipeline._execution_device
        mu = calculate_shift(tokens, *asked)
        _, count = retrieve_timesteps(pipeline.scheduler, steps, device, sigmas=sigmas, mu=mu)
        left: torch.Tensor = pipeline.get_timesteps(count, self.options.strength, device)[0]
        if not len(left):
            raise InputError(f"strength {self.options.strength:g} of {steps} steps leaves none; raise one of them")
        return left

    def _prepare(self, job: FillJob, timesteps: torch.Tensor) -> _Ready:
        """Encode a job; random numbers are drawn in the order of the published pipeline."""
        pipeline = self.pipeline
        device, dtype = pipeline._execution_device, pipeline.transformer.dtype
        generator = torch.Generator().manual_seed(job.seed)
        picture, hole = job.grid.picture, job.grid.hole
        image = tensor(picture)[None]
        channels, (height, width) = pipeline.vae.config.latent_channels, hole.shape
        latents, ids = pipeline.prepare_latents(
            tensor(job.grid.start)[None], timesteps[:1], 1, channels, height, width, dtype, device, generator
        )
        mask = torch.from_numpy(hole[None, None].astype(np.float32))
        masked = (image * (1 - mask)).to(device, dtype)
        known = pipeline.prepare_mask_latents(mask, masked, 1, channels, 1, height, width, dtype, device, generator)
        tokens, wanted = job.grid.token_order(self.side)
        order = torch.from_numpy(tokens).to(device)
        last = len(tokens) // (job.grid.shape[0] * job.grid.shape[1])
        queries = 0 if not job.modulated else wanted if self.options.queries == "hole" else last
        return _Ready(latents[:, order], torch.cat([known[1], known[0]], 2)[:, order], ids[order], order, queries)

    def _modulation(self, job: _Ready, text: int) -> Modulation | None:
        """Factors of all keys: `lambda_up` on A_ex, `lambda_down` on X_ex and X_k."""
        if not job.queries:
            return None
        tokens = job.latents.shape[1]
        factors = torch.ones(text + tokens, device=job.latents.device)
        sub_images = factors[text:].view(4, tokens // 4)
        sub_images[[0, 2]], sub_images[1] = self.options.lambda_down, self.options.lambda_up
        return Modulation(job.queries, factors, self.options.mode)

    def _text(self, prompt: str) -> tuple[torch.Tensor, ...]:
        if prompt not in self._texts:
            self._texts[prompt] = encode(self.pipeline, prompt, self.options.text_tokens)
        return self._texts[prompt]

    def _decode(self, latents: torch.Tensor, order: torch.Tensor, height: int, width: int) -> np.ndarray:
        vae = self.pipeline.vae
        raster = torch.empty_like(latents)
        raster[:, order] = latents
        unpacked = self.pipeline._unpack_latents(raster, height, width, self.pipeline.vae_scale_factor)
        decoded = vae.decode(unpacked / vae.config.scaling_factor + vae.config.shift_factor, return_dict=False)[0]
        picture = (decoded[0].float().cpu() / 2 + 0.5).clamp(0, 1).permute(1, 2, 0)
        rounded: np.ndarray = (picture * 255).round().to(torch.uint8).numpy()
        return rounded


SHIFT = (("base_image_seq_len", 256), ("max_image_seq_len", 4096), ("base_shift", 0.5), ("max_shift", 1.15))


def encode(pipeline: Any, prompt: str, most: int = 512) -> tuple[torch.Tensor, ...]:
    """Prompt embeddings (1, L, D) and (1, P), and text positions (L, 3); L is `most` or the tokenizer's limit.

    Longer prompts are truncated without a warning.
    """
    length = min(most, pipeline.tokenizer_2.model_max_length)
    logging.disable(logging.WARNING)
    try:
        with torch.no_grad():
            found: tuple[torch.Tensor, ...] = pipeline.encode_prompt(prompt, None, max_sequence_length=length)
    finally:
        logging.disable(logging.NOTSET)
    return found


def plan(memory: int, storage: str, offload: str) -> tuple[str, str]:
    """Resolve "auto" in `storage` and `offload` for a GPU with `memory` bytes."""
    if storage == "auto":
        storage = "full" if memory >= ROOMY * GIB else "float8"
    if offload == "auto":
        offload = "none" if memory >= LARGE * GIB else "model"
    return storage, offload


def read_pipeline(folder: Path, dtype: torch.dtype) -> Any:
    """Load a pipeline in the published format, component by component.

    Raises InputError, naming the component, if one is missing or does not fit.
    """
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
    from diffusers.utils.logging import disable_progress_bar, enable_progress_bar
    from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5Tokenizer

    networks = {
        "transformer": (FluxTransformer2DModel, "FLUX transformer", "torch_dtype"),
        "vae": (AutoencoderKL, "VAE of diffusers", "torch_dtype"),
        "text_encoder": (CLIPTextModel, "CLIP text encoder", "dtype"),
        "text_encoder_2": (T5EncoderModel, "T5 encoder", "dtype"),
    }
    others = {
        "scheduler": (FlowMatchEulerDiscreteScheduler, "flow-matching scheduler"),
        "tokenizer": (CLIPTokenizer, "CLIP tokenizer"),
        "tokenizer_2": (T5Tokenizer, "T5 tokenizer"),
    }
    disable_progress_bar()
    parts: dict[str, Any] = {
        name: load_pretrained(kind, folder / name, what, **{precision: dtype})
        for name, (kind, what, precision) in networks.items()
    }
    enable_progress_bar()
    for name, (kind, what) in others.items():
        with checked_loading(folder / name, what):
            parts[name] = kind.from_pretrained(folder / name, local_files_only=True)
    config, latents = parts["transformer"].config, parts["vae"].config.latent_channels
    factor = 2 ** (len(parts["vae"].config.block_out_channels) - 1)
    expected = 4 * (2 * latents + factor**2)
    if config.in_channels != expected:
        raise InputError(
            f"{folder / 'transformer'} takes {config.in_channels} channels; a Fill model with this VAE takes {expected}"
        )
    pipeline = FluxFillPipeline(**parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
