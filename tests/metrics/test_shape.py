"""Boxes, AP, boundary F and invariances of the metrics of masks."""

import itertools
import math

import numpy as np
import pytest

from support.metric_cases import blobs, mean, pixels, random_case, random_rgba, same
from unocclude import metrics
from unocclude.metrics import Detections
from unocclude.metrics.boundary import contour


def plain_box_iou(a, b):
    """Over unit squares, for boxes of whole numbers."""
    squares = [{(x, y) for x in range(q[0], q[0] + q[2]) for y in range(q[1], q[1] + q[3])} for q in (a, b)]
    union = squares[0] | squares[1]
    return len(squares[0] & squares[1]) / len(union) if union else 0


def random_boxes(rng, count):
    return np.concatenate([rng.integers(-3, 8, (count, 2)), rng.integers(0, 9, (count, 2))], 1)


def test_box_iou_and_published_ap():
    rng = np.random.default_rng(0)
    pred, truth = random_boxes(rng, 300), random_boxes(rng, 300)
    truth[:150] = pred[:150] + rng.integers(0, 2, (150, 4))
    truth[0], pred[0] = (2, 2, 2, 2), (2, 2, 4, 2)  # exactly .5: not above
    truth[1] = pred[1] = 0
    expected = [plain_box_iou(p, t) for p, t in zip(pred.tolist(), truth.tolist(), strict=True)]
    assert metrics.box_iou(pred, truth) == pytest.approx(expected)
    assert metrics.box_iou(pred[:5, None], truth[None, :7]).shape == (5, 7)
    for threshold in (0.25, 0.5, 0.75):
        share = mean([float(value > threshold) for value in expected])
        assert 0 < share < 1
        assert metrics.ap_published(pred, truth, threshold) == pytest.approx(share)
        assert metrics.ap_published(pred[::-1], truth[::-1], threshold) == pytest.approx(share)
        assert metrics.ap_published(np.tile(pred, (2, 1)), np.tile(truth, (2, 1)), threshold) == pytest.approx(share)
    assert math.isnan(metrics.ap_published(pred[:0], truth[:0]))
    assert metrics.PublishedAP(0.25).name == "ap25_published"
    with pytest.raises(ValueError):
        metrics.ap_published(pred, truth[:-1])


def test_box_of_mask():
    rng = np.random.default_rng(1)
    for mask in [*blobs(rng, 5), *(rng.random((20, 9, 7)) < 0.03)]:
        inside = pixels(mask)
        ys, xs = ([p[i] for p in inside] for i in (0, 1))
        expected = [min(xs), min(ys), max(xs) - min(xs) + 1, max(ys) - min(ys) + 1] if inside else [0, 0, 0, 0]
        assert metrics.box_of(mask).tolist() == expected


def coco_ap(images, thresholds):
    """pycocotools' own figure, for boxes (pred, scores, truth) of each image."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, ids = COCO(), itertools.count(1)
    truth.dataset = {
        "info": {},
        "images": [{"id": i} for i in range(len(images))],
        "categories": [{"id": 1}],
        "annotations": [
            {"id": next(ids), "image_id": i, "category_id": 1, "iscrowd": 0, "bbox": b, "area": b[2] * b[3]}
            for i, (_, _, boxes) in enumerate(images)
            for b in boxes.tolist()
        ],
    }
    truth.createIndex()
    results = [
        {"image_id": i, "category_id": 1, "bbox": b, "score": s}
        for i, (boxes, scores, _) in enumerate(images)
        for b, s in zip(boxes.tolist(), scores.tolist(), strict=True)
    ]
    evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.params.iouThrs = np.array(thresholds)
    evaluation.evaluate()
    evaluation.accumulate()
    return float(evaluation.eval["precision"][:, :, 0, 0, -1].mean())


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_equals_coco(seed):
    rng = np.random.default_rng(seed)
    images = []
    for i in range(12):
        count = int(rng.integers(0, 6)) if i else 0
        truth = np.concatenate([rng.uniform(0, 60, (count, 2)), rng.uniform(5, 30, (count, 2))], 1)
        near = np.repeat(truth, 2, 0) + rng.normal(0, 2, (2 * count, 4))
        pred = np.concatenate([near, np.concatenate([rng.uniform(0, 60, (3, 2)), rng.uniform(5, 30, (3, 2))], 1)])
        scores = np.round(rng.random(len(pred)), 1)  # with ties
        images.append((pred, scores, truth))
    # more than 100 detections in one image; two equal true boxes, matched once each
    many = np.tile(images[3][2][:1] if len(images[3][2]) else np.array([[5.0, 5, 20, 20]]), (120, 1))
    images.append((many, rng.random(120), np.tile(many[:1], (2, 1))))
    items = [Detections(metrics.box_iou(p[:, None], t[None]), s) for p, s, t in images]
    for thresholds in ((0.5,), (0.25, 0.75), metrics.boxes.COCO_THRESHOLDS):
        expected = coco_ap(images, thresholds)
        assert 0.05 < expected < 0.95
        assert metrics.average_precision(items, thresholds) == pytest.approx(expected, abs=1e-9)


def test_average_precision_edges():
    one = np.ones((1, 1))
    assert metrics.average_precision([Detections(one, np.ones(1))]) == pytest.approx(1)
    assert metrics.average_precision([Detections(np.zeros((0, 2)), np.zeros(0))]) == 0
    assert math.isnan(metrics.average_precision([Detections(np.zeros((3, 0)), np.ones(3))]))
    assert math.isnan(metrics.average_precision([]))
    # a false detection ranked above the right one halves the precision
    wrong = Detections(np.zeros((1, 0)), np.ones(1))
    assert metrics.average_precision([Detections(one, np.full(1, 0.3)), wrong]) == pytest.approx(0.5)


def plain_contour(mask):
    height, width = mask.shape
    at = lambda y, x: mask[min(y, height - 1), min(x, width - 1)]  # noqa: E731
    return {
        (y, x)
        for y in range(height)
        for x in range(width)
        if any(mask[y, x] != at(y + dy, x + dx) for dy, dx in ((0, 1), (1, 0), (1, 1)))
    }


def plain_boundary_f(pred, truth):
    radius = math.ceil(0.008 * math.hypot(*truth.shape))
    p, t = plain_contour(pred), plain_contour(truth)
    if not p or not t:
        return float(not p and not t)
    distance = np.square(np.array(sorted(p))[:, None] - np.array(sorted(t))[None]).sum(-1)
    precision, recall = (float((distance.min(axis) <= radius**2).mean()) for axis in (1, 0))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0


@pytest.mark.parametrize("shape", [(20, 26), (40, 130), (1, 5), (7, 1)])
def test_boundary_f_against_sets(shape):
    rng = np.random.default_rng(2)
    truth = blobs(rng, 4, *shape)
    pred = np.array([np.roll(m, s, axis=0) for m, s in zip(truth, (0, 1, 2, 6), strict=True)])
    pred[3] ^= blobs(rng, 1, *shape, share=0.05)[0]
    for p, t in zip(pred, truth, strict=True):
        assert pixels(contour(t)) == plain_contour(t)
        assert same(metrics.boundary_f(p[None], t[None]), plain_boundary_f(p, t))
    assert same(metrics.boundary_f(pred, truth), mean([plain_boundary_f(*f) for f in zip(pred, truth, strict=True)]))


def test_boundary_f_edges():
    empty = np.zeros((1, 30, 40), bool)
    dot = empty.copy()
    dot[0, 10, 10] = True
    far = np.roll(dot, 15, axis=2)
    assert metrics.boundary_f(empty, empty) == 1
    assert metrics.boundary_f(dot, empty) == metrics.boundary_f(empty, dot) == 0
    assert metrics.boundary_f(dot, dot) == 1
    assert metrics.boundary_f(far, dot) == 0


def all_figures(pred, truth, visible, a, b):
    return {
        "miou": metrics.miou(pred, truth),
        "miou_published": metrics.miou(pred, truth, visible, variant="published"),
        "miou_occluded_frames": metrics.miou_occluded_frames(pred, truth, visible),
        "miou_occ": metrics.miou_occ(pred, truth, visible),
        "miou_occ_published": metrics.miou_occ(pred, truth, visible, "published"),
        "false_area": metrics.false_area(pred, truth, visible),
        "psnr_hidden": metrics.psnr_hidden(a, b, truth, visible),
        "psnr_image": metrics.psnr_image(a, b),
        "ssim": metrics.ssim(a, b, truth),
        "ssim_image": metrics.ssim_image(a, b),
    }


@pytest.mark.parametrize("seed", range(2))
def test_figures_do_not_change_with_what_does_not_matter(seed):
    pred, truth, visible = random_case(seed)
    stacks = [pred, truth, visible, random_rgba(seed, pred), random_rgba(seed + 9, truth)]
    before = all_figures(*stacks)
    assert all(0 < value < 100 for value in before.values())
    changes = {
        "flip": lambda x: x[:, :, ::-1],
        "transpose": lambda x: x.swapaxes(1, 2),
        "frames in another order": lambda x: x[[3, 1, 6, 0, 2, 5, 4]],
        "every frame twice": lambda x: np.repeat(x, 2, axis=0),
    }
    for name, change in changes.items():
        after = all_figures(*(change(x) for x in stacks))
        assert after == pytest.approx(before, abs=1e-9), name
    stability = metrics.temporal_stability(pred, truth)
    for change in (changes["flip"], changes["transpose"], lambda x: x[::-1]):
        assert metrics.temporal_stability(change(pred), change(truth)) == pytest.approx(stability)
    # a contour pixel has its neighbour to the right and below, so only the transpose leaves F as it is
    f = metrics.boundary_f(pred, truth)
    for change in ("transpose", "frames in another order", "every frame twice"):
        assert metrics.boundary_f(changes[change](pred), changes[change](truth)) == pytest.approx(f), change
