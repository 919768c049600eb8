"""Metrics that compare the completed clips of a data set with the true ones, all together."""

import math
from collections.abc import Sequence
from typing import Any

from unocclude.completion import LazySequence
from unocclude.datasets.base import Sample, Truth
from unocclude.errors import InputError
from unocclude.metrics.base import Metric
from unocclude.metrics.frechet import FVD, ClipPair
from unocclude.predictions import Predictions

_KINDS: dict[str, type[Metric[Any]]] = {"fvd": FVD}


def set_metric(name: str) -> type[Metric[Any]]:
    """The class of a metric of sets of clips."""
    return _KINDS[name]


def check_clips(names: Sequence[str], samples: Sequence[Sample]) -> None:
    """Raise InputError, before anything runs, for a set or a clip that is too small for one of the metrics."""
    if "fvd" not in names:
        return
    if len(samples) < 2:
        raise InputError("fvd compares sets of clips; give two clips or more, or leave it out of --metrics")
    from unocclude.networks.i3d import SMALLEST_LENGTH

    for sample in samples:
        if (count := len(sample.visible)) < SMALLEST_LENGTH:
            raise InputError(
                f"fvd needs clips of at least {SMALLEST_LENGTH} frames; {sample.name} has {count}. Leave it out of "
                "--metrics, or use longer clips"
            )


def measure_sets(names: Sequence[str], clips: Sequence[tuple[Predictions, Truth]]) -> dict[str, float]:
    """Each metric over all clips with their ground truth; NaN where a prediction or truth has no appearance."""
    known = all(p.rgba is not None and truth.rgb is not None and truth.amodal is not None for p, truth in clips)
    return {name: _measure(set_metric(name)(), clips) if known else math.nan for name in names}


def _measure(metric: Metric[Any], clips: Sequence[tuple[Predictions, Truth]]) -> float:
    for pred, truth in clips:
        metric.update(_pair(pred.matched(truth.names), truth))
    return metric.compute()


def _pair(pred: Predictions, truth: Truth) -> ClipPair:
    """A completed clip and the true one, decoded frame by frame."""
    rgba = pred.rgba
    assert rgba is not None
    return ClipPair(
        LazySequence(len(truth), lambda i: rgba[i][pred.frame]), LazySequence(len(truth), lambda i: truth.rgba(i))
    )
