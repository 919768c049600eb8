"""The queue of work: one job after the other in the worker process."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from unocclude.app.events import EventLog
from unocclude.app.project import MAX_JOBS, Job, Project
from unocclude.app.tasks import Task
from unocclude.app.worker import Failed, Worker

PAUSE = 0.1
"""Least seconds between two events on a job's progress."""


class Jobs:
    """Runs the project's jobs. make_task: what a job is to do, when its turn comes. heard: called with what the worker
    reports, other than progress. words: makes a message fit for the page."""

    def __init__(
        self,
        project: Project,
        events: EventLog,
        make_task: Callable[[Job], Task],
        heard: Callable[..., None],
        words: Callable[[str], str],
    ):
        self._project, self._events = project, events
        self._make_task, self._heard, self._words = make_task, heard, words
        self._worker = Worker()
        self._queue: deque[str] = deque()
        self._wake = threading.Condition()
        self._running: str | None = None
        self._cancelled = False
        self._closed = False
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def add(self, job: Job) -> Job:
        """Queue a job."""
        with self._project.changing() as state:
            old = [known for known in state.jobs if known.state not in ("queued", "running")]
            for known in old[: max(0, len(state.jobs) - MAX_JOBS + 1)]:
                state.jobs.remove(known)
            state.jobs.append(job)
        with self._wake:
            self._queue.append(job.id)
            self._wake.notify()
        return job

    def cancel(self, number: str) -> None:
        """Cancel a job; one that runs is ended."""
        with self._wake:
            if number in self._queue:
                self._queue.remove(number)
                self._set(number, state="cancelled")
            elif number == self._running:
                self._cancelled = True
                self._worker.end()

    @property
    def busy(self) -> bool:
        return self._running is not None or bool(self._queue)

    def close(self) -> None:
        """End the worker."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._worker.end()
        self._thread.join(10)  # it may be writing the project

    def _loop(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return
                self._running, self._cancelled = self._queue.popleft(), False
            number = self._running
            try:
                self._one(number)
            finally:
                with self._wake:
                    self._running = None

    def _one(self, number: str) -> None:
        job = self._project.job(number)
        if job is None:
            return
        progress = _Progress()
        self._set(number, state="running", stage="", done=0, total=0, message="")

        def report(kind: str, *content: Any) -> None:
            if kind == "progress":
                if progress.due(*content):
                    self._tell(number, stage=content[0], done=content[1], total=content[2], seconds_left=progress.left)
            else:
                self._heard(number, kind, *content)

        try:
            self._worker.run(self._make_task(job), report)
            self._set(number, state="done", seconds_left=None)
        except Exception as error:
            if self._cancelled:
                self._set(number, state="cancelled", seconds_left=None)
                return
            if self._closed:
                return
            message = str(error) if isinstance(error, Failed) or str(error) else type(error).__name__
            self._set(number, state="failed", message=self._words(message), seconds_left=None)

    def _set(self, number: str, **changes: Any) -> None:
        """Change a job in the project."""
        try:
            with self._project.changing():
                self._apply(number, changes)
        except Exception:  # a full disk must not stop the queue; the page is told
            self._apply(number, changes)
        self._event(number)

    def _tell(self, number: str, **changes: Any) -> None:
        """Change a job, without writing the project."""
        with self._project.lock:
            self._apply(number, changes)
        self._event(number)

    def _apply(self, number: str, changes: dict[str, Any]) -> None:
        job = self._project.job(number)
        for name, value in changes.items() if job else ():
            setattr(job, name, value)

    def _event(self, number: str) -> None:
        job = self._project.job(number)
        if job is not None:
            self._events.add("job", **job.model_dump(mode="json"))


class _Progress:
    """When to tell of progress, and how long a stage still takes. left: seconds, None while unknown."""

    def __init__(self) -> None:
        self._stage, self._told = "", 0.0
        self.left: float | None = None

    def due(self, stage: str, done: int, total: int) -> bool:
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._since, self._first, self._told = stage, now, done, 0.0
        speed = (done - self._first) / max(now - self._since, 1e-3)
        self.left = round((total - done) / speed, 1) if speed > 0 else None
        if done < total and now - self._told < PAUSE:
            return False
        self._told = now
        return True
