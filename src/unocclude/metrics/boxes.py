"""Amodal boxes: AP as Diffusion-VAS publishes it, and average precision as COCO defines it.

A box is x, y, width, height in pixels; it may leave the image.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from unocclude.geometry import bounding_box
from unocclude.metrics.base import BOXES, MeanMetric, Metric


def box_of(mask: np.ndarray) -> np.ndarray:
    """Bounding box (4,) int of an (H, W) bool mask as x, y, width, height; all 0 for an empty mask.

    For TAO-Amodal the predicted box of a frame is `box_of(pred | visible)` (Diffusion-VAS, commit bbea113).
    """
    x0, y0, x1, y1 = bounding_box(mask)
    return np.array([x0, y0, x1 - x0, y1 - y0])


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of boxes (..., 4) as x, y, width, height, with broadcasting; 0 if both have no area."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    both = np.clip(high - low, 0, None).prod(-1)
    either = a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - both
    return np.divide(both, either, out=np.zeros_like(both), where=either != 0)


class BoxPair(NamedTuple):
    """Predicted and true box of one frame, (4,) each."""

    pred: np.ndarray
    truth: np.ndarray


class PublishedAP(MeanMetric[BoxPair]):
    """ "AP" as the released TAO-Amodal evaluation of Diffusion-VAS computes it (commit bbea113): the fraction of
    all frames of all tracks whose predicted box has IoU > threshold (strictly) with the true box.

    There are no scores and no precision-recall curve; it is usually called recall. Takes a `BoxPair`.
    """

    requires = (BOXES,)

    def __init__(self, threshold: float = 0.5):
        self.threshold, self.name = threshold, f"ap{100 * threshold:g}_published"
        super().__init__()

    def value(self, pair: BoxPair, /) -> float:
        return float(box_iou(pair.pred, pair.truth) > self.threshold)


class PublishedAP25(PublishedAP):
    """`PublishedAP` at IoU > 0.25."""

    name = "ap25_published"

    def __init__(self) -> None:
        super().__init__(0.25)


class PublishedAP50(PublishedAP):
    """`PublishedAP` at IoU > 0.5."""

    name = "ap50_published"

    def __init__(self) -> None:
        super().__init__(0.5)


class PublishedAP75(PublishedAP):
    """`PublishedAP` at IoU > 0.75."""

    name = "ap75_published"

    def __init__(self) -> None:
        super().__init__(0.75)


def ap_published(pred: np.ndarray, truth: np.ndarray, threshold: float = 0.5) -> float:
    """Fraction of boxes above the threshold, boxes (N, 4) each, 0 to 1; NaN without boxes. Formula: `PublishedAP`."""
    metric = PublishedAP(threshold)
    for pair in zip(pred, truth, strict=True):
        metric.update(BoxPair(*pair))
    return metric.compute()


class Detections(NamedTuple):
    """One image: IoU of its D detections with its G true objects, (D, G) float, and the scores, (D,) float.

    From boxes: `Detections(box_iou(pred[:, None], truth[None]), scores)`; from masks, their IoUs in the same way.
    """

    ious: np.ndarray
    scores: np.ndarray


COCO_THRESHOLDS = tuple(0.5 + 0.05 * i for i in range(10))
_RECALLS = np.linspace(0, 1, 101)
_MOST = 100


class AveragePrecision(Metric[Detections]):
    """Average precision as COCO defines it (pycocotools' COCOeval: one category, all areas, 100 detections).

    In each image, detections in order of their score are matched to the free true object with the highest IoU, if that
    is at least the threshold. Over all images precision is interpolated (made monotone) and averaged at recalls 0,
    0.01 ... 1, then averaged over thresholds, by default .50, .55 ... .95 (COCO's AP); AP50 is `(0.5,)`.

    Takes `Detections`. `compute` is NaN without a true object.
    """

    name = "average_precision"

    def __init__(self, thresholds: Sequence[float] = COCO_THRESHOLDS):
        self.thresholds = thresholds
        super().__init__()

    def reset(self) -> None:
        self._scores: list[np.ndarray] = []
        self._hits: list[np.ndarray] = []
        self._objects = 0

    def update(self, image: Detections, /) -> float:
        """Take in one image. Returns NaN, because AP ranks the detections of all images together."""
        order = np.argsort(-np.asarray(image.scores, float), kind="stable")[:_MOST]
        ious = np.asarray(image.ious, float)[order]
        self._scores.append(np.asarray(image.scores, float)[order])
        self._hits.append(np.stack([_match(ious, threshold) for threshold in self.thresholds]))
        self._objects += ious.shape[1]
        return math.nan

    def compute(self) -> float:
        if not self._objects:
            return math.nan
        order = np.argsort(-np.concatenate(self._scores), kind="stable")
        hits = np.concatenate(self._hits, axis=1)[:, order]
        return float(np.mean([_interpolated(row, self._objects) for row in hits]))


def _match(ious: np.ndarray, threshold: float) -> np.ndarray:
    """Which detections, best first, are matched to a true object; (D,) bool."""
    free = np.ones(ious.shape[1], bool)
    hits = np.zeros(len(ious), bool)
    for d, row in enumerate(ious):
        candidates = np.where(free, row, -1.0)
        # COCOeval takes the last of equal IoUs
        best = len(row) - 1 - int(candidates[::-1].argmax()) if len(row) else -1
        if best >= 0 and candidates[best] >= min(threshold, 1 - 1e-10):
            hits[d], free[best] = True, False
    return hits


def _interpolated(hits: np.ndarray, objects: int) -> float:
    found = np.cumsum(hits)
    recall, precision = found / objects, found / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.append(precision, 0.0)[at].mean())


def average_precision(images: Iterable[Detections], thresholds: Sequence[float] = COCO_THRESHOLDS) -> float:
    """COCO's AP over images, 0 to 1. Formula: `AveragePrecision`."""
    metric = AveragePrecision(thresholds)
    for image in images:
        metric.update(image)
    return metric.compute()
