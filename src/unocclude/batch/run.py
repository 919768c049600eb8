"""Complete every sample of a list into a folder of its own."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unocclude.batch.isolated import Failure, run_isolated
from unocclude.datasets import Sample
from unocclude.errors import UnoccludeError
from unocclude.media.files import write_bytes

FAILURES = "failures.csv"
"""In OUT: the rows that failed, and why."""


@dataclass(frozen=True)
class Row:
    """A sample's run in OUT: where it went, or why it failed."""

    name: str
    folder: Path
    failure: Failure | None = None


def run_batch(samples: Sequence[Sample], out: Path, complete: Callable[[Sample, Path], Any]) -> Iterator[Row]:
    """Complete all samples, each into `out`/NAME; rows come as they end.

    complete: called with a sample and its folder, in a child process. What it raises is that row's failure, and so is a
    crash; the others go on. `out`/failures.csv tells the rows that failed; it is not there where none did. Raises
    UnoccludeError where it cannot be written.
    """

    def call(number: int) -> None:
        complete(samples[number], out / samples[number].name)

    failed: list[Row] = []
    _write_failures(out, failed)
    for number, failure in run_isolated(call, range(len(samples))):
        row = Row(samples[number].name, out / samples[number].name, failure)
        if failure:
            failed.append(row)
            _write_failures(out, failed)
        yield row


def _write_failures(out: Path, failed: Sequence[Row]) -> None:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["name", "reason"])
    table.writerows([row.name, row.failure.message if row.failure else ""] for row in failed)
    try:
        if failed:
            out.mkdir(parents=True, exist_ok=True)
            write_bytes(out / FAILURES, text.getvalue().encode("utf-8", "backslashreplace"))
        else:
            (out / FAILURES).unlink(missing_ok=True)
    except OSError as error:
        raise UnoccludeError(f"could not write {out / FAILURES}: {error.strerror or error}") from error
