"""Compare a finished result with the ground truth, frame by frame, in bounded memory."""

import importlib.util
import json
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unocclude.completion import Completion
from unocclude.datasets.base import Truth
from unocclude.datasets.gt import read_truth
from unocclude.errors import InputError, UnoccludeError
from unocclude.geometry import mask_iou
from unocclude.media.contact_sheet import choose
from unocclude.media.files import atomic_write, write_bytes
from unocclude.metrics.base import APPEARANCE, BOXES, MARKS, MASKS, Frame, Metric
from unocclude.metrics.boxes import BoxPair, box_of
from unocclude.metrics.registry import (
    DEFAULT,
    WHERE_POSSIBLE,
    check_here,
    describe,
    direction,
    expand,
    fits,
    get_metric,
)
from unocclude.predictions import Predictions, of_completion, read_predictions

COMPARED = 16
"""Number of frames in which the visible masks of prediction and truth are compared."""
OVERLAP = 0.1
"""If the IoU of these masks is lower, the two may be of different clips."""


def evaluate(
    pred: Completion | Predictions | str | Path, gt: Truth | str | Path, metrics: Sequence[str] = ()
) -> dict[str, Any]:
    """Compute all metrics of a result against the ground truth, over the clip and for every frame (under `frames`).

    metrics: names of further metrics (`unocclude.metrics.METRICS`) or groups of them (`GROUPS`). pred: a result or its
    OUT folder; or a folder of another tool, with `amodal_masks/` and, for metrics of appearance, `rgba/`, or with the
    masks alone. gt: a GT folder
    (`visible_masks/`, `amodal_masks/` and, for psnr_hidden and ssim, `amodal_rgb/`), or the ground truth of a data set.
    Keys: miou, miou_occluded_frames, miou_occ, miou_occ_published, false_area, psnr_hidden (dB), ssim,
    temporal_stability, as defined by their classes in `unocclude.metrics`; NaN if undefined. If the ground truth is
    boxes, also ap25_published, ap50_published and ap75_published; if it has the occlusion levels of TABE-51, also the
    four IoUs of TABE-51; then `metrics`. Each entry of `frames` has the same keys, and `frame` and `occlusion_rate`. A
    prediction on a padded canvas is cropped to the frame, except for boxes.

    Raises InputError if the numbers, sizes or numbering of frames differ, or a metric is unknown or lacks a package or
    weights here. Warns if the visible masks of the two hardly overlap, so that they may be of different clips.
    """
    further = [get_metric(name) for name in expand(metrics)]
    for kind in further:
        check_here(kind)
    truth = gt if isinstance(gt, Truth) else read_truth(gt)
    pred = _predictions(pred).matched(truth.names)
    _check_same_clip(pred, truth)
    known = _known(truth) - (set() if pred.rgba is not None else {APPEARANCE})
    possible = [kind for kind in map(get_metric, WHERE_POSSIBLE) if fits(kind, known)]
    kinds = {kind.name: kind for kind in (*map(get_metric, DEFAULT), *possible, *further)}
    measured = {name: kind() for name, kind in kinds.items() if fits(kind, known)}
    frames = [_measure(measured, kinds, pred, truth, i) for i in range(len(truth))]
    values = {name: _number(measured[name].compute()) if name in measured else math.nan for name in kinds}
    return values | {"frames": frames}


def _number(value: Any) -> float:
    """What a metric returns, as JSON can hold it: NumPy's numbers are none there, and no value is NaN."""
    return math.nan if value is None else float(value)


def _known(truth: Truth) -> set[str]:
    """What the truth has of what metrics can require."""
    marks = truth.notes.get("occluded")
    has = {
        MASKS: truth.amodal is not None,
        APPEARANCE: truth.rgb is not None and truth.amodal is not None,
        BOXES: truth.boxes is not None,
        MARKS: marks is not None,
    }
    return {name for name, there in has.items() if there}


def _measure(
    measured: Mapping[str, Metric[Any]],
    names: Iterable[str],
    pred: Predictions,
    truth: Truth,
    i: int,
) -> dict[str, Any]:
    """The figures of frame i, NaN for the names that are not measured."""
    items: dict[bool, Any] = {}
    rate = math.nan
    if truth.amodal is not None:
        items[False] = frame = _frame(pred, truth, i)
        rate = float(frame.occlusion_rate)
    if truth.boxes is not None:
        items[True] = _boxes(pred, truth, i)
    values = {
        name: _number(measured[name].update(items[BOXES in measured[name].requires])) if name in measured else math.nan
        for name in names
    }
    return {"frame": i, "occlusion_rate": rate, **values}


def _frame(pred: Predictions, truth: Truth, i: int) -> Frame:
    assert truth.amodal is not None
    frame = Frame(pred.amodal_masks[i][pred.frame], truth.amodal[i], truth.visible[i])
    if truth.rgb is not None and pred.rgba is not None:
        frame = frame._replace(pred_rgba=pred.rgba[i][pred.frame], truth_rgba=truth.rgba(i))
    if (marks := truth.notes.get("occluded")) is not None:
        frame = frame._replace(marked=bool(marks[i]))
    return frame


def _boxes(pred: Predictions, truth: Truth, i: int) -> BoxPair:
    assert truth.boxes is not None
    whole = pred.amodal_masks[i].copy()
    whole[pred.frame] |= truth.visible[i]
    return BoxPair(box_of(whole) - np.array([*pred.offset, 0, 0]), truth.boxes[i])


def _predictions(given: Completion | Predictions | str | Path) -> Predictions:
    if isinstance(given, Completion):
        return of_completion(given)
    return given if isinstance(given, Predictions) else read_predictions(given)


def _check_same_clip(pred: Predictions, truth: Truth) -> None:
    """Raise InputError if the truth is that of another clip, as far as can be told; warn if it seems to be."""
    size, known = (pred.width, pred.height), (truth.visible.width, truth.visible.height)
    if len(pred) != len(truth):
        raise InputError(f"{pred.where} has {len(pred)} frames, {truth.where} {len(truth)}; compare the same clip")
    if size != known:
        raise InputError(
            f"{pred.where} is of {size[0]}x{size[1]} frames, {truth.where} of {known[0]}x{known[1]}; "
            "compare the same clip"
        )
    overlap = _visible_overlap(pred, truth)
    if overlap < OVERLAP:
        warnings.warn(
            f"the visible masks of {pred.where} and {truth.where} hardly overlap (IoU {overlap:.2f}); "
            "check that they are of the same clip and object",
            stacklevel=3,
        )


def _visible_overlap(pred: Predictions, truth: Truth) -> float:
    """Mean IoU of the visible masks in some of the frames in which the object is visible; NaN if there is none."""
    if pred.visible_masks is None:
        return math.nan
    frames = np.flatnonzero(truth.visible.areas)
    compared = [int(frames[k]) for k in choose(len(frames), COMPARED)]
    overlaps = [mask_iou(pred.visible_masks[i][pred.frame], truth.visible[i]) for i in compared]
    return float(np.mean(overlaps)) if overlaps else math.nan


def table(figures: dict[str, Any]) -> str:
    """Format the metrics over the clip as plain text."""
    lines = []
    for name, value in figures.items():
        if name != "frames":
            metric = describe(name)
            shown = "-" if math.isnan(value) else f"{value:.{metric.decimals}f}"
            lines.append(f"{name:<22}{shown:>8}   {direction(metric)}")
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
    drawn = _panels(figures)
    figure = Figure(figsize=(10, 2.5 * len(drawn)), layout="constrained")
    panels = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (limits, names) in zip(panels, drawn, strict=True):
        for name in names:
            axes.plot(x, [frame[name] for frame in frames], marker=".", label=name)
        if limits:
            margin = 0.02 * (limits[1] - limits[0])
            axes.set_ylim(limits[0] - margin, limits[1] + margin)
        elif names:
            axes.set_ylabel(describe(names[0]).unit)
        axes.fill_between(
            x,
            [frame["occlusion_rate"] for frame in frames],
            alpha=0.15,
            color="grey",
            label="occlusion rate" if axes is panels[0] else None,
            transform=axes.get_xaxis_transform(),
        )
        axes.legend(loc="best", fontsize="small")
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel("frame")
    with atomic_write(path) as part:
        figure.savefig(part, dpi=120)


def _panels(figures: dict[str, Any]) -> list[tuple[tuple[float, float] | None, list[str]]]:
    """Vertical range and metrics of each panel: metrics of the same range share one, or, where the values decide the
    range, metrics of the same unit. Variants of other metrics are left out, and what no frame has."""
    panels: dict[Any, tuple[tuple[float, float] | None, list[str]]] = {}
    for name in figures:
        metric = describe(name)
        if name == "frames" or metric.variant or all(math.isnan(frame[name]) for frame in figures["frames"]):
            continue
        limits = metric.plot_range
        panels.setdefault(limits or (metric.unit, metric.higher_is_better), (limits, []))[1].append(name)
    return list(panels.values()) or [(None, [])]
