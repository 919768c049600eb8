"""PSNR and SSIM of whole images against scikit-image; the warping error on motion that is known."""

import math

import cv2
import numpy as np
import pytest

from support.metric_cases import mean, random_case, random_rgba
from unocclude import metrics


def on_white(rgba):
    return rgba[..., :3] * (rgba[..., 3:] / 255) + 255 * (1 - rgba[..., 3:] / 255)


@pytest.mark.parametrize("seed", range(3))
def test_whole_image_metrics_equal_scikit_image(seed):
    skimage = pytest.importorskip("skimage.metrics")
    pred, truth, _ = random_case(seed)
    a, b = random_rgba(seed, pred), random_rgba(seed + 50, truth)
    a[0, ..., 3] //= 2  # half transparent
    pairs = [(on_white(x), on_white(y)) for x, y in zip(a, b, strict=True) if x[..., 3].any() or y[..., 3].any()]
    assert len(pairs) == 6
    psnr = [skimage.peak_signal_noise_ratio(y, x, data_range=255) for x, y in pairs]
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": -1}
    ssim = [skimage.structural_similarity(x, y, data_range=255, **settings) for x, y in pairs]
    assert metrics.psnr_image(a, b) == pytest.approx(mean(psnr))
    assert metrics.ssim_image(a, b) == pytest.approx(mean(ssim), abs=1e-9)


def test_whole_image_edges():
    nothing = np.zeros((2, 5, 7, 4), np.uint8)
    black = nothing.copy()
    black[..., 3] = 255
    assert math.isnan(metrics.psnr_image(nothing, nothing)) and math.isnan(metrics.ssim_image(nothing, nothing))
    assert metrics.psnr_image(black, black) == 100
    assert metrics.psnr_image(nothing, black) == 0
    assert metrics.ssim_image(black, black) == pytest.approx(1)
    # colour where alpha is 0 is not seen
    coloured = nothing.copy()
    coloured[..., :3] = 200
    assert metrics.psnr_image(coloured, black) == 0


def moving(shift, frames=5, size=(96, 128), seed=0):
    """A textured disk that moves `shift` pixels a frame to the right: RGBA and masks."""
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.random((96, 400, 3)), (0, 0), 2.5)
    texture = 255 * (texture - texture.min()) / (texture.max() - texture.min())
    ys, xs = np.mgrid[: size[0], : size[1]]
    rgba = np.zeros((frames, *size, 4), np.uint8)
    for t in range(frames):
        centre = 40 + shift * t
        mask = (xs - centre) ** 2 + (ys - 48) ** 2 < 30**2
        rgba[t, ..., :3] = np.roll(texture, 100 + int(shift * t), axis=1)[:, 100 : 100 + size[1]]
        rgba[t, ..., 3] = 255 * mask
        rgba[t][~mask] = 0
    return rgba, rgba[..., 3] > 0


def test_warp_error_follows_the_true_motion():
    truth, masks = moving(4)
    floor = metrics.warp_error(truth, truth, masks)
    assert 0 <= floor < 2e-4
    # what stands still, flickers or is noise is far above the floor
    frozen = np.repeat(truth[:1], 5, axis=0)
    flicker = truth.copy()
    flicker[1::2, ..., :3] //= 2
    noise = np.random.default_rng(0).integers(0, 256, truth.shape, dtype=np.uint8)
    noise[..., 3] = truth[..., 3]
    values = [metrics.warp_error(bad, truth, masks) for bad in (frozen, flicker, noise)]
    assert min(values) > 20 * floor and min(values) > 2e-3
    # another object's colours that move along are as consistent as the truth
    other, _ = moving(4, seed=3)
    assert metrics.warp_error(other, truth, masks) < 3 * floor + 1e-4
    # a wrong shade that stays does not matter, and a still object has no error
    darker = truth.copy()
    darker[..., :3] //= 2
    assert metrics.warp_error(darker, truth, masks) < floor + 1e-5
    still, still_masks = moving(0)
    assert metrics.warp_error(still, still, still_masks) == pytest.approx(0, abs=1e-12)


def test_warp_error_of_known_sizes():
    """Still truth, so that the flow is zero: the error is the mean squared step between frames on the object."""
    truth, masks = moving(0, frames=4)
    rng = np.random.default_rng(1)
    pred = truth.copy()
    pred[..., :3] = rng.integers(0, 256, pred[..., :3].shape)
    on_grey = pred[..., :3] * (pred[..., 3:] / 255) + 127 * (1 - pred[..., 3:] / 255)
    expected = mean([float(np.square((on_grey[t] - on_grey[t - 1])[masks[t]] / 255).mean()) for t in range(1, 4)])
    assert metrics.warp_error(pred, truth, masks) == pytest.approx(expected, rel=1e-6)


def test_warp_error_edges():
    truth, masks = moving(2, frames=2)
    assert math.isnan(metrics.warp_error(truth[:1], truth[:1], masks[:1]))
    assert math.isnan(metrics.warp_error(truth, truth, np.zeros_like(masks)))
    tiny = truth[:, 40:52, 35:48]
    assert metrics.warp_error(tiny, tiny, tiny[..., 3] > 0) >= 0  # too small for flow: taken as still
    # flow where the object leaves does not count, and prediction outside the truth does not either
    wide = truth.copy()
    wide[..., 3] = 255
    assert metrics.warp_error(wide, truth, masks) == pytest.approx(metrics.warp_error(truth, truth, masks), abs=2e-3)


def test_warp_error_looks_at_the_object_in_both_frames():
    truth, masks = moving(0, frames=2)
    smaller = masks.copy()
    smaller[1, :, 40:] = False
    pred = truth.copy()
    pred[1, :, 44:, :3] = 255 - pred[1, :, 44:, :3]  # only where the object is no more
    assert metrics.warp_error(pred, truth, masks) > 0.01
    assert metrics.warp_error(pred, truth, smaller) == metrics.warp_error(pred, truth, smaller[::-1]) == 0


def test_steady_flow_returns_and_has_no_edge(monkeypatch):
    flows = []
    monkeypatch.setattr("unocclude.perception.flow.dense_flow", lambda a, b: flows.pop(0))
    image = np.zeros((20, 30, 3))
    flow = np.zeros((20, 30, 2), np.float32)
    flow[..., 0] = 4

    def steady(back, forth):
        flows[:] = [back.copy(), forth.copy()]
        return metrics.warp.steady_flow(image, image)[1]

    assert steady(flow, -flow).all()
    assert not steady(flow, flow).any()
    # |4 - 3|² is just above, |4 - 3.3|² below 0.01 (|4|² + |.|²) + 0.5
    assert not steady(flow, -flow * (3 / 4)).any()
    assert steady(flow, -flow * (3.3 / 4)).all()
    edge = flow.copy()
    edge[:, 12:, 0] = 4.5
    found = steady(edge, -edge)
    assert not found[:, 11].any() and found[:, :11].all() and found[:, 12:].all()
