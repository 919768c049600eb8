"""What a network sees of the canvas, and how its answer comes back."""

import numpy as np
import pytest
from PIL import Image

from unocclude.media.nearest_fill import fill_nearest
from unocclude.methods.framing import Framing, crop_around, crop_following, whole_canvas
from unocclude.methods.postprocess import paste_back


def test_an_inner_box_is_cut_as_pillow_would():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (90, 120, 3), np.uint8)
    framing = Framing((10, 20, 74, 84), (32, 32), (120, 90))
    plain = np.asarray(Image.fromarray(image[20:84, 10:74]).resize((32, 32), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(framing.crop(image), plain)


def test_a_mask_is_cut_soft_and_what_is_beyond_the_canvas_is_filled():
    mask = np.zeros((20, 20), bool)
    mask[:, 10:] = True
    framing = Framing((-10, -10, 30, 30), (40, 40), (20, 20))
    cut = framing.crop(mask, fill=7)
    assert cut.dtype == np.uint8
    assert (cut[:10] == 7).all() and (cut[:, 30:] == 7).all()
    assert (cut[10:30, 10:20] == 0).all() and (cut[10:30, 20:30] == 255).all()


@pytest.mark.parametrize("box", [(0, 0, 60, 40), (-20, -8, 60, 40), (30, 10, 90, 60), (5, 5, 6, 6)])
def test_back_undoes_cut_at_the_same_scale(box):
    rng = np.random.default_rng(1)
    image = rng.uniform(size=(40, 60)).astype(np.float32)
    framing = Framing(box, (box[2] - box[0], box[3] - box[1]), (60, 40))
    shown = framing.crop((image * 255).astype(np.uint8)).astype(np.float32)
    back = framing.uncrop(shown)
    inside = np.zeros((40, 60), bool)
    inside[max(0, box[1]) : box[3], max(0, box[0]) : box[2]] = True
    np.testing.assert_array_equal(back[inside], np.floor(image * 255)[inside])
    assert (back[~inside] == 0).all()


def test_a_smooth_picture_survives_both_ways():
    y, x = np.mgrid[:240, :320]
    image = np.dstack([x * 255 / 320, y * 255 / 240, (x + y) * 255 / 560]).astype(np.uint8)
    framing = crop_around([(100, 60, 180, 160)], (320, 240), 128 * 128)
    back = framing.uncrop(framing.crop(image))
    x0, y0, x1, y1 = (max(0, side) for side in framing.box)
    middle = np.s_[y0 + 4 : min(y1, 240) - 4, x0 + 4 : min(x1, 320) - 4]
    assert np.abs(back[middle].astype(int) - image[middle]).max() <= 3


def test_the_object_stays_whole_and_its_aspect_is_kept():
    rng = np.random.default_rng(2)
    for _ in range(300):
        canvas = tuple(int(side) for side in rng.integers(1, 700, 2))
        corners = np.sort(np.stack([rng.integers(0, side + 1, 2) for side in canvas], 1), 0)
        (x0, y0), (x1, y1) = corners[0], np.maximum(corners[1], corners[0] + 1)
        framing = crop_around([(x0, y0, x1, y1)], canvas, 256 * 512, margin=float(rng.uniform(0, 1)))
        bx0, by0, bx1, by1 = framing.box
        assert bx0 <= x0 and by0 <= y0 and bx1 >= min(x1, canvas[0]) and by1 >= min(y1, canvas[1])
        width, height = framing.size
        assert width % 64 == height % 64 == 0 and width * height <= 256 * 512
        assert width * height >= 256 * 512 / 2.2
        scale = (bx1 - bx0) / width, (by1 - by0) / height
        assert abs((bx1 - bx0) - scale[1] * width) <= 1.01 * width / height + 1.01, framing
        assert bx0 < canvas[0] and by0 < canvas[1] and bx1 > 0 and by1 > 0


def test_a_small_object_is_not_shown_with_the_whole_frame():
    framing = crop_around([(900, 500, 960, 540)], (1920, 1080), 256 * 512)
    assert framing.box[2] - framing.box[0] < 250


def test_squeezed_shows_all_of_it():
    image = np.random.default_rng(3).integers(0, 256, (97, 33, 3), np.uint8)
    framing = whole_canvas((33, 97), (512, 256))
    np.testing.assert_array_equal(
        framing.crop(image), np.asarray(Image.fromarray(image).resize((512, 256), Image.Resampling.BILINEAR))
    )
    assert framing.uncrop(framing.crop(image)).shape == image.shape


@pytest.mark.parametrize(("shape", "share", "reach"), [((13, 9), 0.1, np.inf), ((6, 20), 0.5, 1.5), ((1, 7), 0.3, 2)])
def test_bleed_takes_the_nearest_colour(shape, share, reach):
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (*shape, 3), np.uint8)
    known = rng.uniform(size=shape) < share
    known[0, 0] = True
    got = fill_nearest(image, known, reach)
    sources = np.argwhere(known)
    for y, x in np.ndindex(shape):
        far = np.hypot(*(sources - (y, x)).T)
        nearest = image[tuple(sources[far <= far.min() + 0.15].T)]  # OpenCV's distances are off by a little
        if known[y, x] or far.min() > reach + 0.15:
            assert np.array_equal(got[y, x], image[y, x])
        elif far.min() < reach - 0.15:
            assert (got[y, x] == nearest).all(1).any()
    assert np.array_equal(fill_nearest(image, np.zeros(shape, bool)), image)


def test_an_object_on_white_is_laid_back_without_white():
    """Edges that are half white do not show; a thin part, all edge, keeps its own colour."""
    mask = np.zeros((24, 24), bool)
    mask[4:16, 4:16] = mask[10, 16:22] = True
    colour = np.full((24, 24, 3), 255, np.uint8)
    colour[4:16, 4:16] = (90, 40, 10)
    colour[[4, 15], 4:16] = colour[4:16, [4, 15]] = (170, 150, 130)  # half white
    colour[10, 17:22] = (0, 200, 0)
    framing = Framing((0, 0, 96, 96), (24, 24), (96, 96))
    amodal, picture = paste_back(framing, mask, colour)
    assert np.array_equal(amodal, framing.uncrop(mask.astype(np.float32)) > 0.5) and amodal.sum() > 140 * 16
    body = amodal.copy()
    body[:, 62:] = False
    assert (picture[body] == (90, 40, 10)).all()
    assert (np.abs(picture[41:43, 72:84].astype(int) - (0, 200, 0)) <= 1).all()
    assert np.array_equal(paste_back(framing, mask, colour, clean=False)[1], framing.uncrop(colour))
    for empty in (np.zeros_like(mask), np.ones_like(mask)):
        assert paste_back(framing, empty, colour)[1].shape == (96, 96, 3)


def test_following_goes_along_with_the_object_and_holds_it():
    rng = np.random.default_rng(4)
    for size in ((48, 48), (64, 32)):
        corners = rng.uniform(0, (150, 90), (9, 2)).round()
        boxes = [tuple(np.concatenate([at, at + rng.integers(1, 30, 2)])) for at in corners]
        boxes[0] = boxes[4] = None
        longest = max(max(box[2] - box[0], box[3] - box[1]) for box in boxes if box)
        framings = crop_following(boxes, (180, 120), size)
        widths = {(f.box[2] - f.box[0], f.box[3] - f.box[1]) for f in framings}
        assert len(widths) == 1 and min(next(iter(widths))) == pytest.approx(2 * longest, abs=1)
        for box, f in zip(boxes, framings, strict=True):
            assert f.size == size and f.box[0] >= 0 and f.box[3] <= 120
            assert box is None or (f.box[0] <= box[0] and f.box[1] <= box[1] and f.box[2] >= box[2])
        assert framings[0].box == framings[1].box  # unseen at first: where it will be
        # unseen in between: half-way, but for the canvas' sides
        middles = [[(boxes[k][d] + boxes[k][d + 2]) / 2 for d in (0, 1)] for k in (3, 5)]
        start = [np.clip(np.mean([m[d] for m in middles]) - w / 2, 0, c - w) for d, w, c in
                 zip((0, 1), next(iter(widths)), (180, 120), strict=True)]  # fmt: skip
        np.testing.assert_allclose(framings[4].box[:2], start, atol=1)


def test_following_one_pixel_and_what_fills_the_canvas():
    one = crop_following([(5.0, 6.0, 6.0, 7.0)], (40, 30), (16, 16))
    assert one[0].box[2] - one[0].box[0] == 2
    full = crop_following([(0, 0, 40, 30)] * 3, (40, 30), (16, 16))
    assert {f.box for f in full} == {(0, -5, 40, 35)}
