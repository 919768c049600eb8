"""Completion of a single image: contour and symmetry of the visible part are continued behind possible occluders.

This is weak, because nothing in a single image shows the hidden part. A pixel outside the visible mask counts as a
possible occluder if it lies in a deep concavity of the object, and as background otherwise. Where other objects are
known, they are the possible occluders instead, unless they are behind.
"""

import cv2
import numpy as np

from unocclude.methods.inpaint import inpaint
from unocclude.motion.hull import hull, occlusion_concavities
from unocclude.motion.working import OBJECT_SIZE
from unocclude.scene import IN_FRONT, UNDECIDED, Scene

LEAST_SYMMETRY = 0.8
"""Minimum IoU of the visible part with its mirror image, outside possible occluders, for symmetry to be used."""


def complete_still(scene: Scene, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Complete frame i on its own: silhouette (H, W) bool, colours (H, W, 3) uint8, recalled (H, W) bool (empty)."""
    frame, visible = scene.frame(i), scene.visible(i)
    nothing = np.zeros_like(visible)
    if not visible.any():
        return visible, np.zeros_like(frame), nothing
    x, y, w, h = cv2.boundingRect(visible.astype(np.uint8))
    scale = min(1.0, OBJECT_SIZE / max(w, h))
    grow = max(w, h) // 3 + 4
    box = np.s_[max(0, y - grow) : y + h + grow, max(0, x - grow) : x + w + grow]
    size = (max(1, round(visible[box].shape[1] * scale)), max(1, round(visible[box].shape[0] * scale)))

    def small(mask: np.ndarray) -> np.ndarray:
        return cv2.resize(mask[box].astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 127

    part = small(visible)
    if scene.given_occluders is not None:
        open_ = small(scene.occluder(i) | ~scene.inside)
    elif scene.others:  # better than a guess from the shape alone
        open_ = small(scene.other_objects(i, IN_FRONT, UNDECIDED) | ~scene.inside)
    else:
        open_ = occlusion_concavities(part) | small(~scene.inside)
    grown = (hull(part) | mirrored(part, open_)) & (open_ | part)
    opened = cv2.morphologyEx((grown & ~part).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    added = cv2.resize(opened.astype(np.float32), visible[box].shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    amodal = visible.copy()
    amodal[box] |= added
    return amodal, inpaint(frame, visible, amodal), nothing


def mirrored(part: np.ndarray, open_: np.ndarray) -> np.ndarray:
    """The visible part united with its best mirror image, if that is plausible; (H, W) bool.

    Axes through the centre of the hull are tried in steps of 5 degrees. A mirror image is evaluated only outside
    `open_`, the possible occluders.
    """
    filled = hull(part).astype(np.uint8)
    moments = cv2.moments(filled, binaryImage=True)
    centre = np.array([moments["m10"], moments["m01"]]) / max(moments["m00"], 1e-9)
    best, best_fit = part, LEAST_SYMMETRY
    for degrees in range(0, 180, 5):
        a = 2 * np.deg2rad(degrees)
        turn = np.array([[np.cos(a), np.sin(a)], [np.sin(a), -np.cos(a)]])
        matrix = np.column_stack([turn, centre - turn @ centre])
        image = cv2.warpAffine(part.astype(np.uint8), matrix, part.shape[::-1], flags=cv2.INTER_NEAREST) > 0
        known = ~open_
        fit = float((image & part & known).sum() / max(1, ((image | part) & known).sum()))
        if fit > best_fit:
            best, best_fit = image | part, fit
    return best
