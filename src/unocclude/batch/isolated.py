"""Sequential calls in a child process, so that a crash or the out-of-memory killer affects only one call."""

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from unocclude import workers
from unocclude.errors import UnoccludeError
from unocclude.media import files


@dataclass(frozen=True)
class Failure:
    """Why a call failed. message: one line. trace: Python's traceback; empty if the process died."""

    message: str
    trace: str = ""


def run_isolated(call: Callable[[int], None], numbers: Sequence[int]) -> Iterator[tuple[int, Failure | None]]:
    """Run `call(number)` for each number in a child process; yield the number and its failure, None on success.

    On Linux the child is forked, so this process must not have started any threads yet. Elsewhere it is spawned, and
    `call` must be picklable. A child that dies is replaced by a new one.
    """
    child: _Child | None = None
    try:
        for number in numbers:
            child = child or _Child(call)
            failure, alive = child.ask(number)
            if not alive:
                child = None
            yield number, failure
    finally:
        if child is not None:
            child.end()


class _Child:
    def __init__(self, call: Callable[[int], None]):
        methods = multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context("fork" if methods[0] == "fork" else "spawn")
        self._pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=_serve, args=(call, theirs, files.token))
        self._process.start()
        theirs.close()

    def ask(self, number: int) -> tuple[Failure | None, bool]:
        """The failure of a call, None on success, and whether the child is still alive."""
        try:
            self._pipe.send(number)
            answer: Failure | None = self._pipe.recv()
            return answer, True
        except (EOFError, OSError):
            self._process.join()
            return Failure(_cause(self._process.exitcode or 0)), False

    def end(self) -> None:
        """Terminate the child, even if it is still working."""
        self._pipe.close()
        self._process.terminate()
        self._process.join()


def _serve(call: Callable[[int], None], pipe: Connection, token: str) -> None:
    """Main loop of the child: process numbers until the pipe is closed."""
    workers.init_worker(token)
    while True:
        try:
            number = pipe.recv()
        except EOFError:
            return
        pipe.send(_attempt(call, number))


def _attempt(call: Callable[[int], None], number: int) -> Failure | None:
    try:
        call(number)
    except UnoccludeError as error:
        return Failure(" ".join(str(error).split()), traceback.format_exc())
    except Exception as error:
        return Failure(f"{type(error).__name__}: {' '.join(str(error).split())}", traceback.format_exc())
    return None


def _cause(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    why = ", perhaps because it ran out of memory" if name == "SIGKILL" else ""
    return f"its process was killed by {name}{why}"
