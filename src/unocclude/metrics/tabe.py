"""The four IoUs of TABE-51 (Hudson and Smith 2024, section 5; commit 110ebd7, src/eval_tabe51.py).

The method is given the true visible masks, so they measure completion separately from tracking. As released, an empty
union counts as 0. Means over clips leave out NaN.
"""

import math

from unocclude.geometry import mask_iou
from unocclude.metrics.base import MARKS, MASKS, Frame, MeanMetric


class TabeMeanIoU(MeanMetric[Frame]):
    """Mean of IoU(P, A) over all frames."""

    name = "tabe_miou"
    requires = (MASKS, MARKS)

    def value(self, frame: Frame, /) -> float:
        return mask_iou(frame.pred, frame.truth, empty=0.0)


class TabeFullyOccludedIoU(TabeMeanIoU):
    """Mean of IoU(P, A) over the frames in which nothing is visible (ffo)."""

    name = "tabe_miou_ffo"

    def value(self, frame: Frame, /) -> float:
        return math.nan if frame.visible.any() else super().value(frame)


class TabeOccludedIoU(TabeMeanIoU):
    """Mean of IoU(P, A) over the frames that the data set marks as occluded (fo)."""

    name = "tabe_miou_fo"

    def value(self, frame: Frame, /) -> float:
        return super().value(frame) if frame.marked else math.nan


class TabeHiddenIoU(TabeMeanIoU):
    """Mean IoU of P and A outside M over frames with hidden pixels (occ).

    As released, a visible pixel that is not predicted counts as predicted, because masks are subtracted with sign and
    -1 is true.
    """

    name = "tabe_miou_occ"

    def value(self, frame: Frame, /) -> float:
        hidden = frame.truth != frame.visible
        return mask_iou(frame.pred != frame.visible, hidden, empty=0.0) if hidden.any() else math.nan
