"""The IoUs of TABE-51 (Hudson and Smith 2024, section 5; commit 110ebd7, src/eval_tabe51.py).

The method is given the true visible masks, so they measure completion separately from tracking.
"""

import math

import numpy as np

from unocclude.geometry import mask_iou
from unocclude.metrics.base import Frame

NAMES = ("tabe_miou", "tabe_miou_ffo", "tabe_miou_fo", "tabe_miou_occ")


class TabeIoU:
    """Four means over the frames of a clip.

    IoU(P, A) over all frames, over those in which nothing is visible (ffo) and over those marked occluded (fo); and the
    IoU of P and A outside M over frames with hidden pixels (occ). As released, an empty union counts as 0, and for occ
    a visible pixel that is not predicted counts as predicted, because masks are subtracted with sign and -1 is true.
    Means over clips leave out NaN.
    """

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {name: [] for name in NAMES}

    def update(self, frame: Frame, occluded: bool) -> dict[str, float]:
        """Take in one frame; returns its values, NaN where it does not count."""
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
        """The four means over all frames since the last reset."""
        return {name: float(np.mean(values)) if values else math.nan for name, values in self._values.items()}

    def reset(self) -> None:
        """Forget all frames."""
        self.__init__()  # type: ignore[misc]
