"""The progress bar on stderr: stage, frames done, frames per second, time left."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from unocclude.cli.echo import escape, print_notes
from unocclude.errors import Interrupted
from unocclude.types import Progress, no_progress


@contextmanager
def show_progress(quiet: bool, unit: str = "frames", notes: Sequence[str] = ()) -> Iterator[Progress]:
    """Yield a `Progress` function, to be called first with done = 0.

    notes: sentences to print when the work begins, and not if the input is refused, which is one line on stderr.

    On a terminal, each stage has a bar (NO_COLOR is respected); in a pipe, a line is printed when a stage ends. Prints
    nothing if `quiet`. Raises Interrupted for Ctrl-C while an object is tracked, because no masks are kept then.
    """
    stages: list[str] = []

    def noted(report: Progress) -> Progress:
        due = [notes]

        def note(stage: str, done: int, total: int) -> None:
            if due:
                print_notes(due.pop())
            stages[:] = [stage] if done < total else []
            report(stage, done, total)

        return note

    try:
        if quiet:
            notes = ()
            yield noted(no_progress)
        elif sys.stderr.isatty():
            with _bars(unit) as report:
                yield noted(report)
        else:
            yield noted(_Lines(unit))
    except KeyboardInterrupt:
        if stages == ["tracking"]:
            raise Interrupted("interrupted while tracking; nothing was kept, run the same command again") from None
        raise


class _Lines:
    """Prints one line for every finished stage."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        stage = escape(stage)
        if stage != self._stage:
            self._stage, self._started, self._first = stage, time.perf_counter(), done
        if done == total:
            seconds = time.perf_counter() - self._started
            resumed = f", {self._first} of them earlier" if self._first else ""
            unit = self._unit.removesuffix("s") if total == 1 else self._unit
            sys.stderr.write(f"{stage}: {total} {unit} in {seconds:.1f} s{resumed}\n")


@contextmanager
def _bars(unit: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(
                (f"{speed:.1f} fps" if unit == "frames" else f"{speed:.2f} {unit}/s") if speed else "", style="cyan"
            )

    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        Speed(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, object] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(escape(escape(stage)), total=total, completed=done)
            bars.update(tasks[stage], completed=done)  # type: ignore[arg-type]

        yield report
