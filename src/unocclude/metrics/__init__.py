"""Metrics of amodal masks and appearance: each a class with update / compute / reset and a function over
stacks.

NumPy only. Masks are bool, RGBA is uint8 with straight alpha; P is the prediction, A the true amodal mask, M
the true visible mask. A frame counts as occluded when more than 1 % of the object is hidden. NaN means that
no frame counted.
"""

from unocclude.metrics.appearance import HiddenPSNR, ObjectSSIM, psnr_hidden, ssim
from unocclude.metrics.area import FalseArea, false_area
from unocclude.metrics.base import Frame, Metric
from unocclude.metrics.iou import (
    HiddenIoU,
    MeanIoU,
    OccludedMeanIoU,
    PublishedHiddenIoU,
    PublishedMeanIoU,
    miou,
    miou_occ,
    miou_occluded_frames,
)
from unocclude.metrics.stability import TemporalStability, temporal_stability

__all__ = [
    "FalseArea",
    "Frame",
    "HiddenIoU",
    "HiddenPSNR",
    "MeanIoU",
    "Metric",
    "ObjectSSIM",
    "OccludedMeanIoU",
    "PublishedHiddenIoU",
    "PublishedMeanIoU",
    "TemporalStability",
    "false_area",
    "miou",
    "miou_occ",
    "miou_occluded_frames",
    "psnr_hidden",
    "ssim",
    "temporal_stability",
]
