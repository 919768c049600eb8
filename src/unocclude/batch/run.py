"""Complete all rows of a list, each into its own folder."""

from collections.abc import Callable, Iterator
from typing import Any

from unocclude.batch import storage
from unocclude.batch.job import Defaults, RunRow
from unocclude.batch.records import Records
from unocclude.batch.rows import Row, read_rows
from unocclude.errors import InputError, UnoccludeError
from unocclude.executor import Executor, Outcome


def run_batch(
    source: str,
    out: str,
    defaults: Defaults,
    executor: Callable[[int], Executor],
    *,
    limit: int | None = None,
    helpers: Callable[[], Executor] | None = None,
    note: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Outcome[Row, dict[str, Any]]]:
    """Complete all rows of a list (`rows.read_rows`), each into `out`/NAME; yield what became of each.

    out: a folder or URL. executor: opens the executor for a number of rows. helpers: opens the one that shares the
    frames of long clips. A row that fails or crashes does not stop the others. Rows that an earlier batch finished are
    left as they are. The records (docs/scaling.md) are in `out`.

    Raises InputError for a bad list, before anything is written, and UnoccludeError if the records cannot be written.
    """
    count = sum(1 for _ in read_rows(source, limit))
    if not storage.is_url(out):
        from unocclude.outfolder import resolved

        if resolved(out).is_file():
            raise InputError(f"{out} is a file; give a folder for -o")
    records = Records(out)
    try:
        records.start(source, count)
    except OSError as error:
        raise UnoccludeError(f"could not write to {out}: {error.strerror or error}") from error
    workers = executor(count)
    done = 0
    progress(done, count)
    try:
        todo = (row for row in read_rows(source, limit) if not records.is_done(row))
        for outcome in workers.run(RunRow(out, defaults, helpers), todo):
            records.add(outcome)
            done += 1
            progress(done + records.earlier, count)
            yield outcome
        if records.earlier == count:
            progress(count, count)
        if text := records.finish():
            note(text)
    except OSError as error:
        raise UnoccludeError(f"could not write the records in {out}: {error.strerror or error}") from error
    finally:
        workers.close()
