"""Footage worlds: the truth that they state, what they vary, photographs, and errors of masks."""

import cv2
import numpy as np
import pytest

from support.world_truth import check_truth
from unocclude import InputError
from unocclude.media.images import write_png
from unocclude.synthesis.dataset_spec import prepare_dataset_spec
from unocclude.synthesis.footage import footage_world
from unocclude.synthesis.mask_errors import OFFSET, SPECK, with_errors


@pytest.fixture(scope="module")
def worlds():
    return [footage_world(seed, 10, 80, 64) for seed in range(24)]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for k in range(2):
        noise = np.random.default_rng(k).integers(0, 256, (150, 200, 3), np.uint8)
        write_png(folder / f"{k}.png", cv2.blur(noise, (3, 3)))
    return folder


@pytest.mark.parametrize(("frames", "width", "height"), [(1, 64, 64), (5, 97, 41), (3, 16, 16)])
def test_truth_at_any_size(frames, width, height):
    for seed in range(5):
        world = footage_world(seed, frames, width, height)
        assert len(world) == frames and world.frames[0].shape == (height, width, 3)
        check_truth(world)


def test_same_seed_same_bytes(photographs):
    first, again = (footage_world(4, 3, 64, 48, photographs) for _ in range(2))
    for part in ("frames", "amodal", "visible", "amodal_rgb", "occluders"):
        for one, two in zip(getattr(first, part), getattr(again, part), strict=True):
            assert np.array_equal(one, two)
    assert first.about == again.about


def test_a_third_hides_nothing_and_all_kinds_occur(worlds):
    for world in worlds:
        check_truth(world)
    hides = [max(world.occlusion_rate) > 0.01 for world in worlds]
    assert 12 <= sum(hides) <= 20
    assert all(("occluder" in world.about["cell"]) == hide for world, hide in zip(worlds, hides, strict=True))
    for axis, levels in (
        ("occluder", {"standing", "moving", "fixed"}),
        ("camera", {"still", "panning", "handheld"}),
        ("travel", {"moving", "at rest"}),
        ("object", {"articulated", "rigid"}),
    ):
        assert {world.about["cell"][axis] for world in worlds if axis in world.about["cell"]} == levels


def test_what_is_at_rest_changes_only_with_the_camera(worlds):
    for world in worlds:
        cell = world.about["cell"]
        if cell["travel"] == "at rest" and cell["camera"] == "still":
            assert all(np.array_equal(world.amodal[0], mask) for mask in world.amodal)
            break
    else:
        raise AssertionError("no clip has an object at rest before a still camera")


def test_photographs_give_textures(photographs, tmp_path):
    plain, photographic = footage_world(4, 2, 64, 48), footage_world(4, 2, 64, 48, photographs)
    assert not np.array_equal(plain.frames[0], photographic.frames[0])
    check_truth(photographic)
    spec = prepare_dataset_spec("footage", 0, 2, (64, 48), [photographs])
    assert photographs in spec.inputs and spec.identity["photos"] == str(photographs)
    with pytest.raises(InputError, match="holds no images"):
        prepare_dataset_spec("footage", 0, sources=[tmp_path])


def test_mask_errors_are_near_the_edge_or_specks():
    masks = [cv2.circle(np.zeros((90, 110), np.uint8), (50, 45), 20 + k, 1, -1) > 0 for k in range(12)]
    masks.append(np.zeros_like(masks[0]))
    wrong = with_errors(masks, np.random.default_rng(3))
    assert not wrong[-1].any()
    sizes = []
    for mask, other in zip(masks[:-1], wrong[:-1], strict=True):
        edge = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3))) != cv2.erode(mask.astype(np.uint8), np.ones((3, 3)))
        far = cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, 5)
        changed = mask ^ other
        count, _, stats, _ = cv2.connectedComponentsWithStats((changed & (far > OFFSET + 5)).astype(np.uint8))
        assert changed.any() and (stats[1:, cv2.CC_STAT_AREA] <= (2 * SPECK + 1) ** 2).all() and count <= 4
        sizes.append(int(changed.sum()))
    assert len(set(sizes)) > 6  # drawn anew in every frame


def test_mask_errors_are_the_same_every_time():
    masks = [cv2.circle(np.zeros((60, 60), np.uint8), (30, 30), 15, 1, -1) > 0] * 3
    first, again = (with_errors(masks, np.random.default_rng(1)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
