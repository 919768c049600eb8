"""Sprites: the truth that they state, the pieces that they are made of, and that they vary."""

import math

import cv2
import numpy as np
import pytest

from support.world_truth import check_truth
from unocclude.synthesis import sprite_world
from unocclude.synthesis.backdrops import Camera
from unocclude.synthesis.figures import bone_plate
from unocclude.synthesis.paint import BANK, Patch, Sprite, cloth, over, plate, scaled, shifted, turned
from unocclude.synthesis.sheet import Row, contact_sheet, spread
from unocclude.synthesis.sprites import FIGURES


@pytest.mark.parametrize(("frames", "width", "height"), [(1, 64, 64), (5, 97, 41), (4, 41, 97), (3, 16, 16)])
def test_truth_at_any_size(frames, width, height):
    for seed in range(6):
        world = sprite_world(seed, frames, width, height)
        assert len(world) == frames and world.frames[0].shape == (height, width, 3)
        check_truth(world)


def test_same_seed_same_bytes():
    first, again, other = (sprite_world(seed, 4, 64, 48) for seed in (5, 5, 6))
    for part in ("frames", "amodal", "visible", "amodal_rgb", "occluders"):
        for one, two in zip(getattr(first, part), getattr(again, part), strict=True):
            assert np.array_equal(one, two)
    assert not np.array_equal(first.frames[0], other.frames[0])
    assert first.about == again.about


def test_clips_vary_and_nothing_is_trivial():
    worlds = [sprite_world(seed, 12, 64, 64) for seed in range(24)]
    for world in worlds:
        check_truth(world)
        assert np.mean([v.sum() >= 12 for v in world.visible]) > 1 / 3
    rates = np.concatenate([world.occlusion_rate for world in worlds])
    means = np.array([np.mean(world.occlusion_rate) for world in worlds])
    assert (rates < 0.02).sum() > 5 and (rates > 0.8).sum() > 5 and 0.2 < means.mean() < 0.6
    assert max(max(world.occlusion_rate) for world in worlds) > 0.9
    assert sum(max(world.occlusion_rate) > 0.1 for world in worlds) >= 22
    assert len({world.about["class"] for world in worlds}) >= 6
    cut = [any(a[0].any() or a[-1].any() or a[:, 0].any() or a[:, -1].any() for a in w.amodal) for w in worlds]
    assert 2 <= sum(cut) <= 20
    # they move and change their shape: no frame is another one shifted
    changes = [np.abs(np.diff([a.sum() for a in world.amodal])).max() for world in worlds]
    assert np.median(changes) > 5


@pytest.mark.parametrize(("frames", "width", "height"), [(0, 64, 64), (3, 15, 64), (3, 64, 8)])
def test_bad_sizes(frames, width, height):
    with pytest.raises(ValueError, match="expected"):
        sprite_world(0, frames, width, height)


def test_alpha_compositing_equals_the_plain_formula():
    rng = np.random.default_rng(0)
    below = rng.uniform(0, 255, (9, 7, 4)).astype(np.float32)
    drawn = rng.integers(0, 256, (9, 7, 4)).astype(np.uint8)
    expected = np.empty((9, 7, 4))
    for y, x, c in np.ndindex(9, 7, 4):
        expected[y, x, c] = drawn[y, x, c] + float(below[y, x, c]) * (1 - drawn[y, x, 3] / 255)
    picture = below.copy()
    over(picture[:, :], drawn)
    assert np.allclose(picture, expected, atol=1e-3)
    part = below.copy()
    over(part[2:5, 1:6], drawn[2:5, 1:6])  # a piece of a larger picture
    assert np.allclose(part[2:5, 1:6], expected[2:5, 1:6], atol=1e-3)
    assert np.array_equal(part[:2], below[:2]) and np.array_equal(part[5:], below[5:])


def test_a_sprite_at_the_border_is_the_same_as_in_a_larger_frame():
    rng = np.random.default_rng(1)
    colour = rng.integers(0, 256, (20, 14, 3))
    image = plate(colour, np.full((20, 14), 255, np.uint8))
    place = shifted(np.linspace(-9, 30, 6), np.linspace(25, -8, 6)) @ turned(np.linspace(0, 2, 6)) @ scaled(1.1, 0.9)

    def sprite():
        return Sprite("box", [(image, place.copy())], place[:, :2, 2].copy(), np.full(6, 20.0))

    near, far = sprite(), sprite()
    far.move(50, 50)
    for i in range(6):
        small, large = np.zeros((24, 28, 4), np.float32), np.zeros((124, 128, 4), np.float32)
        for picture, thing in ((small, near), (large, far)):
            where, inner = thing.render(i, *picture.shape[:2]).cut(*picture.shape[:2])
            picture[where] = inner
        assert np.abs(small - large[50:74, 50:78]).max() <= 1
    assert small.any()


def test_a_patch_beside_the_frame_is_empty():
    where, inner = Patch(40, -30, np.ones((10, 10, 4), np.float32)).cut(20, 30)
    assert inner.size == 0 and np.zeros((20, 30))[where].size == 0


@pytest.mark.parametrize(("length", "half"), [(0.5, 0.1), (0.2, 0.2), (1.0, 0.05)])
def test_a_bone_of_one_width_is_a_capsule(length, half):
    density = 80
    image, (x, y) = bone_plate(
        length, [(0, half), (1, half)], lambda h, w: np.full((h, w, 3), 200, np.float32), density
    )
    area = image[..., 3].sum() / 255 / density**2
    assert area == pytest.approx(2 * half * length + math.pi * half**2, rel=0.03)
    assert image[round(y) + 1, round(x) + 1, 3] == 255  # the joint lies inside
    assert not image[[0, -1], :, 3].any() and not image[:, [0, -1], 3].any()
    assert (image[..., :3] <= image[..., 3:]).all()  # premultiplied


@pytest.mark.parametrize("kind", FIGURES)
def test_figures_stand_on_the_ground(kind):
    for seed in range(4):
        figure = FIGURES[kind](12, np.random.default_rng(seed))
        plates, speed = figure.pose(100.0)
        assert len(plates) == len(figure.parts)
        if not figure.feet:
            continue
        assert speed == 0 if figure.slides else 0 < speed < 0.2  # forward, less than a fifth of its height in a frame
        for i in range(12):
            picture = np.zeros((160, 300, 4), np.float32)
            for image, place in plates:
                to_pixels = np.array([[100, 0, 150], [0, 100, 130], [0, 0, 1]]) @ place[i]
                over(picture, cv2.warpAffine(image, to_pixels[:2], (300, 160)))
            lowest = np.flatnonzero((picture[..., 3] > 127).any(1))[-1]
            assert abs(lowest - (130 - 100 * figure.bounce[i])) < 8


def test_cloth_has_its_size_and_repeats():
    for height, width in ((1, 1), (7, 300), (300, 5), (64, 64)):
        image = cloth(height, width, 0.3, 0.5, np.random.default_rng(2))
        assert image.shape == (height, width, 3) and image.dtype == np.uint8
        assert np.array_equal(image, cloth(height, width, 0.3, 0.5, np.random.default_rng(2)))
    looks = {cloth(8, 8, 0.3, 0.5, np.random.default_rng(k)).tobytes() for k in range(20)}
    assert len(looks) == 20 and BANK > 20


def test_paths_stay_in_the_frame():
    camera = Camera(8, 100, 80, np.zeros(8), np.zeros(8))
    kept = 0
    for seed in range(40):
        x = camera.kept(np.linspace(-60, 240, 8), 15, np.random.default_rng(seed))
        assert x.min() >= -2 and x.max() <= 102 and (np.diff(x) > 0).all()
        kept += x.min() >= 14.9 and x.max() <= 85.1
    assert 20 <= kept < 40


def test_contact_sheet():
    assert spread(24, 4) == [0, 8, 15, 23] and spread(2, 8) == [0, 1] and spread(1, 8) == [0]
    frame, mask = np.full((50, 100, 3), 90, np.uint8), np.zeros((50, 100), bool)
    mask[10:30, 20:60] = True
    rgb = np.where(mask[..., None], np.array([10, 200, 30]), 0).astype(np.uint8)
    sheet = contact_sheet([Row("a", [frame] * 3, [mask] * 3, [rgb] * 3), Row("b", [frame], [mask], [rgb])], 50)
    assert sheet.shape == (2 * (100 + 4), 3 * 102, 3)
    assert tuple(sheet[1 + 10, 1 + 40]) == (255, 200, 0)  # the outline
    assert tuple(sheet[1 + 50 + 20, 1 + 40]) == (10, 200, 30) and tuple(sheet[-10, -10]) == (255, 255, 255)
