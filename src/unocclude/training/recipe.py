"""What the loop trains: a recipe is data, a network and a loss."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

Progress = Callable[[str, int, int], None]
Batch = dict[str, torch.Tensor]


class Options(BaseModel):
    """A recipe's own options; unknown ones are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Recipe(ABC):
    """Everything random comes from `seed` and a batch's number, so that a resumed run goes on as if never stopped."""

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type[Options]] = Options

    def __init__(self, options: Any, seed: int):
        self.options, self.seed = options, seed

    @abstractmethod
    def prepare(self, workers: int, progress: Progress) -> None:
        """Make the data ready. Raises InputError where it cannot be used."""

    @abstractmethod
    def network(self) -> torch.nn.Module:
        """The network, freshly initialised from torch's seed."""

    @abstractmethod
    def batch(self, number: int, size: int) -> Batch:
        """Batch `number` of the training data, (size, ...) tensors on the CPU; called in worker processes."""

    @abstractmethod
    def loss(self, network: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss, a scalar, and figures to log."""

    @abstractmethod
    def evaluate(self, network: torch.nn.Module) -> dict[str, float]:
        """FrameMetrics of the network on held-out data."""

    @abstractmethod
    def picture(self, network: torch.nn.Module) -> np.ndarray:
        """What the network does on a few held-out samples, (H, W, 3) uint8."""

    @abstractmethod
    def export(self, network: torch.nn.Module, folder: Path) -> list[Path]:
        """Write the network into `folder` as it is run later; the files or folders."""
