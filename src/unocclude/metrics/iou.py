"""Intersection over union of amodal masks: plain, on occluded frames, on hidden pixels, and as published."""

import math
from typing import Literal

import numpy as np

from unocclude.geometry import mask_iou
from unocclude.metrics.base import Frame, MeanMetric, over

Variant = Literal["plain", "published"]
_PUBLISHED_EPS = 1e-6


class MeanIoU(MeanMetric[Frame]):
    """mIoU: mean of |P ∩ A| / |P ∪ A| over frames in which the truth A or the prediction P is not empty.

    The Jaccard index; like "mIoU" in Diffusion-VAS (Chen et al. 2025, section 4), but without its epsilon and without
    frames in which both are empty.
    """

    name = "miou"
    plot_range = (0, 1)

    def value(self, frame: Frame, /) -> float:
        return mask_iou(frame.pred, frame.truth)


class OccludedMeanIoU(MeanMetric[Frame]):
    """mIoU over occluded frames only: those with 1 - |M| / |A| > 1 %."""

    name = "miou_occluded_frames"
    plot_range = (0, 1)
    variant = True

    def value(self, frame: Frame, /) -> float:
        return mask_iou(frame.pred, frame.truth) if frame.is_occluded else math.nan


class HiddenIoU(MeanMetric[Frame]):
    """mIoU_occ: mean of |(P-M) ∩ (A-M)| / |(P-M) ∪ (A-M)| over occluded frames; a miss counts as 0.

    The IoU of the hidden part, as defined in the text of Diffusion-VAS (section 4.1).
    """

    name = "miou_occ"
    plot_range = (0, 1)

    def value(self, frame: Frame, /) -> float:
        return hidden_iou(frame) if frame.is_occluded else math.nan


def hidden_iou(frame: Frame) -> float:
    """IoU of the hidden part of one frame, whatever its occlusion rate: |(P-M) ∩ (A-M)| / |(P-M) ∪ (A-M)|."""
    return mask_iou(frame.pred & ~frame.visible, frame.truth & ~frame.visible)


class PublishedMeanIoU(MeanMetric[Frame]):
    """mIoU as the released SAIL-VOS evaluation of Diffusion-VAS computes it (commit bbea113).

    The prediction is united with the visible mask; |P ∩ A| / (|P ∪ A| + 1e-6). Every frame counts; if both masks are
    empty, as 0. Masks are compared at their own size; the published script first resizes them to 800x1280, the frame
    size of SAIL-VOS: see `at_sailvos_size`.
    """

    name = "miou_published"
    plot_range = (0, 1)

    def value(self, frame: Frame, /) -> float:
        return _published_iou(frame.pred | frame.visible, frame.truth)


class PublishedHiddenIoU(MeanMetric[Frame]):
    """mIoU_occ as the released SAIL-VOS evaluation of Diffusion-VAS computes it (commit bbea113).

    (P ∪ M) - M and A - M are each eroded once by a 5x5 square (pixels outside the image do not erode); the value is
    |∩| / (|∪| + 1e-6). Frames with a value below 1e-6 are dropped: empty ones, but also complete misses and pure false
    positives. This flatters the method; report it together with the plain metric. Size: see `PublishedMeanIoU`.
    """

    name = "miou_occ_published"
    plot_range = (0, 1)
    variant = True

    def value(self, frame: Frame, /) -> float:
        value = _published_iou(erode(frame.pred & ~frame.visible), erode(frame.truth & ~frame.visible))
        return value if value >= _PUBLISHED_EPS else math.nan


def at_sailvos_size(masks: np.ndarray, size: tuple[int, int] = (800, 1280)) -> np.ndarray:
    """Resize masks (T, h, w) bool to the frame size of SAIL-VOS, (T, 800, 1280) bool.

    As in the released evaluation of Diffusion-VAS, by OpenCV's linear interpolation of 0 and 1 in uint8, which rounds.
    `PublishedHiddenIoU` depends on the size because of its erosion.
    """
    import cv2

    resized = [cv2.resize(mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_LINEAR) for mask in masks]
    return np.stack(resized) > 0


def _published_iou(a: np.ndarray, b: np.ndarray) -> float:
    return np.count_nonzero(a & b) / (np.count_nonzero(a | b) + _PUBLISHED_EPS)


def erode(mask: np.ndarray, radius: int = 2) -> np.ndarray:
    """Erosion of an (H, W) bool mask by a (2 radius + 1) square; pixels outside the image count as object,
    which is `cv2.erode`'s default border."""
    for axis in (0, 1):
        padding = [(radius, radius) if a == axis else (0, 0) for a in (0, 1)]
        padded = np.pad(mask, padding, constant_values=True)
        length = mask.shape[axis]
        mask = np.logical_and.reduce([np.take(padded, range(k, k + length), axis) for k in range(2 * radius + 1)])
    return mask


def miou(
    pred: np.ndarray, truth: np.ndarray, visible: np.ndarray | None = None, *, variant: Variant = "plain"
) -> float:
    """mIoU of (T, H, W) bool stacks, 0 to 1; NaN where no frame counts. Formulas: `MeanIoU`,
    `PublishedMeanIoU`.

    `visible` is used by the published variant only, which unites the prediction with it; by default the prediction is
    assumed to contain the visible pixels.
    """
    metric = PublishedMeanIoU() if _published(variant) else MeanIoU()
    return over(metric, pred, truth, np.zeros_like(truth) if visible is None else visible)


def miou_occluded_frames(pred: np.ndarray, truth: np.ndarray, visible: np.ndarray) -> float:
    """mIoU over frames with more than 1 % hidden, of (T, H, W) bool stacks, 0 to 1. Formula: `OccludedMeanIoU`."""
    return over(OccludedMeanIoU(), pred, truth, visible)


def miou_occ(pred: np.ndarray, truth: np.ndarray, visible: np.ndarray, variant: Variant = "plain") -> float:
    """IoU of the hidden part, of (T, H, W) bool stacks, 0 to 1; NaN where no frame counts.

    Formulas: `HiddenIoU` (plain), `PublishedHiddenIoU` (published).
    """
    return over(PublishedHiddenIoU() if _published(variant) else HiddenIoU(), pred, truth, visible)


def _published(variant: str) -> bool:
    if variant not in ("plain", "published"):
        raise ValueError(f"variant is {variant!r}, expected 'plain' or 'published'")
    return variant == "published"
