"""Metrics of amodal masks and appearance: each is a class with update / compute / reset, and a function on stacks.

Masks are bool, RGBA is uint8 with straight alpha; P is the prediction, A the true amodal mask, M the true
visible mask. A frame counts as occluded if more than 1 % of the object is hidden. NaN means that no frame counted.
Most metrics need only NumPy; `boundary_f`, `at_sailvos_size` and `warp_error` need OpenCV; `LPIPS`, `CLIPSimilarity`,
`TemporalConsistency` and `FVD` need torch and published weights (`unocclude.weights`), each only when used.
`METRICS` has by name those that can be measured on one clip.

A metric of frames can be restricted with `easy`, `hard`, `occluded` or `by_visibility`; the values that `update`
returns can be passed to `top_k`.
"""

from unocclude.metrics.appearance import (
    HiddenPSNR,
    ImagePSNR,
    ImageSSIM,
    ObjectSSIM,
    psnr_hidden,
    psnr_image,
    ssim,
    ssim_image,
)
from unocclude.metrics.area import FalseArea, false_area
from unocclude.metrics.base import Frame, MeanMetric, Metric
from unocclude.metrics.boundary import BoundaryF, boundary_f
from unocclude.metrics.boxes import (
    AveragePrecision,
    BoxPair,
    Detections,
    PublishedAP,
    ap_published,
    average_precision,
    box_iou,
    box_of,
)
from unocclude.metrics.frechet import FVD, ClipPair, frechet_distance, fvd
from unocclude.metrics.iou import (
    HiddenIoU,
    MeanIoU,
    OccludedMeanIoU,
    PublishedHiddenIoU,
    PublishedMeanIoU,
    at_sailvos_size,
    miou,
    miou_occ,
    miou_occluded_frames,
)
from unocclude.metrics.perceptual import LPIPS, lpips
from unocclude.metrics.registry import DEFAULT, METRICS, get_metric
from unocclude.metrics.select import Selected, by_visibility, clip_visibility, easy, hard, occluded
from unocclude.metrics.semantic import CLIPSimilarity, TemporalConsistency, clip_similarity, temporal_consistency
from unocclude.metrics.stability import TemporalStability, temporal_stability
from unocclude.metrics.tabe import TabeFullyOccludedIoU, TabeHiddenIoU, TabeMeanIoU, TabeOccludedIoU
from unocclude.metrics.topk import TopK, top_k, top_k_curve
from unocclude.metrics.warp import WarpError, warp_error

__all__ = [
    "DEFAULT",
    "FVD",
    "LPIPS",
    "METRICS",
    "AveragePrecision",
    "BoundaryF",
    "BoxPair",
    "CLIPSimilarity",
    "ClipPair",
    "Detections",
    "FalseArea",
    "Frame",
    "HiddenIoU",
    "HiddenPSNR",
    "ImagePSNR",
    "ImageSSIM",
    "MeanIoU",
    "MeanMetric",
    "Metric",
    "ObjectSSIM",
    "OccludedMeanIoU",
    "PublishedAP",
    "PublishedHiddenIoU",
    "PublishedMeanIoU",
    "Selected",
    "TabeFullyOccludedIoU",
    "TabeHiddenIoU",
    "TabeMeanIoU",
    "TabeOccludedIoU",
    "TemporalConsistency",
    "TemporalStability",
    "TopK",
    "WarpError",
    "ap_published",
    "at_sailvos_size",
    "average_precision",
    "boundary_f",
    "box_iou",
    "box_of",
    "by_visibility",
    "clip_similarity",
    "clip_visibility",
    "easy",
    "false_area",
    "frechet_distance",
    "fvd",
    "get_metric",
    "hard",
    "lpips",
    "miou",
    "miou_occ",
    "miou_occluded_frames",
    "occluded",
    "psnr_hidden",
    "psnr_image",
    "ssim",
    "ssim_image",
    "temporal_consistency",
    "temporal_stability",
    "top_k",
    "top_k_curve",
    "warp_error",
]
