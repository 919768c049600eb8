"""Group normalisation and attention levels of small networks."""

from typing import Any

import torch

SMALL_GROUPS = 4
"""Number of groups in small networks. With 32 groups of one or two channels, normalisation removes absolute brightness
and colour: a VAE with 32 channels then learns grey images."""
CONFIG_KEY = "norm_num_groups"
"""Name of the number of groups in configurations of diffusers."""


def set_num_groups(network: Any, groups: int = SMALL_GROUPS) -> Any:
    """Set the number of groups of all GroupNorm layers, in place, and store it in the configuration.

    The video classes of diffusers always use 32 groups and have no such option.
    """
    for module in network.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.num_groups = groups
    network.register_to_config(**{CONFIG_KEY: groups})
    return network


def apply_config_groups(network: Any) -> Any:
    """Apply the number of groups in a network's configuration, if `set_num_groups` stored one there."""
    return set_num_groups(network, network.config[CONFIG_KEY]) if CONFIG_KEY in network.config else network


MAX_ATTENTION_ROWS = 16
"""Levels with more rows than this have no attention; it would be too slow."""


def attention_levels(height: int, levels: int) -> list[bool]:
    """Which levels of a small U-Net have attention, from the highest resolution down; the last never has, as published.

    height: rows of the latents.
    """
    return [height >> level <= MAX_ATTENTION_ROWS for level in range(levels - 1)] + [False]
