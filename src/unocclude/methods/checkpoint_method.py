"""Base class of methods that run on a checkpoint."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from unocclude import weights as checkpoints
from unocclude.errors import InputError
from unocclude.methods import read_options
from unocclude.methods.base import Method, MethodOptions
from unocclude.networks import device_for

OPTIONS_FILE = "options.json"
"""File in a checkpoint's folder with the options it was trained for, where they differ from the defaults."""


MINI_ADVICE = "; or try it with --weights mini, a small checkpoint that comes with the package"
"""`advice` of methods that have a mini."""


class SampledMaskOptions(MethodOptions):
    """Options of methods that sample amodal masks, which may cover background that is in plain view."""

    draws: int = Field(1, ge=1, le=64, description="samples per amodal mask; their majority or mean decides")
    within: Literal["anywhere", "completion"] = Field(
        "anywhere", description="completion: keep amodal masks within the completion mask"
    )


class CheckpointMethod(Method):
    """A method that needs a checkpoint.

    `checkpoint`: its id (see `unocclude.weights`). `advice`: appended to the error message when it is missing.
    """

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
    def resolve_options(cls, options: MethodOptions, weights: str | None) -> MethodOptions:
        file = checkpoints.resolve_checkpoint(weights or cls.checkpoint, cls.checkpoint) / OPTIONS_FILE
        if not file.is_file():
            return options
        from unocclude.networks.configuration import read_json

        try:
            return read_options(cls, read_json(file) | options.model_dump(exclude_unset=True))
        except InputError as error:
            raise InputError(f"{file}: {error}") from error

    @property
    def folder(self) -> Path:
        """Folder of this run's checkpoint."""
        return checkpoints.resolve_checkpoint(self.settings.weights or self.checkpoint, self.checkpoint)
