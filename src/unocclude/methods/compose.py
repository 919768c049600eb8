"""The last step of every method: visible pixels kept exactly, provenance, alpha."""

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
    """Lay the visible pixels over a method's own and say where each pixel comes from.

    frame, colour: (H, W, 3) uint8 RGB, the input frame and the method's appearance (read inside `amodal` only).
    visible, amodal, recalled: (H, W) bool; the result's silhouette is `amodal | visible`; `recalled` says which of
    the method's pixels were copied from other frames, the rest counts as generated.
    """
    amodal = amodal | visible
    provenance = np.full(amodal.shape, NOTHING, np.uint8)
    rgba: np.ndarray = np.zeros((*amodal.shape, 4), np.uint8)
    x, y, w, h = cv2.boundingRect(amodal.astype(np.uint8))
    box = np.s_[max(0, y - 1) : y + h + 1, max(0, x - 1) : x + w + 1]  # alpha falls off over one pixel
    if amodal.any():
        seen, own = visible[box], amodal[box]
        provenance[box] = np.select([seen, own & recalled[box], own], [SEEN, RECALLED, GENERATED], NOTHING)
        rgba[box] = with_alpha(np.where(seen[..., None], frame[box], colour[box]), own)
    return FrameResult(index, amodal, rgba, provenance)


def with_alpha(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8: straight alpha that falls off over one pixel on each side of the mask's edge.

    alpha >= 128 exactly on the mask; pixels just outside it take their colour from the nearest object pixels, so that
    an editor's blend shows no fringe of the background.
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
