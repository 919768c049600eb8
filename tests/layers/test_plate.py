import cv2
import numpy as np
import pytest

from unocclude import Clip, MaskTrack
from unocclude.completion import GENERATED, RECALLED, SEEN
from unocclude.layers.plate import EDGE, Plate

HEIGHT, WIDTH = 95, 121


def world(pan=0, count=20, noise=0.0, seed=0):
    """A bright square over a textured background, and the background alone; the camera pans by `pan` pixels a frame."""
    rng = np.random.default_rng(seed)
    wide = cv2.GaussianBlur(rng.uniform(0, 255, (HEIGHT, WIDTH + pan * count, 3)), (0, 0), 2)
    wide = 128 + 3 * (wide - wide.mean())
    frames, truth, masks = [], [], []
    for i in range(count):
        ground = np.clip(wide[:, pan * i : pan * i + WIDTH], 0, 255).astype(np.uint8)
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[30:60, 5 + 4 * i : 25 + 4 * i] = True
        frame = ground.copy()
        frame[mask] = (250, 30, 30)
        frames.append(np.clip(frame + rng.normal(0, noise, frame.shape), 0, 255).astype(np.uint8) if noise else frame)
        truth.append(ground)
        masks.append(mask)
    return Clip.from_frames(frames, shots=[range(count)]), [MaskTrack.from_masks(masks)], truth, masks


def psnr(first, second, mask):
    error = np.mean((first[mask].astype(float) - second[mask]) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-9))


def test_a_standing_camera_recalls_the_background_exactly():
    clip, tracks, truth, masks = world()
    plate = Plate(clip, tracks)
    assert plate.stands(range(20))
    for i in (0, 7, 19):
        assert np.array_equal(plate[i].rgb, truth[i])
        assert (plate[i].provenance[masks[i]] == RECALLED).all()
        assert (plate[i].provenance == SEEN).sum() > 0.8 * masks[i].size


@pytest.mark.parametrize("pan", [3])
def test_a_moving_camera_recalls_better_than_inpainting(pan):
    clip, tracks, truth, masks = world(pan=pan)
    plate = Plate(clip, tracks)
    assert not plate.stands(range(20))
    for i in (3, 10):
        hole = cv2.dilate(masks[i].astype(np.uint8), np.ones((5, 5), np.uint8))
        telea = cv2.inpaint(clip[i], hole, 3, cv2.INPAINT_TELEA)
        assert psnr(plate[i].rgb, truth[i], masks[i]) > psnr(telea, truth[i], masks[i]) + 6


def test_what_no_frame_shows_is_generated():
    clip, _, _, _ = world()
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[40:50, 100:110] = True
    plate = Plate(clip, [MaskTrack.from_masks([mask] * 20)])
    assert (plate[4].provenance[mask] == GENERATED).all()
    assert not (plate[4].provenance[~cv2.dilate(mask.astype(np.uint8), np.ones((7, 7))).astype(bool)] != SEEN).any()


def test_it_is_steady_under_a_standing_camera():
    clip, tracks, _, masks = world(noise=3.0)
    plate = Plate(clip, tracks)
    first, second = plate[5], plate[6]
    both = masks[5] & masks[6]
    assert np.array_equal(first.rgb[both], second.rgb[both])


def test_it_follows_the_light():
    clip, tracks, truth, masks = world()
    frames = [np.clip(clip[i].astype(int) + 2 * i, 0, 255).astype(np.uint8) for i in range(20)]
    plate = Plate(Clip.from_frames(frames, shots=[range(20)]), tracks)
    brighter = np.clip(truth[18].astype(int) + 36, 0, 255)
    assert np.abs(plate[18].rgb[masks[18]].astype(int) - brighter[masks[18]]).mean() < 8


def test_edges_are_the_frames_own():
    clip, tracks, _, masks = world()
    edges = Plate(clip, tracks)[6].edges
    kept, mask = edges[..., 3] > 0, masks[6]
    kernel = np.ones((2 * EDGE + 1,) * 2, np.uint8)
    near = cv2.dilate(mask.astype(np.uint8), kernel) > 0
    core = cv2.erode(mask.astype(np.uint8), kernel, borderValue=1) > 0
    assert (kept & ~mask).any() and not (kept & ~near).any()
    assert np.array_equal(kept & mask, mask & ~core)
    assert np.array_equal(edges[kept, :3], clip[6][kept])


def test_one_frame_and_no_object_in_it():
    clip = Clip.from_frames(np.full((1, 7, 9, 3), 80, np.uint8))
    mask = np.zeros((1, 7, 9), bool)
    mask[0, 0:3, 0:4] = True  # at the border
    plate = Plate(clip, [MaskTrack.from_masks(mask)])[0]
    assert (plate.rgb == 80).all() and set(np.unique(plate.provenance)) == {SEEN, GENERATED}
    empty = Plate(clip, [MaskTrack.from_masks(np.zeros((1, 7, 9)))])[0]
    assert (empty.provenance == SEEN).all() and np.array_equal(empty.rgb, clip[0])


def test_nothing_is_recalled_across_a_cut():
    clip, tracks, _, _ = world()
    frames = [clip[i] if i < 10 else 255 - clip[i] for i in range(20)]
    plate = Plate(Clip.from_frames(frames, shots=[range(10), range(10, 20)]), tracks)
    before = np.stack(frames[:10]).astype(int)
    i = 5
    recalled = plate[i].provenance == RECALLED
    low, high = before.min(0)[recalled], before.max(0)[recalled]
    assert ((plate[i].rgb[recalled] >= low) & (plate[i].rgb[recalled] <= high)).all()


@pytest.mark.parametrize("pan", [0, 3])
def test_a_network_fills_what_no_frame_shows_once_for_a_shot(pan):
    """The object stands still in the scene, so no frame shows what is behind it."""
    _, _, truth, _ = world(pan=pan, count=12)
    frames, masks = [], []
    for i in range(12):
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[40:60, 70 - pan * i : 90 - pan * i] = True
        frame = truth[i].copy()
        frame[mask] = (250, 30, 30)
        frames.append(frame)
        masks.append(mask)
    asked = []

    def paint(image, known):
        asked.append(known)
        filled = image.copy()
        ys, xs = np.nonzero(~known)
        filled[ys, xs] = np.column_stack([7 * (ys - ys.min()), 7 * (xs - xs.min()), 0 * ys]).astype(np.uint8)
        return filled

    clip = Clip.from_frames(frames, shots=[range(12)])
    plate = Plate(clip, [MaskTrack.from_masks(masks)], inpaint=paint)
    found = [plate[i] for i in (11, 0, 5)]
    assert len(asked) == 1
    inner = [cv2.erode(m.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0 for m in (masks[11], masks[0], masks[5])]
    drawn = [frame.rgb[mask] for frame, mask in zip(found, inner, strict=True)]
    assert all((frame.provenance[mask] == GENERATED).all() for frame, mask in zip(found, inner, strict=True))
    for colours in drawn:  # what was drawn goes with the camera
        assert colours[:, 2].max() <= 12 and np.abs(colours.astype(int) - drawn[0]).mean() < 4
