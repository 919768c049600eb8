"""The IoUs of TABE-51 (Hudson and Smith 2024, section 5; commit 110ebd7, src/eval_tabe51.py): they measure completion
apart from tracking, because the true visible masks are given to the method."""

import math

import numpy as np

from unocclude.geometry import mask_iou
from unocclude.metrics.base import Frame

NAMES = ("tabe_miou", "tabe_miou_ffo", "tabe_miou_fo", "tabe_miou_occ")


class TabeIoU:
    """Four means over the frames of a clip: of IoU(P, A) over all, over those in which nothing is visible (ffo) and
    over those marked occluded (fo); and over frames with a hidden pixel, of the IoU of P and A outside M (occ).

    As released, an empty union counts 0, and for occ a visible pixel that is not predicted counts as predicted:
    differences of masks are taken with their sign, and -1 is true. Means over clips leave out NaN.
    """

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {name: [] for name in NAMES}

    def update(self, frame: Frame, occluded: bool) -> dict[str, float]:
        """Take in one frame; its own values, NaN where it does not count."""
        whole = mask_iou(frame.pred, frame.truth, empty=0.0)
        hidden = frame.truth != frame.visible
        values = {
            "tabe_miou": whole,
            "tabe_miou_ffo": math.nan if frame.visible.any() else whole,
            "tabe_miou_fo": whole if occluded else math.nan,
            "tabe_miou_occ": mask_iou(frame.pred != frame.visible, hidden, empty=0.0) if hidden.any() else math.nan,
        }
        for name, value in values.items():
            if not math.isnan(value):
                self._values[name].append(value)
        return values

    def compute(self) -> dict[str, float]:
        """The four means over the frames so far."""
        return {name: float(np.mean(values)) if values else math.nan for name, values in self._values.items()}

    def reset(self) -> None:
        """Forget all frames."""
        self.__init__()  # type: ignore[misc]
