"""Splits, Top-K and the published protocol around the published figures, against plain loops."""

import itertools
import math

import cv2
import numpy as np
import pytest

from support.metric_cases import blobs, mean, random_case, random_rgba, same
from unocclude import metrics
from unocclude.metrics import Frame


def frames_of(seed):
    pred, truth, visible = random_case(seed)
    rgba = random_rgba(seed, pred), random_rgba(seed + 100, truth)
    return [Frame(*arrays) for arrays in zip(pred, truth, visible, *rgba, strict=True)]


def run(metric, frames):
    metric.reset()
    values = [metric.update(frame) for frame in frames]
    return metric.compute(), values


def rates(frames):
    return [1 - f.visible.sum() / f.truth.sum() if f.truth.any() else None for f in frames]


@pytest.mark.parametrize("make", [metrics.MeanIoU, metrics.HiddenIoU, metrics.BoundaryF, metrics.ImagePSNR])
def test_easy_and_hard_are_means_over_their_frames(make):
    for seed in range(3):
        frames = [frame for s in range(4) for frame in frames_of(10 * seed + s)]
        _, values = run(make(), frames)
        for split, of in ((metrics.easy, lambda r: r < 0.5), (metrics.hard, lambda r: r >= 0.5)):
            wanted = [v for v, r in zip(values, rates(frames), strict=True) if r is not None and of(r)]
            counted = [v for v in wanted if not math.isnan(v)]
            metric = split(make())
            assert 0 < len(counted) < len(frames)
            assert same(run(metric, frames)[0], mean(counted))
            assert metric.name.endswith(("_easy", "_hard")) and metric.unit == make().unit


def test_exactly_half_is_hard_and_no_object_is_neither():
    truth = np.zeros((1, 4, 4), bool)
    truth[0, :2] = True
    half = truth.copy()
    half[0, 1] = False
    assert math.isnan(metrics.easy(metrics.MeanIoU()).update(Frame(truth[0], truth[0], half[0])))
    assert metrics.hard(metrics.MeanIoU()).update(Frame(truth[0], truth[0], half[0])) == 1
    half[0, 1, 0] = True
    assert metrics.easy(metrics.MeanIoU()).update(Frame(truth[0], truth[0], half[0])) == 1
    nothing = np.zeros((4, 4), bool)
    for split in (metrics.easy, metrics.hard):
        assert math.isnan(split(metrics.MeanIoU()).update(Frame(truth[0], nothing, nothing)))


@pytest.mark.parametrize("edges", [(0, 0.2, 0.4, 0.6, 0.8, 1), (0, 0.3, 1)])
def test_bins_of_visibility_share_out_all_frames(edges):
    frames = [frame for seed in range(8) for frame in frames_of(seed)]
    # on the edges exactly
    for visible in (0, 2, 3, 4, 6, 8, 10):
        truth = np.zeros((1, 12), bool)
        truth[0, :10] = True
        frames.append(Frame(truth, truth, truth & (np.arange(12) < visible)))
    _, values = run(metrics.MeanIoU(), frames)
    bins = metrics.by_visibility(metrics.MeanIoU, edges)
    total = 0
    for (low, high), metric in zip(itertools.pairwise(edges), bins, strict=True):
        wanted = []
        for frame, value in zip(frames, values, strict=True):
            area = int(frame.truth.sum())
            if not area:
                continue
            share = int(frame.visible.sum()) / area
            if low <= share < high or share == high == 1:
                wanted.append(value)
        assert same(run(metric, frames)[0], mean(wanted))
        total += len(wanted)
    assert total == sum(bool(f.truth.any()) for f in frames)
    assert len({metric.name for metric in bins}) == len(bins)


def test_pairs_are_not_compared_across_frames_left_out():
    frames = [frame for seed in range(3) for frame in frames_of(seed)]
    _, values = run(metrics.TemporalStability(), frames)
    keep = [bool(f.truth.any()) and f.is_occluded for f in frames]
    wanted = [v for t, v in enumerate(values) if t and keep[t] and keep[t - 1] and not math.isnan(v)]
    assert wanted
    assert same(run(metrics.occluded(metrics.TemporalStability()), frames)[0], mean(wanted))


def test_a_gap_separates_two_clips():
    for make in (metrics.TemporalStability, metrics.WarpError):
        pooled, clips = make(), [frames_of(1), frames_of(2)]
        separate = []
        for clip in clips:
            pooled.gap()
            for frame in clip:
                pooled.update(frame)
            separate += [v for v in run(make(), clip)[1] if not math.isnan(v)]
        assert same(pooled.compute(), mean(separate))


@pytest.mark.parametrize("seed", range(3))
def test_top_k_against_loops(seed):
    rng = np.random.default_rng(seed)
    clips = [rng.random((10, frames)) for frames in (5, 1, 8)]
    for values in clips:
        values[rng.random(values.shape) < 0.2] = math.nan
    clips[0][:, 2] = math.nan  # a frame that counts for no hypothesis
    clips[2][3] = math.nan  # a hypothesis without any frame
    for per, k in itertools.product(("frame", "clip"), (1, 3, 10)):
        pool = []
        for values in clips:
            first = values[:k].tolist()
            if per == "frame":
                for column in zip(*first, strict=True):
                    pool += [max(v for v in column if v == v)] if any(v == v for v in column) else []
            else:
                best = max(first, key=lambda row: mean([v for v in row if v == v]) if any(v == v for v in row) else -1)
                pool += [v for v in best if v == v]
        assert same(metrics.top_k(clips, k, per), mean(pool))
    curve = metrics.top_k_curve(clips, 10, "frame")
    assert curve.shape == (10,)
    assert same(float(curve[2]), metrics.top_k(clips, 3))


def test_top_k_is_the_metric_for_one_and_never_falls():
    clips = []
    for seed in range(3):
        pred, truth, visible = random_case(seed)
        predictions = [pred, *(truth & ~blobs(np.random.default_rng(90 + seed + i), 7, share=0.3) for i in range(9))]
        clip = [[Frame(*f) for f in zip(p, truth, visible, strict=True)] for p in predictions]
        clips.append(np.array([run(metrics.HiddenIoU(), frames)[1] for frames in clip]))
    counted = [v for rows in clips for v in rows[0] if v == v]
    for per in ("frame", "clip"):
        curve = metrics.top_k_curve(clips, 10, per)
        assert curve[0] == pytest.approx(mean(counted))
        assert (np.diff(curve) >= -1e-12).all() and curve[-1] > curve[0]
    assert (metrics.top_k_curve(clips) >= metrics.top_k_curve(clips, per="clip") - 1e-12).all()
    lower = metrics.top_k_curve([-rows for rows in clips], lower_is_better=True)
    assert lower == pytest.approx(-metrics.top_k_curve(clips))
    # the order of hypotheses does not matter for the whole set, nor that of frames
    shuffled = [rows[::-1, ::-1] for rows in clips]
    for per in ("frame", "clip"):
        assert metrics.top_k(shuffled, 10, per) == pytest.approx(metrics.top_k(clips, 10, per))
    with pytest.raises(ValueError, match="11"):
        metrics.top_k(clips, 11)
    with pytest.raises(ValueError, match="per"):
        metrics.TopK(1, "video")


def test_clip_visibility_is_the_scripts_check_value():
    for seed in range(3):
        _, truth, visible = random_case(seed)
        a, m = truth.astype(int), visible.astype(int)
        expected = np.mean((a & m).sum((1, 2)) / ((a | m).sum((1, 2)) + 1e-6))
        assert metrics.clip_visibility(truth, visible) == pytest.approx(expected)


def test_published_protocol_whole_as_the_script_runs_it():
    """Prediction at 256x512 and truth at 800x1280, step by step as the released script treats them."""
    rng = np.random.default_rng(0)
    truth = np.array([cv2.resize(m.astype(np.uint8), (1280, 800)) > 0 for m in blobs(rng, 3, 50, 80)])
    visible = truth.copy()
    visible[0, :, 600:] = visible[1, 300:] = False
    pred = np.array([cv2.resize(m.astype(np.uint8), (512, 256), interpolation=cv2.INTER_NEAREST) > 0 for m in truth])
    pred[1] = np.roll(pred[1], 9, axis=1)
    ious, occluded = [], []
    for p, a, m in zip(pred, truth, visible, strict=True):
        p = np.logical_or(cv2.resize(p.astype(np.uint8), (1280, 800), interpolation=cv2.INTER_LINEAR), m).astype(int)
        a, m = a.astype(int), m.astype(int)
        ious.append((a & p).sum() / ((a | p).sum() + 1e-6))
        a, p = (cv2.erode(((x & ~m) * 255).astype(np.uint8), np.ones((5, 5), np.uint8)) // 255 for x in (a, p))
        occluded.append((a & p).sum() / ((a | p).sum() + 1e-6))
    occluded = [value for value in occluded if value >= 1e-6]
    assert len(occluded) == 2, "the frame with nothing hidden is dropped"
    resized = metrics.at_sailvos_size(pred)
    assert resized.shape == (3, 800, 1280) and resized.dtype == bool
    assert metrics.miou(resized, truth, visible, variant="published") == pytest.approx(mean(ious), abs=1e-12)
    assert metrics.miou_occ(resized, truth, visible, "published") == pytest.approx(mean(occluded), abs=1e-12)
    assert np.array_equal(metrics.at_sailvos_size(truth), truth)
