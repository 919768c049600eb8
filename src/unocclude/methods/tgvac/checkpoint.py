"""The checkpoint's directory format: Stable Diffusion's with a wider first layer, and motion/, the motion modules."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from unocclude.errors import InputError
from unocclude.methods.tgvac.motion import Network, motion_config, motion_state, of_config
from unocclude.networks.configuration import read_json
from unocclude.networks.files import read_weights
from unocclude.networks.loading import check_names, load_pretrained, quiet, reading

MOTION = "motion"
STEM = "diffusion_pytorch_model"


def read_parts(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    """The pipeline's parts by name, `unet` being the frame network, from a folder of ours or of Stable Diffusion 1.5.

    Raises InputError where one is absent or is another network's.
    """
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import AutoTokenizer, CLIPTextModel

    with reading(folder / "scheduler", "scheduler of diffusers"):
        scheduler = DDIMScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    with reading(folder / "tokenizer", "CLIP tokenizer"):
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
    """The frame network inflated with a folder's trained motion modules, all names and shapes checked; raises
    InputError where there are none, or they are another network's."""
    config = {key: value for key, value in read_json(folder / "config.json").items() if not key.startswith("_")}
    state = read_weights(folder, STEM)
    with reading(folder, "motion module"):
        network = of_config(frame, config)
    check_names(folder, state, {name: value.shape for name, value in motion_state(network).items()})
    network.load_state_dict(state, strict=False)
    return network.eval()


def has_motion(folder: Path) -> bool:
    return (folder / MOTION).is_dir()


def write_parts(folder: Path, parts: Mapping[str, Any], motion: Any | None = None) -> None:
    """What `read_parts` and `with_motion` read; motion: the inflated network, of which its motion modules are kept."""
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
    """Raise InputError where a checkpoint has frame layers alone."""
    if not has_motion(folder):
        raise InputError(f"{folder} has no {MOTION}/; train it (recipe tgvac-motion) or set motion=false")
