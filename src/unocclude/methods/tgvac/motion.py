"""Motion modelling (section 3.3): the frame network inflated with temporal transformers."""

from typing import Any, TypeAlias

import torch
from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel
from diffusers.models.attention import BasicTransformerBlock
from torch.nn import functional

from unocclude.networks.loading import quiet

LENGTH = 14
"""Frames per training clip (section 4.1)."""
MODULES = "motion_modules"

Network: TypeAlias = UNet2DConditionModel | UNetMotionModel
"""The network for frames (phase 1) or for clips (phase 2)."""


class RelativeAttention(torch.nn.Module):
    """Temporal attention with a learned relative position bias per head and frame distance, initialised with zeros.

    Distances range from -(length - 1) to length - 1 (Shaw et al. 2018, in the form of T5). A processor for diffusers'
    Attention, for up to `length` frames.
    """

    def __init__(self, heads: int, length: int):
        super().__init__()
        self.length = length
        self.bias = torch.nn.Parameter(torch.zeros(heads, 2 * length - 1))

    def forward(self, attn: Any, hidden_states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """(N, T, C) → (N, T, C)."""
        query, key, value = (
            part(hidden_states).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for part in (attn.to_q, attn.to_k, attn.to_v)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=self.of(query.shape[2])[None])
        answer: torch.Tensor = attn.to_out[0](mixed.transpose(1, 2).flatten(2))
        return answer

    def of(self, frames: int) -> torch.Tensor:
        """The bias (heads, T, T) of frame i attending to frame j."""
        frame = torch.arange(frames, device=self.bias.device)
        return self.bias[:, frame[None] - frame[:, None] + self.length - 1]


def inflate(frame: UNet2DConditionModel, length: int = LENGTH, heads: int = 8) -> UNetMotionModel:
    """Inflate the frame network to clips: copy its layers and add motion modules.

    The output equals the frame network's until the motion modules are trained, because their last layers are zero.
    """
    return inflate_with_config(
        frame,
        {
            "block_out_channels": list(frame.config.block_out_channels),
            "motion_layers_per_block": frame.config.layers_per_block,
            "motion_num_attention_heads": heads,
            "motion_norm_num_groups": frame.config.norm_num_groups,
            "motion_max_seq_length": length,
        },
    )


def inflate_with_config(frame: UNet2DConditionModel, config: dict[str, Any]) -> UNetMotionModel:
    """`inflate` with the configuration of a `MotionAdapter`, as stored in a checkpoint."""
    with quiet():  # diffusers warns about precisions that are not used here
        network = UNetMotionModel.from_unet2d(frame, MotionAdapter(**config))
    for name, module in network.named_modules():
        if isinstance(module, BasicTransformerBlock) and MODULES in name:
            module.pos_embed = None  # sinusoidal; replaced by the relative bias
            for attention in (module.attn1, module.attn2):
                relative = RelativeAttention(attention.heads, config["motion_max_seq_length"])
                attention.set_processor(relative.to(frame.dtype))
        elif name.rpartition(".")[0].endswith(MODULES):
            torch.nn.init.zeros_(module.proj_out.weight)
            torch.nn.init.zeros_(module.proj_out.bias)
    return network


def motion_config(network: UNetMotionModel) -> dict[str, Any]:
    """The configuration from which `inflate_with_config` rebuilds the network."""
    return {
        "block_out_channels": list(network.config.block_out_channels),
        "motion_layers_per_block": network.config.layers_per_block,
        "motion_num_attention_heads": network.config.motion_num_attention_heads,
        "motion_norm_num_groups": network.config.norm_num_groups,
        "motion_max_seq_length": network.config.motion_max_seq_length,
    }


def motion_state(network: UNetMotionModel) -> dict[str, torch.Tensor]:
    """Tensors of the motion modules, by name."""
    return {name: value for name, value in network.state_dict().items() if MODULES in name}


def run(network: Network, inputs: torch.Tensor, time: torch.Tensor, text_embeddings: torch.Tensor) -> torch.Tensor:
    """Noise (N, F, 4, h, w) predicted by either network for inputs (N, F, C, h, w).

    time: a scalar, (N,) per clip or, for the frame network only, (N F,) per frame. text_embeddings: text embeddings (N,
    L, D).
    """
    frames = inputs.shape[1]
    text_embeddings = text_embeddings.repeat_interleave(frames, 0)
    if isinstance(getattr(network, "module", network), UNetMotionModel):  # accelerate may wrap it
        answer = network(inputs.transpose(1, 2), time, text_embeddings).sample.transpose(1, 2)
    else:
        if time.ndim and len(time) == len(inputs):
            time = time.repeat_interleave(frames, 0)
        answer = network(inputs.flatten(0, 1), time, text_embeddings).sample.unflatten(0, inputs.shape[:2])
    whole: torch.Tensor = answer
    return whole
