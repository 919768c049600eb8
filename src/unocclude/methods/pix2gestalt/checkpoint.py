"""Conversion of the published checkpoint, a Lightning file of `ldm`'s LatentDiffusion, to diffusers and
transformers."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from unocclude.networks.files import read_lightning
from unocclude.networks.loading import check_names, quiet
from unocclude.weights import part_file

UNET, VAE, CLIP, PROJECTION = (
    "model.diffusion_model.",
    "first_stage_model.",
    "cond_stage_model.model.visual.",
    "cc_projection.",
)
HEADS, CLIP_HEAD = 8, 64
"""Attention heads of the U-Net; channels per attention head of CLIP."""

State = Mapping[str, torch.Tensor]


def load_components(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    """Load the pipeline's components, by name, from the .ckpt in a folder (the first one by name).

    Sizes are inferred from the tensors; all names and shapes are checked. Raises InputError if there is no .ckpt or it
    does not fit.
    """
    from diffusers import DDIMScheduler

    path = part_file(folder, "*.ckpt")
    state = read_lightning(path)
    parts: dict[str, Any] = {
        "scheduler": DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
            set_alpha_to_one=False, steps_offset=1,
        )
    }  # fmt: skip
    for name, (module, own) in converted(path, state).items():
        check_names(path, own, {key: value.shape for key, value in module.state_dict().items()})
        module.load_state_dict({key: value.to(dtype) for key, value in own.items()}, assign=True)
        parts[name] = module.eval()
    encoder, after = parts["image_encoder"], parts.pop("projection")
    encoder.visual_projection = _one_after_the_other(encoder.visual_projection, after)
    return parts


def _one_after_the_other(first: torch.nn.Linear, second: torch.nn.Linear) -> torch.nn.Linear:
    """Merge two linear layers, the first without bias: the published network projects CLIP's embedding."""
    both = torch.nn.Linear(first.in_features, second.out_features, dtype=first.weight.dtype)
    with torch.no_grad():
        both.weight.copy_(second.weight.double() @ first.weight.double())
        both.bias.copy_(second.bias)
    return both


def converted(path: Path, state: State) -> dict[str, tuple[torch.nn.Module, State]]:
    """Each network, without allocated memory, and its tensors renamed for it."""
    from accelerate import init_empty_weights
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    needed = (f"{UNET}input_blocks.0.0.weight", f"{VAE}encoder.conv_in.weight", f"{CLIP}conv1.weight",
              f"{PROJECTION}weight", f"{CLIP}positional_embedding", f"{CLIP}proj")  # fmt: skip
    check_names(path, {name: state[name] for name in needed if name in state},
                {name: state[name].shape if name in state else torch.Size() for name in needed})  # fmt: skip
    config, vae_config = unet_config(state), vae_config_of(state)
    with quiet():
        unet = convert_ldm_unet_checkpoint(averaged(state), config)
        vae = convert_ldm_vae_checkpoint({k: v for k, v in state.items() if k.startswith(VAE)}, vae_config)
    clip = vision(_below(state, CLIP))
    width, grid = clip["vision_model.embeddings.position_embedding.weight"].shape[::-1]
    patch = clip["vision_model.embeddings.patch_embedding.weight"].shape[-1]
    with init_empty_weights(include_buffers=False):
        encoder = CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=width, intermediate_size=4 * width, num_attention_heads=width // CLIP_HEAD,
                num_hidden_layers=len({k for k in clip if k.endswith("layer_norm1.weight")}), patch_size=patch,
                image_size=patch * round((grid - 1) ** 0.5), projection_dim=clip["visual_projection.weight"].shape[0],
                hidden_act="quick_gelu",
            )
        )  # fmt: skip
        projection = _below(state, PROJECTION)
        return {
            "unet": (UNet2DConditionModel(**config), unet),
            "vae": (AutoencoderKL(**vae_config), vae),
            "image_encoder": (encoder, clip),
            "projection": (torch.nn.Linear(*projection["weight"].shape[::-1]), projection),
        }


def averaged(state: State) -> dict[str, torch.Tensor]:
    """The U-Net's tensors, replaced by their moving averages (named without dots) where present, as published."""
    names = [name for name in state if name.startswith(UNET)]
    ema = {name: "model_ema." + name.removeprefix("model.").replace(".", "") for name in names}
    return {name: state.get(ema[name], state[name]) for name in names}


def unet_config(state: State) -> dict[str, Any]:
    """Configuration of the U-Net in diffusers; attention at every level but the last."""
    blocks = {int(found[1]) for name in state if (found := re.match(rf"{UNET}input_blocks\.(\d+)\.", name))}
    downs = sorted(n for n in blocks if f"{UNET}input_blocks.{n}.0.op.weight" in state)
    levels = len(downs) + 1
    widths = [state[f"{UNET}input_blocks.{n}.0.op.weight"].shape[0] for n in downs]
    widths.append(state[f"{UNET}input_blocks.{max(blocks)}.0.out_layers.3.weight"].shape[0])
    return {
        "in_channels": state[f"{UNET}input_blocks.0.0.weight"].shape[1],
        "block_out_channels": tuple(widths),
        "layers_per_block": (len(blocks) - levels) // levels,
        "down_block_types": ("CrossAttnDownBlock2D",) * (levels - 1) + ("DownBlock2D",),
        "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (levels - 1),
        "cross_attention_dim": state[f"{PROJECTION}weight"].shape[0],
        "attention_head_dim": HEADS,
    }


def vae_config_of(state: State) -> dict[str, Any]:
    """Configuration of the VAE in diffusers."""
    first = re.compile(rf"{VAE}encoder\.down\.(\d+)\.block\.(\d+)\.conv1\.weight")
    found = {(int(m[1]), int(m[2])): state[name].shape[0] for name in state if (m := first.match(name))}
    levels, layers = (max(key[k] for key in found) + 1 for k in range(2))
    return {
        "block_out_channels": tuple(found[level, 0] for level in range(levels)),
        "layers_per_block": layers,
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "latent_channels": 4,
    }


RENAMED = (
    (r"^class_embedding$", "vision_model.embeddings.class_embedding"),
    (r"^positional_embedding$", "vision_model.embeddings.position_embedding.weight"),
    (r"^conv1\.", "vision_model.embeddings.patch_embedding."),
    (r"^ln_pre\.", "vision_model.pre_layrnorm."),
    (r"^ln_post\.", "vision_model.post_layernorm."),
    (r"^transformer\.resblocks\.", "vision_model.encoder.layers."),
    (r"\.attn\.out_proj\.", ".self_attn.out_proj."),
    (r"\.ln_(\d)\.", r".layer_norm\1."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)
"""Patterns that rename the tensors of OpenAI's CLIP image encoder for transformers."""


def vision(state: State) -> dict[str, torch.Tensor]:
    """Rename the tensors of OpenAI's image encoder for transformers and split its fused query, key and value."""
    out = {}
    for name, value in state.items():
        if name == "proj":
            out["visual_projection.weight"] = value.T.contiguous()
            continue
        for pattern, new in RENAMED:
            name = re.sub(pattern, new, name)
        if ".attn.in_proj_" in name:
            for part, third in zip("qkv", value.chunk(3), strict=True):
                out[name.replace(".attn.in_proj_", f".self_attn.{part}_proj.")] = third
        else:
            out[name] = value
    return out


def _below(state: State, prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
