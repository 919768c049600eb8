"""Conditioning channels beside the noisy latents: readings of equations 2 to 5."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from torch.nn import functional

from unocclude.errors import InputError
from unocclude.methods.checkpoint_kind import Condition

LATENTS = 4
"""Channels of a latent frame."""

Encode = Callable[[torch.Tensor], torch.Tensor]
"""(n, 3, H, W) in [-1, 1] to (n, 4, h, w) latents, scaled."""


class Conditioning(ABC):
    """How the visible object is turned into input channels."""

    channels: int
    seen: tuple[Condition, ...]
    """The clips that the channels show."""
    picture: Literal["objects", "frames"] = "objects"
    """What the network is shown beside the mask: the visible object on white, or the frames."""

    @abstractmethod
    def __call__(self, encode: Encode, pictures: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Conditioning channels (n, channels, h, w).

        pictures, masks: what `picture` says and the visible mask, (n, 3, H, W) in [-1, 1] each. encode: the VAE.
        """


class Visible(Conditioning):
    """Latents of the visible object and its mask in [0, 1] at their size, as in inpainting networks."""

    channels = LATENTS + 1
    seen = ("objects", "visible")

    def __call__(self, encode: Encode, pictures: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        latents = encode(pictures)
        small = functional.interpolate(masks[:, :1], latents.shape[-2:], mode="area") / 2 + 0.5
        return torch.cat([latents, small.to(latents)], 1)


class MaskLatent(Conditioning):
    """Latents of the mask only, which is what the equation says."""

    channels = LATENTS
    seen = ("visible",)

    def __call__(self, encode: Encode, pictures: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        return encode(masks)


class Frames(Conditioning):
    """Latents of the frames and of the mask, which is what equation 5 says: E(v) and E(v_m)."""

    channels = 2 * LATENTS
    seen = ("frames", "visible")
    picture = "frames"

    def __call__(self, encode: Encode, pictures: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        return torch.cat([encode(pictures), encode(masks)], 1)


CONDITIONINGS: dict[str, Conditioning] = {"visible": Visible(), "mask-latent": MaskLatent(), "frames": Frames()}


def conditioning_for_channels(channels: int) -> Conditioning:
    """The conditioning of a U-Net with this number of input channels; raises InputError if there is none."""
    for kind in CONDITIONINGS.values():
        if channels == LATENTS + kind.channels:
            return kind
    known = ", ".join(f"{LATENTS + kind.channels} ({name})" for name, kind in CONDITIONINGS.items())
    raise InputError(f"the network has {channels} input channels; TGVAC's has {known}")
