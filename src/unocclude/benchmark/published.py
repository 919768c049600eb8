"""Numbers published in the papers, to compare with ours. They are always marked as published."""

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from urllib.parse import parse_qsl

from unocclude.benchmark import summary
from unocclude.benchmark.pooling import Pooled


@dataclass(frozen=True)
class PublishedTable:
    """One table of a paper.

    source: paper and table. data: the data set. rows: the name of a method and its value of each of `metrics`, in the
    units of the paper; NaN if it gives none. kind, protocol: how our reader opens this data set the way the paper did;
    without a kind, the data set was never published. table: our table whose rows it is compared with; "" for any rows.
    ours: our metric for each of `metrics` ("" for none), times
    `scale`.
    """

    source: str
    data: str
    metrics: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    kind: str = ""
    protocol: str = ""
    table: str = ""
    ours: tuple[str, ...] = ()
    scale: tuple[float, ...] = ()

    def fits(self, name: str, origin: str) -> bool:
        """Whether a data set of this name, opened with this argument, is the one that the table reports on, under the
        same protocol. Data sets that share a reader are told apart by their name or path."""
        kind, colon, rest = origin.partition(":")
        if not self.kind or not colon or kind != self.kind:
            return False
        path, _, query = rest.partition("?")
        protocol = dict(parse_qsl(query)).get("protocol", _PROTOCOLS.get(kind, ""))
        wanted = _plain(self.data)
        return protocol == self.protocol and any(wanted in _plain(text) for text in (name, path))


_PROTOCOLS = {"tao-amodal": "padded", "movi": "full"}
"""Protocols of readers that have several, where the argument names none."""

Comparable = Mapping[str, Sequence[PublishedTable]]
"""data set → the published tables that report on it."""


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


@lru_cache(maxsize=1)
def published_tables() -> list[PublishedTable]:
    """All published tables, ordered by paper."""
    content = tomllib.loads((files("unocclude.benchmark") / "published.toml").read_text("utf-8"))
    return [
        PublishedTable(
            table["source"],
            table["data"],
            tuple(table["metrics"]),
            tuple((name, tuple(float(value) for value in values)) for name, *values in table["rows"]),
            table.get("kind", ""),
            table.get("protocol", ""),
            table.get("table", ""),
            tuple(table.get("ours", ())),
            tuple(map(float, table.get("scale", ()))),
        )
        for table in content["table"]
    ]


def comparable(origins: Mapping[str, str], partial: bool = False, made: str = "") -> Comparable:
    """The published tables for each data set, given with the argument that it was opened with.

    partial: whether only a part of the data is measured; then nothing is comparable. made: the table of a paper that is
    made (`rows.tables`).
    """
    if partial:
        return {}
    tables = [table for table in published_tables() if table.table in ("", made)]
    found = {name: [table for table in tables if table.fits(name, origin)] for name, origin in origins.items()}
    return {name: tables for name, tables in found.items() if tables}


def as_markdown(tables: Comparable, figures: summary.Figures, pooled: Pooled) -> str:
    """Published rows with ours below them, in the papers' units, one table per data set and table of a paper."""
    lines = []
    for data, found in tables.items():
        for table in found:
            lines += [f"### Published: {table.data} ({table.source})", "", *summary.head("method", table.metrics)]
            for name, values in table.rows:
                lines.append(summary.row(f"{name}, published", [_shown(value) for value in values]))
            for label in figures[data]:
                means = [pooled.value(data, label, key) if key else math.nan for key in table.ours]
                lines.append(_ours(label, table, means))
                curves = [pooled.curve(data, label, key) for key in table.ours]
                if (count := max(map(len, curves))) > 1:
                    best = [curve[-1] if len(curve) else math.nan for curve in curves]
                    lines.append(_ours(f"{label}, Top-{count}", table, best))
            lines.append("")
    return "\n".join(lines)


def _ours(label: str, table: PublishedTable, values: Sequence[float]) -> str:
    cells = [_shown(scale * value) for scale, value in zip(table.scale, values, strict=True)]
    return summary.row(f"{label}, ours", cells)


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{round(value, 3):g}"
