"""Worker processes of this machine, which end when their parent dies."""

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from unocclude.errors import UnoccludeError
from unocclude.executor import ATTEMPTS, Failure, Outcome, Queues, WorkerDied, attempt
from unocclude.executor.cores import cores, limited_threads
from unocclude.media import files

A = TypeVar("A")
R = TypeVar("R")

_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG in linux/prctl.h


class Processes:
    """`count` worker processes, started when they are needed. They share the cores: each uses `threads` of them.

    They are spawned, because a fork would copy the state of threads, and end with the thread that started them. A
    worker that dies is replaced.
    """

    def __init__(self, count: int, threads: int | None = None):
        self.count = count
        self.threads = threads or max(1, cores() // count)
        self._idle: list[_Worker] = []

    def run(self, call: Callable[[A], R], *queues: Iterable[A]) -> Iterator[Outcome[A, R]]:
        """See `Executor.run`."""
        todo, code = Queues(queues), pickle.dumps(call)
        free = [(self._worker(), k * len(queues) // self.count) for k in range(self.count)]
        busy: dict[Connection, tuple[_Worker, A, int, int]] = {}
        try:
            while True:
                while free and (found := todo.next(free[-1][1])):
                    worker, _ = free.pop()
                    argument, at, tries = found
                    try:
                        worker.ask(code, argument)
                    except OSError:  # it died while it was idle
                        worker.end()
                        todo.again(argument, tries)
                        free.append((self._worker(), at))
                        continue
                    busy[worker.pipe] = worker, argument, at, tries + 1
                if not busy:
                    return
                for pipe in wait(list(busy)):
                    worker, argument, at, tries = busy.pop(pipe)  # type: ignore[call-overload]
                    outcome = worker.answer()
                    if outcome is not None:
                        free.append((worker, at))
                        yield replace(outcome, argument=argument)
                        continue
                    cause = worker.cause()
                    free.append((self._worker(), at))
                    if tries < ATTEMPTS:
                        todo.again(argument, tries)
                    else:
                        yield Outcome(argument, None, Failure(WorkerDied(cause)))
        finally:
            for worker, _ in free:
                self._idle.append(worker)
            for worker, *_ in busy.values():
                worker.end()

    def _worker(self) -> "_Worker":
        return self._idle.pop() if self._idle else _Worker(self.threads)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().end()

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Worker:
    def __init__(self, threads: int):
        self._threads = threads
        self._process: BaseProcess | None = None
        self._code = b""

    @property
    def pipe(self) -> Connection:
        assert self._process is not None
        return self._pipe

    def ask(self, code: bytes, argument: Any) -> None:
        """Start a call; the process is started for the first one. code: the pickled function."""
        given = pickle.dumps(argument)
        if self._process is None:
            self._start()
        if code is not self._code:
            self._pipe.send_bytes(code)
            self._code = code
        self._pipe.send_bytes(b"")
        self._pipe.send_bytes(given)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        with limited_threads(self._threads):
            self._process = context.Process(
                target=_serve, args=(theirs, files.token, os.getpid()), daemon=True, name="unocclude worker"
            )
            self._process.start()
        theirs.close()

    def answer(self) -> Outcome[Any, Any] | None:
        """The outcome of the call; None if the process died."""
        try:
            return self._pipe.recv()
        except (EOFError, OSError):
            return None

    def cause(self) -> str:
        """Why the process died."""
        assert self._process is not None
        self._process.join(5)  # it is just ending
        code = self._process.exitcode
        self.end()
        return _cause(code)

    def end(self) -> None:
        """End the process, even if it is working."""
        if self._process is not None:
            self._pipe.close()
            self._process.terminate()
            self._process.join()


def _cause(code: int | None) -> str:
    if code is None or code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    why = ", perhaps because it ran out of memory" if name == "SIGKILL" else ""
    return f"its process was killed by {name}{why}"


def _serve(pipe: Connection, token: str, parent: int) -> None:
    """Main loop of a worker, until the pipe is closed."""
    init_worker(token, parent)
    call: Callable[[Any], Any] = len
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            if code := pipe.recv_bytes():
                call = load(code)
                pipe.recv_bytes()
            pipe.send_bytes(pickled(attempt(call, pickle.loads(pipe.recv_bytes()))))


def init_worker(token: str, parent: int) -> None:
    """Make this process a worker: it ends with its parent (a process id), uses its `media.files.token`, and leaves
    Ctrl-C to it."""
    _follow_parent(parent)
    files.set_token(token)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def pickled(outcome: Outcome[Any, Any]) -> bytes:
    """An outcome for another process; a failure if it cannot be sent."""
    outcome = replace(outcome, argument=None)  # the parent has it
    try:
        return pickle.dumps(outcome)
    except Exception as error:
        wrong = UnoccludeError(f"{type(error).__name__}: {error}")
        return pickle.dumps(replace(outcome, value=None, failure=Failure(wrong, traceback.format_exc())))


def load(code: bytes) -> Callable[[Any], Any]:
    """A pickled function; if it cannot be read here, a function that says why."""
    try:
        return pickle.loads(code)
    except Exception as error:
        reason = error

        def fail(_: Any) -> None:
            raise reason

        return fail


def _follow_parent(parent: int) -> None:
    """End this process when its parent dies: the kernel sees to it on Linux, a thread elsewhere."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:  # it died before
            os._exit(1)
    process = multiprocessing.parent_process()
    if process is not None:
        threading.Thread(target=_exit_after, args=(process,), daemon=True).start()


def _exit_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
