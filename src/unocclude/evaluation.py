"""Compare a finished result with the truth, frame by frame; nothing is held but one frame."""

import importlib.util
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unocclude.completion import Completion
from unocclude.errors import InputError, UnoccludeError
from unocclude.masks import MaskTrack
from unocclude.media import masks as mask_files
from unocclude.media.files import whole, write_bytes
from unocclude.media.folder import image_files
from unocclude.media.images import image_size, read_image
from unocclude.metrics import (
    FalseArea,
    Frame,
    HiddenIoU,
    HiddenPSNR,
    MeanIoU,
    Metric,
    ObjectSSIM,
    OccludedMeanIoU,
    PublishedHiddenIoU,
    TemporalStability,
)

MASK_METRICS: tuple[type[Metric], ...] = (MeanIoU, OccludedMeanIoU, HiddenIoU, PublishedHiddenIoU, FalseArea)
APPEARANCE_METRICS: tuple[type[Metric], ...] = (HiddenPSNR, ObjectSSIM)
METRICS: tuple[type[Metric], ...] = (*MASK_METRICS, *APPEARANCE_METRICS, TemporalStability)


class Truth:
    """A GT folder: `visible_masks/` and `amodal_masks/` (run-length encoded here), `amodal_rgb/` where there
    is one.

    Raises InputError for a missing folder, counts or sizes that differ.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise InputError(f"{self.folder} is not a folder; give one with visible_masks/ and amodal_masks/")
        self.visible, self.amodal = self._masks("visible_masks"), self._masks("amodal_masks")
        self.height, self.width = self.amodal.height, self.amodal.width
        self.rgb = self._images("amodal_rgb")
        for name, count in (
            ("visible_masks", len(self.visible)),
            ("amodal_rgb", len(self.rgb) if self.rgb else len(self)),
            ("frames", len(self._images("frames") or self.amodal)),
        ):
            if count != len(self):
                raise InputError(
                    f"{self.folder}: {len(self)} amodal_masks but {count} in {name}; give one for every frame"
                )
        sizes = {"visible_masks": (self.visible.height, self.visible.width)}
        if self.rgb:
            sizes["amodal_rgb"] = image_size(self.rgb[0])
        for name, (height, width) in sizes.items():
            if (height, width) != (self.height, self.width):
                raise InputError(
                    f"{self.folder}: amodal_masks are {self.width}x{self.height}, {name} {width}x{height}; "
                    "they must be the same size"
                )

    def __len__(self) -> int:
        return len(self.amodal)

    def _masks(self, name: str) -> MaskTrack:
        folder = self.folder / name
        if not folder.is_dir():
            raise InputError(f"{folder} is missing; a GT folder holds visible_masks/ and amodal_masks/")
        return MaskTrack.from_masks(mask_files.read(folder))

    def _images(self, name: str) -> Sequence[Path]:
        folder = self.folder / name
        return image_files(folder) if folder.is_dir() else ()

    def rgba(self, i: int) -> np.ndarray:
        """The object's true appearance in frame i, (H, W, 4) uint8: amodal_rgb inside the amodal mask."""
        rgb = read_image(self.rgb[i])
        if rgb.shape[:2] != (self.height, self.width):
            raise InputError(f"{self.rgb[i]} is not {self.width}x{self.height} like the masks; all must be")
        return np.dstack([rgb, self.amodal[i].astype(np.uint8) * 255])


def evaluate(pred: Completion | str | Path, gt: str | Path) -> dict[str, Any]:
    """All metrics of a result against the truth in a GT folder, over the clip and, under `frames`, for every
    frame.

    pred: a finished OUT folder. gt: `visible_masks/`, `amodal_masks/` and, for psnr_hidden and ssim,
    `amodal_rgb/`. Keys: miou, miou_occluded_frames, miou_occ, miou_occ_published, false_area, psnr_hidden
    (dB), ssim, temporal_stability, as their classes in `unocclude.metrics` define them; NaN where nothing
    could be measured. Each entry of `frames` has the same keys, and `frame` and `occlusion_rate`. A
    prediction on a padded canvas is compared where the frame lies on it.

    Raises InputError where the two do not fit each other.
    """
    pred = pred if isinstance(pred, Completion) else Completion(pred)
    truth = Truth(gt)
    part = _frame_part(pred, truth)
    metrics = [metric() for metric in METRICS]
    unmeasured = () if truth.rgb else tuple(metric.name for metric in APPEARANCE_METRICS)
    frames = []
    for i, frame in enumerate(_frames(pred, truth, part)):
        values = {m.name: math.nan if m.name in unmeasured else m.update(frame) for m in metrics}
        frames.append({"frame": i, "occlusion_rate": frame.occlusion_rate, **values})
    return {**{metric.name: metric.compute() for metric in metrics}, "frames": frames}


def _frame_part(pred: Completion, truth: Truth) -> tuple[slice, slice]:
    """Where the truth's frame lies on the prediction's canvas."""
    canvas = pred.info["canvas"]
    x, y = canvas["offset"]
    width, height = canvas["width"] - 2 * x, canvas["height"] - 2 * y
    if len(pred) != len(truth):
        raise InputError(f"{pred.folder} has {len(pred)} frames, {truth.folder} {len(truth)}; compare the same clip")
    if (width, height) != (truth.width, truth.height):
        raise InputError(
            f"{pred.folder} is of {width}x{height} frames, {truth.folder} of {truth.width}x{truth.height}; "
            "compare the same clip"
        )
    return slice(y, y + height), slice(x, x + width)


def _frames(pred: Completion, truth: Truth, part: tuple[slice, slice]) -> Iterator[Frame]:
    for i in range(len(truth)):
        frame = Frame(pred.amodal_masks[i][part], truth.amodal[i], truth.visible[i])
        if truth.rgb:
            frame = frame._replace(pred_rgba=pred.rgba[i][part], truth_rgba=truth.rgba(i))
        yield frame


def table(figures: dict[str, Any]) -> str:
    """The figures over the clip as plain text."""
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
    """Write the figures as JSON, NaN as null, whole or not at all; raises UnoccludeError when that fails."""
    text = json.dumps(_with_nulls(figures), indent=1, allow_nan=False) + "\n"
    try:
        write_bytes(path, text.encode())
    except OSError as error:
        raise UnoccludeError(f"could not write {path}: {error.strerror or error}") from error


def _with_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_nulls(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_nulls(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def check_plotting(path: str | Path) -> None:
    """Raise InputError where no plot can be drawn to `path`, before any work."""
    if Path(path).suffix.lower() not in (".png", ".pdf", ".svg"):
        raise InputError(f"{path}: give a plot file that ends in .png, .pdf or .svg")
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError("--plot needs matplotlib; install it with pip install 'unocclude[evaluation]'")


def write_plot(path: str | Path, figures: dict[str, Any]) -> None:
    """Draw the figures over time, whole or not at all; raises InputError where matplotlib is missing."""
    check_plotting(path)
    # the object interface: no global state and no display
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
    with whole(path) as part:
        figure.savefig(part, dpi=120)
