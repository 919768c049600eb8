"""Metrics by name, for `evaluate`, `bench`, tables, plots and training figures.

Metrics of one clip are registered here. `NAME_easy`, `NAME_hard`, `NAME_occluded` and `NAME_visible_LOW_HIGH` restrict
one to some frames. `FVD` compares sets of clips, which only `bench` has; `AveragePrecision` ranks scored detections and
`TopK` chooses among hypotheses: these are called from Python, and `TopK` by `bench --hypotheses`.
"""

import importlib.util
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

from unocclude import weights
from unocclude.errors import InputError
from unocclude.metrics.base import APPEARANCE, BOXES, MARKS, MASKS, Metric
from unocclude.metrics.select import VISIBILITY_BINS, parse_selection, restricted
from unocclude.registry import Registry

_ALWAYS = {
    "miou": "unocclude.metrics.iou:MeanIoU",
    "miou_occluded_frames": "unocclude.metrics.iou:OccludedMeanIoU",
    "miou_occ": "unocclude.metrics.iou:HiddenIoU",
    "miou_occ_published": "unocclude.metrics.iou:PublishedHiddenIoU",
    "false_area": "unocclude.metrics.area:FalseArea",
    "psnr_hidden": "unocclude.metrics.appearance:HiddenPSNR",
    "ssim": "unocclude.metrics.appearance:ObjectSSIM",
    "temporal_stability": "unocclude.metrics.stability:TemporalStability",
}
"""Always reported, NaN where the truth does not have what they require."""
_WHERE_POSSIBLE = {
    "ap25_published": "unocclude.metrics.boxes:PublishedAP25",
    "ap50_published": "unocclude.metrics.boxes:PublishedAP50",
    "ap75_published": "unocclude.metrics.boxes:PublishedAP75",
    "tabe_miou": "unocclude.metrics.tabe:TabeMeanIoU",
    "tabe_miou_ffo": "unocclude.metrics.tabe:TabeFullyOccludedIoU",
    "tabe_miou_fo": "unocclude.metrics.tabe:TabeOccludedIoU",
    "tabe_miou_occ": "unocclude.metrics.tabe:TabeHiddenIoU",
}
"""Reported where the truth has what they require."""
_ON_REQUEST = {
    "miou_published": "unocclude.metrics.iou:PublishedMeanIoU",
    "boundary_f": "unocclude.metrics.boundary:BoundaryF",
    "psnr_image": "unocclude.metrics.appearance:ImagePSNR",
    "ssim_image": "unocclude.metrics.appearance:ImageSSIM",
    "warp_error": "unocclude.metrics.warp:WarpError",
    "lpips": "unocclude.metrics.perceptual:LPIPS",
    "clip": "unocclude.metrics.semantic:CLIPSimilarity",
    "tc": "unocclude.metrics.semantic:TemporalConsistency",
}
"""Reported where they are named."""

METRICS = Registry("unocclude.metrics", "metric", _ALWAYS | _WHERE_POSSIBLE | _ON_REQUEST)
"""All metrics of one clip by name: classes derived from `Metric`, made without arguments."""
DEFAULT = tuple(_ALWAYS)
WHERE_POSSIBLE = tuple(_WHERE_POSSIBLE)

SETS = ("fvd",)
"""Metrics of all clips of a data set together; `bench` measures them."""

GROUPS: dict[str, tuple[str, ...]] = {
    "masks": ("miou", "miou_occ", "miou_published", "miou_occ_published", "false_area", "boundary_f"),
    "appearance": ("psnr_hidden", "ssim", "psnr_image", "ssim_image", "lpips", "clip", "tc"),
    "paper:vas": ("miou_published", "miou_occ_published", "miou_visible"),
    "paper:tgvac": (
        *("clip_easy", "lpips_easy", "tc_easy", "clip_hard", "lpips_hard", "tc_hard"),
        *("miou_published", "miou_occ_published"),
    ),
    "paper:ic-amodal": ("psnr_image", "ssim_image", "lpips", "miou", "fvd"),
}
"""Names that stand for several metrics: the two kinds, and what the tables of each paper report. The AP of
Diffusion-VAS is reported wherever the truth is boxes."""
_BINS = "_visible"
"""NAME_visible is the metric in each bin of visibility (Diffusion-VAS, figure 3)."""

DATA = frozenset((MASKS, APPEARANCE, BOXES, MARKS))
_MACHINE = ("package", "weights")


def get_metric(name: str) -> type[Metric[Any]]:
    """The class of a metric; raises InputError if it is unknown or not as `Metric` wants it."""
    if name not in METRICS and (parts := parse_selection(name)) is not None:
        return _restricted(*parts)
    metric = METRICS.load(name)
    if not (isinstance(metric, type) and issubclass(metric, Metric)):
        raise METRICS.broken(name, f"{metric!r} is not a class derived from unocclude.metrics.Metric")
    if getattr(metric, "name", None) != name:
        raise METRICS.broken(name, f"{metric.__name__} does not say name = {name!r}, as it is registered")
    for item in metric.requires:
        if item not in DATA and item.partition(":")[0] not in _MACHINE:
            known = ", ".join(sorted(DATA))
            raise METRICS.broken(name, f"it requires {item!r}; known are {known}, package:NAME and weights:CHECKPOINT")
    return metric


@lru_cache(maxsize=256)
def _restricted(name: str, label: str) -> type[Metric[Any]]:
    metric = get_metric(name)
    if MASKS not in metric.requires:
        raise InputError(f"metric {name} has no frames with masks, so it cannot be restricted to {label} ones")
    return restricted(metric, label)


def expand(names: Sequence[str], *, sets: bool = False) -> list[str]:
    """The metrics that names stand for: a group's members, and a metric in each bin of visibility.

    sets: whether metrics of whole data sets can be measured; if not, groups leave them out. Raises InputError for an
    unknown name, and for a metric of whole data sets that is named where none can be measured.
    """
    found: list[str] = []
    for name in names:
        for member in GROUPS.get(name, (name,)):
            if member in SETS and not sets:
                if name in GROUPS:
                    continue
                raise InputError(f"metric {member} compares sets of clips; measure it with `unocclude bench`")
            base = member.removesuffix(_BINS)
            if base != member and base in METRICS:
                found += [f"{member}_{low:g}_{high:g}" for low, high in VISIBILITY_BINS]
            else:
                found.append(member)
    for name in found:
        if name not in SETS:
            get_metric(name)
    return list(dict.fromkeys(found))


def check_here(metric: type[Metric[Any]]) -> None:
    """Raise InputError, saying how to get it, if a metric requires a package or weights that are not here."""
    for item in metric.requires:
        kind, _, name = item.partition(":")
        if kind == "package" and importlib.util.find_spec(name) is None:
            raise InputError(f"metric {metric.name} needs {name}, which is not installed; pip install {name}")
        if kind == "weights":
            weights.resolve_checkpoint(weights.get_checkpoint(name).id)


def fits(metric: type[Metric[Any]], data: Collection[str]) -> bool:
    """Whether a truth that has `data`, some of `DATA`, has all that a metric requires."""
    return all(item in data for item in metric.requires if item in DATA)


def describe(name: str) -> type[Metric[Any]]:
    """The class of a metric, or, of one that is no longer installed, the defaults of `Metric`."""
    try:
        return get_metric(name)
    except InputError:
        return Metric


def direction(metric: type[Metric[Any]]) -> str:
    """Unit and direction in words, as "dB, higher is better"."""
    return f"{metric.unit}, {'higher' if metric.higher_is_better else 'lower'} is better"
