"""Crowds: several objects in one picture, some alike, each with its visible mask."""

import numpy as np
import pytest

from unocclude.synthesis.crowds import crowd
from unocclude.synthesis.surfaces import field, photograph, surface

SEEDS = range(40, 52)


@pytest.fixture(scope="module")
def crowds():
    return [crowd(seed, side=128) for seed in SEEDS]


def test_the_same_seed_gives_the_same_crowd(crowds):
    again = crowd(SEEDS[0], side=128)
    assert np.array_equal(again.picture, crowds[0].picture) and np.array_equal(again.labels, crowds[0].labels)
    assert not np.array_equal(crowds[0].picture, crowds[1].picture)


def test_there_are_several_objects_that_hide_each_other(crowds):
    counts = [len(np.unique(made.labels)) - 1 for made in crowds]
    assert np.mean(counts) > 2.5
    touching = 0
    for made in crowds:
        left, right = made.labels[:, :-1], made.labels[:, 1:]
        touching += bool(((left != right) & (left > 0) & (right > 0)).any())
    assert touching > len(crowds) / 2


def test_objects_differ_from_what_surrounds_them_but_not_by_colour_alone(crowds):
    """Colour alone must not tell objects from the rest, and yet the outlines must show."""
    steps, elsewhere, overlaps = [], [], []
    for made in crowds:
        grey, inside = made.picture.astype(float), made.labels > 0
        jump = np.abs(np.diff(grey, axis=1)).sum(2)
        edge = made.labels[:, 1:] != made.labels[:, :-1]
        steps.append(jump[edge].mean())
        elsewhere.append(jump[~edge].mean())
        own, other = (np.histogramdd(grey[mask], 6, [(0, 256)] * 3)[0] for mask in (inside, ~inside))
        overlaps.append(np.minimum(own / own.sum(), other / other.sum()).sum())
    assert np.mean(steps) > 1.8 * np.mean(elsewhere)
    assert np.mean(overlaps) > 0.2


def test_surfaces_have_the_size_and_colour_asked_for():
    rng = np.random.default_rng(1)
    like = np.array([120.0, 110, 100])
    for _ in range(12):
        made = surface(40, 70, rng, like)
        assert made.shape == (40, 70, 3) and made.min() >= 0 and made.max() <= 255
        assert np.abs(made.mean((0, 1)) - like).max() < 25
    assert photograph(30, 50, rng).shape == (30, 50, 3)
    assert abs(field(256, 256, rng).std() - 1) < 0.5


def test_a_small_crowd_and_one_that_is_too_small():
    assert crowd(1, side=32).picture.shape == (32, 32, 3)
    with pytest.raises(ValueError, match="expected 32 or more"):
        crowd(1, side=31)
