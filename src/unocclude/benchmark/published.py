"""Numbers published in the papers, to compare with ours. They are always marked as published."""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class PublishedTable:
    """One table of a paper.

    source: paper and table. data: the data set. rows: the name of a method and its value of each of `metrics`, in the
    units of the paper; NaN if it gives none.
    """

    source: str
    data: str
    metrics: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]


def published_tables() -> list[PublishedTable]:
    """All published tables, ordered by paper."""
    content = tomllib.loads((files("unocclude.benchmark") / "published.toml").read_text("utf-8"))
    return [
        PublishedTable(
            table["source"],
            table["data"],
            tuple(table["metrics"]),
            tuple((name, tuple(float(value) for value in values)) for name, *values in table["rows"]),
        )
        for table in content["table"]
    ]


def as_markdown(tables: Sequence[PublishedTable]) -> str:
    """Format tables as Markdown, each with its data set and source as heading."""
    lines = []
    for table in tables:
        lines += [f"### Published: {table.data} ({table.source})", ""]
        lines += [" | ".join(["| method", *table.metrics]) + " |", "|---" * (len(table.metrics) + 1) + "|"]
        for name, values in table.rows:
            shown = ["-" if math.isnan(value) else f"{value:g}" for value in values]
            lines.append(" | ".join([f"| {name}", *shown]) + " |")
        lines.append("")
    return "\n".join(lines)
