"""Pixels of the hidden part: copied from the best-aligned frame that shows them, matched in gain, without seams."""

import cv2
import numpy as np

from unocclude.methods.inpaint import inpaint
from unocclude.methods.recall.silhouette import Silhouette
from unocclude.motion.camera import shift
from unocclude.motion.fill import smooth_fill
from unocclude.scene import Scene

LARGEST_CORRECTION = 40.0
"""Grey levels by which a copied pixel may be changed to meet the visible ones."""

MOST_SOURCES = 8
RIM = 3
"""Pixels this near to a copied one take its colour: at a source's own edge colours are mixed with its background."""

MOST_BLENDED = 5
"""Where several references are laid exactly, so many are averaged: noise and misalignment cancel."""


def recall_pixels(
    scene: Scene, i: int, visible: np.ndarray, amodal: np.ndarray, silhouette: Silhouette
) -> tuple[np.ndarray, np.ndarray]:
    """Colour of the hidden pixels `amodal & ~visible` of frame i.

    visible, amodal: (H, W) bool on the canvas. Returns colour (H, W, 3) uint8, valid on `amodal`, and recalled
    (H, W) bool: pixels copied from another frame; the others were inpainted from the object's own.
    """
    frame = scene.frame(i)
    recalled = np.zeros_like(visible)
    hidden = amodal & ~visible
    if not hidden.any():
        return frame, recalled
    colour = frame.copy()
    # the hidden part and the visible pixels around it, which gain and seams are matched on
    x, y, w, h = cv2.boundingRect(hidden.astype(np.uint8))
    reach = max(8, max(w, h) // 4)
    box = np.s_[max(0, y - reach) : y + h + reach, max(0, x - reach) : x + w + reach]
    wanted, seen, here = hidden[box], visible[box], frame[box].astype(np.float32)
    copied = here.copy()
    to_canvas = scene.evidence.work.to_canvas
    into_box = np.array([[1, 0, -box[1].start], [0, 1, -box[0].start], [0, 0, 1.0]])
    seen = cv2.erode(seen.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0  # its edge is mixed with the occluder
    references = sorted(silhouette.references, key=lambda pair: -pair[0] * (4 if pair[1].precise else 1))
    weight = np.zeros(wanted.shape, np.float32)
    for _, aligned in references[:MOST_SOURCES]:
        part = scene.evidence.work.parts[aligned.source].full
        motion = into_box @ to_canvas @ aligned.motion @ np.linalg.inv(to_canvas) @ shift(part.x, part.y)
        size = wanted.shape[::-1]
        cover = cv2.warpPerspective(part.mask.astype(np.uint8) * 255, motion, size) > 127
        # the source's own edge is mixed with its background
        clean = cv2.erode(cover.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        take = clean & wanted & (weight < (MOST_BLENDED if aligned.trusted else 1))
        if not take.any():
            continue
        moved = cv2.warpPerspective(part.image, motion, size, flags=cv2.INTER_CUBIC)
        moved = _meet(moved.astype(np.float32), copied, clean & (seen | (weight > 0)))
        old = weight[take][:, None]
        copied[take] = (copied[take] * old + moved[take]) / (old + 1)
        weight[take] += 1
    found = weight > 0
    result = np.clip(np.rint(copied), 0, 255).astype(np.uint8)
    rim = wanted & ~found & (cv2.dilate(found.astype(np.uint8), np.ones((2 * RIM + 1,) * 2, np.uint8)) > 0)
    result[rim] = _nearest(result, found | seen)[rim]
    recalled[box] = found | rim
    colour[box][found | rim] = result[found | rim]
    return inpaint(colour, visible | recalled, amodal), recalled


def _nearest(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Every pixel's nearest known pixel's colour; image (h, w, 3), known (h, w) bool with at least one True."""
    _, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((labels.max() + 1, 3), image.dtype)
    colours[labels[known]] = image[known]
    return colours[labels]


def _meet(moved: np.ndarray, target: np.ndarray, meet: np.ndarray) -> np.ndarray:
    """`moved` (h, w, 3) corrected smoothly so that it equals `target` where they meet (`meet`, (h, w) bool): a
    membrane (Farbman et al. 2009) through the differences along the seam and the mean difference inside."""
    if meet.sum() < 12:
        return moved
    difference = np.clip(target - moved, -LARGEST_CORRECTION, LARGEST_CORRECTION)
    # differences of single pixels are noise and misalignment; only what neighbours share is gain
    weight = cv2.GaussianBlur(meet.astype(np.float32), (0, 0), 2.0)
    smooth = cv2.GaussianBlur(difference * meet[..., None], (0, 0), 2.0) / np.maximum(weight, 1e-6)[..., None]
    return moved + smooth_fill(smooth, meet)
