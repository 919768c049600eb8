"""Executors: where calls run. In this process, in worker processes of this machine, or on a Ray cluster.

All have one method, `run`. What is computed does not depend on the executor.
"""

import os
import pickle
import platform
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from unocclude.errors import UnoccludeError

A = TypeVar("A")
R = TypeVar("R")

ATTEMPTS = 3
"""How often a call is tried if the process or the machine that runs it dies."""


@dataclass(frozen=True)
class Resources:
    """What a call needs. cpus: cores. gpus: GPUs, where there are any. memory: bytes. keeps: what it loads is kept from
    one call to the next, so it should run in processes that stay."""

    cpus: float = 1
    gpus: float = 0
    memory: int = 0
    keeps: bool = False


@dataclass(frozen=True)
class Failure:
    """Why a call failed. error: what it raised. trace: Python's traceback; empty if its process died."""

    error: BaseException
    trace: str = ""

    @property
    def message(self) -> str:
        """The reason in one line."""
        text = " ".join(str(self.error).split())
        return text if isinstance(self.error, UnoccludeError) else f"{type(self.error).__name__}: {text}".rstrip(": ")


@dataclass(frozen=True)
class Outcome(Generic[A, R]):
    """What became of a call. value: what it returned, None if it failed. seconds: how long it took; worker: where."""

    argument: A
    value: R | None
    failure: Failure | None
    seconds: float = 0.0
    worker: str = ""

    def result(self) -> R:
        """The value; raises what the call raised."""
        if self.failure:
            error = self.failure.error
            if isinstance(error, WorkerDied):
                raise UnoccludeError(f"a worker failed: {error}; continue with --resume and fewer --workers")
            if self.failure.trace and error.__traceback__ is None:  # from another process
                raise error from _Remote(self.failure.trace)
            raise error
        return self.value  # type: ignore[return-value]


class _Remote(Exception):
    """Shows the traceback of another process."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class WorkerDied(UnoccludeError):
    """The process that ran a call died each time."""


class Executor(Protocol):
    """Runs calls. count: how many at a time."""

    @property
    def count(self) -> int: ...

    def run(self, call: Callable[[A], R], *queues: Iterable[A]) -> Iterator[Outcome[A, R]]:
        """Call `call` with every argument in `queues`; yield the outcomes as they come, in no fixed order.

        A worker takes arguments from one queue as long as that has any, then from another, so calls that share work
        should be in one queue. Arguments are taken when a worker is free, so queues may be long, and lazy. `call`, the
        arguments and the results must be picklable; attributes that `call` sets on itself may stay for later calls. A
        call whose process dies is tried again, `ATTEMPTS` times in all; what it has written must not matter then.
        """
        ...

    def close(self) -> None:
        """End the workers."""
        ...


def attempt(call: Callable[[A], R], argument: A) -> Outcome[A, R]:
    """Call in this process."""
    started = time.perf_counter()
    value, failure = None, None
    try:
        value = call(argument)
    except Exception as error:
        failure = Failure(_picklable(error), traceback.format_exc())
    return Outcome(argument, value, failure, time.perf_counter() - started, f"{platform.node()}:{os.getpid()}")


def _picklable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return UnoccludeError(f"{type(error).__name__}: {' '.join(str(error).split())}")


class Serial:
    """Runs calls one after the other in this process."""

    count = 1

    def run(self, call: Callable[[A], R], *queues: Iterable[A]) -> Iterator[Outcome[A, R]]:
        for queue in queues:
            for argument in queue:
                yield attempt(call, argument)

    def close(self) -> None:
        pass


class Queues(Generic[A]):
    """The arguments of `Executor.run`: `next` takes one for a worker that took its last one from queue `at`."""

    def __init__(self, queues: Iterable[Iterable[A]]):
        self._queues = [iter(queue) for queue in queues]
        self._again: list[tuple[A, int]] = []

    def next(self, at: int) -> tuple[A, int, int] | None:
        """An argument, its queue, and how often it was tried before; None if there is none left."""
        if self._again:
            argument, tries = self._again.pop()
            return argument, at, tries
        count = len(self._queues)
        for k in (*range(at, count), *range(min(at, count))):
            for argument in self._queues[k]:
                return argument, k, 0
        return None

    def again(self, argument: A, tries: int) -> None:
        """Put an argument back whose worker died."""
        self._again.append((argument, tries))


def open_executor(workers: int) -> Executor:
    """Worker processes of this machine; for one worker this process."""
    if workers <= 1:
        return Serial()
    from unocclude.executor.processes import Processes

    return Processes(workers)


def processes_for(count: int, workers: int | None, alone: bool = False) -> Executor:
    """Worker processes for `count` calls, at least one, so that a crash costs no more than a call.

    workers: how many, if the user says; else one a core, or one if each would load a checkpoint (`alone`). They share
    the cores.
    """
    from unocclude.executor.cores import cores
    from unocclude.executor.processes import Processes

    wanted = workers or (1 if alone else cores())
    used = max(1, min(wanted, count))
    return Processes(used, threads=max(1, (cores() if alone else wanted) // used))


def cluster(
    address: str, needs: Resources, workers: int | None
) -> tuple[Callable[[int], Executor], Callable[[], Executor]]:
    """A Ray cluster for calls that need these resources: opens the executor of a driver, and that of a call which has
    work for others."""
    from unocclude.executor.ray_cluster import RayCluster, connect, open_helpers

    connect(address)
    return (lambda count: RayCluster(needs, workers)), open_helpers


Workers = int | Executor | None
"""Who works: this process, with threads (None); this process on one core (1); several processes; or an executor."""


@contextmanager
def executor_of(workers: Workers) -> Iterator[Executor | None]:
    """The executor for an argument `workers`, None for this process. Processes end with the context."""
    if workers == 1:
        from unocclude.executor.cores import limited_threads

        with limited_threads(1):
            yield None
    elif isinstance(workers, int):
        executor = open_executor(workers)
        try:
            yield executor
        finally:
            executor.close()
    else:
        yield workers


def results(executor: Executor, call: Callable[[A], R], *queues: Iterable[A]) -> Iterator[R]:
    """What calls return, in no fixed order; raises what the first failed one raised. See `Executor.run`.

    The executor is closed at the end.
    """
    try:
        for outcome in executor.run(call, *queues):
            yield outcome.result()
    finally:
        executor.close()
