"""Matching of patches against frames whose masks are known, as evidence of what belongs to the object.

Each pixel looks for the most similar patch of the object and of its surroundings nearby in the remembered frames, as in
local matching of FEELVOS (Voigtlaender et al., CVPR 2019), but with colours in place of learnt features.
"""

from collections.abc import Iterable

import cv2
import numpy as np

from unocclude.types import Box

REACH = 20  # search radius in window pixels
STEP = 4  # between positions tried, in window pixels
PATCH = 5  # side of a patch in half the window's resolution
SCALE = 6.0  # difference (mean over a patch, in grey levels) that makes a log-odds of 1
FAR = 255.0
_WEIGHTS = np.array([[0.24, 0.38, 0.38]], np.float32)  # of L, a, b: lightness varies more than colour


def match(now: np.ndarray, known: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Log-odds within +-3, (h, w) float32, that pixels of `now`, (h, w, 3) uint8 Lab, belong to the object.

    known: frames of the same size and place, Lab, with the object's mask in each, (h, w) 0..1.
    """
    size = (max(1, now.shape[1] // 2), max(1, now.shape[0] // 2))
    small = cv2.resize(now, size, interpolation=cv2.INTER_AREA)
    near = np.full((2, size[1], size[0]), FAR, np.float32)
    pad = REACH // 2
    for frame, mask in known:
        other = cv2.copyMakeBorder(
            cv2.resize(frame, size, interpolation=cv2.INTER_AREA), pad, pad, pad, pad, cv2.BORDER_REPLICATE
        )
        inside = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
        inside = cv2.copyMakeBorder(inside, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
        not_object, not_scene = FAR * (inside < 0.5).astype(np.float32), FAR * (inside > 0.5).astype(np.float32)
        for y in range(0, 2 * pad + 1, STEP // 2):
            for x in range(0, 2 * pad + 1, STEP // 2):
                part = np.s_[y : y + size[1], x : x + size[0]]
                difference = cv2.transform(cv2.absdiff(small, other[part]), _WEIGHTS)
                error = cv2.blur(difference.astype(np.float32), (PATCH, PATCH), borderType=cv2.BORDER_REPLICATE)
                np.minimum(near[0], error + not_object[part], out=near[0])
                np.minimum(near[1], error + not_scene[part], out=near[1])
    odds = np.clip((near[1] - near[0]) / SCALE, -3, 3)
    return cv2.resize(odds, now.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def aligned(image: np.ndarray, from_box: Box, to_box: Box, size: tuple[int, int]) -> np.ndarray:
    """An image moved and scaled so that one box comes to lie on the other, in a picture of `size` (width, height)."""
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = from_box, to_box
    scale = float(np.clip(np.sqrt((bx1 - bx0) * (by1 - by0) / max((ax1 - ax0) * (ay1 - ay0), 1)), 0.25, 4))
    x, y = (bx0 + bx1) / 2 - scale * (ax0 + ax1) / 2, (by0 + by1) / 2 - scale * (ay0 + ay1) / 2
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.warpAffine(
        image, np.array([[scale, 0, x], [0, scale, y]]), size, flags=way, borderMode=cv2.BORDER_REPLICATE
    )
