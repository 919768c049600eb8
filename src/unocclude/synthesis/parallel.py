"""A parallel, unordered map over numbers in worker processes, which die with their parent."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from unocclude import workers
from unocclude.errors import UnoccludeError
from unocclude.media import files


def unordered(make: Callable[[int], int], numbers: Sequence[int], processes: int) -> Iterator[int]:
    """Yield make(i) for each number, in order of completion; with one worker, in this process.

    `make` must be picklable; its exceptions are raised here. Raises UnoccludeError if a worker is killed.
    """
    processes = min(processes, len(numbers))
    if processes <= 1:
        yield from map(make, numbers)
        return
    context = multiprocessing.get_context("spawn")  # fork would copy the state of OpenCV's threads
    left = iter(numbers)
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=(files.token,))
    try:
        # submit only a few ahead, so that a million clips are not queued at once
        waiting = {pool.submit(make, i) for i in islice(left, 2 * processes)}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
                waiting |= {pool.submit(make, i) for i in islice(left, 1)}
    except BrokenProcessPool:
        raise UnoccludeError(
            "a worker process was killed, perhaps because it ran out of memory; continue with --resume and fewer "
            "--workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start(token: str) -> None:
    """Initialise a worker: one OpenCV thread, and what all workers do."""
    import cv2

    cv2.setNumThreads(1)
    workers.init_worker(token)
