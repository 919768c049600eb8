"""What geometry tells of boxes and points that are given in other units."""

import numpy as np
import pytest

from unocclude.geometry import looks_like_xywh, looks_normalised


@pytest.mark.parametrize("values", [(0.06, 0.3, 0.33, 0.7), (0, 0, 1, 1), (0.2, 0.5), (0.0, 0.25), (1, 0.5)])
def test_fractions_are_told_from_pixels(values):
    assert looks_normalised(values, 160, 120) and looks_normalised(values, 3, 1)
    assert not looks_normalised(values, 2, 2)


@pytest.mark.parametrize("values", [(0, 0, 2, 1), (10, 20, 60, 70), (0, 0), (1, 1), (0.5, 1.5), (-0.5, 0.5, 0.5, 1)])
def test_pixels_are_not_fractions(values):
    assert not looks_normalised(values, 160, 120)


def test_random_boxes_and_their_fractions():
    rng = np.random.default_rng(0)
    for _ in range(200):
        width, height = rng.integers(3, 500, 2).tolist()
        x, y = (np.sort(rng.choice(n + 1, 2, replace=False)) for n in (width, height))
        box = np.array([x[0], y[0], x[1], y[1]], float)
        assert looks_normalised(box / [width, height, width, height], width, height)
        assert looks_normalised(box, width, height) == (box.max() <= 1)
        assert not looks_like_xywh(box, width, height)


def test_sizes_in_the_place_of_ends():
    assert looks_like_xywh((100, 80, 30, 20), 160, 120) and looks_like_xywh((10, 80, 90, 20), 160, 120)
    # sizes that are larger than the start look like ends
    assert not looks_like_xywh((10, 20, 30, 40), 160, 120)
    # these are wrong in any order: nothing to advise
    assert not looks_like_xywh((150, 80, 100, 20), 160, 120) and not looks_like_xywh((50, 50, 0, 10), 160, 120)
