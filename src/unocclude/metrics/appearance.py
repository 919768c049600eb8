"""Appearance: PSNR over hidden pixels and SSIM on the object's box, both on grey; PSNR and SSIM of the whole image,
on white."""

import math

import numpy as np

from unocclude.metrics.base import APPEARANCE, MASKS, Frame, MeanMetric, Metric, over

GREY, WHITE = 127, 255
PEAK = 255.0
PSNR_CAP = 100.0
"""PSNR in dB of identical images, which would be infinite (and has no representation in JSON)."""


def on_backdrop(rgba: np.ndarray, backdrop: int) -> np.ndarray:
    """Composite RGBA (..., 4) uint8 with straight alpha on a grey level: (..., 3) float64, 0 to 255."""
    alpha = rgba[..., 3:] / 255.0
    return alpha * rgba[..., :3] + (1 - alpha) * backdrop


def on_grey(rgba: np.ndarray) -> np.ndarray:
    """Composite on grey 127, which differs from most objects, so that missing pixels count as errors."""
    return on_backdrop(rgba, GREY)


def whole_images(frame: Frame) -> tuple[np.ndarray, np.ndarray] | None:
    """Prediction and truth of the whole frame composited on white, each (H, W, 3) float64, 0 to 255; None if
    both are empty.

    pix2gestalt, Diffusion-VAS and TGVAC complete objects on white; the papers do not state the background on which they
    measure.
    """
    if not (frame.pred_rgba[..., 3].any() or frame.truth_rgba[..., 3].any()):
        return None
    return on_backdrop(frame.pred_rgba, WHITE), on_backdrop(frame.truth_rgba, WHITE)


class HiddenPSNR(Metric[Frame]):
    """PSNR over the truth's hidden pixels A - M of all frames together: 10 log10(255² / MSE) in dB, at most
    100.

    Both are composited on grey 127, so pixels that the prediction misses are grey. The mean squared error is pooled
    over all hidden pixels and three channels, so frames are weighted by their number of hidden pixels; `update` returns
    the PSNR of the frame.
    """

    name = "psnr_hidden"
    unit = "dB"
    requires = (MASKS, APPEARANCE)
    decimals = 2

    def reset(self) -> None:
        self._error, self._count = 0.0, 0

    def update(self, frame: Frame, /) -> float:
        hidden = frame.truth & ~frame.visible
        difference = on_grey(frame.pred_rgba[hidden]) - on_grey(frame.truth_rgba[hidden])
        error = float(np.square(difference).sum())
        self._error += error
        self._count += difference.size
        return psnr(error, difference.size)

    def compute(self) -> float:
        return psnr(self._error, self._count)


def psnr(error: float, count: int, peak: float = PEAK) -> float:
    """PSNR in dB of a squared error summed over `count` values of 0 to `peak`: 10 log10(peak² count / error), at most
    100; NaN without values."""
    if not count:
        return math.nan
    return min(PSNR_CAP, 10 * math.log10(peak**2 * count / error)) if error else PSNR_CAP


class ImagePSNR(MeanMetric[Frame]):
    """Mean over frames of the whole image's PSNR, 10 log10(255² / MSE) in dB, at most 100 each, object on white.

    This is the common PSNR of a video, and probably the one in IC-Amodal's table (its text only says "against
    ground-truth amodal references"). Most of the image is background, so values are much higher than `HiddenPSNR`'s and
    less informative. Frames in which both images are empty are left out.
    """

    name = "psnr_image"
    unit = "dB"
    requires = (MASKS, APPEARANCE)
    decimals = 2

    def value(self, frame: Frame, /) -> float:
        images = whole_images(frame)
        if images is None:
            return math.nan
        return psnr(float(np.square(images[0] - images[1]).sum()), images[0].size)


class ObjectSSIM(MeanMetric[Frame]):
    """Mean SSIM on the box of the truth's amodal mask, both composited on grey 127. Frames without
    an object are left out.

    SSIM(x, y) = (2 μx μy + C1)(2 σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + C2)), C1 = (0.01·255)², C2 =
    (0.03·255)², Gaussian window 11x11, σ = 1.5, over window positions entirely inside the box, averaged over
    positions and channels (Wang, Bovik, Sheikh, Simoncelli 2004, equations 13 to 17). Boxes under 11
    pixels are padded with grey.
    """

    name = "ssim"
    unit = "-1 to 1"
    requires = (MASKS, APPEARANCE)
    plot_range = (0, 1)

    def value(self, frame: Frame, /) -> float:
        rows, columns = np.flatnonzero(frame.truth.any(1)), np.flatnonzero(frame.truth.any(0))
        if not len(rows):
            return math.nan
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        pred, truth = (_at_least_window(on_grey(rgba[box])) for rgba in (frame.pred_rgba, frame.truth_rgba))
        return _ssim(pred, truth)


class ImageSSIM(MeanMetric[Frame]):
    """Mean SSIM over whole images, object on white: `ObjectSSIM`'s formula on the whole image. Frames in
    which both images are empty are left out."""

    name = "ssim_image"
    unit = "-1 to 1"
    requires = (MASKS, APPEARANCE)
    plot_range = (0, 1)

    def value(self, frame: Frame, /) -> float:
        images = whole_images(frame)
        return math.nan if images is None else _ssim(*(_at_least_window(image, WHITE) for image in images))


_WINDOW, _SIGMA = 11, 1.5


def _gaussian() -> np.ndarray:
    x = np.arange(_WINDOW) - _WINDOW // 2
    weights = np.exp(-0.5 * (x / _SIGMA) ** 2)
    return weights / weights.sum()


def _at_least_window(image: np.ndarray, backdrop: int = GREY) -> np.ndarray:
    lacking = [max(0, _WINDOW - size) for size in image.shape[:2]]
    padding = [(n // 2, n - n // 2) for n in lacking]
    return np.pad(image, [*padding, (0, 0)], constant_values=backdrop)


def _ssim(x: np.ndarray, y: np.ndarray) -> float:
    mean_x, mean_y = _blur(x), _blur(y)
    var_x = _blur(x * x) - mean_x**2
    var_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    )
    return float(similarity.mean())


def _blur(image: np.ndarray) -> np.ndarray:
    """Gaussian filter, valid positions only: (H-10, W-10, C)."""
    for axis in (0, 1):
        length = image.shape[axis] - _WINDOW + 1
        image = sum(
            weight * (image[k : k + length] if axis == 0 else image[:, k : k + length])
            for k, weight in enumerate(_gaussian())
        )
    return image


def psnr_hidden(pred_rgba: np.ndarray, truth_rgba: np.ndarray, truth: np.ndarray, visible: np.ndarray) -> float:
    """PSNR in dB over the truth's hidden pixels; RGBA (T, H, W, 4) uint8, masks (T, H, W) bool.

    NaN where nothing is hidden. Formula: `HiddenPSNR`.
    """
    return over(HiddenPSNR(), truth, truth, visible, pred_rgba, truth_rgba)


def ssim(pred_rgba: np.ndarray, truth_rgba: np.ndarray, truth: np.ndarray) -> float:
    """SSIM on the object's box; RGBA (T, H, W, 4) uint8, truth's amodal masks (T, H, W) bool. Formula:
    `ObjectSSIM`."""
    return over(ObjectSSIM(), truth, truth, truth, pred_rgba, truth_rgba)


def psnr_image(pred_rgba: np.ndarray, truth_rgba: np.ndarray) -> float:
    """PSNR in dB of whole images, RGBA (T, H, W, 4) uint8. Formula: `ImagePSNR`."""
    return over_rgba(ImagePSNR(), pred_rgba, truth_rgba)


def ssim_image(pred_rgba: np.ndarray, truth_rgba: np.ndarray) -> float:
    """SSIM of whole images, RGBA (T, H, W, 4) uint8. Formula: `ImageSSIM`."""
    return over_rgba(ImageSSIM(), pred_rgba, truth_rgba)


def over_rgba(metric: Metric[Frame], pred_rgba: np.ndarray, truth_rgba: np.ndarray) -> float:
    """Compute a metric that uses only RGBA over stacks (T, H, W, 4) uint8; masks are where alpha is not 0."""
    pred, truth = pred_rgba[..., 3] > 0, truth_rgba[..., 3] > 0
    return over(metric, pred, truth, truth, pred_rgba, truth_rgba)
