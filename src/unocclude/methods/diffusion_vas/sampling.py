"""How a run's options are turned into calls of the pipeline."""

from collections.abc import Mapping, Sequence

import torch

from unocclude.methods.diffusion_vas.conditioning import get_conditioning_order
from unocclude.methods.diffusion_vas.options import DiffusionVASOptions
from unocclude.methods.diffusion_vas.pipeline import MOTION, NOISE, DiffusionVASPipeline, Pictures


def choose_conditions(sources: Mapping[str, Pictures], names: Sequence[str]) -> list[Pictures]:
    """The conditioning clips of a network, in the order of its input channels."""
    return [sources[name] for name in names]


def denoise(
    pipeline: DiffusionVASPipeline,
    conditions: Sequence[Pictures],
    options: DiffusionVASOptions,
    generator: torch.Generator,
) -> torch.Tensor:
    """One sample of a shot, denoised latents (1, F, 4, h, w)."""
    return pipeline.denoise(
        conditions, num_inference_steps=options.steps, guidance=(options.guidance, options.guidance), fps=options.fps,
        motion_bucket_id=MOTION, noise_aug_strength=NOISE, how=get_conditioning_order(options.conditioning_order),
        generator=generator, window=options.window, overlap=min(options.overlap, options.window - 1),
    )  # fmt: skip
