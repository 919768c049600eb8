"""One process for the heavy work, so that the page stays quick, and cancelling is ending it."""

import multiprocessing
import os
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from unocclude.app.tasks import Task
from unocclude.errors import UnoccludeError
from unocclude.executor.processes import init_worker
from unocclude.media import files

ENDED = "the process that did the work ended unexpectedly, perhaps because memory ran out; start it again"


class Failed(Exception):
    """The task failed; the message is for the user."""


class Worker:
    """A process that runs one task after the other. It is spawned on first use and ends when this process dies."""

    def __init__(self) -> None:
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def run(self, task: Task, report: Callable[..., None]) -> None:
        """Run a task and pass on what it reports. Raises Failed if it fails or its process ends."""
        if self._process is None or not self._process.is_alive():
            self._start()
        pipe = self._pipe
        assert pipe is not None
        try:
            pipe.send(task)
            while True:
                kind, *content = pipe.recv()
                if kind == "done":
                    return
                if kind == "failed":
                    raise Failed(content[0])
                report(kind, *content)
        except (EOFError, OSError):
            raise Failed(ENDED) from None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # this process has threads
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, files.token, os.getpid()), daemon=True)
        self._process.start()
        theirs.close()

    def end(self) -> None:
        """End the process, even in the middle of a task."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def _serve(pipe: Connection, token: str, parent: int) -> None:
    init_worker(token, parent)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            task.run(lambda kind, *content: pipe.send((kind, *content)))
            answer: tuple[str, ...] = ("done",)
        except UnoccludeError as error:
            answer = ("failed", str(error))
        except OSError as error:
            answer = ("failed", f"{error.filename or 'the project'}: {error.strerror or error}")
        except Exception as error:
            traceback.print_exc()
            answer = ("failed", f"{type(error).__name__}: {error}")
        pipe.send(answer)
