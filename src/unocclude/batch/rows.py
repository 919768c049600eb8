"""The rows of a batch: read from CSV, JSON Lines or Parquet, a pattern of clips with masks beside them, or a data set.

Lists are read as a stream, so a million rows need little memory.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from unocclude.batch import storage
from unocclude.errors import InputError
from unocclude.media.files import safe_name

LISTS = (".csv", ".jsonl", ".ndjson", ".parquet")
PROMPT = ("masks", "box", "point", "not_point", "mask", "hidden", "objects", "text", "frame", "object_id")
OPTIONS = (
    "occluders", "method", "set", "hypotheses", "pad", "seed", "fps", "start", "end", "device", "weights",
)  # fmt: skip
COLUMNS = ("input", "name", *PROMPT, *OPTIONS)
REPEATED = {"box", "point", "not_point", "mask", "hidden", "set"}
"""Columns that may hold several values: a list in JSON and Parquet, separated by semicolons in CSV."""
NUMBERS = {
    "frame": int, "object_id": int, "hypotheses": int, "seed": int, "start": int, "end": int, "pad": float,
    "fps": float,
}  # fmt: skip
BESIDE = ("_masks", "-masks", ".masks", "_mask", "-mask", ".mask")
"""What the names of masks beside a clip add to the clip's: clip.mp4 and clip_masks/, clip_masks.mp4, clip.mask.png."""


@dataclass(frozen=True)
class Row:
    """One run. number: its place in the list. arguments: by column, those that are given. sample: its name in the data
    set `arguments["input"]`, if that is one."""

    number: int
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    sample: str | None = None


def read_rows(source: str, limit: int | None = None) -> Iterator[Row]:
    """The rows of a list, of a pattern, or of a data set `[KIND:]PATH[?OPTION=VALUE&...]`, one after the other.

    Raises InputError, naming the row, for unknown columns, values that are no numbers, names given twice, and where
    there is no row.
    """
    suffix = PurePosixPath(source.partition("?")[0]).suffix.lower()
    kind = source.partition(":")[0]
    if suffix in LISTS and not _is_dataset(kind):
        rows = _named(_READERS[suffix](source), source)
    elif any(sign in source for sign in "*[") and not _is_dataset(kind):
        rows = _named(enumerate(_matching(source), start=1), source)
    else:
        return _samples(source, limit)
    return _limited(rows, source, limit)


def _is_dataset(kind: str) -> bool:
    from unocclude.datasets import DATASETS

    return kind in DATASETS


def _samples(source: str, limit: int | None) -> Iterator[Row]:
    from unocclude.datasets import open_dataset

    for number, sample in enumerate(open_dataset(source, limit), start=1):
        yield Row(number, sample.name, {"input": source, "text": sample.text} if sample.text else {"input": source},
                  sample.name)  # fmt: skip


def _limited(rows: Iterator[Row], source: str, limit: int | None) -> Iterator[Row]:
    count = 0
    for count, row in enumerate(rows, start=1):
        yield row
        if count == limit:
            return
    if not count:
        raise InputError(f"{source} holds no row; give at least one clip")


def _named(entries: Iterable[tuple[int, dict[str, Any]]], source: str) -> Iterator[Row]:
    """Checked rows, each with a name of its own."""
    used: set[int] = set()
    for number, entry in entries:
        where = f"{source}, row {number}"
        arguments = {key: value for key, value in entry.items() if value not in (None, "", [])}
        if unknown := [key for key in arguments if key not in COLUMNS]:
            raise InputError(f"{where}: there is no column {unknown[0]!r}; the columns are {', '.join(COLUMNS)}")
        if not isinstance(arguments.get("input"), str):
            raise InputError(f"{where}: fill the column input, with the path or URL of a clip")
        arguments = {key: _value(key, value, where) for key, value in arguments.items()}
        given = arguments.pop("name", None)
        name = str(given) if given else _name_of(arguments["input"])
        if given and safe_name(name) != name:
            raise InputError(f"{where}: {name!r} is no name of a folder; use letters, digits, - and _")
        base, k = name, 1
        while hash(name.lower()) in used:
            if given:
                raise InputError(f"{where}: the name {name} is given twice; give each row its own")
            name, k = f"{base}-{k}", k + 1
        used.add(hash(name.lower()))
        yield Row(number, name, arguments)


def _name_of(input: str) -> str:
    path = PurePosixPath(input.rstrip("/"))
    stem = path.parent.name if path.name == "frames" and path.parent.name else path.stem
    return safe_name(stem or "clip")


def _value(key: str, value: Any, where: str) -> Any:
    if key in REPEATED:
        values = value.split(";") if isinstance(value, str) else value if isinstance(value, list) else [value]
        if key in ("box", "point", "not_point") and values and not isinstance(values[0], str):
            values = [values] if not isinstance(values[0], list) else values
            values = [",".join(f"{number:g}" for number in numbers) for numbers in values]
        texts = [str(item).strip() for item in values if str(item).strip()]
        if key != "hidden":
            return texts
        return [_number(int, text, key, where) for text in texts]
    if key in NUMBERS:
        return _number(NUMBERS[key], value, key, where)
    return str(value)


def _number(kind: Any, value: Any, key: str, where: str) -> Any:
    try:
        number = kind(value)
        if isinstance(value, float) and number != value:
            raise ValueError
        return number
    except (TypeError, ValueError):
        whole = "a whole number" if kind is int else "a number"
        raise InputError(f"{where}: {key} is {value!r}, expected {whole}") from None


# Lists ----------------------------------------------------------------------------------------------------------


def _csv(source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with _text(source) as stream:
        try:
            for number, entry in enumerate(csv.DictReader(stream), start=2):
                if None in entry:
                    raise InputError(f"{source}, row {number} has more cells than the header; quote cells with commas")
                yield number, entry
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{source} is no table with commas in UTF-8 ({error}); save it again") from None


def _json_lines(source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with _text(source) as stream:
        try:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    entry = json.loads(line)
                    if not isinstance(entry, dict):
                        raise ValueError("not an object {...}")
                    yield number, entry
        except (ValueError, RecursionError) as error:
            raise InputError(f"{source}, row {number}: no JSON ({error}); write one object a line") from None


def _parquet(source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    path = _existing(source)
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError:
        raise InputError(f"{source} needs pyarrow, which is not installed; pip install 'unocclude[cluster]'") from None
    number = 0
    try:
        for batch in parquet.ParquetFile(path).iter_batches():
            for entry in batch.to_pylist():
                number += 1
                yield number, entry
    except (ArrowException, OSError) as error:
        raise InputError(f"{source} is no Parquet file ({' '.join(str(error).split())[:200]})") from None


def _text(source: str) -> io.TextIOWrapper:
    return _existing(source).open(encoding="utf-8-sig", newline="")


def _existing(source: str) -> Path:
    path = storage.local(source)
    if not path.is_file():
        raise InputError(f"{source}: there is no such file; check the path")
    return path


_READERS = {".csv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines, ".parquet": _parquet}


def _matching(pattern: str) -> Iterator[dict[str, Any]]:
    """Clips that match a pattern, with the masks beside them."""
    found = storage.expand(pattern)
    beside = {place: _masks_beside(place) for place in found}
    masks = {str(path) for path in beside.values() if path}
    for place in found:
        if place not in masks and not PurePosixPath(place.rstrip("/")).stem.endswith(BESIDE):
            yield {"input": place, "masks": beside[place] or ""}


def _masks_beside(place: str) -> str | None:
    path = PurePosixPath(place.rstrip("/"))
    folder = place.rstrip("/")[: -len(path.name)]
    if path.name in ("frames", "rgb"):
        return next((f"{folder}{name}" for name in ("visible_masks", "masks") if storage.exists(folder + name)), None)
    for end in BESIDE:
        if storage.exists(f"{folder}{path.stem}{end}"):
            return f"{folder}{path.stem}{end}"
        safe = f"{folder}{path.stem}{end}".replace("[", "[[]")
        if matches := storage.expand(f"{safe}.*"):
            return matches[0]
    return None
