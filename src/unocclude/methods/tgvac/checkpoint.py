"""Checkpoints: Stable Diffusion's format with more input channels, and motion/ with the motion modules."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from unocclude.errors import InputError
from unocclude.methods.tgvac.motion import Network, inflate_with_config, motion_config, motion_state
from unocclude.networks.configuration import read_json
from unocclude.networks.files import read_weights
from unocclude.networks.loading import check_names, checked_loading, load_pretrained, quiet

MOTION = "motion"
STEM = "diffusion_pytorch_model"


def load_components(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    """Load the pipeline's components, by name, from a checkpoint of ours or of Stable Diffusion 1.5.

    `unet` is the frame network. Raises InputError if a component is missing or does not fit.
    """
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import AutoTokenizer, CLIPTextModel

    with checked_loading(folder / "scheduler", "scheduler of diffusers"):
        scheduler = DDIMScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    with checked_loading(folder / "tokenizer", "CLIP tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True, trust_remote_code=False)
    return {
        "vae": load_pretrained(AutoencoderKL, folder / "vae", "VAE of diffusers", torch_dtype=dtype),
        "text_encoder": load_pretrained(CLIPTextModel, folder / "text_encoder", "CLIP text encoder", dtype=dtype),
        "tokenizer": tokenizer,
        "unet": load_pretrained(
            UNet2DConditionModel, folder / "unet", "network of Stable Diffusion", torch_dtype=dtype
        ),
        "scheduler": scheduler,
    }


def with_motion(frame: Any, folder: Path) -> Network:
    """Inflate the frame network with the trained motion modules in a folder; all names and shapes are checked.

    Raises InputError if there are none or they do not fit.
    """
    config = {key: value for key, value in read_json(folder / "config.json").items() if not key.startswith("_")}
    state = read_weights(folder, STEM)
    with checked_loading(folder, "motion module"):
        network = inflate_with_config(frame, config)
    check_names(folder, state, {name: value.shape for name, value in motion_state(network).items()})
    network.load_state_dict(state, strict=False)
    return network.eval()


def has_motion(folder: Path) -> bool:
    """Whether a checkpoint has motion modules."""
    return (folder / MOTION).is_dir()


def save_components(folder: Path, parts: Mapping[str, Any], motion: Any | None = None) -> None:
    """Save components in the format that `load_components` and `with_motion` read.

    motion: the inflated network, of which only the motion modules are saved.
    """
    from safetensors.torch import save_file

    with quiet():
        for name, part in parts.items():
            part.save_pretrained(folder / name)
    if motion is not None:
        (folder / MOTION).mkdir(exist_ok=True)
        save_file(motion_state(motion), folder / MOTION / f"{STEM}.safetensors", metadata={"format": "pt"})
        config = {"_class_name": "MotionAdapter", **motion_config(motion)}
        (folder / MOTION / "config.json").write_text(json.dumps(config, indent=1) + "\n")


def check_motion(folder: Path) -> None:
    """Raise InputError if a checkpoint has no motion modules."""
    if not has_motion(folder):
        raise InputError(f"{folder} has no {MOTION}/; train it (recipe tgvac-motion) or set motion=false")
