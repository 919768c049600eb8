"""The part of a mask that negative points mark."""

import cv2
import numpy as np
import pytest

from unocclude.geometry import mask_iou
from unocclude.perception.mask_part import part_around
from unocclude.synthesis.crowds import crowd

SEEDS = range(88_000_100, 88_000_124)


def middle(mask: np.ndarray) -> tuple[float, float]:
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return float(x), float(y)


def touching() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pictures in which two objects touch: the object's mask, and that of the smaller one, taken with it by mistake."""
    found = []
    for seed in SEEDS:
        made = crowd(seed, side=160)
        masks = sorted((made.labels == k for k in range(1, made.labels.max() + 1)), key=lambda m: -m.sum())
        for i, large in enumerate(masks):
            near = cv2.dilate(large.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            small = [
                m for m in masks[i + 1 :] if m.sum() > 200 and (near & m).sum() > 15 and m.sum() < 0.7 * large.sum()
            ]
            if small:
                found.append((made.picture, large, small[0]))
                break
    return found


def test_what_was_taken_by_mistake_goes():
    scores = []
    for picture, large, small in touching():
        both = large | small
        part = part_around(picture, both, [middle(small)])
        assert not (part & ~both).any()
        scores.append((mask_iou(both, large), mask_iou(both & ~part, large)))
    before, after = np.array(scores).mean(0)
    assert len(scores) >= 8
    assert after > before + 0.08


def test_points_on_the_object_hold_it():
    picture = np.full((60, 90, 3), 90, np.uint8)  # one colour: only the points tell the halves apart
    mask = np.zeros((60, 90), bool)
    mask[20:40, 10:80] = True
    free = part_around(picture, mask, [(70, 30)])
    held = part_around(picture, mask, [(70, 30)], [(60, 30)])
    assert free[30, 60] or not held[30, 60]
    assert held[30, 70] and not held[30, 60]


def test_another_component_goes_whole():
    picture = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    mask = np.zeros((60, 90), bool)
    mask[10:50, 10:50] = True
    island = np.zeros_like(mask)
    island[20:30, 60:80] = True
    assert np.array_equal(part_around(picture, mask | island, [(65, 25)]), island)


@pytest.mark.parametrize("points", [[], [(80.0, 50.0)]])
def test_points_beside_the_mask_take_nothing(points):
    picture = np.zeros((60, 90, 3), np.uint8)
    mask = np.zeros((60, 90), bool)
    mask[10:50, 10:50] = True
    assert not part_around(picture, mask, points).any()
    assert not part_around(picture, np.zeros_like(mask), points).any()


@pytest.mark.parametrize("size", [1, 3])
def test_tiny_masks(size):
    picture = np.zeros((40, 40, 3), np.uint8)
    mask = np.zeros((40, 40), bool)
    mask[20 : 20 + size, 20 : 20 + size] = True
    assert not (part_around(picture, mask, [(20, 20)]) & ~mask).any()
