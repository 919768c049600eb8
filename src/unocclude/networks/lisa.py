"""LISA: reasoning segmentation with a multimodal language model (Lai et al., CVPR 2024).

Llama and CLIP's vision tower, joined by a linear layer (LLaVA-1), answer a question about an image. The hidden state of
the token [SEG] in the answer, projected, is the prompt of SAM's mask decoder. All components are classes of
transformers. Names are those of checkpoints written by merge_lora_weights_and_save_hf_model.py (dvlab-research/LISA,
commit 3cb2d43), which hold everything but the vision tower, in folders of shards.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import CLIPVisionModel, LlamaConfig, LlamaForCausalLM, SamConfig, SamModel

from unocclude.errors import InputError
from unocclude.networks.configuration import read_json
from unocclude.networks.files import read_weights
from unocclude.networks.loading import checked_loading, load_pretrained

TOWER = "vision_tower"
"""Sub-folder of CLIP ViT-L/14."""
SAM, EYE, SEG = "model.visual_model.", "model.mm_projector.", "model.text_hidden_fcs.0."
LLAMA = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"),
    *("max_position_embeddings", "rms_norm_eps", "rope_theta"),
)
"""Entries of config.json for the language model; the others are LLaVA's."""


class Lisa(nn.Module):
    """All components. layer: hidden layer of the vision tower whose patch features are the language model's input."""

    def __init__(self, llama: Any, tower: Any, sam: Any, eye: nn.Linear, seg: nn.Sequential, layer: int):
        super().__init__()
        self.llama, self.tower, self.sam, self.eye, self.seg, self.layer = llama, tower, sam, eye, seg, layer
        self.eval().requires_grad_(False)

    def say(
        self, image: torch.Tensor, before: Sequence[int], after: Sequence[int], seg: int, end: int, longest: int
    ) -> tuple[list[int], torch.Tensor | None]:
        """Generate an answer by greedy decoding: its tokens, and SAM's prompt (channels,) of the first [SEG], if any.

        image: (1, 3, side, side), normalised for the vision tower. before, after: tokens of the prompt before and after
        the image. seg, end: token ids of [SEG] and of the end of the answer. longest: maximum number of tokens.
        """
        words = self.llama.get_input_embeddings()
        seen = self.tower(image, output_hidden_states=True).hidden_states[self.layer][:, 1:]
        shown = [words(torch.tensor([tokens], device=image.device)) for tokens in (before, after)]
        step, cache = torch.cat([shown[0], self.eye(seen).to(shown[0]), shown[1]], 1), None
        said: list[int] = []
        prompt = None
        while len(said) < longest and end not in said[-1:]:
            out = self.llama.model(inputs_embeds=step, past_key_values=cache, use_cache=True)
            state, cache = out.last_hidden_state[0, -1], out.past_key_values
            said.append(int(self.llama.lm_head(state).argmax()))
            if said[-1] == seg and prompt is None:
                prompt = self.seg(state)
            step = words(torch.tensor([said[-1:]], device=image.device))
        return said, prompt

    def point(self, picture: torch.Tensor, prompt: torch.Tensor) -> torch.Tensor:
        """Logits (1, 1, side / 4, side / 4) of the mask for a prompt from `say`; positive on the object.

        picture: (1, 3, side, side), normalised for SAM and padded at the right and bottom.
        """
        sam = self.sam
        features = sam.get_image_embeddings(picture)
        dense = sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand_as(features)
        places = sam.get_image_wide_positional_embeddings().to(features)
        masks, _ = sam.mask_decoder(features, places, prompt[None, None, None], dense, multimask_output=False)
        return masks[:, 0]


def load(folder: Path, dtype: torch.dtype) -> Lisa:
    """Load LISA from a folder in the published format, with CLIP's vision tower in a sub-folder.

    Raises InputError if a name is missing or a shape does not match; additional tensors are ignored.
    """
    config = read_json(folder / "config.json")
    stem = "model" if any(folder.glob("model*.safetensors*")) else "pytorch_model"
    state = read_weights(folder, stem)
    parts = {part: _under(state, part) for part in (SAM, EYE, SEG)}
    state = {name: value for name, value in state.items() if not name.startswith((SAM, EYE, SEG, f"model.{TOWER}."))}
    tower = load_pretrained(CLIPVisionModel, folder / TOWER, "CLIP vision tower", dtype=dtype)
    with checked_loading(folder, "LISA"):
        sizes = {name: config[name] for name in LLAMA if name in config}
        words = len(state["model.embed_tokens.weight"])
        llama = _made(LlamaForCausalLM, LlamaConfig(**sizes, vocab_size=words), state, folder, dtype)
        renamed = {sam_name(name): value for name, value in parts[SAM].items()}
        renamed["shared_image_embedding.positional_embedding"] = renamed[
            "prompt_encoder.shared_embedding.positional_embedding"
        ]
        sam = _made(SamModel, sam_config(parts[SAM]), renamed, folder, dtype)
        eye = _linear(parts[EYE], "")
        seg = nn.Sequential(_linear(parts[SEG], "0."), nn.ReLU(), _linear(parts[SEG], "2."))
    fits = (
        eye.in_features == tower.config.hidden_size
        and eye.out_features == seg[0].in_features == llama.config.hidden_size
        and seg[0].out_features == seg[2].in_features
        and seg[2].out_features == sam.config.mask_decoder_config.hidden_size
    )
    if not fits:
        raise InputError(f"{folder} does not hold a LISA: its parts do not fit together")
    return Lisa(llama, tower, sam, eye.to(dtype), seg.to(dtype), config.get("mm_vision_select_layer", -2))


def _under(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _made(kind: Any, config: Any, state: dict[str, torch.Tensor], folder: Path, dtype: torch.dtype) -> Any:
    """A model of transformers with the given weights; raises InputError if one is missing."""
    model, info = kind.from_pretrained(None, config=config, state_dict=state, dtype=dtype, output_loading_info=True)
    if info["missing_keys"]:
        raise InputError(f"{folder} does not hold a LISA: it lacks {min(info['missing_keys'])}")
    return model


def _linear(state: Mapping[str, torch.Tensor], prefix: str) -> nn.Linear:
    weight, bias = state[f"{prefix}weight"], state[f"{prefix}bias"]
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.load_state_dict({"weight": weight, "bias": bias})
    return linear


_RENAMED = (
    (r"^image_encoder\.", "vision_encoder."),
    (r"\.patch_embed\.proj\.", ".patch_embed.projection."),
    (r"\.blocks\.", ".layers."),
    (r"\.norm", ".layer_norm"),
    (r"\.neck\.0\.", ".neck.conv1."),
    (r"\.neck\.1\.", ".neck.layer_norm1."),
    (r"\.neck\.2\.", ".neck.conv2."),
    (r"\.neck\.3\.", ".neck.layer_norm2."),
    (r"\.pe_layer\.positional_encoding_gaussian_matrix$", ".shared_embedding.positional_embedding"),
    (r"\.point_embeddings\.", ".point_embed."),
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (r"(iou_prediction_head|output_hypernetworks_mlps\.\d+)\.layers\.0\.", r"\1.proj_in."),
    (r"(iou_prediction_head|output_hypernetworks_mlps\.\d+)\.layers\.1\.", r"\1.layers.0."),
    (r"(iou_prediction_head|output_hypernetworks_mlps\.\d+)\.layers\.2\.", r"\1.proj_out."),
)


def sam_name(name: str) -> str:
    """Convert a parameter name of segment-anything to that of SamModel in transformers."""
    for pattern, new in _RENAMED:
        name = re.sub(pattern, new, name)
    return name


def sam_config(state: Mapping[str, torch.Tensor]) -> SamConfig:
    """Infer the configuration of a SAM from its tensors, named as in segment-anything; raises KeyError if one is
    missing."""

    def count(prefix: str) -> int:
        return 1 + max((int(name[len(prefix) :].split(".")[0]) for name in state if name.startswith(prefix)), default=0)

    side, width = state["image_encoder.pos_embed"].shape[1], state["image_encoder.pos_embed"].shape[-1]
    patch = state["image_encoder.patch_embed.proj.weight"].shape[-1]
    offsets = [
        state[f"image_encoder.blocks.{k}.attn.rel_pos_h"].shape for k in range(count("image_encoder.blocks."))
    ]  # relative positions (rows) by head width
    whole = 2 * side - 1
    feature = state["prompt_encoder.no_mask_embed.weight"].shape[1]
    return SamConfig(
        vision_config={
            "hidden_size": width,
            "num_hidden_layers": len(offsets),
            "num_attention_heads": width // offsets[0][1],
            "mlp_dim": len(state["image_encoder.blocks.0.mlp.lin1.weight"]),
            "image_size": side * patch,
            "patch_size": patch,
            "window_size": next(((rows + 1) // 2 for rows, _ in offsets if rows != whole), 0),
            "global_attn_indexes": [k for k, (rows, _) in enumerate(offsets) if rows == whole],
            "output_channels": len(state["image_encoder.neck.0.weight"]),
            "num_pos_feats": state["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"].shape[1],
        },
        prompt_encoder_config={
            "hidden_size": feature,
            "image_size": side * patch,
            "patch_size": patch,
            "mask_input_channels": len(state["prompt_encoder.mask_downscaling.3.weight"]),
        },
        mask_decoder_config={
            "hidden_size": feature,
            "mlp_dim": len(state["mask_decoder.transformer.layers.0.mlp.lin1.weight"]),
            "num_hidden_layers": count("mask_decoder.transformer.layers."),
            "iou_head_hidden_dim": len(state["mask_decoder.iou_prediction_head.layers.0.weight"]),
            "num_multimask_outputs": len(state["mask_decoder.mask_tokens.weight"]) - 1,
            "layer_norm_eps": 1e-5,  # segment-anything's; transformers has another default
        },
    )
