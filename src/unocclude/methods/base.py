"""The interface of every method."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from unocclude.completion import FrameResult
from unocclude.executor import Resources
from unocclude.scene import Scene


class MethodOptions(BaseModel):
    """A method's own options; the command line's `--set`, the API and `unocclude methods` derive from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run that are common to all methods: `--seed`, `--hypotheses`, `--device` and `--weights`."""

    seed: int = 0
    hypotheses: int = 1
    device: str = "auto"
    weights: str | None = None


DEFAULT_SETTINGS = RunSettings()


class Method(ABC):
    """Completes the object of a scene, frame by frame.

    A subclass must set `name` and implement `complete`. Optional: `summary`, one line for `unocclude methods`;
    `Options`, a pydantic class; `samples`, whether it can draw several hypotheses; `takes_weights`, whether it uses
    `--weights`; `independent`, whether ranges of frames can be completed in different processes, because no frame needs
    the result of another (the method must be picklable then); `resources`, what a run needs on a cluster; `needs`, its
    requirements in a few words; `text_option`, the name of the option that takes a description of the object, which is
    filled in from `--text`, a row of `batch` or a clip's caption in `bench`.
    """

    name: ClassVar[str]
    summary: ClassVar[str] = ""
    version: ClassVar[str] = "1"
    Options: ClassVar[type[MethodOptions]] = MethodOptions
    samples: ClassVar[bool] = False
    takes_weights: ClassVar[bool] = False
    independent: ClassVar[bool] = False
    resources: ClassVar[Resources] = Resources(memory=1 << 30)
    needs: ClassVar[str] = "a CPU; no weights"
    text_option: ClassVar[str] = ""

    def __init__(self, options: MethodOptions, settings: RunSettings = DEFAULT_SETTINGS):
        self.options = options
        self.settings = settings

    @property
    def can_sample(self) -> bool:
        """Whether several hypotheses can be drawn with these options and this checkpoint."""
        return type(self).samples

    @classmethod
    def missing(cls, weights: str | None = None) -> str:
        """One line saying what this method lacks on this machine; empty if it can run."""
        return ""

    @classmethod
    def resolve_options(cls, options: MethodOptions, weights: str | None) -> MethodOptions:
        """The options, with the defaults replaced by those that the checkpoint recommends.

        Raises InputError if the checkpoint names an option that the method does not have.
        """
        return options

    def check(self) -> None:  # noqa: B027 (optional)
        """Raise InputError if options, settings and checkpoint do not fit each other; called before anything runs."""

    @abstractmethod
    def complete(self, scene: Scene, start: int = 0) -> Iterator[FrameResult]:
        """Yield the results of frames start..T-1 in order, each as soon as it is ready.

        A resumed run starts at its first unfinished frame, so a frame's result must not depend on `start`.
        """

    def report(self) -> dict[str, Any]:
        """A JSON-compatible record of the run, stored as `method.report` in result.json.

        It is read after the last frame; for a resumed run it covers only the frames since the resume.
        """
        return {}
