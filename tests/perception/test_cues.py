"""Cues in several frames: they correct the track in both directions, and the confidence knows where it is lost."""

import numpy as np
import pytest

from support.moving_ellipse import HEIGHT, WIDTH, box_of, one_shot, scene, scores, texture
from unocclude import Prompt
from unocclude.clip import Clip
from unocclude.masks import DOUBTFUL
from unocclude.perception.locate import track

JUMP = 7


@pytest.fixture(scope="module")
def jumping() -> tuple[Clip, list[np.ndarray]]:
    """The object jumps to another place and looks different there, so that nobody could follow it without a cue."""
    path = lambda t: (40 + 2 * t, 30) if t < JUMP else (110 + 2 * (t - JUMP), 70)  # noqa: E731
    return scene(path, 14, looks=lambda t: 2 if t < JUMP else 5)


@pytest.mark.parametrize("cue", [8, 10, 13])
def test_a_box_after_a_jump_restores_the_track_back_to_it(jumping: tuple[Clip, list[np.ndarray]], cue: int) -> None:
    clip, truth = jumping
    alone = track(clip, box=box_of(truth[0]))
    assert scores([alone[i] for i in range(JUMP, 14)], truth[JUMP:]).mean() < 0.5  # else the test shows nothing
    both = track(clip, Prompt().box(*box_of(truth[0])).box(*box_of(truth[cue]), frame=cue))
    assert scores(both, truth).min() > 0.8
    assert all((both[i] == alone[i]).all() for i in range(JUMP - 1))


def test_a_mask_before_the_first_box_is_followed_as_well(jumping: tuple[Clip, list[np.ndarray]]) -> None:
    clip, truth = jumping
    both = track(clip, Prompt().box(*box_of(truth[11]), frame=11).mask(truth[2], frame=2))
    assert (both[2] == truth[2]).all() and scores(both, truth).min() > 0.8


def test_points_correct_what_was_predicted(jumping: tuple[Clip, list[np.ndarray]]) -> None:
    clip, truth = jumping
    x0, y0, x1, y1 = box_of(truth[9])
    prompt = Prompt().mask(truth[0]).point((x0 + x1) / 2, (y0 + y1) / 2, frame=9)
    lost = track(clip, mask=truth[0])[9]
    if lost.any():
        y, x = np.argwhere(lost)[len(np.argwhere(lost)) // 2]
        prompt = prompt.point(int(x), int(y), frame=9, positive=False)
    found = track(clip, prompt)
    assert scores(found, truth)[JUMP:].mean() > scores(track(clip, mask=truth[0]), truth)[JUMP:].mean() + 0.3


def test_a_hidden_frame_is_empty_and_its_neighbours_are_not() -> None:
    clip, truth = scene(lambda t: (40 + 4 * t, 45), 9)
    found = track(clip, Prompt().box(*box_of(truth[0])).hidden(frame=4).box(*box_of(truth[8]), frame=8))
    assert not found[4].any() and found.confidence[4] == 1
    assert (
        scores([found[i] for i in (0, 1, 2, 3, 5, 6, 7, 8)], [truth[i] for i in (0, 1, 2, 3, 5, 6, 7, 8)]).min() > 0.8
    )


def test_a_negative_point_removes_what_it_is_on_and_the_rest_stays() -> None:
    ground = texture(HEIGHT, WIDTH, 1, (90, 110, 100))
    red, blue = texture(HEIGHT, WIDTH, 2, (190, 80, 60)), texture(HEIGHT, WIDTH, 3, (60, 70, 200))
    left, right = np.zeros((2, HEIGHT, WIDTH), bool)
    left[30:60, 40:70], right[30:60, 70:100] = True, True
    frame = np.where(left[..., None], red, np.where(right[..., None], blue, ground)).astype(np.uint8)
    clip = one_shot([frame] * 3)
    found = track(clip, Prompt().mask(left | right).point(85, 45, positive=False))
    assert found[0][right].mean() < 0.05 and found[0][left].mean() > 0.95


def test_a_twin_that_passes_does_not_take_over() -> None:
    """Another thing of the same look passes behind the object."""
    clip, truth = scene(lambda t: (80, 45), 16)
    twin, _ = scene(lambda t: (20 + 8 * t, 50), 16)
    frames = [np.where(mask[..., None], a, b) for a, b, mask in zip(clip, twin, truth, strict=True)]
    found = track(one_shot(frames), mask=truth[0])
    assert scores(found, truth).mean() > 0.7
    assert min((mask & whole).sum() / whole.sum() for mask, whole in zip(found, truth, strict=True)) > 0.9


def test_confidence_is_high_on_an_easy_clip_and_low_after_a_jump(jumping: tuple[Clip, list[np.ndarray]]) -> None:
    easy, truth = scene(lambda t: (40 + 3 * t, 45), 12)
    found = track(easy, mask=truth[0])
    assert found.confidence[0] == 1 and found.confidence.min() > 0.75
    clip, truth = jumping
    lost = track(clip, mask=truth[0])
    wrong = scores(lost, truth) < 0.5
    assert wrong[JUMP:].any() and (lost.confidence[wrong] < DOUBTFUL).mean() > 0.7
    assert (lost.confidence[: JUMP - 1] > DOUBTFUL).all()


def test_one_frame_and_one_pixel() -> None:
    frame = texture(40, 50, 4, (100, 100, 100))
    one = np.zeros((40, 50), bool)
    one[0, 49] = True
    assert (track(one_shot([frame]), mask=one)[0] == one).all()
    found = track(one_shot([frame] * 3), mask=one, frame=1)
    assert (found[1] == one).all() and found.confidence.shape == (3,)


def test_the_same_bits_every_time(jumping: tuple[Clip, list[np.ndarray]]) -> None:
    clip, truth = jumping
    prompt = Prompt().box(*box_of(truth[0])).box(*box_of(truth[9]), frame=9).point(3, 3, frame=5, positive=False)
    first, second = track(clip, prompt), track(clip, prompt)
    assert first.fingerprint == second.fingerprint and first.confidence.tolist() == second.confidence.tolist()
