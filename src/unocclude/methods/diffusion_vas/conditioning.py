"""The published and the repaired order of the conditioning; everything that differs between them is here."""

from abc import ABC, abstractmethod

import torch

from unocclude.errors import InputError


class ConditioningOrder(ABC):
    """How frames are turned into conditioning."""

    @abstractmethod
    def frame(self, image: torch.Tensor) -> torch.Tensor:
        """A frame (3, H, W) in [-1, 1] as input of the VAE."""

    @abstractmethod
    def rows(self, embeddings: torch.Tensor, guided: bool) -> torch.Tensor:
        """CLIP embeddings for the U-Net from those of the frames (F, D).

        With guidance (2F, 1, D), unconditional half first; without (F, 1, D).
        """


class Aligned(ConditioningOrder):
    """Repaired: each frame attends to its own embedding, the unconditional half to zeros."""

    def frame(self, image: torch.Tensor) -> torch.Tensor:
        return image

    def rows(self, embeddings: torch.Tensor, guided: bool) -> torch.Tensor:
        rows = torch.cat([torch.zeros_like(embeddings), embeddings]) if guided else embeddings
        return rows[:, None]


class Parity(ConditioningOrder):
    """As in the published code.

    A frame without negative values is rescaled once more, because its image processor assumes a range of [0, 1]. Zeros
    and embeddings alternate frame by frame, but the network takes the first half of the rows as unconditional, so both
    halves get a mixture of the two.
    """

    def frame(self, image: torch.Tensor) -> torch.Tensor:
        return image if image.min() < 0 else 2 * image - 1

    def rows(self, embeddings: torch.Tensor, guided: bool) -> torch.Tensor:
        if not guided:
            return embeddings[:, None]
        pairs = torch.stack([torch.zeros_like(embeddings), embeddings], 1)
        return pairs.flatten(0, 1)[:, None]


ORDERS: dict[str, ConditioningOrder] = {"aligned": Aligned(), "parity": Parity()}


def get_conditioning_order(name: str) -> ConditioningOrder:
    """The order of this name; raises InputError if there is none."""
    if name not in ORDERS:
        raise InputError(f"conditioning_order is {name!r}, expected one of {', '.join(ORDERS)}")
    return ORDERS[name]


def token_rows(embeddings: torch.Tensor, tokens: str) -> torch.Tensor:
    """CLIP embeddings (N, F, D) as each frame attends to them in training, without guidance.

    tokens: "own", the frame's own, (N F, 1, D); "all", those of all frames, (N F, F, D), as in the published training.
    """
    count, frames = embeddings.shape[:2]
    if tokens == "all":
        return embeddings[:, None].expand(count, frames, frames, -1).flatten(0, 1)
    return embeddings.flatten(0, 1)[:, None]
