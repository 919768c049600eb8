"""Ranges of frames, as a worker takes them."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from unocclude.executor import Executor

R = TypeVar("R")

RANGE = 8
"""Maximum number of frames that a worker takes at a time."""


def ranges_of(frames: Sequence[int]) -> Iterator[range]:
    """The ranges of consecutive numbers in an increasing sequence."""
    start = 0
    for k in range(1, len(frames) + 1):
        if k == len(frames) or frames[k] != frames[k - 1] + 1:
            yield range(frames[start], frames[k - 1] + 1)
            start = k


def run_ranges(executor: Executor, call: Callable[[range], R], frames: Sequence[int]) -> Iterator[R]:
    """Call `call` with ranges that together are `frames`, an increasing sequence; yield what it returns, as it comes.

    Neighbouring frames share work, so each worker has a part of the clip to itself. Raises what a call raises.
    """
    count = min(executor.count, len(frames))
    parts = [frames[len(frames) * k // count : len(frames) * (k + 1) // count] for k in range(count)]
    for outcome in executor.run(call, *map(short_ranges, parts)):
        yield outcome.result()


def short_ranges(frames: Sequence[int]) -> Iterator[range]:
    """As `ranges_of`, with at most `RANGE` frames in each."""
    return (part[k : k + RANGE] for part in ranges_of(frames) for k in range(0, len(part), RANGE))
