"""The figures of a benchmark as a plot."""

import math
from pathlib import Path

from unocclude.benchmark import summary
from unocclude.media.files import atomic_write
from unocclude.metrics.registry import describe, direction


def write_plot(path: Path, figures: summary.Figures) -> None:
    """Plot the mean and interval of each metric as bars: one panel per metric, one group per data set.

    Does nothing without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return
    estimates = summary.summarise(figures)
    methods = list(next(iter(estimates.values())))
    shown = list(dict.fromkeys(name for by_clip in figures.values() for name in summary.columns(by_clip)))
    figure = Figure(figsize=(12, 3 * math.ceil(len(shown) / 3)), layout="constrained")
    grid = figure.subplots(math.ceil(len(shown) / 3), 3, squeeze=False).ravel()
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    nothing = summary.estimate([])
    for axes, name in zip(grid, shown, strict=False):
        for k, method in enumerate(methods):
            found = [by_method[method].get(name, nothing) for by_method in estimates.values()]
            means = [0.0 if math.isnan(e.mean) else e.mean for e in found]
            errors = [[0.0 if math.isnan(e.mean) else abs(e.mean - end) for e, end in zip(found, ends, strict=True)]
                      for ends in ([e.low for e in found], [e.high for e in found])]  # fmt: skip
            places = [d + (k - (len(methods) - 1) / 2) * 0.8 / len(methods) for d in range(len(found))]
            axes.bar(places, means, 0.75 / len(methods), yerr=errors, label=method, capsize=2)
        axes.set_xticks(range(len(estimates)), list(estimates))
        axes.set_title(name)
        axes.set_ylabel(direction(describe(name)), fontsize="small")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(methods))
    with atomic_write(path) as part:
        figure.savefig(part, dpi=110)
