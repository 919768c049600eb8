"""Figures over the frames of all clips together, as the papers report them, and Top-K curves."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unocclude.benchmark import summary
from unocclude.completion import Completion
from unocclude.datasets.base import Truth
from unocclude.evaluation import evaluate
from unocclude.metrics.base import APPEARANCE, MeanMetric
from unocclude.metrics.registry import describe
from unocclude.metrics.select import Selected
from unocclude.metrics.topk import top_k_curve


def frame_values(
    hypotheses: Sequence[Completion], truth: Truth, figures: Mapping[str, Any]
) -> dict[str, list[list[float]]]:
    """For every metric of masks or boxes that is a mean over frames: its values of each hypothesis in each frame."""
    names = [name for name in figures if is_mean(name) and APPEARANCE not in describe(name).requires]
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    for hypothesis in hypotheses:
        frames = evaluate(hypothesis, truth, names)["frames"]
        for name in names:
            found[name].append([frame[name] for frame in frames])
    return found


def is_mean(name: str) -> bool:
    """Whether a metric is the mean of its values in the frames."""
    kind = describe(name)
    return issubclass(kind.base if issubclass(kind, Selected) else kind, MeanMetric)


class Pooled:
    """Sums over the frames of all clips, metrics of whole data sets, and the hypotheses' values for Top-K."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, str], list[float]] = {}
        self._sets: dict[tuple[str, str, str], float] = {}
        self._hypotheses: dict[tuple[str, str, str], list[np.ndarray]] = {}

    def add(self, data: str, row: str, figures: Mapping[str, Any]) -> None:
        """Add the figures of one clip, with its `frames` and, if there are several, its `hypotheses`."""
        for name in figures:
            if name in ("frames", "hypotheses") or not is_mean(name):
                continue
            total = self._sums.setdefault((data, row, name), [0.0, 0])
            values = [
                v for v in (frame.get(name) for frame in figures["frames"]) if v is not None and not math.isnan(v)
            ]
            total[0] += sum(values)
            total[1] += len(values)
        for name, values in figures.get("hypotheses", {}).items():
            self._hypotheses.setdefault((data, row, name), []).append(np.array(values, float))

    def add_sets(self, data: str, row: str, values: Mapping[str, float]) -> None:
        """Add metrics of a whole data set."""
        self._sets |= {(data, row, name): value for name, value in values.items()}

    def value(self, data: str, row: str, name: str) -> float:
        """A metric over the frames of all clips, or of the whole data set; NaN if it was not measured."""
        if (data, row, name) in self._sets:
            return self._sets[data, row, name]
        total, count = self._sums.get((data, row, name), (0.0, 0))
        return total / count if count else math.nan

    def curve(self, data: str, row: str, name: str) -> np.ndarray:
        """Top-1 to Top-K of a metric, each frame's best hypothesis (figure 8 of Diffusion-VAS); empty without K."""
        clips = self._hypotheses.get((data, row, name), [])
        if not clips:
            return np.zeros(0)
        lower = not describe(name).higher_is_better
        return top_k_curve(clips, min(map(len, clips)), lower_is_better=lower)

    def as_json(self) -> dict[str, Any]:
        """`pooled`: data set → row → metric → value; `top_k`: the same with a list, Top-1 first."""
        pooled: dict[str, Any] = {}
        for data, row, name in (*self._sums, *self._sets):
            pooled.setdefault(data, {}).setdefault(row, {})[name] = self.value(data, row, name)
        curves: dict[str, Any] = {}
        for data, row, name in self._hypotheses:
            curves.setdefault(data, {}).setdefault(row, {})[name] = self.curve(data, row, name).tolist()
        return {"pooled": pooled} | ({"top_k": curves} if curves else {})

    def as_markdown(self, figures: summary.Figures) -> str:
        """Tables of the pooled figures and of the Top-K curves."""
        lines = []
        for data, rows in figures.items():
            names = [n for n in self._names(data) if any(not math.isnan(self.value(data, row, n)) for row in rows)]
            lines += [f"### {data}, over the frames of all clips", "", *summary.head("method", names)]
            for row in rows:
                lines.append(summary.row(row, [summary.number(n, self.value(data, row, n)) for n in names]))
            lines += ["", *self._curves(data, rows)]
        return "\n".join(lines)

    def _names(self, data: str) -> list[str]:
        return list(dict.fromkeys(name for found, _, name in (*self._sums, *self._sets) if found == data))

    def _curves(self, data: str, rows: Mapping[str, Any]) -> list[str]:
        shown = {
            (row, name): self.curve(data, row, name)
            for found, row, name in self._hypotheses
            if found == data and row in rows
        }
        curves = {key: curve for key, curve in shown.items() if not np.isnan(curve).all()}
        if not curves:
            return []
        most = max(map(len, curves.values()))
        lines = [f"### {data}, best of K hypotheses in each frame", ""]
        lines += summary.head("method, metric", [f"Top-{k}" for k in range(1, most + 1)])
        for (row, name), curve in curves.items():
            cells = [summary.number(name, value) for value in curve] + ["-"] * (most - len(curve))
            lines.append(summary.row(f"{row}, {name}", cells))
        return [*lines, ""]
