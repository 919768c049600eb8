"""The interface of a recipe: data, a network and a loss for the training loop."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from unocclude.types import Progress

Batch = dict[str, torch.Tensor]


class RecipeOptions(BaseModel):
    """A recipe's options, the [recipe] table of a configuration; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Recipe(ABC):
    """One kind of training: how to make batches, the network, the loss and the export.

    All randomness in `batch` must come from `seed` and the batch's number, so that a resumed run equals an
    uninterrupted one.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type[RecipeOptions]] = RecipeOptions

    def __init__(self, options: Any, seed: int):
        self.options, self.seed = options, seed

    @abstractmethod
    def prepare(self, workers: int, progress: Progress) -> None:
        """Prepare the data. Raises InputError if it cannot be used."""

    @abstractmethod
    def network(self) -> torch.nn.Module:
        """Create the network, randomly initialised from torch's global seed."""

    @abstractmethod
    def batch(self, number: int, size: int) -> Batch:
        """Training batch `number`: (size, ...) tensors on the CPU. Called in worker processes."""

    @abstractmethod
    def loss(self, network: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss, a scalar, and further values to log."""

    @abstractmethod
    def evaluate(self, network: torch.nn.Module) -> dict[str, float]:
        """Metrics of the network on validation data."""

    @abstractmethod
    def picture(self, network: torch.nn.Module) -> np.ndarray:
        """An image of the network's results on a few validation samples, (H, W, 3) uint8."""

    @abstractmethod
    def export(self, network: torch.nn.Module, folder: Path) -> list[Path]:
        """Write the network into `folder` in the format used for inference; returns the files or folders written."""
