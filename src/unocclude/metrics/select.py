"""Splits of frames as in the papers: easy and hard frames, and bins of visibility, for any metric."""

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from unocclude.metrics.base import Frame, Metric


class Selected(Metric[Frame]):
    """A metric restricted to frames for which `keep` is true; `label` is appended to its name.

    Metrics over pairs of frames use only consecutive frames that are both kept.
    """

    base: type[Metric[Any]]
    """The class of the metric, for subclasses made by `restricted`."""

    def __init__(self, metric: Metric[Frame], keep: Callable[[Frame], bool], label: str):
        self.metric, self.keep = metric, keep
        self.name, self.unit = f"{metric.name}_{label}", metric.unit
        self.higher_is_better, self.requires = metric.higher_is_better, metric.requires
        super().__init__()

    def update(self, frame: Frame, /) -> float:
        if self.keep(frame):
            return self.metric.update(frame)
        self.metric.gap()
        return math.nan

    def compute(self) -> float:
        return self.metric.compute()

    def reset(self) -> None:
        self.metric.reset()

    def gap(self) -> None:
        self.metric.gap()


def is_easy(frame: Frame) -> bool:
    """Whether less than half of the object is hidden; False without an object."""
    area, visible = np.count_nonzero(frame.truth), np.count_nonzero(frame.visible)
    return bool(area and 2 * (area - visible) < area)


def is_hard(frame: Frame) -> bool:
    """Whether at least half of the object is hidden."""
    return bool(frame.truth.any() and not is_easy(frame))


def easy(metric: Metric[Frame]) -> Selected:
    """The metric over easy frames: less than 50 % of the object hidden (TGVAC section 4.2, after Xu et al. 2024).

    The text includes unoccluded frames. Wrap in `occluded` as well to leave these out.
    """
    return Selected(metric, is_easy, "easy")


def hard(metric: Metric[Frame]) -> Selected:
    """The metric over hard frames (TGVAC section 4.2). The text says more than 50 %, so exactly half is
    in neither split; here it counts as hard, so that every frame with the object is in one of the two."""
    return Selected(metric, is_hard, "hard")


def occluded(metric: Metric[Frame]) -> Selected:
    """The metric over frames in which more than 1 % of the object is hidden."""
    return Selected(metric, lambda frame: frame.is_occluded, "occluded")


EDGES = (0, 0.2, 0.4, 0.6, 0.8, 1)
VISIBILITY_BINS = tuple(pairwise(EDGES))
"""Bins of visibility. Figure 3 of Diffusion-VAS compares methods in bins that it does not state; these are ours."""


def by_visibility(make: Callable[[], Metric[Frame]], edges: Sequence[float] = EDGES) -> list[Selected]:
    """One metric per bin of visibility |M| / |A|. Bins are half-open; the last one includes its upper edge.

    make: creates a metric for each bin. Frames without an object are in no bin.
    """
    bins = list(pairwise(edges))
    return [Selected(make(), between(low, high, high == edges[-1]), f"visible_{low:g}_{high:g}") for low, high in bins]


def between(low: float, high: float, closed: bool) -> Callable[[Frame], bool]:
    """Whether a frame's visibility is at least `low` and below `high`, or, if `closed`, at most `high`."""

    def keep(frame: Frame) -> bool:
        area = int(np.count_nonzero(frame.truth))
        if not area:
            return False
        visibility = int(np.count_nonzero(frame.visible)) / area
        return low <= visibility < high or (closed and visibility == high)

    return keep


_LABEL = re.compile(r"(\w+)_(easy|hard|occluded|visible_(\d(?:\.\d+)?)_(\d(?:\.\d+)?))")


def parse_selection(name: str) -> tuple[str, str] | None:
    """The metric and the label of a name such as "lpips_easy" or "miou_visible_0.2_0.4"; None for other names."""
    found = _LABEL.fullmatch(name)
    return (found[1], found[2]) if found else None


def restricted(kind: type[Metric[Any]], label: str) -> type[Metric[Any]]:
    """The class of a metric restricted to frames: easy, hard, occluded or visible_LOW_HIGH (see `parse_selection`)."""
    keep = _selection(label)

    class Restricted(Selected):
        __doc__ = f"{kind.name} over {label} frames: {kind.__doc__}"
        name, unit, higher_is_better = f"{kind.name}_{label}", kind.unit, kind.higher_is_better
        requires, decimals, plot_range = kind.requires, kind.decimals, kind.plot_range
        base = kind

        def __init__(self) -> None:
            super().__init__(kind(), keep, label)

    return Restricted


def _selection(label: str) -> Callable[[Frame], bool]:
    plain: dict[str, Callable[[Frame], bool]] = {
        "easy": is_easy, "hard": is_hard, "occluded": lambda frame: frame.is_occluded
    }  # fmt: skip
    if label in plain:
        return plain[label]
    low, high = map(float, label.split("_")[1:])
    return between(low, high, closed=high == EDGES[-1])


def clip_visibility(truth: np.ndarray, visible: np.ndarray) -> float:
    """Visibility of a whole clip, 0 to 1: mean over its frames of |M ∩ A| / (|M ∪ A| + 1e-6), of (T, H, W) bool
    stacks.

    The released SAIL-VOS evaluation of Diffusion-VAS (commit bbea113) can keep only clips with lo <= this <= hi.
    """
    both, either = (np.count_nonzero(x, axis=(1, 2)) for x in (truth & visible, truth | visible))
    return float(np.mean(both / (either + 1e-6)))
