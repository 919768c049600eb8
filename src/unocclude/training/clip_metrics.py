"""Per-frame metrics of a network's output for a training clip."""

import math

import numpy as np

from unocclude.metrics import Frame, get_metric
from unocclude.training.training_clips import TrainingClip

FrameMetrics = dict[str, list[float]]


def mask_metrics(clip: TrainingClip, answer: np.ndarray) -> FrameMetrics:
    """`miou`, and `miou_occ` over occluded frames, of predicted amodal masks `answer` (F, h, w) bool.

    Visible pixels always count as predicted.
    """
    found: FrameMetrics = {"miou": [], "miou_occ": []}
    metrics = {name: get_metric(name)() for name in found}
    for visible, amodal, pred in zip(clip.visible > 127, clip.amodal > 127, answer, strict=True):
        frame = Frame(pred | visible, amodal | visible, visible)
        if frame.truth.any():
            _add(found, {name: metric.update(frame) for name, metric in metrics.items()})
    return found


def content_metrics(clip: TrainingClip, answer: np.ndarray) -> FrameMetrics:
    """`psnr_hidden` (dB) of each occluded frame, of predicted colours `answer` (F, h, w, 3) in [0, 1]."""
    found: FrameMetrics = {"psnr_hidden": []}
    metric = get_metric("psnr_hidden")()
    for visible, amodal, whole, pred in zip(clip.visible > 127, clip.amodal > 127, clip.wholes, answer, strict=True):
        frame = Frame(amodal, amodal, visible & amodal, _opaque(255.0 * pred.astype(np.float64)), _opaque(whole))
        if frame.is_occluded:
            _add(found, {"psnr_hidden": metric.update(frame)})
    return found


def _opaque(rgb: np.ndarray) -> np.ndarray:
    """RGBA of colours (h, w, 3), 0 to 255, in their own type, so that a network's output is not rounded."""
    return np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], axis=-1)


def _add(found: FrameMetrics, values: dict[str, float]) -> None:
    for name, value in values.items():
        if not math.isnan(value):
            found[name].append(value)


def mean(clips: list[FrameMetrics]) -> dict[str, float]:
    """Mean of each metric over all frames of all clips."""
    names = {name: None for metrics in clips for name in metrics}
    pooled = {name: [value for metrics in clips for value in metrics.get(name, [])] for name in names}
    return {name: round(float(np.mean(values)), 4) for name, values in pooled.items() if values}
