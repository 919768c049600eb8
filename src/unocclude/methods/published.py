"""A method that runs on a published checkpoint."""

from pathlib import Path
from typing import ClassVar

from unocclude import weights as checkpoints
from unocclude.errors import InputError
from unocclude.methods.base import Method
from unocclude.networks import device_for


class Published(Method):
    """`checkpoint` is the id of what it needs (see `unocclude.weights`); `advice` is added to what is said where that
    is absent."""

    samples = True
    takes_weights = True
    checkpoint: ClassVar[str]
    advice: ClassVar[str] = ""

    @classmethod
    def missing(cls, weights: str | None = None) -> str:
        try:
            device_for(cls.name, transformers=True, extra="diffusion")
            checkpoints.find(weights or cls.checkpoint, cls.checkpoint)
        except InputError as error:
            return f"{error}{cls.advice}"
        return ""

    @property
    def folder(self) -> Path:
        """Where the checkpoint of this run lies."""
        return checkpoints.find(self.setting.weights or self.checkpoint, self.checkpoint)
