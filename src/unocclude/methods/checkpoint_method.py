"""A method that runs on a published checkpoint."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from unocclude import weights as checkpoints
from unocclude.errors import InputError
from unocclude.methods import read_options
from unocclude.methods.base import Method, MethodOptions
from unocclude.networks import device_for

SUITED = "options.json"
"""In a checkpoint's folder: the options that suit it, where they are not the defaults. A small network was trained on
small pictures."""


MINI_SHIPS = "; or take --weights mini, a small one that ships, to try it"
"""Advice of methods that have one."""


class DrawnOptions(MethodOptions):
    """Options of methods whose amodal masks are drawn, and may be too large for what is seen around them."""

    draws: int = Field(1, ge=1, le=64, description="an amodal mask is what so many draws agree on")
    within: Literal["anywhere", "completion"] = Field(
        "anywhere", description="completion: nothing is added where the background behind the object is seen"
    )


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
            checkpoints.resolve_checkpoint(weights or cls.checkpoint, cls.checkpoint)
        except InputError as error:
            return f"{error}{cls.advice}"
        return ""

    @classmethod
    def suited(cls, options: MethodOptions, weights: str | None) -> MethodOptions:
        file = checkpoints.resolve_checkpoint(weights or cls.checkpoint, cls.checkpoint) / SUITED
        if not file.is_file():
            return options
        from unocclude.networks.loading import read_json

        try:
            return read_options(cls, read_json(file) | options.model_dump(exclude_unset=True))
        except InputError as error:
            raise InputError(f"{file}: {error}") from error

    @property
    def folder(self) -> Path:
        """Where the checkpoint of this run lies."""
        return checkpoints.resolve_checkpoint(self.setting.weights or self.checkpoint, self.checkpoint)
