"""A parallel map over frames that yields results in order."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import cv2

T = TypeVar("T")


def parallel_map(function: Callable[[int], T], frames: range, workers: int | None = None) -> Iterator[T]:
    """Yield `function(i)` for each frame, in order, computed by a pool of threads.

    workers: number of threads; by default one per core available to this process, at most 8. Threads run at most
    `workers` frames ahead of the consumer, which bounds memory. OpenCV's own threading is switched off meanwhile: it
    slows down work on images this small.
    """
    workers = workers or min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="frame")
    waiting: deque[Future[T]] = deque()
    try:
        for i in frames:
            waiting.append(pool.submit(function, i))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(threads)
