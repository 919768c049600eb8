"""Specks, far islands and pinholes go; whatever the object may truly consist of stays."""

import numpy as np
import pytest

from unocclude.masks import MaskTrack
from unocclude.perception.clean_masks import clean

H, W, T = 90, 140, 12
ys, xs = np.mgrid[:H, :W]


def disc(x: float, y: float, radius: float) -> np.ndarray:
    return (xs - x) ** 2 + (ys - y) ** 2 <= radius**2


def moving(radius: float = 18, step: float = 5) -> list[np.ndarray]:
    return [disc(30 + step * t, 45, radius) for t in range(T)]


def cleaned(masks: list[np.ndarray], shots: list[range] | None = None) -> np.ndarray:
    return np.array(list(clean(MaskTrack.from_masks(masks), shots or [range(len(masks))])))


def specked(masks: list[np.ndarray], seed: int = 0, side: int = 3) -> list[np.ndarray]:
    """Three specks of up to `side` pixels at random places in each mask, away from the object."""
    rng = np.random.default_rng(seed)
    result = []
    for t, mask in enumerate(masks):
        mask = mask.copy()
        for n in rng.integers(1, side + 1, 3):
            while disc(30 + 5 * t, 45, 32)[place := (int(rng.integers(0, H - n)), int(rng.integers(0, W - n)))]:
                pass
            mask[place[0] : place[0] + n, place[1] : place[1] + n] = True
        result.append(mask)
    return result


def test_specks_go_and_the_object_stays() -> None:
    exact = moving()
    dirty = specked(exact)
    cleaning = clean(MaskTrack.from_masks(dirty), [range(T)])
    assert np.array_equal(list(cleaning), exact)
    assert cleaning.cleaned == (sum(int((a ^ b).sum()) for a, b in zip(dirty, exact, strict=True)), T)
    assert f"{T} of {T} masks had specks" in cleaning.notes[0] and str(cleaning.cleaned[0]) in cleaning.notes[0]


def test_one_stray_pixel_that_stays_in_its_place_goes() -> None:
    exact = moving()
    dirty = [mask.copy() for mask in exact]
    for mask in dirty:
        mask[2, 137] = True
    assert np.array_equal(cleaned(dirty), exact)


def test_a_clean_track_is_returned_as_it_is() -> None:
    track = MaskTrack.from_masks(moving())
    cleaning = clean(track, [range(T)])
    assert cleaning.cleaned == (0, 0) and cleaning.notes == ()
    assert cleaning.fingerprint == track.fingerprint


def test_specks_where_the_object_is_hidden_leave_an_empty_mask() -> None:
    exact = moving()
    exact[5] = exact[6] = np.zeros((H, W), bool)
    assert not cleaned(specked(exact))[5:7].any()


def test_a_far_island_that_flickers_goes() -> None:
    """Of 8 % of the object's area, in one frame: no speck, but nothing that the other frames know of."""
    exact = moving()
    dirty = [mask.copy() for mask in exact]
    dirty[4] |= disc(125, 15, 5)
    assert np.array_equal(cleaned(dirty), exact)


def bars(width: int, gap: int) -> np.ndarray:
    return xs % (width + gap) < width


@pytest.mark.parametrize(("width", "gap"), [(3, 3), (6, 2), (2, 6), (9, 4)])
def test_an_object_behind_a_fence_keeps_all_its_pieces(width: int, gap: int) -> None:
    """But for single pixels at its rim that no other frame shows."""
    pieces = [mask & ~bars(width, gap) for mask in moving()]
    lost = pieces ^ cleaned(pieces)
    assert lost.sum(axis=(1, 2)).max() <= 2 and lost.sum() <= 3


def test_an_object_behind_a_net_keeps_its_holes() -> None:
    net = (xs % 5 == 0) & (ys % 5 == 0)
    pieces = [mask & ~net for mask in moving()]
    assert np.array_equal(cleaned(pieces), pieces)


def test_pinholes_are_filled() -> None:
    exact, rng = moving(), np.random.default_rng(0)
    dirty = [mask.copy() for mask in exact]
    for t, mask in enumerate(dirty):
        dy, dx = rng.integers(-9, 9, 2)
        mask[45 + dy, 30 + 5 * t + dx] = False
    assert np.array_equal(cleaned(dirty), exact)


def test_a_part_cut_off_by_an_occluder_stays() -> None:
    """A body and a small foot with an occluder between them, the foot 1 % of the body and moving with it."""
    masks = [mask | disc(30 + 5 * t, 72, 2) for t, mask in enumerate(moving())]
    assert masks[0].sum() > moving()[0].sum()
    assert np.array_equal(cleaned(masks), masks)


def test_an_object_that_emerges_behind_an_occluder_is_kept_from_its_first_pixels_on() -> None:
    bar = (xs > 60) & (xs < 80)
    masks = [mask & ~bar for mask in moving(step=4)]
    assert np.array_equal(cleaned(masks), masks)


@pytest.mark.parametrize("radius", [0, 1, 2])
def test_tiny_objects_stay(radius: int) -> None:
    masks = moving(radius)
    assert np.array_equal(cleaned(masks), masks)


def test_a_single_picture_loses_its_far_specks_only() -> None:
    exact = disc(40, 45, 18)
    dirty = exact.copy()
    dirty[3, 130] = dirty[80, 120] = True
    assert np.array_equal(cleaned([dirty])[0], exact)
    pair = disc(40, 45, 18) | disc(110, 45, 4)
    assert np.array_equal(cleaned([pair])[0], pair)


def test_a_cut_separates_what_supports_a_piece() -> None:
    """An island in the last frame of a shot, where the next shot has its object."""
    first, second = moving()[:6], [disc(110, 20, 18)] * 6
    dirty = [mask.copy() for mask in first]
    dirty[5] |= disc(110, 20, 4)
    assert np.array_equal(cleaned(dirty + second, [range(6), range(6, 12)]), first + second)


def test_masks_that_are_all_specks_are_left_alone() -> None:
    masks = [np.zeros((H, W), bool) for _ in range(T)]
    masks[3][4, 5] = True
    assert np.array_equal(cleaned(masks), masks)
