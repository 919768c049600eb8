"""Hard cuts are found exactly; what passes in front of the camera is no cut."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from unocclude.clip import Clip
from unocclude.media.shots import find_shots


def texture(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)


def pan(seed: int, count: int, speed: int = 2) -> list[np.ndarray]:
    picture = texture(seed)
    return [np.roll(picture, speed * i, axis=1) for i in range(count)]


def shots(frames: list[np.ndarray]) -> list[tuple[int, int]]:
    found = find_shots(Clip.from_frames(frames))
    assert all(len(shot) for shot in found) and [i for shot in found for i in shot] == list(range(len(frames)))
    return [(shot.start, shot.stop) for shot in found]


@pytest.mark.parametrize("lengths", [[20, 20], [2, 20], [20, 2], [3, 3, 3], [40, 5, 30], [30], [15, 15, 15, 15]])
def test_hard_cuts(lengths: list[int]) -> None:
    frames = [frame for seed, count in enumerate(lengths) for frame in pan(seed, count)]
    ends = np.cumsum([0, *lengths]).tolist()
    assert shots(frames) == list(pairwise(ends))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_very_short_clips(count: int) -> None:
    assert shots(pan(0, count)) == [(0, count)]


@pytest.mark.parametrize("speed", [20, 40, 80, 160])
def test_an_occluder_that_fills_the_frame_is_no_cut(speed: int) -> None:
    frames = pan(0, 60)
    for i in range(20, 60):
        left = -160 + speed * (i - 20)
        if left < 160:
            frames[i] = frames[i].copy()
            shown = slice(max(0, left), max(0, min(160, left + 160)))
            frames[i][:, shown] = texture(9)[:, : shown.stop - shown.start]
    assert shots(frames) == [(0, 60)]


def test_a_flash_is_no_cut_but_a_cut_beside_it_is() -> None:
    frames = [*pan(0, 30), *pan(1, 30)]
    frames[10] = np.full_like(frames[0], 255)
    assert shots(frames) == [(0, 30), (30, 60)]


def test_what_was_covered_for_a_moment_is_the_same_shot() -> None:
    """From one frame to the next something fills the picture, and is gone again: two cuts to a detector."""
    frames = [*pan(0, 40, speed=1), *pan(1, 40, speed=1)]
    frames[15:21] = pan(9, 6, speed=1)
    assert shots(frames) == [(0, 40), (40, 80)]


def test_fast_motion_and_noise_are_no_cuts() -> None:
    assert shots(pan(0, 30, speed=17)) == [(0, 30)]
    noise = np.random.default_rng(0)
    assert shots([np.clip(f + noise.normal(0, 12, f.shape), 0, 255).astype(np.uint8) for f in pan(0, 30)]) == [(0, 30)]


@pytest.mark.parametrize("size", [(9, 7), (1, 1), (40, 900)])
def test_any_size(size: tuple[int, int]) -> None:
    frames = [np.full((*size, 3), 20, np.uint8)] * 6 + [np.full((*size, 3), 230, np.uint8)] * 6
    assert shots(frames) == [(0, 6), (6, 12)]


def test_clip_shots() -> None:
    clip = Clip.from_frames([*pan(0, 12), *pan(1, 12)])
    assert clip.shots == [range(12), range(12, 24)] and clip.shot_of(13) == range(12, 24)
