"""What the papers print: rows to set beside ours, always marked as published and with their data."""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class PublishedTable:
    """One table of a paper: `source` (paper and table), `data` (the data set), `metrics` and `rows` of a method's name
    and one number a metric, in the paper's units; NaN where it prints none."""

    source: str
    data: str
    metrics: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]


def published_tables() -> list[PublishedTable]:
    """All tables on record, in the order of the papers."""
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
    """The tables in Markdown, each under its data set and source."""
    lines = []
    for table in tables:
        lines += [f"### Published: {table.data} ({table.source})", ""]
        lines += [" | ".join(["| method", *table.metrics]) + " |", "|---" * (len(table.metrics) + 1) + "|"]
        for name, values in table.rows:
            shown = ["-" if math.isnan(value) else f"{value:g}" for value in values]
            lines.append(" | ".join([f"| {name}", *shown]) + " |")
        lines.append("")
    return "\n".join(lines)
