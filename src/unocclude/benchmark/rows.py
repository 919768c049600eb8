"""The rows of a benchmark: methods under their own names or under labels, each with its options and weights.

A table of a paper is a set of rows with the metrics that it reports; `tables.toml` has those of the four papers.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

from unocclude.errors import InputError
from unocclude.media.files import safe_name
from unocclude.methods import create
from unocclude.methods.base import Method, RunSettings


@dataclass(frozen=True)
class Row:
    """One row: its label, its method, and options that it sets."""

    label: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table of a paper: what it shows, its rows, the metrics it reports and, for Top-K, the number of hypotheses."""

    name: str
    source: str
    rows: tuple[Row, ...]
    metrics: tuple[str, ...]
    hypotheses: int = 1


@lru_cache(maxsize=1)
def tables() -> dict[str, Table]:
    """The tables of the papers by name."""
    content = tomllib.loads((files("unocclude.benchmark") / "tables.toml").read_text("utf-8"))
    return {
        name: Table(
            name,
            table["source"],
            tuple(Row(row["label"], row["method"], row.get("options", {})) for row in table["rows"]),
            tuple(table["metrics"]),
            table.get("hypotheses", 1),
        )
        for name, table in content.items()
    }


def get_table(name: str) -> Table:
    """A table of a paper; raises InputError if there is none of this name."""
    if name not in tables():
        raise InputError(f"unknown table {name!r}; known are {', '.join(tables())}")
    return tables()[name]


def choose_rows(table: Table | None, names: Sequence[str] | None) -> list[Row]:
    """The rows that names ask for: METHOD, LABEL=METHOD, or a label of the table; for None, all rows of the table.

    Raises InputError where two rows have the same label, or a label is not a valid folder name.
    """
    known = {row.label: row for row in table.rows} if table else {}
    if names is None:
        return list(table.rows) if table else []
    rows = []
    for name in names:
        label, equals, method = name.partition("=")
        rows.append(Row(label, method) if equals else known.get(name, Row(name, name)))
    labels = [row.label for row in rows]
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(f"two rows are called {label}; give them different labels with LABEL=METHOD")
        if safe_name(label) != label:
            raise InputError(f"a row is called {label!r}, which is not a valid folder name; give another label")
    return rows


@dataclass(frozen=True)
class RowRun:
    """A row that is ready to run: its method, and the arguments of `complete`."""

    row: Row
    method: Method
    arguments: Mapping[str, Any]


def prepare(
    rows: Sequence[Row],
    options: Mapping[str, Mapping[str, Any]],
    weights: Mapping[str, str],
    seed: int,
    hypotheses: int,
) -> dict[str, RowRun]:
    """The rows by label, with options and weights given by label or, for all rows of a method, by method.

    hypotheses: of rows that can sample. Raises InputError where something is given for a row that there is not, or a
    row cannot run here.
    """
    known = {name for row in rows for name in (row.label, row.method)}
    for what, given in (("options", options), ("weights", weights)):
        if unused := sorted(set(given) - known):
            raise InputError(f"{what} are given for {', '.join(unused)}, which is not one of the methods or rows")
    found = {}
    for row in rows:
        own = {**row.options, **options.get(row.method, {}), **options.get(row.label, {})}
        settings = RunSettings(seed=seed, weights=weights.get(row.label, weights.get(row.method)))
        method = _created(row, own, settings)
        count = hypotheses if method.can_sample else 1
        arguments = {"options": own, "weights": settings.weights, "seed": seed, "hypotheses": count}
        found[row.label] = RowRun(row, method, arguments)
    return found


def _created(row: Row, options: dict[str, Any], settings: RunSettings) -> Method:
    try:
        return create(row.method, options, settings)
    except InputError as error:
        if row.label == row.method:
            raise
        raise InputError(
            f"row {row.label}: {error} (--weights {row.label}=DIR and --set {row.label}.KEY=VALUE set it up)"
        ) from error
