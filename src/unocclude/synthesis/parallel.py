"""The same function on many numbers in worker processes, which die with their parent."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from unocclude import workers
from unocclude.errors import UnoccludeError
from unocclude.media import files


def unordered(make: Callable[[int], int], numbers: Sequence[int], processes: int) -> Iterator[int]:
    """Yield make(i) for every number as it is done; with one worker in this process.

    `make` must be picklable. Raises what it raises, and UnoccludeError where a worker is killed.
    """
    processes = min(processes, len(numbers))
    if processes <= 1:
        yield from map(make, numbers)
        return
    context = multiprocessing.get_context("spawn")  # fork would copy OpenCV's threads in whatever state they are
    left = iter(numbers)
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=(files.token,))
    try:
        # a few ahead, so that a million clips are not queued at once
        waiting = {pool.submit(make, i) for i in islice(left, 2 * processes)}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
                waiting |= {pool.submit(make, i) for i in islice(left, 1)}
    except BrokenProcessPool:
        raise UnoccludeError(
            "a worker process was killed, perhaps for want of memory; go on with --resume and fewer --workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start(token: str) -> None:
    """In a worker: one OpenCV thread, and what all workers do."""
    import cv2

    cv2.setNumThreads(1)
    workers.begin(token)
