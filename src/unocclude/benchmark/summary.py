"""Means over clips with bootstrap confidence intervals, and tables of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unocclude.metrics.registry import DEFAULT, describe

MOST_DECIMALS = 3
"""In tables that hold a whole benchmark."""
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` clips with its 95 % interval; NaN without clips."""

    mean: float
    low: float
    high: float
    count: int


def estimate(values: Sequence[float], seed: int = 0) -> Estimate:
    """Mean over clips with a 95 % percentile bootstrap interval (Efron 1979; 2000 resamples).

    NaN values, for clips on which the metric is undefined, are ignored.
    """
    known = np.array([value for value in values if not math.isnan(value)], float)
    if not len(known):
        return Estimate(math.nan, math.nan, math.nan, 0)
    picks = np.random.default_rng(seed).integers(len(known), size=(RESAMPLES, len(known)))
    low, high = np.percentile(known[picks].mean(1), [2.5, 97.5])
    return Estimate(float(known.mean()), float(low), float(high), len(known))


Figures = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]
"""data set → method → clip → metric → value."""


def columns(methods: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """The metrics that are defined on at least one clip of a data set (method → clip → metric → value), without
    variants of other metrics."""
    clips = [clip for by_clip in methods.values() for clip in by_clip.values()]
    names = dict.fromkeys([*DEFAULT, *(name for clip in clips for name in clip)])
    return [
        name
        for name in names
        if not describe(name).variant and not all(math.isnan(clip.get(name, math.nan)) for clip in clips)
    ]


def summarise(figures: Figures) -> dict[str, dict[str, dict[str, Estimate]]]:
    """data set → method → metric → estimate over clips."""
    return {
        data: {
            method: {name: estimate([clip[name] for clip in clips.values()]) for name in columns(methods)}
            for method, clips in methods.items()
        }
        for data, methods in figures.items()
    }


def as_markdown(figures: Figures) -> str:
    """Format as Markdown: one table per data set with the mean and 95 % interval of each metric, one row per
    method."""
    lines = []
    for data, methods in summarise(figures).items():
        count, shown = len(next(iter(figures[data].values()))), columns(figures[data])
        lines += [
            f"### {data}, {count} clip{'s' * (count != 1)}, mean [95 % interval over clips]",
            "",
            *head("method", shown),
        ]
        for method, estimates in methods.items():
            lines.append(row(method, [_with_interval(name, estimates[name]) for name in shown]))
        lines.append("")
    return "\n".join(lines)


def clips_as_markdown(figures: Figures) -> str:
    """Format the metrics of the single clips as Markdown, one table per data set."""
    lines = []
    for data, methods in figures.items():
        shown = columns(methods)
        lines += [f"### {data}, each clip", "", *head("clip, method", shown)]
        for clip in next(iter(methods.values())):
            for method in methods:
                values = methods[method][clip]
                lines.append(row(f"{clip}, {method}", [number(name, values[name]) for name in shown]))
        lines.append("")
    return "\n".join(lines)


def as_text(figures: Figures) -> str:
    """Format the means for a terminal."""
    lines = []
    for data, methods in summarise(figures).items():
        width, shown = max(12, *(len(method) for method in methods)), columns(figures[data])
        lines += [data, " " * (width + 2) + "".join(f"{name:>20}" for name in shown)]
        for method, estimates in methods.items():
            cells = "".join(f"{number(name, estimates[name].mean):>20}" for name in shown)
            lines.append(f"  {method:<{width}}{cells}")
    return "\n".join(lines)


def head(first: str, shown: Sequence[str]) -> list[str]:
    return [row(first, shown), "|---" * (len(shown) + 1) + "|"]


def row(name: str, cells: Sequence[str]) -> str:
    return "| " + " | ".join([name, *cells]) + " |"


def _with_interval(name: str, value: Estimate) -> str:
    if not value.count:
        return "-"
    return f"{number(name, value.mean)} [{number(name, value.low)}, {number(name, value.high)}]"


def number(name: str, value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.{min(MOST_DECIMALS, describe(name).decimals)}f}"
