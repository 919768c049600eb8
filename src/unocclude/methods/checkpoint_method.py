"""Base class of methods that run on a checkpoint."""

from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from unocclude import weights as checkpoints
from unocclude.errors import InputError
from unocclude.executor import Resources
from unocclude.methods import loadable_methods, read_options
from unocclude.methods.base import Method, MethodOptions
from unocclude.methods.checkpoint_kind import check_method
from unocclude.networks import require_packages

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
            require_packages(cls.name, "torch", "transformers", extra="diffusion")
            cls.checkpoint_folder(weights)
        except InputError as error:
            return f"{error}{cls.advice}"
        return ""

    @classmethod
    def resolve_options(cls, options: MethodOptions, weights: str | None) -> MethodOptions:
        folder = cls.checkpoint_folder(weights)
        recommended = cls.recommended_options(folder)
        if not recommended:
            return options
        try:
            return read_options(cls, recommended | options.model_dump(exclude_unset=True))
        except InputError as error:
            raise InputError(f"{folder / OPTIONS_FILE}: {error}") from error

    @classmethod
    def recommended_options(cls, folder: Path) -> dict[str, Any]:
        """The options that suit a checkpoint, where they differ from the defaults; those of its options.json."""
        file = folder / OPTIONS_FILE
        if not file.is_file():
            return {}
        from unocclude.networks.configuration import read_json

        return read_json(file)

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
        found = checkpoints.resolve_checkpoint(folder)
        check_method(found, cls.name)
        cls.check_folder(found)
        return found

    @classmethod
    def check_folder(cls, folder: Path) -> None:
        """Raise InputError if the folder does not hold a checkpoint that this method runs."""
        checkpoints.get_checkpoint(cls.checkpoint).check(folder)

    @property
    def folder(self) -> Path:
        """Folder of this run's checkpoint."""
        return self.checkpoint_folder(self.settings.weights)


def _with_mini() -> list[str]:
    """Names of the methods that come with a mini."""
    return sorted(name for name, method in loadable_methods().items() if getattr(method, "mini", None) is not None)
