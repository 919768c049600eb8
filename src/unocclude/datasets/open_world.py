"""The images of Open-World Amodal Appearance Completion (Ao et al. 2025, commit 4f6edb2): a list of files and a JSON of
queries; the whole object is unknown. Or the same as rows of a table, with masks where they are there:

    LIST.txt: a file name a line    FILE.json: {annotations: [{filename, labels: [words, ...]}]}
    FILE.csv: image,query[,masks] in the first row, then a query a row; several may ask about one image
"""

import csv
import json
import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from unocclude.datasets.base import Sample, frames, require
from unocclude.errors import InputError
from unocclude.masks import read_masks

COLUMNS = ("image", "query", "masks")


def read(root: Path, images: str | None = None, names: str | None = None) -> list[Sample]:
    """Every query of a JSON file or a table, named IMAGE-NUMBER, with the words as the sample's text.

    names: the list of files, where only those are wanted. images: the folder that file names start from, by default the
    one that the JSON file or table lies in.
    """
    base = Path(images) if images else root.parent
    listed = None
    if names:
        listed = {line.strip() for line in require(Path(names)).read_text().splitlines() if line.strip()}
    rows = _table(root) if root.suffix.lower() == ".csv" else _annotations(root)
    samples, count = [], Counter[str]()
    for file, words, masks in rows:
        if listed is None or file in listed:
            stem = Path(file).stem
            visible = partial(read_masks, base / masks) if masks else None
            clip = partial(frames, [base / file], 1.0)
            samples.append(Sample(f"{stem}-{count[stem]}", clip, visible, text=words or None))
            count[stem] += 1
    return samples


def _annotations(path: Path) -> list[tuple[str, str, str]]:
    """File names and queries. The published example has a comma behind its last annotation, which is no JSON."""
    text = re.sub(r'("(?:\\.|[^"\\])*")|,(?=\s*[\]}])', r"\1", require(path).read_text())
    try:
        content: Any = json.loads(text)
        return [(entry["filename"], words, "") for entry in content["annotations"] for words in entry["labels"]]
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error}); write it again") from None
    except (KeyError, TypeError):
        raise InputError(f"{path} has not the form {{annotations: [{{filename, labels: [words]}}]}}") from None


def _table(path: Path) -> list[tuple[str, str, str]]:
    """File names, queries and files of masks, "" where a row has none."""
    try:
        with require(path).open(newline="", encoding="utf-8-sig") as file:
            table = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no table in UTF-8 with commas ({error}); save it again") from None
    rows = []
    for number, row in enumerate(table, start=2):
        known = {key: (row.get(key) or "").strip() for key in COLUMNS}
        if not known["image"] or not (known["query"] or known["masks"]):
            raise InputError(
                f"{path}, row {number}: fill the columns {', '.join(COLUMNS)}; one of the last two will do"
            )
        rows.append((known["image"], known["query"], known["masks"]))
    return rows
