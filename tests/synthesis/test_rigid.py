"""Generated worlds: the truth that they state is the truth of their pixels."""

import json

import cv2
import numpy as np
import pytest

from unocclude.datasets.gt import read_truth
from unocclude.media.images import read_png
from unocclude.synthesis import rigid_world, write_world
from unocclude.synthesis.rigid import MOTIONS, OCCLUDERS

SMALL = {"frames": 12, "width": 160, "height": 120}


@pytest.fixture(scope="module", params=MOTIONS)
def world(request):
    return rigid_world(4, request.param, **SMALL)


def inner(mask, pixels=2):
    return cv2.erode(mask.astype(np.uint8), np.ones((2 * pixels + 1,) * 2), borderValue=0) > 0


def warp(image, homography, width, height):
    """A slow warp of its own: every frame pixel is the mean of 5x5 bilinear samples at the inverse map."""
    offsets = (np.arange(5) - 2) / 5
    y, x = np.mgrid[:height, :width].astype(np.float64)
    total = np.zeros((height, width, image.shape[2]))
    for dy in offsets:
        for dx in offsets:
            u, v, w = np.tensordot(np.linalg.inv(homography), np.stack([x + dx, y + dy, np.ones_like(x)]), axes=1)
            at = [(u / w).astype(np.float32), (v / w).astype(np.float32)]
            total += cv2.remap(image.astype(np.float32), *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return total / 25


def test_kinds_shapes_and_counts(world):
    assert len(world) == len(world.camera) == len(world.homographies) == 12
    for i in range(12):
        assert world.frames[i].shape == world.amodal_rgb[i].shape == (120, 160, 3)
        assert world.frames[i].dtype == world.amodal_rgb[i].dtype == world.occluders[i].dtype == np.uint8
        assert world.amodal[i].shape == world.visible[i].shape == (120, 160)
        assert world.amodal[i].dtype == world.visible[i].dtype == bool
        assert world.occluders[i].shape == (2, 120, 160)
    assert world.plate.dtype == np.uint8 and world.plate.shape[2] == 4


def test_visible_is_what_no_occluder_hides(world):
    for amodal, visible, opacity in zip(world.amodal, world.visible, world.occluders, strict=True):
        assert np.array_equal(visible, amodal & (opacity < 128).all(0))
    rates = np.array(world.occlusion_rate)
    assert rates.max() > 0.15 and rates.min() < 0.01


def test_appearance_is_the_frame_where_visible(world):
    for i, rgb in enumerate(world.amodal_rgb):
        clear = inner(world.amodal[i]) & (world.occluders[i] == 0).all(0)
        assert clear.any() and np.array_equal(rgb[clear], world.frames[i][clear])
        assert not rgb[~world.amodal[i]].any()
        assert (rgb[world.amodal[i]].max(-1) > 0).all()


def test_the_homographies_are_the_truth_of_every_frame(world):
    for i in (0, 5, 11):
        own = warp(world.plate, world.homographies[i], 160, 120)
        assert np.mean((own[..., 3] >= 127.5) != world.amodal[i]) < 0.001
        clear = inner(world.amodal[i], 1)
        error = own[clear][:, :3] - world.amodal_rgb[i][clear]
        assert np.sqrt(np.mean(error**2)) < 3
        # a shift of one pixel would be seen
        beside = np.roll(own, 1, axis=1)[clear][:, :3] - world.amodal_rgb[i][clear]
        assert np.sqrt(np.mean(beside**2)) > 8


def test_the_camera_is_the_motion_of_the_background(world):
    free = [~a & (o == 0).all(0) for a, o in zip(world.amodal, world.occluders, strict=True)]
    to_last = world.camera[11] @ np.linalg.inv(world.camera[0])
    first = warp(np.dstack([world.frames[0], inner(free[0])]), to_last, 160, 120)
    moved, last, both = first[..., :3], world.frames[11], inner(free[11]) & (first[..., 3] > 0.99)
    assert both.mean() > 0.2
    # resampling an 8-bit frame softens it; a wrong motion would be far off
    assert np.abs(moved[both] - last[both]).mean() < 8
    assert (np.abs(to_last - np.eye(3)).max() > 1) == (world.about["motion"] == "camera")


def test_perspective_is_no_affine_motion():
    bend = {m: max(np.abs(h[2, :2]).max() for h in rigid_world(4, m, **SMALL).homographies) for m in MOTIONS}
    assert bend["affine"] == 0 and bend["perspective"] > 5e-4


def test_the_same_arguments_give_the_same_world():
    first, again = (rigid_world(7, "camera", **SMALL, noise=3) for _ in range(2))
    other = rigid_world(8, "camera", **SMALL, noise=3)
    for kind in ("frames", "visible", "amodal", "amodal_rgb", "occluders", "homographies"):
        assert np.array_equal(getattr(first, kind), getattr(again, kind)), kind
    assert not np.array_equal(first.frames, other.frames)


def test_noise_is_the_sensors_alone():
    clean, noisy = (rigid_world(2, "affine", **SMALL, noise=sigma) for sigma in (0, 4))
    assert np.array_equal(clean.amodal_rgb, noisy.amodal_rgb)
    assert np.array_equal(clean.visible, noisy.visible)
    difference = np.array(noisy.frames, np.float64) - np.array(clean.frames)
    assert 3.8 < difference.std() < 4.2 and abs(difference.mean()) < 0.1
    assert not np.array_equal(difference[0], difference[1])


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize(("frames", "width", "height"), [(1, 97, 61), (5, 63, 125), (2, 16, 16), (1, 128, 128)])
def test_any_size_and_length(motion, frames, width, height):
    world = rigid_world(1, motion, frames, width, height)
    assert len(world) == frames and world.frames[0].shape == (height, width, 3)
    assert all(mask.any() for mask in world.amodal)
    assert frames > 1 or world.occlusion_rate[0] > 0 or min(width, height) < 32


@pytest.mark.parametrize("motion", MOTIONS)
def test_never_whole_yet_every_part_is_seen(motion):
    for seed in range(4):
        world = rigid_world(seed, motion, 24, 160, 120, never_whole=True)
        assert min(world.occlusion_rate) > 0.01 and max(world.occlusion_rate) < 0.9
        h, w = world.plate.shape[:2]
        flags = cv2.WARP_INVERSE_MAP | cv2.INTER_NEAREST
        seen = [
            cv2.warpPerspective(visible.astype(np.uint8), homography, (w, h), flags=flags)
            for visible, homography in zip(world.visible, world.homographies, strict=True)
        ]
        assert np.any(seen, axis=0)[inner(world.plate[..., 3] == 255, 3)].mean() > 0.999


@pytest.mark.parametrize("motion", MOTIONS)
def test_the_object_stays_in_the_picture_and_is_whole_at_times(motion):
    for seed in range(6):
        for width, height in ((200, 120), (120, 200)):
            world = rigid_world(seed, motion, 24, width, height)
            assert min(world.occlusion_rate) < 0.01
            edge = np.ones((height, width), bool)
            edge[1:-1, 1:-1] = False
            assert not any((mask & edge).any() for mask in world.amodal)


@pytest.mark.parametrize("kind", OCCLUDERS)
def test_occluders(kind):
    world = rigid_world(3, "affine", 24, 160, 120, occluders=[kind])
    assert max(world.occlusion_rate) == 1 if kind == "wall" else 0.1 < max(world.occlusion_rate) < 1
    moves = not np.array_equal(world.occluders[8], world.occluders[14])
    assert moves == (kind != "pole")
    assert rigid_world(3, "affine", 4, 64, 48, occluders=[]).occlusion_rate == [0] * 4


def test_written_in_our_layout(tmp_path):
    world = rigid_world(1, "perspective", 3, 65, 47, occluders=["wall", "pole"])
    write_world(rigid_world(0, "affine", 5, 32, 32), tmp_path)  # a longer world that was here before
    write_world(world, tmp_path)
    truth = read_truth(tmp_path)
    assert len(truth) == 3
    for i in range(3):
        assert np.array_equal(read_png(tmp_path / "frames" / f"{i:05d}.png"), world.frames[i])
        assert np.array_equal(truth.amodal[i], world.amodal[i])
        assert np.array_equal(truth.visible[i], world.visible[i])
        assert np.array_equal(truth.rgb(i), world.amodal_rgb[i])
    meta = json.loads((tmp_path / "meta.json").read_text())
    assert meta["occlusion_rate"] == pytest.approx(world.occlusion_rate, abs=1e-4)
    assert np.array_equal(meta["homographies"], world.homographies)
    assert meta["seed"] == 1 and meta["motion"] == "perspective" and meta["fps"] == 24
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "amodal_masks", "amodal_rgb", "frames", "meta.json", "visible_masks"
    ]  # fmt: skip


def test_a_seed_is_the_same_scene_at_every_size():
    small, large = (rigid_world(5, "camera", 8, side, side) for side in (64, 128))
    assert small.about["occluders"] == large.about["occluders"]
    for a, b in zip(small.amodal, large.amodal, strict=True):
        shrunk = cv2.resize(b.astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA) > 0.5
        assert (shrunk & a).sum() / (shrunk | a).sum() > 0.9


def test_what_it_refuses():
    for bad in ({"motion": "spin"}, {"frames": 0}, {"width": 8}, {"occluders": ["ghost"]}):
        with pytest.raises(ValueError, match="expected"):
            rigid_world(0, **bad)
