"""How this process takes memory from the system."""

import ctypes

_M_ARENA_MAX = -8  # malloc.h


def use_single_heap() -> None:
    """Have all threads allocate from one heap, where the C library is glibc.

    It would give each thread heaps of its own, and what one thread frees there no other can use: the memory of a long
    run would be a multiple of what it holds.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_ARENA_MAX, 1)
