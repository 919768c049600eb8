"""The published order of the conditioning and the repaired one: all that differs between them."""

from abc import ABC, abstractmethod

import torch

from unocclude.errors import InputError


class Order(ABC):
    """How frames become conditioning."""

    @abstractmethod
    def frame(self, image: torch.Tensor) -> torch.Tensor:
        """A frame (3, H, W) in [-1, 1] as the VAE sees it."""

    @abstractmethod
    def rows(self, embeddings: torch.Tensor, guided: bool) -> torch.Tensor:
        """CLIP rows, one for each frame of each half of the batch, (2F, 1, D), or (F, 1, D) without guidance, from the
        frames' embeddings (F, D). The first half is unconditional."""


class Aligned(Order):
    """Each frame attends to its own embedding; the unconditional half to none."""

    def frame(self, image: torch.Tensor) -> torch.Tensor:
        return image

    def rows(self, embeddings: torch.Tensor, guided: bool) -> torch.Tensor:
        rows = torch.cat([torch.zeros_like(embeddings), embeddings]) if guided else embeddings
        return rows[:, None]


class Parity(Order):
    """As the published code does it.

    A frame without any negative value is stretched once more (its image processor takes it for one in [0, 1]). Zeros
    and embeddings alternate frame by frame, while the network takes the first half of the rows for the unconditional
    one: both halves get some of each.
    """

    def frame(self, image: torch.Tensor) -> torch.Tensor:
        return image if image.min() < 0 else 2 * image - 1

    def rows(self, embeddings: torch.Tensor, guided: bool) -> torch.Tensor:
        if not guided:
            return embeddings[:, None]
        pairs = torch.stack([torch.zeros_like(embeddings), embeddings], 1)
        return pairs.flatten(0, 1)[:, None]


ORDERS: dict[str, Order] = {"aligned": Aligned(), "parity": Parity()}


def order(name: str) -> Order:
    """Raises InputError where there is no such order."""
    if name not in ORDERS:
        raise InputError(f"conditioning_order is {name!r}, expected one of {', '.join(ORDERS)}")
    return ORDERS[name]
