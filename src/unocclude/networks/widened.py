"""A network of diffusers with more inputs than it was trained with."""

from typing import Any

import torch


def widened(unet: Any, channels: int, zero: bool = True) -> Any:
    """The network with a first layer of `channels` inputs: those that it has keep their weights, the others begin at
    zero (Diffusion-VAS, section 3.3), or as drawn."""
    old = unet.conv_in
    if old.in_channels == channels:
        return unet
    new = torch.nn.Conv2d(channels, old.out_channels, 3, padding=1)
    assert new.bias is not None and old.bias is not None
    with torch.no_grad():
        if zero:
            new.weight.zero_()
        shared = min(channels, old.in_channels)
        new.weight[:, :shared] = old.weight[:, :shared]
        new.bias.copy_(old.bias)
    unet.conv_in = new
    unet.register_to_config(in_channels=channels)
    return unet
