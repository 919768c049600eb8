"""The frames of a scene: completed in this process, or in ranges by several workers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from unocclude.completion import FrameResult
from unocclude.errors import UnoccludeError
from unocclude.executor import Executor
from unocclude.executor.ranges import ranges_of, run_ranges
from unocclude.methods.base import Method
from unocclude.output import EncodedFrame, encode_frame
from unocclude.scene import Scene

FEW = 50
"""A worker process with fewer frames than this costs more time than it saves: it loads the libraries, and computes
again what neighbouring frames share."""


def complete_here(method: Method, scene: Scene, frames: Sequence[int]) -> Iterator[FrameResult]:
    """The results of a method for these frames, in order.

    What the method raises gets a note on where. Raises UnoccludeError where it leaves out frames.
    """
    for part in ranges_of(frames):
        expected = part.start
        results = method.complete(scene, start=part.start)
        try:
            for result in islice(results, len(part)):
                if result.index != expected:
                    raise UnoccludeError(
                        f"method {method.name} returned frame {result.index} where {expected} was due, which is a bug "
                        "in it"
                    )
                yield result
                expected += 1
            if part.stop == len(scene) and next(results, None) is not None:
                raise UnoccludeError(
                    f"method {method.name} returned more than the {len(scene)} frames there are, which is a bug in it"
                )
        except UnoccludeError:
            raise
        except Exception as error:
            error.add_note(f"in method {method.name}, frame {expected}")
            raise
        finally:
            if close := getattr(results, "close", None):
                close()
        if expected != part.stop:
            raise UnoccludeError(
                f"method {method.name} returned {expected - part.start} of {len(scene) - part.start} frames, which is "
                "a bug in it"
            )


def complete_in(
    executor: Executor, method: Method, scene: Scene, frames: Sequence[int], hypotheses: int
) -> Iterator[EncodedFrame]:
    """The same in the workers of an executor: encoded, in no fixed order."""
    for encoded in run_ranges(executor, _Complete(method, scene, hypotheses), frames):
        yield from encoded


@dataclass
class _Complete:
    method: Method
    scene: Scene
    hypotheses: int

    def __call__(self, frames: range) -> list[EncodedFrame]:
        return [encode_frame(result, self.hypotheses) for result in complete_here(self.method, self.scene, frames)]
