"""The records of a batch: batch.csv and batch.parquet with one line a row, failures.csv, batch.json."""

import csv
import hashlib
import io
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from unocclude.batch import storage
from unocclude.batch.rows import COLUMNS, NUMBERS, REPEATED, Row
from unocclude.errors import InputError, UnoccludeError
from unocclude.executor import Outcome

TABLE, PARQUET, FAILURES, ABOUT = "batch.csv", "batch.parquet", "failures.csv", "batch.json"
FIGURES = {
    "frames": int, "width": int, "height": int, "tracker": str, "mean_occlusion_rate": float, "occluded_frames": int,
    "generated": float, "doubtful_frames": int,
}  # fmt: skip
_GIVEN = [name for name in COLUMNS if name != "name"]
HEADER = ("row", "name", "state", *_GIVEN, *FIGURES, "seconds", "worker", "reason")
DONE, FAILED = "done", "failed"
NO_PARQUET = "pyarrow is not installed, so there is no batch.parquet; pip install 'unocclude[cluster]'"
UPLOADS = 10.0
"""Seconds between two uploads of the table, and a twentieth of the time at most."""


class Records:
    """The records in an OUT folder or URL. The table is written as rows finish; a killed batch goes on from it."""

    def __init__(self, out: str):
        self.out = out
        self._file = _scratch(out) if storage.is_url(out) else Path(out, TABLE)
        self._done: dict[int, int] = {}
        self.failed = 0
        self._uploaded = time.monotonic()
        self._wait = UPLOADS
        self.earlier = 0

    def start(self, source: str, count: int) -> None:
        """Take over the rows that an earlier batch finished; forget those that failed."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        if storage.is_url(self.out) and storage.exists(storage.join(self.out, TABLE)):
            self._file.write_bytes(storage.read(storage.join(self.out, TABLE)))
        for entry in self._rewrite(DONE):
            self._done[_key(entry["name"])] = _digest(entry)
        self._stream = self._file.open("a", encoding="utf-8", newline="")
        self._table = csv.writer(self._stream)
        storage.write(storage.join(self.out, ABOUT), (json.dumps({"list": source, "rows": count}) + "\n").encode())

    def _rewrite(self, *states: str) -> Iterator[dict[str, str]]:
        """Keep the last line of each row that is in one of `states`; yield them."""
        kept = self._file.with_name(f"{TABLE}.part")
        with kept.open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(HEADER)
            for entry in _lines(self._file):
                if entry["state"] in states:
                    table.writerow([entry[name] for name in HEADER])
                    yield entry
        kept.replace(self._file)

    def is_done(self, row: Row) -> bool:
        """Whether an earlier batch finished this row, with the same arguments, and its result is still there."""
        from unocclude.layout import RESULT_FILE

        if self._done.get(_key(row.name)) != _digest(_cells(row)):
            return False
        if not storage.exists(storage.join(self.out, row.name, RESULT_FILE)):
            return False
        self.earlier += 1
        return True

    def add(self, outcome: Outcome[Row, dict[str, Any]]) -> None:
        """Write the line of a row that has ended."""
        row, failure = outcome.argument, outcome.failure
        self.failed += failure is not None
        cells = _cells(row) | {
            "state": FAILED if failure else DONE,
            **{name: str(value) for name, value in (outcome.value or {}).items()},
            "seconds": f"{outcome.seconds:.3f}",
            "worker": outcome.worker,
            "reason": failure.message if failure else "",
        }
        self._table.writerow([cells.get(name, "").encode("utf-8", "backslashreplace").decode() for name in HEADER])
        self._stream.flush()
        if storage.is_url(self.out) and time.monotonic() - self._uploaded > self._wait:
            self._upload()

    def _upload(self) -> None:
        started = time.monotonic()
        storage.write(storage.join(self.out, TABLE), self._file.read_bytes())
        self._uploaded = time.monotonic()
        self._wait = max(UPLOADS, 20 * (self._uploaded - started))

    def finish(self) -> str:
        """Write what is made of the table; returns a sentence if something cannot be made here."""
        self._stream.close()
        for _ in self._rewrite(DONE, FAILED):
            pass
        if storage.is_url(self.out):
            self._upload()
        failures = storage.join(self.out, FAILURES)
        if self.failed:
            text = io.StringIO()
            table = csv.writer(text)
            table.writerow(["name", "reason"])
            table.writerows([e["name"], e["reason"]] for e in _lines(self._file) if e["state"] == FAILED)
            storage.write(failures, text.getvalue().encode())
        else:
            storage.remove(failures)
        missing = "" if find_spec("pyarrow") else NO_PARQUET
        if not missing:
            part = self._file.with_name(f"{PARQUET}.part")
            _write_parquet(self._file, part)
            storage.write(storage.join(self.out, PARQUET), part.read_bytes())
            part.unlink()
        if storage.is_url(self.out):
            self._file.unlink()
        return missing


@dataclass
class Status:
    """How far a batch is. states: number of rows by state. seconds: of the rows that are done, in all."""

    rows: int
    states: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def __str__(self) -> str:
        done, failed = self.states[DONE], self.states[FAILED]
        mean = f", {self.seconds / done:.1f} s a row" if done else ""
        return f"{self.rows} rows: {done} done, {failed} failed, {max(0, self.rows - done - failed)} to do{mean}"


def read_status(out: str) -> Status:
    """How far the batch in a folder or URL is; raises InputError if there is none."""
    about = storage.join(out, ABOUT)
    if not storage.exists(about):
        raise InputError(f"{out} holds no batch; give the folder that was -o of `unocclude batch`")
    try:
        status = Status(int(json.loads(storage.read(about))["rows"]))
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{about} is damaged; run the batch again") from None
    table = storage.join(out, TABLE)
    for entry in _lines(storage.local(table)) if storage.exists(table) else ():
        status.states[entry["state"]] += 1
        if entry["state"] == DONE:
            status.seconds += float(entry["seconds"] or 0)
    return status


def _lines(file: Path) -> Iterator[dict[str, str]]:
    """The last line of each row in a table; what a killed process left half-written is left out."""
    last = {_key(entry["name"]): number for number, entry in _all_lines(file)}
    return (entry for number, entry in _all_lines(file) if last[_key(entry["name"])] == number)


def _all_lines(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    if not file.exists():
        return
    with file.open(encoding="utf-8", newline="") as stream:
        table = csv.DictReader(stream)
        if tuple(table.fieldnames or ()) != HEADER:
            return
        for number, entry in enumerate(table):
            if entry["state"] in (DONE, FAILED) and entry["reason"] is not None and None not in entry:
                yield number, entry


def _cells(row: Row) -> dict[str, str]:
    cells = {"row": str(row.number), "name": row.name}
    for name, value in row.arguments.items():
        cells[name] = ";".join(map(str, value)) if name in REPEATED else str(value)
    return cells


def _key(name: str) -> int:
    return hash(name)


def _digest(cells: dict[str, str]) -> int:
    """A hash of a row's arguments."""
    text = "\0".join(cells.get(name) or "" for name in COLUMNS)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()[:8])


def _scratch(out: str) -> Path:
    return storage.cache_folder() / "batches" / storage.key(out) / TABLE


def _write_parquet(table: Path, to: Path) -> None:
    """The table with its types, read and written in pieces."""
    import pyarrow
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    kinds = {int: pyarrow.int64(), float: pyarrow.float64(), str: pyarrow.string()}
    numbers = {**NUMBERS, **FIGURES, "row": int, "seconds": float}
    types = {name: kinds[numbers.get(name, str)] for name in HEADER}
    schema = pyarrow.schema(list(types.items()))
    options = arrow_csv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""])
    parse = arrow_csv.ParseOptions(newlines_in_values=True)
    try:
        reader = arrow_csv.open_csv(table, convert_options=options, parse_options=parse)
        with reader, parquet.ParquetWriter(to, schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    except (pyarrow.ArrowException, OSError) as error:
        raise UnoccludeError(f"could not write {PARQUET}: {' '.join(str(error).split())[:200]}") from error
