"""Adding input channels to a trained network of diffusers."""

from typing import Any

import torch


def expand_conv_in(unet: Any, channels: int, zero: bool = True) -> Any:
    """Expand the first layer of a U-Net to `channels` input channels, in place; see `expand_conv`."""
    unet.conv_in = expand_conv(unet.conv_in, channels, zero)
    unet.register_to_config(in_channels=channels)
    return unet


def expand_conv(old: torch.nn.Conv2d, channels: int, zero: bool = True) -> torch.nn.Conv2d:
    """A copy of a convolution with `channels` input channels.

    Existing channels keep their weights. New ones are zero (Diffusion-VAS, section 3.3), or random if not `zero`.
    """
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
