"""A parallel map over frames that yields results in order."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import cv2

from unocclude.executor.cores import threads

T = TypeVar("T")


def parallel_map(function: Callable[[int], T], frames: range, workers: int | None = None) -> Iterator[T]:
    """Yield `function(i)` for each frame, in order, computed by a pool of threads.

    workers: number of threads, by default `threads()`; with one, frames are computed when they are asked for. Threads
    run at most `workers` frames ahead of the consumer, which bounds memory. OpenCV's own threading is switched off
    meanwhile: it slows down work on images this small.
    """
    workers = workers or threads()
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        if workers == 1:
            yield from map(function, frames)
            return
        with ThreadPoolExecutor(workers, thread_name_prefix="frame") as pool:
            try:
                waiting: deque[Future[T]] = deque()
                for i in frames:
                    waiting.append(pool.submit(function, i))
                    if len(waiting) > workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)
    finally:
        cv2.setNumThreads(before)
