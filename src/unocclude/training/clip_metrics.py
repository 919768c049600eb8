"""Per-frame metrics of a network's output for a training clip."""

import numpy as np

from unocclude.training.training_clips import TrainingClip

FrameMetrics = dict[str, list[float]]
OCCLUDED = 0.01
"""A frame counts as occluded when more than this fraction of the object is hidden."""


def mask_metrics(clip: TrainingClip, answer: np.ndarray) -> FrameMetrics:
    """`miou`, and `miou_occ` over occluded frames, of predicted amodal masks `answer` (F, h, w) bool.

    Visible pixels always count as predicted.
    """
    found: FrameMetrics = {"miou": [], "miou_occ": []}
    for visible, amodal, pred in zip(clip.visible > 127, clip.amodal > 127, answer, strict=True):
        amodal, pred = amodal | visible, pred | visible
        if not amodal.any():
            continue
        found["miou"].append(float((pred & amodal).sum() / (pred | amodal).sum()))
        hidden, added = amodal & ~visible, pred & ~visible
        if hidden.sum() > OCCLUDED * amodal.sum():
            found["miou_occ"].append(float((hidden & added).sum() / (hidden | added).sum()))
    return found


def content_metrics(clip: TrainingClip, answer: np.ndarray) -> FrameMetrics:
    """`psnr_hidden` (dB) over occluded frames, of predicted colours `answer` (F, h, w, 3) in [0, 1]."""
    found: FrameMetrics = {"psnr_hidden": []}
    for visible, amodal, whole, pred in zip(clip.visible > 127, clip.amodal > 127, clip.wholes, answer, strict=True):
        hidden = amodal & ~visible
        if hidden.sum() > OCCLUDED * amodal.sum():
            error = float(np.mean((pred[hidden] - whole[hidden] / 255.0) ** 2))
            found["psnr_hidden"].append(-10 * float(np.log10(max(error, 1e-10))))
    return found


def mean(clips: list[FrameMetrics]) -> dict[str, float]:
    """Mean of each metric over all frames of all clips."""
    names = {name: None for metrics in clips for name in metrics}
    pooled = {name: [value for metrics in clips for value in metrics.get(name, [])] for name in names}
    return {name: round(float(np.mean(values)), 4) for name, values in pooled.items() if values}
