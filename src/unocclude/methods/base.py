"""The interface of every method."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from unocclude.completion import FrameResult
from unocclude.scene import Scene


class MethodOptions(BaseModel):
    """A method's own options; the command line's `--set`, the API and `unocclude methods` derive from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Setting:
    """What every method is told about a run, whatever its own options are."""

    seed: int = 0
    hypotheses: int = 1
    device: str = "auto"
    weights: str | None = None


class Method(ABC):
    """Completes the object of a scene, frame by frame.

    A subclass names itself, describes itself in one line, and lists its options as a pydantic class. `samples` says
    whether it can draw several hypotheses, `takes_weights` whether `--weights` means anything to it, `needs` in a few
    words what it runs on, `words` which of its options takes what the object is, in words; `missing` says in one line
    what it lacks on this machine, "" when it can run.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    version: ClassVar[str] = "1"
    Options: ClassVar[type[MethodOptions]] = MethodOptions
    samples: ClassVar[bool] = False
    takes_weights: ClassVar[bool] = False
    needs: ClassVar[str] = "a CPU; no weights"
    words: ClassVar[str] = ""

    def __init__(self, options: MethodOptions, setting: Setting = Setting()):
        self.options = options
        self.setting = setting

    @classmethod
    def missing(cls, weights: str | None = None) -> str:
        """What this method needs and does not find here, in one line; empty when it can run."""
        return ""

    @classmethod
    def suited(cls, options: MethodOptions, weights: str | None) -> MethodOptions:
        """The options, with what suits these weights in place of the defaults. Raises InputError where the weights say
        what is no option."""
        return options

    @abstractmethod
    def complete(self, scene: Scene, start: int = 0) -> Iterator[FrameResult]:
        """Yield the results of frames start..T-1 in order, each as soon as it is ready.

        A resumed run starts in the middle, so a frame's result must not depend on `start`.
        """

    def report(self) -> dict[str, Any]:
        """What a run did, as JSON for `method.report` of result.json: asked for once all its frames are there. Of a
        resumed run, what was done since."""
        return {}
