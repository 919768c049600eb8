"""Appearance of the hidden part: pixels copied from aligned frames, matched in gain and blended without seams."""

import cv2
import numpy as np

from unocclude.media.nearest_fill import fill_nearest
from unocclude.methods.inpaint import inpaint
from unocclude.methods.recall.edges import SEAM, colour_beyond, is_mixed, seam_of
from unocclude.methods.recall.silhouette import Silhouette
from unocclude.motion.camera import shift
from unocclude.motion.match import match_colours
from unocclude.scene import Scene

MOST_SOURCES = 8
"""Maximum number of references that pixels are copied from."""
RIM = 3
"""Pixels this close to a copied one take its colour, because colours at a source's edge are mixed with background."""

MOST_BLENDED = 5
"""Maximum number of precisely aligned references that are averaged, to cancel noise and misalignment."""


def recall_pixels(
    scene: Scene, i: int, visible: np.ndarray, amodal: np.ndarray, silhouette: Silhouette
) -> tuple[np.ndarray, np.ndarray]:
    """Colours of the hidden pixels `amodal & ~visible` of frame i, and of visible ones that are mixed with an occluder.

    visible, amodal: (H, W) bool on the canvas. Returns the colours (H, W, 3) uint8, valid on `amodal`, and a mask
    (H, W) bool of pixels copied from other frames; the other hidden ones are inpainted from the object's own pixels.
    """
    frame = scene.frame(i)
    recalled = np.zeros_like(visible)
    hidden = amodal & ~visible
    if not hidden.any():
        return frame, recalled
    colour = frame.copy()
    # the hidden part and the surrounding visible pixels, to which gain and seams are matched
    x, y, w, h = cv2.boundingRect(hidden.astype(np.uint8))
    reach = max(8, max(w, h) // 4)
    box = np.s_[max(0, y - reach) : y + h + reach, max(0, x - reach) : x + w + reach]
    seam = seam_of(visible[box], hidden[box])
    wanted, seen, here = hidden[box] | seam, visible[box], frame[box].astype(np.float32)
    copied = here.copy()
    to_canvas = scene.evidence.work.to_canvas
    into_box = np.array([[1, 0, -box[1].start], [0, 1, -box[0].start], [0, 0, 1.0]])
    # edge pixels are mixed with the occluder
    seen = (cv2.erode(seen.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~seam
    references = sorted(silhouette.references, key=lambda pair: -pair[0] * (4 if pair[1].precise else 1))
    weight = np.zeros(wanted.shape, np.float32)
    for _, aligned in references[:MOST_SOURCES]:
        part = scene.evidence.work.parts[aligned.source].full
        motion = into_box @ to_canvas @ aligned.motion @ np.linalg.inv(to_canvas) @ shift(part.x, part.y)
        size = wanted.shape[::-1]
        cover = cv2.warpPerspective(part.mask.astype(np.uint8) * 255, motion, size) > 127
        # edge pixels of the source are mixed with its background
        clean = cv2.erode(cover.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        take = clean & wanted & (weight < (MOST_BLENDED if aligned.trusted else 1))
        if not take.any():
            continue
        moved = cv2.warpPerspective(part.image, motion, size, flags=cv2.INTER_CUBIC)
        moved = match_colours(moved.astype(np.float32), copied, clean & (seen | (weight > 0)))
        old = weight[take][:, None]
        copied[take] = (copied[take] * old + moved[take]) / (old + 1)
        weight[take] += 1
    found = weight > 0
    result = np.clip(np.rint(copied), 0, 255).astype(np.uint8)
    found &= ~seam | is_mixed(frame[box], result, colour_beyond(frame[box], hidden[box], SEAM))
    rim = hidden[box] & ~found & (cv2.dilate(found.astype(np.uint8), np.ones((2 * RIM + 1,) * 2, np.uint8)) > 0)
    result[rim] = fill_nearest(result, found | seen)[rim]
    recalled[box] = found | rim
    colour[box][found | rim] = result[found | rim]
    return inpaint(colour, visible | recalled, amodal), recalled
