"""The images of Open-World Amodal Appearance Completion (Ao et al. 2025, commit 4f6edb2): a list of files and a JSON
file of queries, or a table of queries, optionally with masks. There is no ground truth:

    LIST.txt: one file name per line    FILE.json: {annotations: [{filename, labels: [words, ...]}]}
    FILE.csv: a header image,query[,masks], then one query per row; several queries may use the same image
"""

import csv
import io
import re
from collections import Counter
from functools import partial
from pathlib import Path

from unocclude.datasets.base import (
    MAX_ENTRIES,
    Entry,
    FileName,
    Many,
    Sample,
    Text,
    image_clip,
    path_inside,
    read_lines,
    require,
    shorten,
    validate,
)
from unocclude.errors import InputError
from unocclude.mask_files import read_masks
from unocclude.media.jsonfile import parse_json, read_text

COLUMNS = ("image", "query", "masks")
MAX_BYTES = 64 << 20
_WRONG_FORM = "expected the form {annotations: [{filename, labels: [words]}]}"


class _Annotation(Entry):
    filename: FileName
    labels: Many[Text]


class _File(Entry):
    annotations: Many[_Annotation]


def read(root: Path, images: str | None = None, names: str | None = None) -> list[Sample]:
    """Read every query of a JSON file or table; samples are named IMAGE-NUMBER, and their text is the query.

    names: a list of files, to read only those. images: the folder that file names are relative to, by default that of
    the JSON file or table.
    """
    base = Path(images) if images else root.parent
    listed = None
    if names:
        listed = {line.strip() for line in read_lines(Path(names), "the list of files")}
    rows = _table(root) if root.suffix.lower() == ".csv" else _annotations(root)
    samples, count = [], Counter[str]()
    for file, words, masks in rows:
        if listed is None or file in listed:
            stem = Path(file).stem
            visible = partial(read_masks, path_inside(base, masks, root)) if masks else None
            clip = partial(image_clip, [path_inside(base, file, root)], 1.0)
            samples.append(Sample(f"{stem}-{count[stem]}", clip, visible, text=words or None))
            count[stem] += 1
    return samples


def _annotations(path: Path) -> list[tuple[str, str, str]]:
    """File names and queries. The published example has a trailing comma, which is not valid JSON and is removed."""
    text = read_text(require(path), MAX_BYTES, "write it again")
    # also matches an unterminated string as a whole, because scanning from each quote in it would take quadratic time
    text = re.sub(r'(?s)("(?:[^"\\]|\\.)*"?)|,(?=\s*[\]}])', r"\1", text)
    content = validate(_File, parse_json(text, path, "write it again"), path, _WRONG_FORM)
    rows = [(entry.filename, words, "") for entry in content.annotations for words in entry.labels]
    if len(rows) > MAX_ENTRIES:
        raise InputError(f"{path} has {len(rows)} queries; split it into files of at most {MAX_ENTRIES}")
    return rows


def _table(path: Path) -> list[tuple[str, str, str]]:
    """File names, queries and mask files of a table; "" for an empty cell."""
    table = csv.reader(io.StringIO(read_text(require(path), MAX_BYTES, "save it again"), newline=""))
    rows: list[tuple[str, str, str]] = []
    try:
        columns = {name: at for at, name in enumerate(next(table, ()))}
        for number, row in enumerate(filter(None, table), start=2):
            image, query, masks = (_cell(row, columns.get(name)) for name in COLUMNS)
            if not image or not (query or masks):
                raise InputError(
                    f"{path}, row {number}: fill the columns {', '.join(COLUMNS)}; one of the last two is enough"
                )
            if len(rows) == MAX_ENTRIES:
                raise InputError(f"{path} has more than {MAX_ENTRIES} rows; split it")
            rows.append((image, query, masks))
    except csv.Error as error:
        raise InputError(f"{path} is no table with commas ({shorten(str(error))}); save it again") from None
    return rows


def _cell(row: list[str], at: int | None) -> str:
    return row[at].strip() if at is not None and at < len(row) else ""
