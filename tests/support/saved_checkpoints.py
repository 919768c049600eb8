"""Checkpoints of the recipes around Diffusion-VAS, saved by the recipes themselves after one step."""

import torch
from diffusers import AutoencoderKLTemporalDecoder

from support.training_cases import config
from unocclude.cli import main

RUNS = {
    "mask": ("vas-mask", {}),
    "mask+rgb": ("vas-mask-depth", {"second": "frames"}),
    "mask+depth": ("vas-mask-depth", {}),
    "mask+rgb+depth": ("vas-mask-depth", {"second": "frames+depth"}),
    "content": ("vas-content", {}),
    "one-stage": ("vas-one-stage", {}),
    "3d-unet": ("3d-unet", {"tokens": "all"}),
    "videomae": ("videomae", {"width": 32, "layers": 1}),
}
"""Name of a kind → its recipe and options."""


def save_all(root):
    """Train and save one of each; name → folder."""
    torch.manual_seed(0)
    AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 2, block_out_channels=(32, 32), layers_per_block=1
    ).save_pretrained(root / "vae")
    found = {}
    for name, (recipe, options) in RUNS.items():
        if recipe != "videomae":
            options = {"vae": str(root / "vae"), "widths": [32, 32], "sampled": 1, **options}
        loop = {"steps": 1, "evaluate_every": 9}
        file = config(root / name, options | {"cache": str(root / "cache"), "held": 1}, loop)
        assert main(["train", recipe, "--config", str(file), "-o", str(root / name / "out"), "--quiet"]) == 0
        found[name] = root / name / "out" / ("videomae" if recipe == "videomae" else "pipeline")
    return found
