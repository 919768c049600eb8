"""What the network is told of the visible object beside the noisy latents: two readings of equation 2."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch.nn import functional

from unocclude.errors import InputError

LATENTS = 4
"""Channels of a latent frame."""

Encode = Callable[[torch.Tensor], torch.Tensor]
"""(n, 3, H, W) in [-1, 1] to (n, 4, h, w) latents, scaled."""


class Conditioning(ABC):
    """How frames become input channels."""

    channels: int

    @abstractmethod
    def __call__(self, encode: Encode, objects: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """(n, channels, h, w) of the visible object on white and its mask, (n, 3, H, W) in [-1, 1] each."""


class Visible(Conditioning):
    """Latents of the visible object and, as in inpainting networks, its mask at their size, in [0, 1]."""

    channels = LATENTS + 1

    def __call__(self, encode: Encode, objects: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        latents = encode(objects)
        small = functional.interpolate(masks[:, :1], latents.shape[-2:], mode="area") / 2 + 0.5
        return torch.cat([latents, small.to(latents)], 1)


class MaskLatent(Conditioning):
    """Latents of the mask alone, as the equation is printed."""

    channels = LATENTS

    def __call__(self, encode: Encode, objects: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        return encode(masks)


KINDS: dict[str, Conditioning] = {"visible": Visible(), "mask-latent": MaskLatent()}


def of_inputs(channels: int) -> Conditioning:
    """The conditioning of a network with so many input channels; raises InputError where there is none."""
    for kind in KINDS.values():
        if channels == LATENTS + kind.channels:
            return kind
    known = ", ".join(f"{LATENTS + kind.channels} ({name})" for name, kind in KINDS.items())
    raise InputError(f"the network has {channels} input channels; TGVAC's has {known}")
