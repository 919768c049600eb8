"""The last step of every method: exact visible pixels, provenance and alpha."""

import cv2
import numpy as np

from unocclude.completion import GENERATED, NOTHING, RECALLED, SEEN, FrameResult
from unocclude.media.nearest_fill import fill_nearest

MATTE_REACH = 16
"""A matte is used within this many pixels of the visible part."""
MATTE_NOISE = 8
"""Levels this close to 0 and 255 in a matte count as such."""


def compose(
    index: int,
    frame: np.ndarray,
    visible: np.ndarray,
    amodal: np.ndarray,
    colour: np.ndarray,
    recalled: np.ndarray,
    replaced: np.ndarray | None = None,
    matte: np.ndarray | None = None,
) -> FrameResult:
    """Compose a frame's result from its visible pixels and a method's output, with provenance.

    frame: (H, W, 3) uint8 RGB, the input frame. visible, amodal: (H, W) bool; the result's mask is `amodal | visible`.
    colour: (H, W, 3) uint8 RGB, the method's colours, used inside `amodal` only. recalled: (H, W) bool, pixels copied
    from other frames; the others count as generated. replaced: (H, W) bool, visible pixels at the object's edge that
    take `colour`, too. matte: (H, W) uint8, opacity of the visible part, where it is known; at its outer edge it
    becomes alpha.
    """
    amodal = amodal | visible
    provenance = np.full(amodal.shape, NOTHING, np.uint8)
    rgba: np.ndarray = np.zeros((*amodal.shape, 4), np.uint8)
    x, y, w, h = cv2.boundingRect(amodal.astype(np.uint8))
    reach = 1 if matte is None else MATTE_REACH  # alpha extends beyond the mask
    box = np.s_[max(0, y - reach) : y + h + reach, max(0, x - reach) : x + w + reach]
    if amodal.any():
        seen, own = visible[box], amodal[box]
        kept = seen if replaced is None else seen & ~replaced[box]
        copied = own & recalled[box] & ~kept
        provenance[box] = np.select([copied, seen, own], [RECALLED, SEEN, GENERATED], NOTHING)
        rgba[box] = with_alpha(np.where(kept[..., None], frame[box], colour[box]), own)
        if matte is not None:
            rgba[box] = _with_matte(rgba[box], matte[box], seen, own)
    return FrameResult(index, amodal, rgba, provenance)


def _with_matte(rgba: np.ndarray, matte: np.ndarray, visible: np.ndarray, amodal: np.ndarray) -> np.ndarray:
    """RGBA (h, w, 4) with the matte's alpha near the visible part's outer edge, still >= 128 exactly on the mask.

    Pixels outside the mask take the nearest colour in it. Nearer to the hidden part than to the background, the matte
    says nothing of the object.
    """
    to_visible, to_hidden, to_outside = (
        cv2.distanceTransform((~part).astype(np.uint8), cv2.DIST_L2, 5)
        for part in (visible, amodal & ~visible, ~amodal)
    )
    soft = np.where(matte >= 255 - MATTE_NOISE, 255, np.where(matte < MATTE_NOISE, 0, matte))
    soft = np.where(amodal, np.maximum(soft, 128), np.minimum(soft, 127))
    nearest = np.where(amodal, to_outside, to_visible)
    outer = (nearest <= MATTE_REACH) & (nearest < to_hidden) & (visible | ~amodal)
    alpha = np.where(outer, soft, rgba[..., 3])
    colour = fill_nearest(np.ascontiguousarray(rgba[..., :3]), amodal)
    return np.dstack([np.where((alpha > 0)[..., None], colour, 0), alpha]).astype(np.uint8)


def with_alpha(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """RGBA (H, W, 4) uint8 with straight alpha, soft over one pixel on each side of the mask's edge.

    alpha >= 128 exactly on the mask. Pixels just outside it take the mean colour of adjacent object pixels, so that
    blending shows no background fringe.
    """
    soft = cv2.GaussianBlur(mask.astype(np.uint8) * 255, (3, 3), 0, borderType=cv2.BORDER_REPLICATE)
    alpha = np.where(mask, np.maximum(soft, 128), np.minimum(soft, 127))
    rgba = np.dstack([np.where(mask[..., None], rgb, 0), alpha]).astype(np.uint8)
    ys, xs = np.nonzero((alpha > 0) & ~mask)
    if len(ys):
        rgba[ys, xs, :3] = _mean_of_object_neighbours(rgb, mask, ys, xs)
    return rgba


def _mean_of_object_neighbours(rgb: np.ndarray, mask: np.ndarray, ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
    padded_rgb = np.pad(rgb, ((1, 1), (1, 1), (0, 0)))
    padded_mask = np.pad(mask, 1)
    total = np.zeros((len(ys), 3), np.uint32)
    count = np.zeros((len(ys), 1), np.uint32)
    for dy in range(3):
        for dx in range(3):
            inside = padded_mask[ys + dy, xs + dx][:, None]
            total += padded_rgb[ys + dy, xs + dx] * inside
            count += inside
    return (total + count // 2) // count
