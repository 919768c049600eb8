"""Wobbling edges are steadied; steady ones are not touched."""

import cv2
import numpy as np
import pytest

from unocclude.clip import Clip
from unocclude.geometry import mask_iou
from unocclude.masks import MaskTrack
from unocclude.perception.steady_edges import signed_distance, steady

H, W, T = 120, 180, 10


def texture(seed: int, shape: tuple[int, int], low: int, high: int) -> np.ndarray:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(*shape, 3)), (0, 0), 2)
    return np.interp(noise, (noise.min(), noise.max()), (low, high)).astype(np.uint8)


@pytest.fixture(scope="module")
def scene() -> tuple[Clip, list[np.ndarray]]:
    """A textured disc with a dent moves over a textured background, with a bar in front."""
    background, skin = texture(0, (H, W), 0, 150), texture(1, (80, 80), 90, 255)
    ys, xs = np.mgrid[:80, :80]
    shape = ((xs - 40) ** 2 + (ys - 40) ** 2 < 34**2) & ~((xs - 40) ** 2 + (ys - 8) ** 2 < 12**2)
    frames, masks = [], []
    for t in range(T):
        frame, mask = background.copy(), np.zeros((H, W), bool)
        at = np.s_[20:100, 10 + 6 * t : 90 + 6 * t]
        frame[at][shape] = skin[shape]
        mask[at] = shape
        frame[:, 100:116] = (30, 160, 60)
        mask[:, 100:116] = False
        frames.append(frame)
        masks.append(mask)
    return Clip.from_frames(np.array(frames), shots=[range(T)]), masks


def wobbling(masks: list[np.ndarray], spread: float) -> list[np.ndarray]:
    rng, result = np.random.default_rng(0), []
    for mask in masks:
        noise = cv2.GaussianBlur(rng.normal(size=mask.shape), (0, 0), 8)
        result.append(signed_distance(mask) + spread * noise / noise.std() > 0)
    return result


def test_wobbling_edges_come_nearer_to_the_truth(scene: tuple[Clip, list[np.ndarray]]) -> None:
    clip, exact = scene
    given = MaskTrack.from_masks(wobbling(exact, 2.0))
    track = steady(clip, given)
    before = np.mean([mask_iou(a, b) for a, b in zip(given, exact, strict=True)])
    after = np.mean([mask_iou(a, b) for a, b in zip(track, exact, strict=True)])
    assert 1 - after < 0.4 * (1 - before), (before, after)
    assert "they were steadied in 10 frames" in track.notes[0]


@pytest.mark.parametrize("radius", [2, -2])
def test_edges_beside_the_objects_come_nearer_to_it(scene: tuple[Clip, list[np.ndarray]], radius: int) -> None:
    clip, exact = scene
    given = MaskTrack.from_masks(signed_distance(mask) + radius > 0 for mask in exact)
    track = steady(clip, given)
    before = np.mean([mask_iou(a, b) for a, b in zip(given, exact, strict=True)])
    after = np.mean([mask_iou(a, b) for a, b in zip(track, exact, strict=True)])
    assert 1 - after < 0.4 * (1 - before), (before, after)
    assert ("outside" if radius > 0 else "inside") in track.notes[0]


@pytest.mark.parametrize("spread", [0.0, 0.7])
def test_steady_edges_are_left_alone(scene: tuple[Clip, list[np.ndarray]], spread: float) -> None:
    clip, exact = scene
    given = MaskTrack.from_masks(wobbling(exact, spread))
    assert steady(clip, given) is given


def test_small_objects_and_single_frames_are_left_alone(scene: tuple[Clip, list[np.ndarray]]) -> None:
    clip, exact = scene
    small = [np.zeros((H, W), bool) for _ in exact]
    rng = np.random.default_rng(0)
    for t, mask in enumerate(small):
        y, x = rng.integers(2, 8, 2)
        mask[50 : 50 + y, 20 + 6 * t : 20 + 6 * t + x] = True
    for part, masks in ((clip, small), (clip[:1], exact[:1])):
        given = MaskTrack.from_masks(masks)
        assert steady(part, given) is given


def test_frames_that_hide_the_object_stay_empty(scene: tuple[Clip, list[np.ndarray]]) -> None:
    clip, exact = scene
    masks = wobbling(exact, 2.0)
    masks[4] = np.zeros((H, W), bool)
    track = steady(clip, MaskTrack.from_masks(masks))
    assert not track[4].any() and mask_iou(track[5], exact[5]) > 0.95
