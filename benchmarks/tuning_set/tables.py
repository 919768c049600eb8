"""Tables of the tuning set's figures, cell by cell."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from measure import METHODS

CROSSED = (("occluder", "shape"), ("occluder", "travel"), ("occluder", "object"))
"""Pairs of axes whose combinations have rows of their own."""

Clip = tuple[dict[str, str], dict[str, dict[str, float | None]]]
"""Levels of a clip, and its figures by method."""


def read(out: Path, names: Iterable[str], label: str) -> list[Clip]:
    """The clips of these names that have been measured under a label."""
    found = []
    for name in names:
        file = out / "figures" / label / f"{name}.json"
        if file.exists():
            cell = json.loads((out / "clips" / name / "meta.json").read_text())["cell"]
            found.append((cell, json.loads(file.read_text())))
    return found


def by_cell(clips: list[Clip]) -> str:
    """A table in Markdown with a row for each level of each axis, and for combinations of the axes in `CROSSED`."""
    heads = [f"{metric}: {', '.join(METHODS[first:])}" for metric, first in (("mIoU_occ", 1), ("mIoU", 0))]
    heads += ["false area: hull, votes, network, recall", "loose: votes, network, recall", "stability: votes, recall"]
    lines = ["| cell | clips | " + " | ".join(heads) + " |", "|---|---|" + "---|" * len(heads)]
    for name, members in cells(clips):
        lines.append(f"| {name} | {len(members)} | " + " | ".join(_row(members)) + " |")
    return "\n".join(lines)


def cells(clips: list[Clip]) -> list[tuple[str, list[Clip]]]:
    """Names and members of all cells that have members, all clips first."""
    rows: list[tuple[str, list[Clip]]] = [("all", clips)]
    hidden = [clip for clip in clips if clip[0].get("hidden") != "nothing hidden"]
    for axis in dict.fromkeys(key for cell, _ in clips for key in cell if key != "half"):
        among = clips if axis in ("hidden", "masks", "kind", "camera") else hidden
        for level in sorted({str(cell[axis]) for cell, _ in among if axis in cell}):
            rows.append((f"{axis}: {level}", [clip for clip in among if clip[0].get(axis) == level]))
    for one, two in CROSSED:
        pairs = sorted({(cell[one], cell[two]) for cell, _ in hidden if one in cell and two in cell})
        for a, b in pairs:
            rows.append((f"{a}, {b}", [c for c in hidden if (c[0].get(one), c[0].get(two)) == (a, b)]))
    return rows


def _row(members: list[Clip]) -> list[str]:
    def figures(metric: str, methods: Iterable[str]) -> str:
        return " ".join(_shown(mean(members, method, metric)) for method in methods)

    return [
        figures("miou_occ", METHODS[1:]),
        figures("miou", METHODS),
        figures("false_area", METHODS[1:]),
        figures("loose", METHODS[2:]),
        figures("temporal_stability", ("votes", "recall")),
    ]


def mean(members: list[Clip], method: str, metric: str) -> float:
    """Mean over the clips for which a figure is defined; NaN if there are none."""
    values: list[Any] = [figures[method][metric] for _, figures in members]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _shown(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}".lstrip("0") if value < 1 else f"{value:.2f}"
