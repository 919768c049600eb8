"""Diffusion-VAS against diffusers' Stable Video Diffusion pipeline: the same network but for its first layer, random
weights, the same frames, size and steps. Prints seconds of each, measured in turn in one run, and their ratio.

python benchmarks/diffusion_vas.py [--full] [--frames 14] [--height 128] [--width 256] [--steps 3] [--window 8]
"""

import argparse
import resource
import time

import numpy as np
import torch
from diffusers import AutoencoderKLTemporalDecoder, StableVideoDiffusionPipeline, UNetSpatioTemporalConditionModel
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

from unocclude.methods.diffusion_vas import DiffusionVASPipeline
from unocclude.methods.diffusion_vas.small_pipeline import scheduler

SMALL = {"block_out_channels": (64, 128, 128, 128), "num_attention_heads": (2, 4, 4, 4), "cross_attention_dim": 64}
FULL = {"cross_attention_dim": 1024}
ROUNDS = 3


def parts(full: bool, channels: int) -> dict:
    """Random weights; at full size those of the published configuration."""
    unet = UNetSpatioTemporalConditionModel(in_channels=channels, **(FULL if full else SMALL))
    widths = (128, 256, 512, 512) if full else (32, 32, 32, 32)
    vae = AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 4, block_out_channels=widths, layers_per_block=2 if full else 1
    )
    clip = CLIPVisionConfig(
        hidden_size=1280, intermediate_size=5120, projection_dim=1024, num_hidden_layers=32, num_attention_heads=16,
        patch_size=14, hidden_act="gelu",
    ) if full else CLIPVisionConfig(
        hidden_size=64, intermediate_size=128, projection_dim=64, num_hidden_layers=2, num_attention_heads=2,
        patch_size=32,
    )  # fmt: skip
    encoder = CLIPVisionModelWithProjection(clip)
    return {"vae": vae, "image_encoder": encoder, "unet": unet, "scheduler": scheduler(),
            "feature_extractor": CLIPImageProcessorPil()}  # fmt: skip


class Features:
    """What diffusers' pipeline asks of a feature extractor, without torchvision."""

    def __call__(self, images, **_):
        return type("Batch", (), {"pixel_values": images})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true")
    for name, value in (("frames", 14), ("height", 128), ("width", 256), ("steps", 3), ("window", 8)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.float16 if device == "cuda" else torch.float32
    torch.manual_seed(0)
    plain_parts = parts(args.full, 8)
    plain_parts["feature_extractor"] = CLIPImageProcessorPil()
    plain = StableVideoDiffusionPipeline(**plain_parts).to(device, dtype)
    plain.feature_extractor = Features()
    ours = DiffusionVASPipeline(**parts(args.full, 12)).to(device, dtype)
    for pipe in (plain, ours):
        pipe.set_progress_bar_config(disable=True)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (args.height, args.width, 3), np.uint8))
    clip = torch.rand(1, args.frames, 3, args.height, args.width) * 2 - 1

    def svd() -> None:
        plain(image, args.height, args.width, args.frames, args.steps, min_guidance_scale=1.5, max_guidance_scale=1.5,
              decode_chunk_size=8, output_type="pt")  # fmt: skip

    def vas(window: int | None = None) -> None:
        ours(clip, clip, num_inference_steps=args.steps, window=window)

    runs = {"diffusers SVD": svd, "diffusion-vas": vas, f"in windows of {args.window}": lambda: vas(args.window)}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    best = {name: min(values) for name, values in seconds.items()}
    print(f"{args.frames} frames of {args.width}x{args.height}, {args.steps} steps, {device}, {dtype}")
    for name, value in best.items():
        print(f"{name:<20}{value:8.2f} s   {value / best['diffusers SVD']:5.2f} x")
    if device == "cuda":
        print(f"peak memory on the device {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
