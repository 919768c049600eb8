"""The first mask: from boxes, points and rough masks, on generated scenes that no network was trained on."""

from functools import cache
from unittest.mock import patch

import cv2
import numpy as np
import pytest

from unocclude.clip import Clip
from unocclude.errors import InputError
from unocclude.geometry import bounding_box, mask_iou
from unocclude.perception import segment as module
from unocclude.perception.prompt import Cue
from unocclude.perception.segment import Segmentation, segment
from unocclude.synthesis.crowds import crowd

SEEDS = range(88_000_000, 88_000_016)


def still(picture: np.ndarray) -> Clip:
    return Clip.from_frames([picture], shots=[range(1)])


def box_of(mask: np.ndarray) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = bounding_box(mask)
    return float(x0), float(y0), float(x1), float(y1)


@cache
def objects() -> list[tuple[Clip, np.ndarray]]:
    """Of each crowd the object whose box has most of the other objects in it, with its true visible mask."""
    found = []
    for seed in SEEDS:
        made = crowd(seed, side=160)
        masks = [made.labels == k for k in range(1, made.labels.max() + 1)]
        masks = [mask for mask in masks if mask.sum() > 400]
        if masks:
            found.append((still(made.picture), max(masks, key=lambda mask: others(made.labels, mask))))
    return found


def others(labels: np.ndarray, mask: np.ndarray) -> int:
    """The pixels of other objects in the box of a mask."""
    x0, y0, x1, y1 = bounding_box(mask)
    return int(((labels > 0) & ~mask)[y0:y1, x0:x1].sum())


def largest() -> tuple[Clip, np.ndarray]:
    """The first of `objects`."""
    return objects()[0]


def quality(found: list[Segmentation]) -> np.ndarray:
    return np.array([mask_iou(f.mask, truth) for f, (_, truth) in zip(found, objects(), strict=True)])


@pytest.fixture(scope="module")
def boxed() -> list[Segmentation]:
    return [segment(clip, 0, Cue(boxes=[box_of(truth)])) for clip, truth in objects()]


def test_box_beats_the_ellipse_and_grabcut(boxed):
    ellipses = [Segmentation(module._ellipses([box_of(t)], t.shape), 0.0) for _, t in objects()]
    with patch.multiple(module, NETWORK=0.0, VOTE=1.0, COLOURS=1.0, ELLIPSE=0.0):
        grabcut = [segment(clip, 0, Cue(boxes=[box_of(truth)])) for clip, truth in objects()]
    found = quality(boxed).mean()
    assert found > quality(ellipses).mean() + 0.1
    assert found > quality(grabcut).mean() + 0.01


def test_score_is_the_expected_iou_and_higher_for_a_clear_object(boxed):
    scores = np.array([found.score for found in boxed])
    assert ((scores >= 0) & (scores <= 1)).all()
    assert abs(scores.mean() - quality(boxed).mean()) < 0.15
    picture = np.full((120, 160, 3), (60, 110, 70), np.uint8)
    cv2.ellipse(picture, (80, 60), (40, 25), 0, 0, 360, (210, 60, 50), -1)
    clear = segment(still(picture), 0, Cue(boxes=[(40, 35, 121, 86)]))
    assert mask_iou(clear.mask, picture[..., 0] > 150) > 0.95
    assert clear.score > scores.mean() + 0.1


def test_box_masks_are_inside_the_box_and_never_empty(boxed):
    for (_, truth), found in zip(objects(), boxed, strict=True):
        x0, y0, x1, y1 = bounding_box(truth)
        assert found.mask.any()
        assert found.mask[y0:y1, x0:x1].sum() == found.mask.sum()


def test_points_refine_a_box(boxed):
    """A positive point where the object was missed and a negative one where too much was taken."""
    better = []
    for (clip, truth), found in zip(objects(), boxed, strict=True):
        points, labels = corrections(found.mask, truth)
        box = box_of(truth)
        better.append(segment(clip, 0, Cue(boxes=[box], points=points, labels=labels)) if points else found)
    assert quality(better).mean() > quality(boxed).mean() + 0.01


def test_guess_is_corrected_near_the_points(boxed):
    better = []
    for (clip, truth), found in zip(objects(), boxed, strict=True):
        points, labels = corrections(found.mask, truth)
        cue = Cue(points=points, labels=labels) if points else Cue(boxes=[box_of(truth)])
        better.append(segment(clip, 0, cue, guess=found.mask) if points else found)
    assert quality(better).mean() > quality(boxed).mean() + 0.02


def corrections(mask: np.ndarray, truth: np.ndarray) -> tuple[list[tuple[float, float]], list[bool]]:
    """A point in the middle of the largest missed and of the largest wrong region, as a person would click."""
    points, labels = [], []
    for wrong, label in ((truth & ~mask, True), (mask & ~truth, False)):
        depth = cv2.distanceTransform(np.pad(wrong, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        if depth.max() > 2:
            y, x = np.unravel_index(np.argmax(depth), depth.shape)
            points.append((float(x), float(y)))
            labels.append(label)
    return points, labels


def test_one_point_finds_the_object_and_its_size():
    found = []
    for clip, truth in objects():
        points, _ = corrections(np.zeros_like(truth), truth)
        found.append(segment(clip, 0, Cue(points=points)))
        (x, y) = points[0]
        assert found[-1].mask[int(y), int(x)]
    assert quality(found).mean() > 0.35


def test_points_are_respected():
    clip, truth = largest()
    x0, y0, x1, y1 = box_of(truth)
    inside = [(x0 + 1, y0 + 1), ((x0 + x1) / 2, (y0 + y1) / 2)]
    outside = [(x0 + 3, (y0 + y1) / 2), (x1 - 2, y1 - 2)]
    cue = Cue(boxes=[(x0, y0, x1, y1)], points=[*inside, *outside], labels=[True, True, False, False])
    mask = segment(clip, 0, cue).mask
    assert all(mask[int(y), int(x)] for x, y in inside)
    assert not any(mask[int(y), int(x)] for x, y in outside)


def test_negative_points_need_something_that_says_what_the_object_is():
    clip, truth = largest()
    cue = Cue(points=[(5, 5)], labels=[False])
    with pytest.raises(InputError, match="add a box or a point on it"):
        segment(clip, 0, cue)
    wrong = np.zeros_like(truth)
    wrong[:20, :20] = True
    found = segment(clip, 0, cue, guess=truth | wrong)
    assert not found.mask[5, 5]


def test_guess_is_kept_away_from_the_points():
    """A piece that was added by mistake goes; the rest of the mask stays as it is."""
    clip, truth = largest()
    ys, xs = np.nonzero(~truth)
    far = np.hypot(ys - np.nonzero(truth)[0].mean(), xs - np.nonzero(truth)[1].mean())
    y, x = int(ys[np.argmax(far)]), int(xs[np.argmax(far)])
    piece = np.zeros_like(truth)
    piece[max(0, y - 6) : y + 7, max(0, x - 6) : x + 7] = True
    piece &= ~truth
    found = segment(clip, 0, Cue(points=[(x, y)], labels=[False]), guess=truth | piece)
    assert mask_iou(found.mask, truth) > 0.97
    assert (found.mask & piece).sum() < 0.5 * piece.sum()


def test_mask_and_hidden_are_taken_at_their_word():
    clip, truth = largest()
    found = segment(clip, 0, Cue(mask=truth.astype(np.uint8) * 255))
    assert found.score == 1 and (found.mask == truth).all()
    found = segment(clip, 0, Cue(hidden=True))
    assert found.score == 1 and not found.mask.any()


def test_same_result_every_time():
    clip, truth = largest()
    for cue in (Cue(boxes=[box_of(truth)]), Cue(points=[(80, 80)])):
        first, second = segment(clip, 0, cue), segment(clip, 0, cue)
        assert (first.mask == second.mask).all() and first.score == second.score


@pytest.mark.parametrize(
    "box", [(0, 0, 160, 160), (-20, 30, 60, 200), (100, 100, 160, 160), (40, 40, 46, 45), (50, 50, 51, 51)]
)
def test_boxes_at_the_border_whole_and_tiny(box):
    clip, _ = largest()
    found = segment(clip, 0, Cue(boxes=[box]))
    x0, y0, x1, y1 = np.clip(box, 0, 160)
    assert found.mask.any() and found.mask[y0:y1, x0:x1].sum() == found.mask.sum()
    assert 0 <= found.score <= 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (16, 16), (97, 161)])
@pytest.mark.parametrize("colours", ["grey", "black", "noise"])
def test_frames_of_any_size_and_colour(shape, colours):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    picture = {"grey": np.repeat(noise[..., :1], 3, 2), "black": np.zeros_like(noise), "noise": noise}[colours]
    height, width = shape
    point = (width // 2, height // 2)
    for cue in (Cue(boxes=[(0, 0, max(1, width // 2), height)]), Cue(points=[point])):
        assert segment(still(picture), 0, cue).mask.any()
    cue = Cue(points=[point], labels=[False])
    assert not segment(still(picture), 0, cue, guess=np.ones(shape, bool)).mask[point[1], point[0]]


def test_several_boxes_contain_the_object_together():
    clip, truth = largest()
    x0, y0, x1, y1 = box_of(truth)
    middle = (y0 + y1) / 2
    found = segment(clip, 0, Cue(boxes=[(x0, y0, x1, middle), (x0, middle, x1, y1)]))
    assert mask_iou(found.mask, segment(clip, 0, Cue(boxes=[(x0, y0, x1, y1)])).mask) > 0.8
