"""What the networks that we draw anew have otherwise than the published ones, being small."""

from typing import Any

import torch

FEW = 4
"""Groups of a small network. With 32, groups of one or two channels are left, a norm takes their mean out, and with it
absolute brightness and colour: a VAE of 32 channels learns grey."""
KEY = "norm_num_groups"
"""What other classes of diffusers call it in their configuration."""


def grouped(network: Any, groups: int = FEW) -> Any:
    """The network with `groups` groups in all its norms; its configuration says so, which diffusers' video classes,
    made for 32, do not do themselves."""
    for module in network.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.num_groups = groups
    network.register_to_config(**{KEY: groups})
    return network


def as_configured(network: Any) -> Any:
    """A network just built from a configuration that `grouped` may have written."""
    return grouped(network, network.config[KEY]) if KEY in network.config else network


SIDE = 16
"""Attention is worth its time on pictures of at most so many rows."""


def attending(height: int, levels: int) -> list[bool]:
    """For every level of a U-Net whether it attends, the highest first; the last does not, as in the published ones.
    height: rows of the latents."""
    return [height >> level <= SIDE for level in range(levels - 1)] + [False]
