"""Open-world: crop and canvas, background segments, what is in front, the blends; each against a plain version."""

import cv2
import numpy as np
import pytest
from skimage.morphology import disk, erosion

from support.plain_open_world import canvas, plain_crop, plain_touched
from unocclude.methods.feather import feathered
from unocclude.methods.open_world import blend, crop, segments
from unocclude.methods.open_world.rules import Parity, Progressive, Repaired

RNG = np.random.default_rng


def boxes():
    """Random boxes, and one for every set of sides that a box can touch."""
    rng = RNG(0)
    for _ in range(150):
        height, width = rng.integers(1, 200, 2)
        top, left = rng.integers(0, height), rng.integers(0, width)
        yield height, width, top, rng.integers(top, height) + 1, left, rng.integers(left, width) + 1
    for height, width in ((90, 301), (301, 90), (120, 120)):
        for top, bottom in spans(height):
            for left, right in spans(width):
                yield height, width, top, bottom, left, right


def spans(size):
    return (0, size), (0, 30), (size - 30, size), (30, 60), (11, size - 10), (10, size - 11)


@pytest.mark.parametrize(("border", "anchored"), [(150, True), (60, False)])
def test_the_crop_is_that_of_the_full_canvas(border, anchored):
    seen = set()
    for height, width, top, bottom, left, right in boxes():
        mask = np.zeros((height, width), bool)
        mask[top:bottom, left:right] = True
        sides = crop.touched_sides(mask)
        assert sides == set(plain_touched(mask))
        seen.add(sides)
        region = crop.crop_region(mask, sides, border, anchored)
        t, b, le, r = plain_crop(mask, sides, border, anchored)
        row, column = (6 * height) // 2 - height // 2, (6 * width) // 2 - width // 2
        assert region == (t - row, b - row, le - column, r - column)
        assert np.array_equal(crop.take(mask, region, 0), canvas(mask, False)[t:b, le:r])
        image = RNG(1).integers(0, 256, (height, width, 3)).astype(np.uint8)
        assert np.array_equal(crop.take(image, region, 255), canvas(image, np.uint8(255))[t:b, le:r])
    assert len(seen) == 16  # every set of sides


def test_a_crop_put_back_lies_where_it_was_taken():
    rng = RNG(2)
    for _ in range(50):
        image = rng.integers(0, 256, (*rng.integers(1, 60, 2), 3)).astype(np.uint8)
        top, left = rng.integers(-30, 60, 2)
        region = crop.Region(top, top + rng.integers(1, 80), left, left + rng.integers(1, 80))
        again = np.zeros_like(image)
        crop.put(again, crop.take(image, region, 7), region.top, region.left)
        rows, columns = np.indices(image.shape[:2])
        inside = (rows >= region.top) & (rows < region.bottom) & (columns >= region.left) & (columns < region.right)
        assert np.array_equal(again, np.where(inside[..., None], image, 0))


def test_progressive_takes_the_first_row_for_the_last():
    rng = RNG(3)
    for _ in range(300):
        mask = np.zeros(rng.integers(1, 50, 2), bool)
        top, left = rng.integers(0, mask.shape[0]), rng.integers(0, mask.shape[1])
        mask[top : top + rng.integers(1, 40), left : left + rng.integers(1, 40)] = True
        rows = np.flatnonzero(mask.any(1))
        expected = {side for side in plain_touched(mask) if side in ("left", "right")}
        expected |= {"bottom"} if rows.min() >= mask.shape[0] - 10 else set()
        expected |= {"top"} if rows.max() <= 10 else set()
        assert Progressive().touched_sides(mask) == expected


def scattered(seed, shape=(80, 110), count=5):
    """Random rectangles and discs, (count, H, W) bool; they may overlap."""
    rng = RNG(seed)
    masks = np.zeros((count, *shape), np.uint8)
    for mask in masks:
        centre = (int(rng.integers(0, shape[1])), int(rng.integers(0, shape[0])))
        if rng.random() < 0.5:
            cv2.circle(mask, centre, int(rng.integers(4, 30)), 1, -1 if rng.random() < 0.5 else 3)
        else:
            cv2.rectangle(mask, centre, (int(rng.integers(0, shape[1])), int(rng.integers(0, shape[0]))), 1, 4)
    return masks > 0


def plain_remainder(masks):
    return erosion((~np.any(masks, axis=0)).astype(np.uint8), disk(2))


@pytest.mark.parametrize("seed", range(8))
def test_background_segments_as_published_are_filled(seed):
    masks = scattered(seed)
    contours, _ = cv2.findContours(plain_remainder(masks), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    expected = []
    for contour in contours:
        if cv2.contourArea(contour) > 100:
            points = contour[:, 0]
            inside = [
                [cv2.pointPolygonTest(contour, (x, y), False) >= 0 for x in range(masks.shape[2])]
                for y in range(masks.shape[1])
            ]
            expected.append(np.array(inside))
            assert np.array(inside)[points[:, 1], points[:, 0]].all()
    found = segments.filled_background(list(masks))
    assert len(found) == len(expected) > 0
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("seed", range(8))
def test_repaired_background_segments_keep_their_holes(seed):
    from scipy.ndimage import label

    masks = scattered(seed)
    labels, count = label(plain_remainder(masks), np.ones((3, 3)))
    expected = [labels == k for k in range(1, count + 1) if (labels == k).sum() > 100]
    found = segments.whole_background(list(masks))
    assert len(found) == len(expected) > 0
    assert {mask.tobytes() for mask in found} == {mask.tobytes() for mask in expected}
    assert not (np.any(found, axis=0) & np.any(masks, axis=0)).any()


def test_what_surrounds_an_object_covers_it_only_as_published():
    mask = np.zeros((60, 60), bool)
    mask[20:40, 20:40] = True
    assert Parity().background_segments([mask])[0].all()
    assert not (Repaired().background_segments([mask])[0] & mask).any()
    assert Progressive().background_segments([mask]) == []


def test_what_is_in_front_is_read_from_the_order():
    for seed in range(5):
        masks, rng = scattered(seed), RNG(seed)
        order = rng.random((5, 5)) < 0.5
        for index in range(5):
            expected = np.zeros(masks.shape[1:], bool)
            for i in range(5):
                if i != index and order[i, index]:
                    expected |= masks[i]
            assert np.array_equal(segments.in_front(list(masks), order, index), expected)


def test_only_occluders_that_touch_the_object_count_when_repaired():
    visible, occluder = np.zeros((40, 60), bool), np.zeros((40, 60), bool)
    visible[10:30, 10:30] = True
    occluder[5:20, 32:40] = True  # two columns between them
    occluder[0:4, 0:4] = True
    kept = Repaired().in_front(occluder, visible)
    assert kept[5:20, 32:40].all() and not kept[:4, :4].any() and kept.sum() == 15 * 8
    assert np.array_equal(Parity().in_front(occluder | visible, visible), occluder)
    assert not Repaired().in_front(np.zeros_like(visible), visible).any()


def plain_published_blend(cut, completion):
    """Pixel by pixel, from the description."""
    height, width = cut.shape[:2]
    alpha = np.zeros((height, width), int)
    for y in range(height):
        for x in range(width):
            around = cut[max(0, y - 10) : y + 11, max(0, x - 10) : x + 11, 3]
            alpha[y, x] = cut[y, x, 3] if (around > 0).all() else 0
    out = completion.copy()
    for y in range(height):
        for x in range(width):
            if alpha[y, x]:
                out[y, x, :3] = cut[y, x, :3]
            out[y, x, 3] = max(alpha[y, x], completion[y, x, 3])
    return out


@pytest.mark.parametrize("seed", range(4))
def test_the_published_blend(seed):
    rng = RNG(seed)
    original, drawn = rng.integers(0, 256, (2, 70, 60, 3)).astype(np.uint8)
    visible = np.zeros((70, 60), bool)
    visible[rng.integers(0, 10) : rng.integers(50, 71), rng.integers(0, 10) : rng.integers(40, 61)] = True
    amodal = scattered(seed, (70, 60), 3).any(0)
    cut = blend.cut_out(original, visible)
    eroded = np.array([
        [visible[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].all() for x in range(60)] for y in range(70)
    ])  # fmt: skip
    assert np.array_equal(cut[..., 3], eroded * 255) and np.array_equal(cut[..., :3], original)
    completion = np.dstack([drawn, amodal.astype(np.uint8) * 255])
    expected = plain_published_blend(cut, completion)
    assert (expected[..., :3] == original).all(2).any()
    assert np.array_equal(blend.published_blend(cut, completion), expected)
    assert np.array_equal(Parity().compose(drawn, amodal, original, visible), expected)


def test_the_repaired_blend_leaves_no_step_and_no_visible_pixel_changed():
    rng = RNG(5)
    original = np.clip(120 + 40 * np.sin(np.arange(90) / 9)[None, :, None] + rng.normal(0, 1, (80, 90, 3)), 0, 255)
    original = original.astype(np.uint8)
    drawn = np.clip(original + np.array([40, -25, 15]), 0, 255).astype(np.uint8)
    visible = np.zeros((80, 90), bool)
    visible[:, :45] = True
    result = feathered(drawn, original, visible, width=12)
    assert np.array_equal(result[visible], original[visible])
    assert np.array_equal(result[:, 57:], drawn[:, 57:])
    step = np.abs(result[:, 45].astype(int) - original[:, 45]).mean()  # the truth continues the visible part
    assert step < 2 < 20 < np.abs(drawn[:, 45].astype(int) - original[:, 45]).mean()
    off = np.abs(result.astype(int) - original).mean((0, 2))[45:57]
    assert (np.diff(off) > 0).all()  # a ramp
    same = feathered(original, original, visible)
    assert np.array_equal(same, original)
    assert np.array_equal(feathered(drawn, original, np.zeros_like(visible)), drawn)
    alone = np.zeros_like(visible)
    alone[3, 3] = True
    assert np.array_equal(feathered(drawn, original, alone)[3, 3], original[3, 3])


def test_the_inpainting_mask_runs_over_visible_pixels_only_as_published():
    mask, visible = np.zeros((60, 60), bool), np.zeros((60, 60), bool)
    mask[20:40, 20:40], visible[20:40, 40:55] = True, True
    for rules, iteration, reach in ((Parity(), 0, 6), (Parity(), 2, 1), (Progressive(), 2, 6)):
        grown = np.zeros_like(mask)
        grown[20 - reach : 40 + reach, 20 - reach : 40 + reach] = True
        assert np.array_equal(rules.inpainting_mask(mask, iteration, visible), grown)
    assert np.array_equal(
        Repaired().inpainting_mask(mask, 0, visible), Parity().inpainting_mask(mask, 0, visible) & ~visible
    )


def test_the_wallpaper():
    rng = RNG(6)
    picture, paper = rng.integers(0, 256, (50, 40, 3)).astype(np.uint8), rng.integers(0, 256, (45, 70, 3))
    paper = paper.astype(np.uint8)
    query = np.zeros((50, 40), bool)
    query[45:, :] = query[10:20, 10:20] = True  # all that the paper is too small for is the object's
    expected = picture.copy()
    expected[:45] = np.where(query[:45, :, None], picture[:45], paper[:45, :40])
    assert np.array_equal(Parity().backdrop(picture, query, paper), expected)
    query[49, 3] = False
    assert Parity().backdrop(picture, query, paper) is None
    repaired = Repaired().backdrop(picture, query, paper)
    expected[49, 3] = paper[4, 3]
    assert np.array_equal(repaired, expected)
    assert np.array_equal(Progressive().backdrop(picture, query, paper), picture)
    large = np.zeros((1201, 4), bool)
    assert Parity().backdrop(np.zeros((1201, 4, 3), np.uint8), large, None) is None
    assert Repaired().backdrop(np.zeros((1201, 4, 3), np.uint8), large, None) is not None
