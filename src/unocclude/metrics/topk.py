"""Top-K: the best of several hypotheses, chosen by the truth."""

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np

from unocclude.metrics.base import Metric

Per = Literal["frame", "clip"]


class TopK(Metric[np.ndarray]):
    """The mean over frames of a metric's best value among the first K hypotheses.

    `update` takes one clip's values, (S, T) float: metric of hypothesis s in frame t, NaN where it does not
    count, as `Metric.update` returns them; S >= K. per="frame": max over the K hypotheses, for each frame on its
    own, as in Diffusion-VAS ("best IoU or AP score in each frame", section 4.1). per="clip": all frames of the
    hypothesis with the best mean over the clip, which is stricter and what a user who picks one result gets. Frames of
    all clips are pooled, so K = 1 is the metric itself. It is an upper bound, because the truth selects the hypothesis.

    Higher is better unless `lower_is_better`. More hypotheses never make it worse if the truth alone determines
    which frames count (`HiddenIoU`), but can if a metric drops frames for some hypotheses only (`PublishedHiddenIoU`;
    `MeanIoU` in frames without an object).
    """

    def __init__(self, k: int, per: Per = "frame", *, lower_is_better: bool = False):
        if k < 1:
            raise ValueError(f"k is {k}, expected 1 or more")
        if per not in ("frame", "clip"):
            raise ValueError(f"per is {per!r}, expected 'frame' or 'clip'")
        self.k, self.per, self.sign = k, per, -1 if lower_is_better else 1
        self.name, self.unit, self.higher_is_better = f"top{k}_{per}", "as the metric's", not lower_is_better
        super().__init__()

    def reset(self) -> None:
        self._sum, self._count = 0.0, 0

    def update(self, values: np.ndarray, /) -> float:
        """Take in one clip's values, (S, T), and return its result. Raises ValueError if S < K."""
        values = np.asarray(values, float)
        if len(values) < self.k:
            raise ValueError(f"{len(values)} hypotheses, top {self.k} needs {self.k}")
        chosen = self._choose(self.sign * values[: self.k])
        counted = chosen[~np.isnan(chosen)] * self.sign
        self._sum += float(counted.sum())
        self._count += len(counted)
        return float(counted.mean()) if len(counted) else math.nan

    def _choose(self, values: np.ndarray) -> np.ndarray:
        if self.per == "frame":
            return np.fmax.reduce(values)
        counts = np.count_nonzero(~np.isnan(values), axis=1)
        means = np.where(counts, np.nansum(values, axis=1) / np.maximum(counts, 1), -math.inf)
        return values[int(means.argmax())]

    def compute(self) -> float:
        return self._sum / self._count if self._count else math.nan


def top_k(clips: Iterable[np.ndarray], k: int, per: Per = "frame", *, lower_is_better: bool = False) -> float:
    """Top-K over clips of (S, T) values each. Formula: `TopK`."""
    metric = TopK(k, per, lower_is_better=lower_is_better)
    for values in clips:
        metric.update(values)
    return metric.compute()


def top_k_curve(
    clips: Iterable[np.ndarray], up_to: int = 10, per: Per = "frame", *, lower_is_better: bool = False
) -> np.ndarray:
    """Top-1 to Top-`up_to`, (up_to,) float: figure 8 of Diffusion-VAS, its Top-10 curve. Formula: `TopK`."""
    clips = list(clips)
    return np.array([top_k(clips, k, per, lower_is_better=lower_is_better) for k in range(1, up_to + 1)])
