"""Complete all samples of a list, each into its own folder."""

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
"""File in OUT that lists the failed rows and their reasons."""


@dataclass(frozen=True)
class Row:
    """The run of one sample: its folder, and its failure, if any."""

    name: str
    folder: Path
    failure: Failure | None = None


def run_batch(samples: Sequence[Sample], out: Path, complete: Callable[[Sample, Path], Any]) -> Iterator[Row]:
    """Complete all samples, each into `out`/NAME; yield each row when it is finished.

    complete: called with a sample and its folder, in a child process. If it raises or crashes, the row has failed and
    the run continues. The failed rows are written to `out`/failures.csv, which exists only if there are any. Raises
    UnoccludeError if that file cannot be written.
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
