"""Metrics against plain, slow versions written over sets of pixels, on random inputs and at the edges."""

import math

import cv2
import numpy as np
import pytest

from support.metric_cases import mean, pixels, random_case, same
from unocclude import metrics
from unocclude.metrics.appearance import PSNR_CAP
from unocclude.metrics.iou import erode


def plain(pred, truth, visible):
    """All mask metrics, from sets."""
    every, occluded, hidden, false = [], [], [], []
    for p, a, m in zip(*([pixels(x) for x in stack] for stack in (pred, truth, visible)), strict=True):
        rate = 1 - len(m) / len(a) if a else 0
        if a | p:
            every.append(len(p & a) / len(p | a))
        if rate > 0.01 + 1e-12:
            occluded.append(len(p & a) / len(p | a))
            hidden.append(len((p - m) & (a - m)) / len((p - m) | (a - m)))
        elif a:
            false.append(len(p - m) / len(a))
    return {
        "miou": mean(every),
        "miou_occluded_frames": mean(occluded),
        "miou_occ": mean(hidden),
        "false_area": mean(false),
    }


def plain_erode(mask):
    height, width = mask.shape
    out = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            near = [(v, u) for v in range(y - 2, y + 3) for u in range(x - 2, x + 3)]
            out[y, x] = all(mask[v, u] for v, u in near if 0 <= v < height and 0 <= u < width)
    return out


@pytest.mark.parametrize("seed", range(6))
def test_mask_metrics_match_sets(seed):
    pred, truth, visible = random_case(seed)
    expected = plain(pred, truth, visible)
    assert same(metrics.miou(pred, truth), expected["miou"])
    assert same(metrics.miou_occluded_frames(pred, truth, visible), expected["miou_occluded_frames"])
    assert same(metrics.miou_occ(pred, truth, visible), expected["miou_occ"])
    assert same(metrics.false_area(pred, truth, visible), expected["false_area"])


@pytest.mark.parametrize("seed", range(4))
def test_published_variants_match_the_released_script(seed):
    pred, truth, visible = random_case(seed)
    whole, hidden = [], []
    for p, a, m in zip(pred, truth, visible, strict=True):
        p = p | m
        whole.append((p & a).sum() / ((p | a).sum() + 1e-6))  # an empty union counts as 0
        p, a = plain_erode(p & ~m), plain_erode(a & ~m)
        value = (p & a).sum() / ((p | a).sum() + 1e-6)
        if value >= 1e-6:
            hidden.append(value)
    assert same(metrics.miou(pred, truth, visible, variant="published"), mean(whole))
    assert hidden, "the case must leave something to compare"
    assert same(metrics.miou_occ(pred, truth, visible, variant="published"), mean(hidden))
    # what the published number leaves out is what makes it differ
    assert metrics.miou_occ(pred, truth, visible) != pytest.approx(mean(hidden), abs=1e-3)


def test_published_drops_misses_where_plain_counts_them():
    truth = np.zeros((2, 20, 20), bool)
    truth[:, 4:16, 4:16] = True
    visible = truth.copy()
    visible[:, :, 10:] = False
    pred = np.stack([truth[0], visible[1]])  # one right, one total miss
    assert metrics.miou_occ(pred, truth, visible) == pytest.approx(0.5)
    assert metrics.miou_occ(pred, truth, visible, "published") == pytest.approx(1)
    assert math.isnan(metrics.miou_occ(visible, truth, visible, "published"))
    assert metrics.miou_occ(visible, truth, visible) == 0


def test_published_miou_unites_with_visible_and_counts_empty_frames():
    truth = np.zeros((2, 8, 8), bool)
    truth[0, 2:6, 2:6] = True
    nothing = np.zeros_like(truth)
    assert metrics.miou(nothing, truth, truth, variant="published") == pytest.approx(0.5, abs=1e-6)
    assert metrics.miou(nothing, truth) == 0
    assert metrics.miou(truth, truth) == 1
    with pytest.raises(ValueError, match="variant"):
        metrics.miou(truth, truth, variant="mine")


@pytest.mark.parametrize("shape", [(9, 13), (5, 5), (1, 1), (3, 40)])
def test_erosion_equals_opencv(shape):
    rng = np.random.default_rng(3)
    for share in (0.0, 0.85, 1.0):
        mask = rng.random(shape) < share
        expected = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
        assert np.array_equal(erode(mask), expected)
        assert np.array_equal(erode(mask), plain_erode(mask))


def test_one_percent_is_not_yet_occluded():
    truth = np.ones((1, 10, 20), bool)
    visible = truth.copy()
    visible[0, 0, :2] = False  # exactly 1 % of 200
    assert math.isnan(metrics.miou_occ(truth, truth, visible))
    assert metrics.false_area(truth, truth, visible) == pytest.approx(0.01)
    visible[0, 0, 2] = False
    assert metrics.miou_occ(truth, truth, visible) == 1
    assert math.isnan(metrics.false_area(truth, truth, visible))


def test_edges_of_mask_metrics():
    empty = np.zeros((1, 4, 4), bool)
    dot = empty.copy()
    dot[0, 1, 2] = True
    for function in (metrics.miou_occ, metrics.miou_occluded_frames, metrics.false_area):
        assert math.isnan(function(empty, empty, empty))
    assert math.isnan(metrics.miou(empty, empty))
    assert metrics.miou(dot, empty) == 0
    assert metrics.miou_occ(dot, dot, empty) == 1
    assert metrics.miou_occ(empty, dot, empty) == 0
    assert metrics.false_area(dot, dot, dot) == 0
    with pytest.raises(ValueError):
        metrics.miou(np.zeros((2, 4, 4), bool), empty)


def test_update_compute_reset():
    pred, truth, visible = random_case(1)
    metric = metrics.HiddenIoU()
    assert math.isnan(metric.compute())
    values = [metric.update(metrics.Frame(*f)) for f in zip(pred, truth, visible, strict=True)]
    counted = [v for v in values if not math.isnan(v)]
    assert 0 < len(counted) < len(values)
    assert metric.compute() == pytest.approx(mean(counted))
    metric.reset()
    assert math.isnan(metric.compute())


def on_grey(rgba):
    return rgba[..., :3] * (rgba[..., 3:] / 255) + 127 * (1 - rgba[..., 3:] / 255)


def grey_composite(rgba, y, x):
    alpha = rgba[y, x, 3] / 255
    return [alpha * float(c) + (1 - alpha) * 127 for c in rgba[y, x, :3]]


@pytest.mark.parametrize("seed", range(3))
def test_psnr_of_hidden_pixels(seed):
    _, truth, visible = random_case(seed)
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, 256, (*truth.shape, 4)).astype(np.uint8) for _ in range(2))
    errors = [
        (p - q) ** 2
        for t in range(len(truth))
        for y, x in pixels(truth[t]) - pixels(visible[t])
        for p, q in zip(grey_composite(a[t], y, x), grey_composite(b[t], y, x), strict=True)
    ]
    assert metrics.psnr_hidden(a, b, truth, visible) == pytest.approx(10 * math.log10(255**2 / mean(errors)))


def test_psnr_edges():
    truth = np.ones((1, 3, 3), bool)
    visible = ~truth
    white = np.full((1, 3, 3, 4), 255, np.uint8)
    missed = np.zeros_like(white)  # nothing there: grey
    assert metrics.psnr_hidden(missed, white, truth, visible) == pytest.approx(20 * math.log10(255 / 128))
    assert metrics.psnr_hidden(white, white, truth, visible) == PSNR_CAP
    assert math.isnan(metrics.psnr_hidden(white, white, truth, truth))
    # what is wrong outside the hidden pixels does not matter
    visible[0, 0] = True
    other = white.copy()
    other[0, 0, :, :3] = 0
    assert metrics.psnr_hidden(other, white, truth, visible) == PSNR_CAP


@pytest.mark.parametrize(("height", "width"), [(30, 22), (11, 11), (12, 40)])
def test_ssim_equals_scikit_image(height, width):
    skimage = pytest.importorskip("skimage.metrics")
    rng = np.random.default_rng(height)
    truth = np.zeros((2, 50, 60), bool)
    truth[:, 7 : 7 + height, 9 : 9 + width] = True
    truth[:, 7, 9] = False  # the box counts, not the mask
    base = np.array([cv2.GaussianBlur(rng.random((50, 60, 4)), (0, 0), 2) for _ in range(2)])
    a = (base * 255).astype(np.uint8)
    b = np.clip(a + rng.normal(0, 25, a.shape), 0, 255).astype(np.uint8)
    b[..., 3] = truth * 255
    expected = []
    for x, y in zip(a, b, strict=True):
        box = np.s_[7 : 7 + height, 9 : 9 + width]
        x, y = (on_grey(i.astype(float)) for i in (x, y))
        expected.append(
            skimage.structural_similarity(
                x[box],
                y[box],
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
                data_range=255,
                channel_axis=-1,
            )
        )
    assert 0.05 < mean(expected) < 0.95
    assert metrics.ssim(a, b, truth) == pytest.approx(mean(expected), abs=1e-9)


def test_ssim_edges():
    truth = np.zeros((1, 6, 6), bool)
    truth[0, 2, 3] = True
    white = np.where(truth[..., None], 255, 0).astype(np.uint8).repeat(4, -1)
    assert metrics.ssim(white, white, truth) == pytest.approx(1)
    assert metrics.ssim(np.zeros_like(white), white, truth) < 0.9
    assert math.isnan(metrics.ssim(white, white, ~np.ones_like(truth)))


def test_temporal_stability():
    square = np.zeros((6, 20, 30), bool)
    for t in range(6):
        square[t, 5:15, 2 + 3 * t : 12 + 3 * t] = True
    moved = np.roll(square, 2, axis=1)
    flicker = square.copy()
    flicker[1::2, :, :] = False
    frozen = np.repeat(square[:1], 6, axis=0)
    assert metrics.temporal_stability(square, square) == 1
    assert metrics.temporal_stability(moved, square) == 1
    own = (10 * 7) / (10 * 13)  # IoU of the square with itself, three pixels on
    assert metrics.temporal_stability(frozen, square) == pytest.approx(own)
    assert metrics.temporal_stability(flicker, square) == pytest.approx(1 - own)
    assert math.isnan(metrics.temporal_stability(square[:1], square[:1]))
    assert math.isnan(metrics.temporal_stability(~np.ones_like(square), ~np.ones_like(square)))
