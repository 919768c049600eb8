"""Which parts of the visible outline stick to the scene while the object moves.

There something that stands still is in front: its edge cuts the object, which slides along behind it. Where the outline
moves with the object, nothing is in front.
"""

from typing import NamedTuple

import cv2
import numpy as np

from unocclude.media.nearest_fill import fill_nearest
from unocclude.methods.recall.prior_inputs import box_to_box
from unocclude.motion.camera import shift
from unocclude.motion.evidence import Evidence, largest_difference

OFFSETS = (1, 2, 4, 7)
"""Distances of the frames that a frame is compared with, on both sides."""
FAR = 5.0
"""Distances between outlines are capped at this many pixels."""
CLEARLY = 8.0
"""Advantage of one motion over the other in grey levels from which the object is sure to move."""
ERROR_CAP = 60
"""Maximum error of a pixel in grey levels."""
NEAR_INSIDE, ALONG = 5.0, 3.0
"""Standard deviations in pixels: of the mean of errors inside the object, and of that along its outline."""
MARGIN = 12
"""Width in pixels of the surroundings that are looked at."""
LEAST_INSIDE = 0.02
"""Least share of comparable pixels near a pixel."""
ENOUGH = 0.2
"""Mean advantage of the object's motion from which the outline is judged in full."""
STEEPNESS = 2.0
"""The answer is 0.96 if one outline is a pixel closer than the other on average."""


def sticking(evidence: Evidence, i: int) -> np.ndarray:
    """For every pixel of frame i's window, (h, w) float32, how the nearest part of the visible outline moves.

    1: with the scene; -1: with the object; 0: not known, as where the object does not move, or has no texture.
    """
    window, boxes = evidence.window(i), evidence.trajectory.boxes
    visible = evidence.work.visible[i][window]
    near = {i + sign * k for k in OFFSETS for sign in (-1, 1)} & set(evidence.work.whole_shot(i))
    others = sorted(s for s in near if evidence.work.areas[s] and np.isfinite(boxes[s]).all())
    if not visible.any() or visible.all() or not np.isfinite(boxes[i]).all() or not others:
        return np.zeros(visible.shape, np.float32)
    outline = (cv2.dilate(visible.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~visible
    # nothing farther away matters
    x, y, width, height = cv2.boundingRect(visible.astype(np.uint8))
    close = np.s_[max(0, y - MARGIN) : y + height + MARGIN, max(0, x - MARGIN) : x + width + MARGIN]
    here, seen = evidence.frames[i][window][close], visible[close]
    into = shift(-window[1].start - close[1].start, -window[0].start - close[0].start)
    total, weights = np.zeros((2, *visible.shape), np.float32)
    for s in others:
        with_scene = _moved(here, evidence.frames[s], into @ evidence.camera.between(s, i))
        with_object = _moved(here, evidence.frames[s], into @ box_to_box(boxes[s], boxes[i]))
        both = (seen & with_scene.mask & with_object.mask).astype(np.float32)
        share = cv2.GaussianBlur(both, (0, 0), NEAR_INSIDE)
        gain = cv2.GaussianBlur((with_scene.error - with_object.error) * both, (0, 0), NEAR_INSIDE)
        weight = np.clip(gain / np.maximum(share, 1e-3) / CLEARLY, 0, 1) * (share > LEAST_INSIDE)
        total[close] += weight * (with_object.distance - with_scene.distance)
        weights[close] += weight
    lead, certain = _along(total / len(others), outline), _along(weights / len(others), outline)
    lead *= np.clip(certain / ENOUGH, 0, 1) / np.maximum(certain, ENOUGH / 2)
    return np.asarray(np.tanh(STEEPNESS * lead), np.float32)


class _Moved(NamedTuple):
    """Another frame moved into a window: errors of its pixels (h, w) float32, its visible mask (h, w) bool, and every
    pixel's distance to its outline (h, w) float32."""

    error: np.ndarray
    mask: np.ndarray
    distance: np.ndarray


def _moved(here: np.ndarray, there: np.ndarray, motion: np.ndarray) -> _Moved:
    """Move `there` (H, W, 4) into the window of `here` (h, w, 4), frames with their visible masks."""
    moved = cv2.warpPerspective(there, motion, here.shape[1::-1], flags=cv2.INTER_LINEAR)
    mask = moved[..., 3] > 127
    edge = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    distance = np.minimum(cv2.distanceTransform((edge == 0).astype(np.uint8), cv2.DIST_L2, 3), FAR)
    return _Moved(np.minimum(largest_difference(here, moved), ERROR_CAP).astype(np.float32), mask, distance)


def _along(values: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """Values (h, w) averaged along the outline (h, w) bool, and for every other pixel that of the nearest outline."""
    line = outline.astype(np.float32)
    mean = cv2.GaussianBlur(values * line, (0, 0), ALONG) / np.maximum(cv2.GaussianBlur(line, (0, 0), ALONG), 1e-6)
    return fill_nearest(mean, outline)
