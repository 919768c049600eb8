"""Memory allocation of this process."""

import ctypes

_M_ARENA_MAX = -8  # malloc.h


def use_single_heap() -> None:
    """Make all threads allocate from one heap (glibc only).

    By default each thread has its own heaps, and memory that one thread frees is not available to the others. A long
    run would then occupy several times the memory that it uses.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_ARENA_MAX, 1)
