"""RAM++, an image tagger (Huang et al., "Open-Set Image Tagging with Multi-Grained Text Supervision", 2023).

Names, shapes and arithmetic are those of the published `RAM_plus` (xinyu1205/recognize-anything, commit 7cb804a) at
inference: a Swin Transformer encodes the image, the descriptions of each tag are weighted by their similarity to it,
and two layers of cross-attention compare the weighted descriptions with the image.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import gelu, relu

from unocclude.networks.files import read_state
from unocclude.networks.loading import check_names
from unocclude.networks.swin import Swin

SIDE = 384
"""Side in pixels of the square input; the aspect ratio is not kept."""
HEADS = 4
DERIVED = ("relative_position_index", "attn_mask")
"""Buffers in the published file that follow from the configuration; the published loader drops them too."""


class _CrossAttention(nn.Module):
    """Cross-attention from tags to the image, with the module structure of BERT."""

    def __init__(self, hidden: int, seen: int):
        super().__init__()
        self.self = nn.ModuleDict(
            {"query": nn.Linear(hidden, hidden), "key": nn.Linear(seen, hidden), "value": nn.Linear(seen, hidden)}
        )
        self.output = _Added(hidden, hidden)

    def forward(self, x: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        def heads(y: torch.Tensor) -> torch.Tensor:
            return y.unflatten(-1, (HEADS, -1)).transpose(1, 2)

        query, key, value = self.self["query"](x), self.self["key"](image), self.self["value"](image)
        y = nn.functional.scaled_dot_product_attention(heads(query), heads(key), heads(value))
        return self.output(y.transpose(1, 2).flatten(2), x)


class _Added(nn.Module):
    def __init__(self, before: int, hidden: int):
        super().__init__()
        self.dense, self.LayerNorm = nn.Linear(before, hidden), nn.LayerNorm(hidden, eps=1e-12)

    def forward(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return self.LayerNorm(self.dense(y) + x)


class _Layer(nn.Module):
    def __init__(self, hidden: int, feed: int, seen: int):
        super().__init__()
        self.crossattention = _CrossAttention(hidden, seen)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(hidden, feed)})
        self.output = _Added(feed, hidden)

    def forward(self, x: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        x = self.crossattention(x, image)
        return self.output(gelu(self.intermediate["dense"](x)), x)


class _Head(nn.Module):
    def __init__(self, hidden: int, feed: int, seen: int, layers: int):
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(_Layer(hidden, feed, seen) for _ in range(layers))

    def forward(self, x: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        for layer in self.encoder.get_submodule("layer").children():
            x = layer(x, image)
        return x


class RamPlus(nn.Module):
    """Logits (N, tags) of images (N, 3, 384, 384), normalised as ImageNet's.

    swin: arguments of `Swin`, by default Swin-L. tags, descriptions: number of tags, and of descriptions per tag. text:
    dimensions of the joint space of images and texts. hidden, feed, layers: sizes of the cross-attention.
    """

    def __init__(
        self,
        swin: Mapping[str, Any] | None = None,
        tags: int = 4585,
        descriptions: int = 51,
        text: int = 512,
        hidden: int = 768,
        feed: int = 3072,
        layers: int = 2,
    ):
        super().__init__()
        self.visual_encoder = Swin(SIDE, **(swin or {}))
        self.image_proj = nn.Linear(self.visual_encoder.features, text)
        self.label_embed = nn.Parameter(torch.zeros(tags * descriptions, text))
        self.reweight_scale = nn.Parameter(torch.zeros(()))
        self.wordvec_proj = nn.Linear(text, hidden)
        self.tagging_head = _Head(hidden, feed, text, layers)
        self.fc = nn.Linear(hidden, 1)
        self.descriptions = descriptions
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = self.visual_encoder(x)
        image = self.image_proj(torch.cat([places.mean(1, keepdim=True), places], 1))
        whole = image[:, 0] / image[:, 0].norm(dim=-1, keepdim=True)
        described = self.label_embed.unflatten(0, (-1, self.descriptions))
        fit = self.reweight_scale.exp() * whole @ self.label_embed.t()
        weights = fit.unflatten(1, (-1, self.descriptions)).softmax(-1)
        weighted = torch.einsum("ntd,tde->nte", weights, described)
        return self.fc(self.tagging_head(relu(self.wordvec_proj(weighted)), image)).squeeze(-1)


def load(path: str | Path, tags: int) -> RamPlus:
    """Load the network from a published file, {model, ...}, for this number of tags; sizes are inferred from the file.

    Raises InputError if a name is missing or a shape does not match. Other tensors are ignored, as in the published
    loader.
    """
    state = {name.replace("vision_multi", "tagging_head"): value for name, value in read_state(path, "model").items()}
    sizes = sizes_of(state, tags)
    with torch.device("meta"):  # avoids allocating gigabytes twice
        network = RamPlus(**sizes)
    expected = {name: value.shape for name, value in network.state_dict().items()}
    state = {name: value.float() for name, value in state.items() if name in expected}
    check_names(path, state, expected)
    network.load_state_dict(state, assign=True)
    return network.requires_grad_(False)


def sizes_of(state: Mapping[str, torch.Tensor], tags: int) -> dict[str, Any]:
    """Infer the arguments of `RamPlus` from the shapes of a state; omitted where they cannot be inferred."""

    def shape(name: str) -> torch.Size | None:
        return state[name].shape if name in state and state[name].ndim == 2 else None

    def count(pattern: str) -> int:
        return 1 + max((int(m[1]) for name in state if (m := re.match(pattern, name))), default=-1)

    sizes: dict[str, Any] = {"tags": tags}
    if (words := shape("wordvec_proj.weight")) and (feed := shape("tagging_head.encoder.layer.0.output.dense.weight")):
        sizes |= {"hidden": words[0], "text": words[1], "feed": feed[1]}
        sizes["layers"] = count(r"tagging_head\.encoder\.layer\.(\d+)\.")
    if label := shape("label_embed"):
        sizes["descriptions"] = label[0] // tags
    stages = range(count(r"visual_encoder\.layers\.(\d+)\."))
    tables = [shape(f"visual_encoder.layers.{k}.blocks.0.attn.relative_position_bias_table") for k in stages]
    if (merged := shape("visual_encoder.layers.0.downsample.reduction.weight")) and all(tables):
        sizes["swin"] = {
            "width": merged[0] // 2,
            "depths": tuple(count(rf"visual_encoder\.layers\.{k}\.blocks\.(\d+)\.") for k in stages),
            "heads": tuple(table[1] for table in tables if table),
            "window": (round(tables[0][0] ** 0.5) + 1) // 2 if tables[0] else 0,
        }
    return sizes
