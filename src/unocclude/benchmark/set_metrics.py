"""Metrics that compare the completed clips of a data set with the true ones, all together."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unocclude.completion import Completion, LazySequence
from unocclude.datasets.base import Sample, Truth
from unocclude.errors import InputError
from unocclude.evaluation import frame_part
from unocclude.metrics.base import Metric
from unocclude.metrics.frechet import FVD, ClipPair

_KINDS: dict[str, type[Metric[Any]]] = {"fvd": FVD}


def set_metric(name: str) -> type[Metric[Any]]:
    """The class of a metric of sets of clips."""
    return _KINDS[name]


def check_clips(names: Sequence[str], samples: Sequence[Sample]) -> None:
    """Raise InputError, before anything runs, for a clip that is too short for one of the metrics."""
    if "fvd" not in names:
        return
    from unocclude.networks.i3d import SMALLEST_LENGTH

    for sample in samples:
        if (count := len(sample.visible)) < SMALLEST_LENGTH:
            raise InputError(
                f"fvd needs clips of at least {SMALLEST_LENGTH} frames; {sample.name} has {count}. Leave it out of "
                "--metrics, or use longer clips"
            )


def measure_sets(names: Sequence[str], clips: Sequence[tuple[Path, Truth]]) -> dict[str, float]:
    """Each metric over all clips, given as OUT folders with their ground truth; NaN where a truth has no appearance."""
    known = all(truth.rgb is not None and truth.amodal is not None for _, truth in clips)
    return {name: _measure(set_metric(name)(), clips) if known else math.nan for name in names}


def _measure(metric: Metric[Any], clips: Sequence[tuple[Path, Truth]]) -> float:
    for folder, truth in clips:
        metric.update(_pair(Completion(folder), truth))
    return metric.compute()


def _pair(pred: Completion, truth: Truth) -> ClipPair:
    """A completed clip and the true one, decoded frame by frame."""
    part = frame_part(pred, truth)
    return ClipPair(
        LazySequence(len(truth), lambda i: pred.rgba[i][part]), LazySequence(len(truth), lambda i: truth.rgba(i))
    )
