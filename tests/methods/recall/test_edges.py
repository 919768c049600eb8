"""Mixed pixels at the object's edge are replaced, and a matte's soft edge is kept."""

import cv2
import numpy as np
import pytest

import unocclude
from unocclude.clip import Clip
from unocclude.completion import RECALLED
from unocclude.methods.compose import compose
from unocclude.methods.recall.edges import is_mixed

H, W, T = 96, 140, 12
ys, xs = np.mgrid[:H, :W]
BAR = np.abs(xs - 70) < 12


def render(mixed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Frames with a textured disc behind a bar, its visible and amodal masks, and its true colours.

    mixed: blur all edges, as a camera or a codec does.
    """
    frames, visible, amodal, colours = [], [], [], []
    for t in range(T):
        cx = 30 + 80 * t / (T - 1)
        whole = (xs - cx) ** 2 + (ys - 48) ** 2 <= 24**2
        own = np.stack([210 + 40 * np.sin((xs - cx) / 5), 70 + 50 * np.cos((ys - 48) / 6), 40 + 0 * xs], 2)
        beside = np.where(BAR[..., None], (20, 140, 60), np.stack([60 + xs / 3, 90 + ys / 2, 120 + 0 * xs], 2))
        seen = whole & ~BAR
        share = seen.astype(np.float32)
        if mixed:
            share = cv2.GaussianBlur(share, (0, 0), 0.8)
        frames.append(np.rint(own * share[..., None] + beside * (1 - share[..., None])))
        visible.append(seen)
        amodal.append(whole)
        colours.append(own)
    return np.array(frames, np.uint8), np.array(visible), np.array(amodal), np.array(colours)


def near(mask: np.ndarray, distance: float) -> np.ndarray:
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5) <= distance


@pytest.mark.parametrize("mixed", [True, False])
def test_the_seam_to_an_occluder_and_the_outer_rim_are_clean(mixed: bool) -> None:
    frames, visible, amodal, colours = render(mixed)
    seam, rim, given, recalled = [], [], [], 0
    for result in unocclude.stream(Clip.from_frames(frames, shots=[range(T)]), list(visible)):
        i = result.index
        error, before = (np.abs(rgb.astype(float) - colours[i]).mean(2) for rgb in (result.rgba[..., :3], frames[i]))
        hidden, inner = near(amodal[i] & ~visible[i], 1.01), ~near(~amodal[i], 4)
        seam += error[visible[i] & hidden & inner].tolist()
        given += before[visible[i] & hidden & inner].tolist()
        rim += error[visible[i] & near(~amodal[i], 1.01) & ~near(BAR, 4)].tolist()
        recalled += int((visible[i] & (result.provenance == RECALLED)).sum())
        whole = ~near(~visible[i], 3)
        assert np.array_equal(result.rgba[whole][:, :3], frames[i][whole]) and (result.rgba[whole][:, 3] == 255).all()
    if mixed:
        assert np.mean(given) > 15 > 5 > np.mean(seam) and np.mean(rim) < 10 and recalled > 50
    else:
        assert max(np.mean(seam), np.mean(rim)) < 1 and recalled == 0


def test_a_mixture_lies_between_both_colours() -> None:
    own, other = np.full((1, 4, 3), (200, 60, 40)), np.full((1, 4, 3), (20, 140, 60))
    pixels = np.array([[[110, 100, 50], [200, 60, 40], [230, 30, 30], [200, 60, 200]]])
    assert is_mixed(pixels, own, other).tolist() == [[True, False, False, False]]


def test_a_matte_is_alpha_at_the_outer_edge_only() -> None:
    frames, visible, amodal, colours = render(False)
    i = 6
    own = colours[i].astype(np.uint8)
    matte = np.clip(np.rint(cv2.GaussianBlur(visible[i].astype(np.float32) * 255, (0, 0), 2.5)), 0, 255)
    matte = matte.astype(np.uint8)
    frame, nothing = frames[i], np.zeros((H, W), bool)
    result = compose(i, frame, visible[i], amodal[i], own, nothing, matte=matte)
    alpha = result.rgba[..., 3].astype(int)
    assert np.array_equal(alpha >= 128, amodal[i])
    outer = ~near(BAR, 8) & (matte >= 8) & (matte <= 247)
    assert outer.sum() > 100 and (np.abs(alpha - matte)[outer] == 0).mean() > 0.95
    behind = BAR & ~near(~amodal[i], 3)
    assert (alpha[behind] == 255).all()  # the bar's edge is no edge of the object
    colour = result.rgba[..., :3][(alpha > 0) & ~amodal[i]]
    assert len(colour) and (colour[:, 0].astype(int) > 120).all()  # the disc's red, not the background
    plain = compose(i, frame, visible[i], amodal[i], own, nothing)
    assert (plain.rgba[..., 3] > 0).sum() < (alpha > 0).sum()
