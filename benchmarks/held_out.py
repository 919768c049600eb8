"""Figures of a bench, apart for classes of objects that training saw and did not see.

    python benchmarks/held_out.py FIGURES_OUT DATA_NAME=PATH METHOD CLASS [CLASS ...]

PATH is the data set of generated clips; their meta.json tell the class.
"""

import json
import sys
from pathlib import Path

import numpy as np

METRICS = ("miou", "miou_occ", "false_area")


def main() -> None:
    out, (data, _, path), method, unseen = Path(sys.argv[1]), sys.argv[2].partition("="), sys.argv[3], set(sys.argv[4:])
    found: dict[str, list[list[float]]] = {"seen in training": [], "not seen": []}
    for file in sorted((out / "figures" / data).glob(f"*/{method}.json")):
        about = json.loads((Path(path) / file.parent.name / "meta.json").read_text())
        figures = json.loads(file.read_text())
        values = [figures[name] for name in METRICS]
        group = "not seen" if about["class"] in unseen else "seen in training"
        found[group].append([np.nan if value is None else value for value in values])
    print("| classes | clips |", " | ".join(METRICS), "|\n|---|---|" + "---|" * len(METRICS))
    for group, rows in found.items():
        means = np.nanmean(np.array(rows), axis=0) if rows else [np.nan] * len(METRICS)
        print(f"| {group} | {len(rows)} |", " | ".join(f"{mean:.3f}" for mean in means), "|")


if __name__ == "__main__":
    main()
