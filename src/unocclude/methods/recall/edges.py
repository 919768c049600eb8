"""Visible pixels at the object's edge, which cameras and codecs mix with what is beside it."""

import cv2
import numpy as np

from unocclude.media.nearest_fill import fill_nearest

SEAM = 2
"""Width in pixels of the edge to an occluder, whose pixels another frame replaces if they are mixed."""
LEAST_SHARE = 0.08
"""Minimum share of the other side's colour in a mixed pixel."""
UNLIKE = 0.5
"""Maximum distance of a mixed pixel from the line between both colours, relative to its distance from the object's."""
NOISE = 6.0
"""The same in grey levels; noise alone has as much."""
_NEAR = 4.0  # colours are looked up within this many pixels


def seam_of(visible: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Visible pixels at the edge to the hidden part, (H, W) bool."""
    return visible & (cv2.dilate(hidden.astype(np.uint8), np.ones((2 * SEAM + 1,) * 2, np.uint8)) > 0)


def is_mixed(colour: np.ndarray, own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether pixels are a mixture of the object's colour and that beside it; (h, w) bool.

    colour, own, other: (h, w, 3): of the pixel itself, of the object there, and of what is beside it.
    """
    away = colour.astype(np.float32) - own
    line = other.astype(np.float32) - own
    share = (away * line).sum(2) / np.maximum((line**2).sum(2), 1.0)
    rest = np.sqrt(((away - share[..., None] * line) ** 2).sum(2))
    distance = np.sqrt((away**2).sum(2))
    return (share > LEAST_SHARE) & (distance > NOISE) & (rest < UNLIKE * distance + NOISE / 2)


def colour_beyond(image: np.ndarray, outside: np.ndarray, margin: int) -> np.ndarray:
    """The colour beyond the edge to `outside` (h, w) bool, `margin` pixels away from it: the nearest one, (h, w, 3)."""
    kernel = np.ones((2 * margin + 1,) * 2, np.uint8)
    return fill_nearest(image, cv2.erode(outside.astype(np.uint8), kernel, borderValue=1) > 0)


def clean_rim(frame: np.ndarray, visible: np.ndarray, amodal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Replace mixed pixels of the outer rim, one pixel wide, by the colour just inside.

    frame: (H, W, 3) uint8. visible, amodal: (H, W) bool. Returns the colours (H, W, 3) and where they were replaced.
    Parts too thin to have an inside are left alone.
    """
    replaced = np.zeros_like(visible)
    x, y, w, h = cv2.boundingRect(visible.astype(np.uint8))
    box = np.s_[max(0, y - 8) : y + h + 8, max(0, x - 8) : x + w + 8]
    here, seen, own = frame[box], visible[box], amodal[box]
    kernel = np.ones((3, 3), np.uint8)
    core = cv2.erode((seen & own).astype(np.uint8), kernel, borderValue=1) > 0
    rim = seen & (cv2.erode(own.astype(np.uint8), kernel, borderValue=1) == 0)
    if not rim.any() or not core.any():
        return frame, replaced
    inside = fill_nearest(here, core, _NEAR)
    near = cv2.dilate(core.astype(np.uint8), kernel) > 0
    mixed = rim & near & is_mixed(here, inside, colour_beyond(here, ~own, SEAM))
    colour = frame.copy()
    colour[box][mixed] = inside[mixed]
    replaced[box] = mixed
    return colour, replaced
