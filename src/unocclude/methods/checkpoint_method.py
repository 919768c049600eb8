"""Base class of methods that run on a checkpoint."""

from importlib import resources
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from unocclude import weights as checkpoints
from unocclude.errors import InputError
from unocclude.executor import Resources
from unocclude.methods import loadable_methods, read_options
from unocclude.methods.base import Method, MethodOptions
from unocclude.networks import device_for

OPTIONS_FILE = "options.json"
"""File in a checkpoint's folder with the options it was trained for, where they differ from the defaults."""


MINI = "mini"
"""What `--weights` calls the small checkpoint that comes with a method."""
MINI_ADVICE = "; or try it with --weights mini, a small checkpoint that comes with the package"
"""`advice` of methods that have a mini."""


def packaged_folder(package: str, name: str = MINI) -> Path:
    """A folder of files inside an installed package, such as `packaged_folder(__package__)` for its mini."""
    return Path(str(resources.files(package).joinpath(name)))


class SampledMaskOptions(MethodOptions):
    """Options of methods that sample amodal masks, which may cover background that is in plain view."""

    draws: int = Field(1, ge=1, le=64, description="samples per amodal mask; their majority or mean decides")
    within: Literal["anywhere", "completion"] = Field(
        "anywhere", description="completion: keep amodal masks within the completion mask"
    )


class CheckpointMethod(Method):
    """A method that needs a checkpoint.

    `checkpoint`: its id (see `unocclude.weights`). `advice`: appended to the error message when it is missing. `mini`:
    the folder of the small checkpoint that comes with the method, where there is one (`packaged_folder`).
    """

    samples = True
    takes_weights = True
    resources = Resources(gpus=1, memory=8 << 30, keeps=True)
    checkpoint: ClassVar[str]
    advice: ClassVar[str] = ""
    mini: ClassVar[Path | None] = None

    @classmethod
    def missing(cls, weights: str | None = None) -> str:
        try:
            device_for(cls.name, transformers=True, extra="diffusion")
            cls.checkpoint_folder(weights)
        except InputError as error:
            return f"{error}{cls.advice}"
        return ""

    @classmethod
    def resolve_options(cls, options: MethodOptions, weights: str | None) -> MethodOptions:
        file = cls.checkpoint_folder(weights) / OPTIONS_FILE
        if not file.is_file():
            return options
        from unocclude.networks.configuration import read_json

        recommended = read_json(file)
        try:
            return read_options(cls, recommended | options.model_dump(exclude_unset=True))
        except InputError as error:
            raise InputError(f"{file}: {error}") from error

    @classmethod
    def checkpoint_folder(cls, weights: str | None = None) -> Path:
        """The folder of the checkpoint that `--weights` names: an id, `mini`, or a folder; None is the method's own.

        Raises InputError, one line that says what is missing and where to put it.
        """
        folder: str | Path = weights or cls.checkpoint
        if weights == MINI and not Path(MINI).is_dir():  # a folder of the user's own comes first
            if cls.mini is None:
                raise InputError(
                    f"weights mini: none ships for {cls.name} (there are: {', '.join(_with_mini()) or 'none'}); "
                    "`unocclude train` makes one, docs/training.md says how"
                )
            folder = cls.mini
        return checkpoints.resolve_checkpoint(folder, cls.checkpoint)

    @property
    def folder(self) -> Path:
        """Folder of this run's checkpoint."""
        return self.checkpoint_folder(self.settings.weights)


def _with_mini() -> list[str]:
    """Names of the methods that come with a mini."""
    return sorted(name for name, method in loadable_methods().items() if getattr(method, "mini", None) is not None)
