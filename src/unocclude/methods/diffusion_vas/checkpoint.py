"""Loading of checkpoints in the published directory format, whose network differs from that of diffusers."""

from pathlib import Path
from typing import Any

import torch

from unocclude.errors import InputError
from unocclude.networks.configuration import read_json
from unocclude.networks.files import read_weights
from unocclude.networks.group_norm import CONFIG_KEY, apply_config_groups, set_num_groups
from unocclude.networks.loading import check_names, checked_loading, load_pretrained

DEAD, USED = "conv_in.", "conv_in2."
"""The published network keeps Stable Video Diffusion's first layer, which is not used, beside the one it uses."""


def load_components(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    """Load the pipeline's components, by name, from the folder of one stage.

    model_index.json names a class of the published code for the U-Net, so components are loaded one by one. Raises
    InputError if one is missing or does not fit.
    """
    from diffusers import EulerDiscreteScheduler
    from transformers import CLIPVisionModelWithProjection

    if not (folder / "model_index.json").is_file():
        raise InputError(f"{folder} holds no model_index.json; give the folder of a Diffusion-VAS checkpoint")
    with checked_loading(folder / "scheduler", "scheduler of diffusers"):
        scheduler = EulerDiscreteScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    return {
        "vae": read_vae(folder / "vae", dtype),
        "image_encoder": load_pretrained(
            CLIPVisionModelWithProjection, folder / "image_encoder", "CLIP image encoder", dtype=dtype
        ),
        "unet": read_unet(folder / "unet", dtype),
        "scheduler": scheduler,
        "feature_extractor": _feature_extractor(folder / "feature_extractor"),
    }


def read_vae(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """Load Stable Video Diffusion's VAE or one trained with recipe `vae`; raises InputError if there is none."""
    from diffusers import AutoencoderKLTemporalDecoder

    vae = load_pretrained(AutoencoderKLTemporalDecoder, folder, "video VAE of diffusers", torch_dtype=dtype)
    return apply_config_groups(vae)


def read_unet(folder: Path, dtype: torch.dtype) -> Any:
    """Load the U-Net into diffusers' class; all names and shapes are checked.

    The number of input channels is that of the first layer in use.
    """
    from accelerate import init_empty_weights
    from diffusers import UNetSpatioTemporalConditionModel as UNet

    state = read_weights(folder, "diffusion_pytorch_model")
    if f"{USED}weight" in state:
        state = {name: value for name, value in state.items() if not name.startswith(DEAD)}
        state = {name.replace(USED, DEAD, 1): value for name, value in state.items()}
    config = {key: value for key, value in read_json(folder / "config.json").items() if not key.startswith("_")}
    config["in_channels"] = (
        state[f"{DEAD}weight"].shape[1] if f"{DEAD}weight" in state else config.get("in_channels", 8)
    )
    groups = config.pop(CONFIG_KEY, None)
    with init_empty_weights():
        unet = UNet(**config)
    if groups:
        set_num_groups(unet, groups)
    check_names(folder, state, {name: value.shape for name, value in unet.state_dict().items()})
    unet.load_state_dict({name: value.to(dtype) for name, value in state.items()}, assign=True)
    return unet.eval()


def _feature_extractor(folder: Path) -> Any:
    """The image processor, of which only mean and standard deviation are used; this class needs no torchvision."""
    from transformers import CLIPImageProcessorPil

    with checked_loading(folder, "CLIP image processor"):
        return CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)
