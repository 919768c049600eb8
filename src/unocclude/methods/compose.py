"""The last step of every method: exact visible pixels, provenance and alpha."""

import cv2
import numpy as np

from unocclude.completion import GENERATED, NOTHING, RECALLED, SEEN, FrameResult


def compose(
    index: int,
    frame: np.ndarray,
    visible: np.ndarray,
    amodal: np.ndarray,
    colour: np.ndarray,
    recalled: np.ndarray,
) -> FrameResult:
    """Compose a frame's result from its visible pixels and a method's output, with provenance.

    frame: (H, W, 3) uint8 RGB, the input frame. visible, amodal: (H, W) bool; the result's mask is `amodal | visible`.
    colour: (H, W, 3) uint8 RGB, the method's colours, used inside `amodal` only. recalled: (H, W) bool, pixels copied
    from other frames; the others count as generated.
    """
    amodal = amodal | visible
    provenance = np.full(amodal.shape, NOTHING, np.uint8)
    rgba: np.ndarray = np.zeros((*amodal.shape, 4), np.uint8)
    x, y, w, h = cv2.boundingRect(amodal.astype(np.uint8))
    box = np.s_[max(0, y - 1) : y + h + 1, max(0, x - 1) : x + w + 1]  # alpha extends over one more pixel
    if amodal.any():
        seen, own = visible[box], amodal[box]
        provenance[box] = np.select([seen, own & recalled[box], own], [SEEN, RECALLED, GENERATED], NOTHING)
        rgba[box] = with_alpha(np.where(seen[..., None], frame[box], colour[box]), own)
    return FrameResult(index, amodal, rgba, provenance)


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
