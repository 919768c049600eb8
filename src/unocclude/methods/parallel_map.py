"""Frames worked out in parallel and given back in order."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import cv2

T = TypeVar("T")


def ahead(function: Callable[[int], T], frames: range, workers: int | None = None) -> Iterator[T]:
    """`function` of every frame, in order, worked out by `workers` threads (default: one for every core that this
    process may use) at most one frame a thread ahead of who takes the results.

    OpenCV's own threads are off meanwhile: on pictures this small they cost more than they give.
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
