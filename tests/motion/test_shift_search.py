"""The search for the best shift of a silhouette, against a plain sum over pixels."""

import cv2
import numpy as np
import pytest

from unocclude.motion.evidence import BACKGROUND, STILL
from unocclude.motion.shift_search import COLOUR_SPREAD, STAY, ShiftSearch


def plain_scores(visible, labels, picture, silhouette, moved, reach):
    """The score of every shift, pixel by pixel at half resolution."""
    half = (visible.shape[1] // 2, visible.shape[0] // 2)

    def small(image):
        image = image.astype(np.float32) if image.dtype == bool else image
        return cv2.resize(image, half, interpolation=cv2.INTER_AREA).astype(np.float64)

    worth = small(np.select([visible, labels == BACKGROUND, labels == STILL], [1, -1, -0.6], 0).astype(np.float32))
    seen, here, shape, there = small(visible), small(picture), small(silhouette), small(moved)
    scores = np.zeros((2 * reach + 1,) * 2)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            for y, x in np.argwhere(shape > 0):
                if 0 <= y + dy < half[1] and 0 <= x + dx < half[0]:
                    to = (y + dy, x + dx)
                    unlike = (((here[to] - there[y, x]) / COLOUR_SPREAD) ** 2).sum()
                    scores[dy + reach, dx + reach] += shape[y, x] * (worth[to] - seen[to] * unlike)
            scores[dy + reach, dx + reach] -= STAY * (dx**2 + dy**2) / reach**2 * shape.sum()
    return scores / shape.sum()


@pytest.mark.parametrize("seed", range(3))
def test_the_best_shift_is_that_of_the_plain_sum(seed):
    rng = np.random.default_rng(seed)
    height, width, reach = 25 + seed, 30, 3
    visible, silhouette = np.zeros((2, height, width), bool)
    silhouette[6:20, 8:20] = True
    picture = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    labels = rng.integers(0, 4, visible.shape).astype(np.uint8)
    dx, dy = (2, -4) if seed else (0, 2)
    visible[6 + dy : 20 + dy, 8 + dx : 16 + dx] = True
    moved = np.roll(picture, (-dy, -dx), (0, 1))
    scores = plain_scores(visible, labels, picture, silhouette, moved, reach)
    y, x = np.unravel_index(scores.argmax(), scores.shape)
    shift, score = ShiftSearch(visible, labels, picture, reach).best(silhouette, moved)
    assert shift == (2 * (x - reach), 2 * (y - reach)) == (dx, dy)
    assert score == pytest.approx(scores.max(), abs=1e-4)


def test_nothing_visible_and_one_pixel():
    picture = np.zeros((1, 1, 3), np.uint8)
    search = ShiftSearch(np.zeros((1, 1), bool), np.zeros((1, 1), np.uint8), picture, 2)
    assert search.best(np.ones((1, 1), bool), picture) == ((0.0, 0.0), 0.0)
