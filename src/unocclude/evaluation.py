"""Compare a finished result with the ground truth, frame by frame, in bounded memory."""

import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from unocclude.completion import Completion
from unocclude.datasets.base import Truth
from unocclude.datasets.gt import read_truth
from unocclude.errors import InputError, UnoccludeError
from unocclude.media.files import atomic_write, write_bytes
from unocclude.metrics import (
    BoxPair,
    FalseArea,
    Frame,
    HiddenIoU,
    HiddenPSNR,
    MeanIoU,
    Metric,
    ObjectSSIM,
    OccludedMeanIoU,
    PublishedAP,
    PublishedHiddenIoU,
    TabeIoU,
    TemporalStability,
    box_of,
)

MASK_METRICS: tuple[type[Metric], ...] = (MeanIoU, OccludedMeanIoU, HiddenIoU, PublishedHiddenIoU, FalseArea)
APPEARANCE_METRICS: tuple[type[Metric], ...] = (HiddenPSNR, ObjectSSIM)
METRICS: tuple[type[Metric], ...] = (*MASK_METRICS, *APPEARANCE_METRICS, TemporalStability)


def evaluate(pred: Completion | str | Path, gt: Truth | str | Path) -> dict[str, Any]:
    """Compute all metrics of a result against the ground truth, over the clip and for every frame (under `frames`).

    pred: a finished OUT folder. gt: a GT folder (`visible_masks/`, `amodal_masks/` and, for psnr_hidden and ssim,
    `amodal_rgb/`), or the ground truth of a data set. Keys: miou, miou_occluded_frames, miou_occ, miou_occ_published,
    false_area, psnr_hidden (dB), ssim, temporal_stability, as defined by their classes in `unocclude.metrics`; NaN if
    undefined. If the ground truth is boxes, also ap25_published, ap50_published and ap75_published; if it has the
    occlusion levels of TABE-51, also the four IoUs of TABE-51. Each entry of `frames` has the same keys, and `frame`
    and `occlusion_rate`. A prediction on a padded canvas is cropped to the frame, except for boxes.

    Raises InputError if the numbers or sizes of frames differ.
    """
    pred = pred if isinstance(pred, Completion) else Completion(pred)
    truth = gt if isinstance(gt, Truth) else read_truth(gt)
    part = _frame_part(pred, truth)
    measured = (_of_boxes if truth.amodal is None else _of_masks)(pred, truth, part)
    missing = {metric.name: math.nan for metric in METRICS if metric.name not in measured}
    return {**missing, **measured}


def _of_masks(pred: Completion, truth: Truth, part: tuple[slice, slice]) -> dict[str, Any]:
    assert truth.amodal is not None
    metrics = [metric() for metric in METRICS]
    tabe, occluded = TabeIoU(), truth.notes.get("occluded")
    unmeasured = () if truth.rgb else tuple(metric.name for metric in APPEARANCE_METRICS)
    frames = []
    for i in range(len(truth)):
        frame = Frame(pred.amodal_masks[i][part], truth.amodal[i], truth.visible[i])
        if truth.rgb:
            frame = frame._replace(pred_rgba=pred.rgba[i][part], truth_rgba=truth.rgba(i))
        values = {m.name: math.nan if m.name in unmeasured else m.update(frame) for m in metrics}
        if occluded is not None:
            values |= tabe.update(frame, bool(occluded[i]))
        frames.append({"frame": i, "occlusion_rate": frame.occlusion_rate, **values})
    figures = {metric.name: metric.compute() for metric in metrics}
    return {**figures, **(tabe.compute() if occluded is not None else {}), "frames": frames}


def _of_boxes(pred: Completion, truth: Truth, part: tuple[slice, slice]) -> dict[str, Any]:
    assert truth.boxes is not None
    metrics = [PublishedAP(threshold) for threshold in (0.25, 0.5, 0.75)]
    offset = np.array([part[1].start, part[0].start, 0, 0])
    frames = []
    for i in range(len(truth)):
        whole = pred.amodal_masks[i].copy()
        whole[part] |= truth.visible[i]
        pair = BoxPair(box_of(whole) - offset, truth.boxes[i])
        frames.append(
            {"frame": i, "occlusion_rate": math.nan}
            | {m.name: math.nan for m in METRICS}
            | {m.name: m.update(pair) for m in metrics}
        )
    return {**{metric.name: metric.compute() for metric in metrics}, "frames": frames}


def _frame_part(pred: Completion, truth: Truth) -> tuple[slice, slice]:
    """Rows and columns of the frame on the prediction's canvas."""
    canvas = pred.info["canvas"]
    x, y = canvas["offset"]
    size = canvas["width"] - 2 * x, canvas["height"] - 2 * y
    known = truth.visible.width, truth.visible.height
    if len(pred) != len(truth):
        raise InputError(f"{pred.folder} has {len(pred)} frames, {truth.where} {len(truth)}; compare the same clip")
    if size != known:
        raise InputError(
            f"{pred.folder} is of {size[0]}x{size[1]} frames, {truth.where} of {known[0]}x{known[1]}; "
            "compare the same clip"
        )
    return slice(y, y + size[1]), slice(x, x + size[0])


def table(figures: dict[str, Any]) -> str:
    """Format the metrics over the clip as plain text."""
    units = {metric.name: metric.unit for metric in METRICS}
    lines = []
    for name, unit in units.items():
        value = figures[name]
        shown = "-" if math.isnan(value) else f"{value:.2f}" if name == "psnr_hidden" else f"{value:.4f}"
        lines.append(f"{name:<22}{shown:>8}   {unit}")
    occluded = sum(not math.isnan(frame["miou_occ"]) for frame in figures["frames"])
    lines.append(f"{len(figures['frames'])} frames, {occluded} of them occluded (more than 1 % hidden)")
    return "\n".join(lines)


def write_json(path: str | Path, figures: dict[str, Any]) -> None:
    """Write metrics as JSON, atomically, with NaN as null; raises UnoccludeError if that fails."""
    text = json.dumps(with_nulls(figures), indent=1, allow_nan=False) + "\n"
    try:
        write_bytes(path, text.encode())
    except OSError as error:
        raise UnoccludeError(f"could not write {path}: {error.strerror or error}") from error


def with_nulls(value: Any) -> Any:
    """Replace NaN by None, which JSON writes as null."""
    if isinstance(value, dict):
        return {key: with_nulls(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_nulls(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def check_plotting(path: str | Path) -> None:
    """Raise InputError if a plot cannot be written to `path`: wrong suffix, or no matplotlib."""
    if Path(path).suffix.lower() not in (".png", ".pdf", ".svg"):
        raise InputError(f"{path}: the name of the plot must end in .png, .pdf or .svg")
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError("--plot needs matplotlib; install it with pip install 'unocclude[evaluation]'")


def write_plot(path: str | Path, figures: dict[str, Any]) -> None:
    """Plot the metrics over time, and write the file atomically; raises InputError without matplotlib."""
    check_plotting(path)
    # the object-oriented interface has no global state and needs no display
    from matplotlib.figure import Figure

    frames = figures["frames"]
    x = [frame["frame"] for frame in frames]
    appearance = not all(math.isnan(frame["ssim"]) for frame in frames)
    figure = Figure(figsize=(10, 7.5 if appearance else 5), layout="constrained")
    panels = figure.subplots(3 if appearance else 2, 1, sharex=True, squeeze=False)[:, 0]
    drawn: list[tuple[tuple[str, ...], tuple[float, float] | None]] = [
        (("miou", "miou_occ", "ssim") if appearance else ("miou", "miou_occ"), (-0.02, 1.02)),
        (("false_area", "temporal_stability"), None),
    ]
    if appearance:
        drawn.append((("psnr_hidden",), None))
    for axes, (names, limits) in zip(panels, drawn, strict=True):
        for name in names:
            axes.plot(x, [frame[name] for frame in frames], marker=".", label=name)
        if limits:
            axes.set_ylim(limits)
        axes.fill_between(
            x,
            [frame["occlusion_rate"] for frame in frames],
            alpha=0.15,
            color="grey",
            label="occlusion rate" if limits else None,
            transform=axes.get_xaxis_transform(),
        )
        axes.legend(loc="best", fontsize="small")
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel("frame")
    with atomic_write(path) as part:
        figure.savefig(part, dpi=120)
