"""Sub-region attention modulation (section 3.3) without an explicit attention matrix, and a cache of the exemplar's
keys and values.

Tokens are ordered as [text, sub-image 1, 2, 3, 4] (`Grid.token_order`), so that every set of them is a slice.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_flux import _get_qkv_projections

Mode = Literal["renormalised", "unnormalised"]
KeyValue = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Modulation:
    """Multiplies the attention of the last `queries` tokens to key n by `factors[n]`, (N,) float32.

    mode: "unnormalised", the softmax weights are multiplied and the others stay unchanged, as the text says, which
    equals multiplying the values; "renormalised", they sum to one afterwards (log(factor) is added to the logits).
    """

    queries: int
    factors: torch.Tensor
    mode: Mode = "unnormalised"


@dataclass
class AttentionGuide:
    """Arguments of one forward pass for all attention blocks.

    text: number of text tokens. kept: keys and values of the exemplar's tokens, per layer. With `keeping` a forward
    pass stores them; without, it uses them as if these tokens stood between the text and its own.
    """

    text: int
    modulation: Modulation | None = None
    kept: dict[str, KeyValue] = field(default_factory=dict)
    keeping: bool = False


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, modulation: Modulation | None, backend: Any = None
) -> torch.Tensor:
    """Modulated attention (B, S, heads, D) of queries (B, S, ...) to keys and values (B, N, ...).

    Queries that are not modulated use the plain kernel; the others share one row of bias.
    """
    if modulation is None or not modulation.queries:
        answer: torch.Tensor = dispatch_attention_fn(query, key, value, backend=backend)
        return answer
    cut = query.shape[1] - modulation.queries
    plain, guided = query[:, :cut], query[:, cut:]
    if modulation.mode == "renormalised":
        bias = modulation.factors.log().to(query).expand(1, 1, modulation.queries, -1)
        # the fused kernels of other backends do not support a bias
        native = AttentionBackendName.NATIVE
        found = dispatch_attention_fn(guided, key, value, attn_mask=bias, backend=native)
    else:
        scaled = value * modulation.factors.to(value)[:, None, None]
        found = dispatch_attention_fn(guided, key, scaled, backend=backend)
    return torch.cat([dispatch_attention_fn(plain, key, value, backend=backend), found], 1) if cut else found


class GridAttention:
    """diffusers' `FluxAttnProcessor` with modulation; identical to it without a `guide`."""

    _attention_backend = None
    _parallel_config = None

    def __init__(self, name: str, modulated: bool):
        self.name, self.modulated = name, modulated

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
        guide: AttentionGuide | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        parts: list[Any] = list(_get_qkv_projections(attn, hidden_states, encoder_hidden_states))
        known = 3 if encoder_hidden_states is None else 6
        query, key, value, *added = (part.unflatten(-1, (-1, attn.head_dim)) for part in parts[:known])
        query, key = attn.norm_q(query), attn.norm_k(key)
        if encoder_hidden_states is not None:
            text = attn.norm_added_q(added[0]), attn.norm_added_k(added[1]), added[2]
            query, key, value = (torch.cat(pair, 1) for pair in zip(text, (query, key, value), strict=True))
        if image_rotary_emb is not None:
            query = apply_rotary_emb(query, image_rotary_emb, sequence_dim=1)
            key = apply_rotary_emb(key, image_rotary_emb, sequence_dim=1)
        modulation = None
        if guide is not None:
            key, value = self._with_kept(guide, key, value)
            modulation = guide.modulation if self.modulated else None
        hidden_states = attend(query, key, value, modulation, self._attention_backend).flatten(2, 3).to(query.dtype)
        if encoder_hidden_states is None:
            return hidden_states
        count = encoder_hidden_states.shape[1]
        image = attn.to_out[1](attn.to_out[0](hidden_states[:, count:].contiguous()))
        return image, attn.to_add_out(hidden_states[:, :count].contiguous())

    def _with_kept(self, guide: AttentionGuide, key: torch.Tensor, value: torch.Tensor) -> KeyValue:
        if guide.keeping:
            guide.kept[self.name] = key[:, guide.text :], value[:, guide.text :]
        elif guide.kept:
            there = guide.kept[self.name]
            key, value = (
                torch.cat([own[:, : guide.text], kept, own[:, guide.text :]], 1)
                for own, kept in zip((key, value), there, strict=True)
            )
        return key, value


def install(transformer: Any, single: bool = False) -> None:
    """Make the blocks of a FluxTransformer2DModel accept `joint_attention_kwargs={"guide": ...}`: the double-stream
    (multimodal) blocks modulate, the single-stream ones only if asked for."""
    transformer.set_attn_processor(
        {
            name: GridAttention(name, modulated=single or not name.startswith("single_"))
            for name in transformer.attn_processors
        }
    )
