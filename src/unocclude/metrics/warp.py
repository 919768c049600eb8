"""Warping error: consistency of appearance along the object's motion, by optical flow without weights."""

import math

import numpy as np

from unocclude.metrics.appearance import on_grey
from unocclude.metrics.base import APPEARANCE, MASKS, Frame, MeanMetric, over
from unocclude.metrics.boxes import box_of


class WarpError(MeanMetric[Frame]):
    """Warping error: mean over pairs of frames of 1 / |V| Σ_V (x_t - W(x_t-1))², pixel values 0 to 1, averaged over
    channels (Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018, equation 8).

    x: the prediction on grey. W: warping by the flow of the true object from t to t-1, so that a prediction that is
    static, or moves smoothly elsewhere, is not rewarded. V: pixels of the true object in both frames with
    forward-backward consistent flow and no motion boundary (their `detect_occlusion`: |w' + w|² <= 0.01 (|w'|² + |w|²)
    + 0.5; |∇w|² <= 0.01 |w|² + 0.002). Flow: Dense Inverse Search (Kroeger et al., ECCV 2016) instead of FlowNet2, so
    values are not comparable with published ones. The truth's own value is a lower bound.

    Needs both RGBA. Pairs with an empty V do not count; T = 1 gives NaN.
    """

    name = "warp_error"
    unit = "squared grey levels of 0 to 1"
    higher_is_better = False
    requires = (MASKS, APPEARANCE)

    def reset(self) -> None:
        super().reset()
        self._before: Frame | None = None

    def gap(self) -> None:
        self._before = None

    def value(self, frame: Frame, /) -> float:
        from unocclude.perception.flow import pixels, sample

        before, self._before = self._before, frame
        if before is None or not (before.truth.any() and frame.truth.any()):
            return math.nan
        before, now = (_cut(f, _round_object(before.truth | frame.truth)) for f in (before, frame))
        back, steady = steady_flow(on_grey(before.truth_rgba), on_grey(now.truth_rgba))
        source = pixels(back.shape) + back
        where = steady & now.truth & (sample(before.truth.astype(np.float32), source) > 0.5)
        if not where.any():
            return math.nan
        warped = sample(on_grey(before.pred_rgba).astype(np.float32), source)
        return float(np.square((on_grey(now.pred_rgba) - warped)[where] / 255).mean())


def _round_object(mask: np.ndarray, margin: int = 32) -> tuple[slice, slice]:
    """Bounding box of a mask with a margin; flow far from the object is not needed."""
    x, y, width, height = box_of(mask)
    return slice(max(0, y - margin), y + height + margin), slice(max(0, x - margin), x + width + margin)


def _cut(frame: Frame, part: tuple[slice, slice]) -> Frame:
    pred, truth, visible, pred_rgba, truth_rgba = (array[part] for array in frame[:5])
    return Frame(pred, truth, visible, pred_rgba, truth_rgba)


def steady_flow(before: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flow from `now` back to `before`, (H, W, 2) float32 in pixels, and where it is reliable, (H, W) bool; images
    (H, W, 3), 0 to 255."""
    from unocclude.perception.flow import dense_flow, pixels, sample

    before, now = (np.round(image).astype(np.uint8) for image in (before, now))
    back, forth = dense_flow(now, before), dense_flow(before, now)
    forth = sample(forth, pixels(back.shape) + back)
    size = np.square(back).sum(-1)
    returns = np.square(forth + back).sum(-1) <= 0.01 * (np.square(forth).sum(-1) + size) + 0.5
    change = sum(np.square(np.diff(back, axis=axis, append=back.take([-1], axis))).sum(-1) for axis in (0, 1))
    return back, returns & (change <= 0.01 * size + 0.002)


def warp_error(pred_rgba: np.ndarray, truth_rgba: np.ndarray, truth: np.ndarray) -> float:
    """Warping error along the true object's flow; RGBA (T, H, W, 4) uint8, truth's amodal masks (T, H, W) bool; 0
    upwards. Formula: `WarpError`."""
    return over(WarpError(), truth, truth, truth, pred_rgba, truth_rgba)
