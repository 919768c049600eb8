"""A network of diffusers with more inputs than it was trained with."""

from typing import Any

import torch


def widened(unet: Any, channels: int, zero: bool = True) -> Any:
    """The U-Net with a first layer of `channels` inputs."""
    unet.conv_in = wider(unet.conv_in, channels, zero)
    unet.register_to_config(in_channels=channels)
    return unet


def wider(old: torch.nn.Conv2d, channels: int, zero: bool = True) -> torch.nn.Conv2d:
    """A layer of `channels` inputs: those that it has keep their weights, the others begin at zero (Diffusion-VAS,
    section 3.3), or as drawn."""
    if old.in_channels == channels:
        return old
    form: Any = {"kernel_size": old.kernel_size, "stride": old.stride, "padding": old.padding}
    new = torch.nn.Conv2d(channels, old.out_channels, **form, bias=old.bias is not None)
    with torch.no_grad():
        if zero:
            new.weight.zero_()
        shared = min(channels, old.in_channels)
        new.weight[:, :shared] = old.weight[:, :shared]
        if new.bias is not None and old.bias is not None:
            new.bias.copy_(old.bias)
    return new
