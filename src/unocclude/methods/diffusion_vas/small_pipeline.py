"""Components of a small, randomly initialised pipeline, for training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffusers import EulerDiscreteScheduler
from diffusers import UNetSpatioTemporalConditionModel as UNet
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

from unocclude.methods.diffusion_vas.checkpoint import read_vae
from unocclude.networks.group_norm import attention_levels, set_num_groups

EMBEDDED = 64


def scheduler() -> EulerDiscreteScheduler:
    """Stable Video Diffusion's: Euler, v-prediction, Karras sigmas 700 to 0.002, timesteps ln(sigma) / 4."""
    return EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
        timestep_type="continuous", timestep_spacing="leading", steps_offset=1, use_karras_sigmas=True,
        sigma_min=0.002, sigma_max=700.0,
    )  # fmt: skip


def small_components(vae: Path, widths: Sequence[int], channels: int, size: tuple[int, int]) -> dict[str, Any]:
    """Components of a pipeline around the VAE in folder `vae`, initialised from torch's global seed.

    widths: channels per level of the U-Net. channels: its input channels. size: (width, height) of the images. The
    CLIP encoder is small and stays random.
    """
    encoder = read_vae(vae)
    factor = 2 ** (len(encoder.config.block_out_channels) - 1)
    kinds = ["CrossAttn{}BlockSpatioTemporal" if yes else "{}BlockSpatioTemporal"
             for yes in attention_levels(size[1] // factor, len(widths))]  # fmt: skip
    unet = UNet(
        sample_size=size[1] // factor, in_channels=channels, block_out_channels=tuple(widths), layers_per_block=1,
        down_block_types=tuple(kind.format("Down") for kind in kinds),
        up_block_types=tuple(kind.format("Up") for kind in kinds[::-1]), addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=96, cross_attention_dim=EMBEDDED,
        num_attention_heads=tuple(max(1, width // 32) for width in widths),
    )  # fmt: skip
    config = CLIPVisionConfig(
        hidden_size=EMBEDDED, intermediate_size=2 * EMBEDDED, projection_dim=EMBEDDED, num_hidden_layers=2,
        num_attention_heads=2, image_size=64, patch_size=16,
    )  # fmt: skip
    return {
        "vae": encoder,
        "image_encoder": CLIPVisionModelWithProjection(config).eval(),
        "unet": set_num_groups(unet),
        "scheduler": scheduler(),
        "feature_extractor": CLIPImageProcessorPil(),
    }
