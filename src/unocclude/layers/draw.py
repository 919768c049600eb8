"""Pictures of layers for preview and report."""

import cv2
import numpy as np

from unocclude.clip import Clip
from unocclude.layers.result import Layers
from unocclude.report.draw import shrink

COLOURS = ((255, 200, 0), (0, 190, 255), (255, 90, 120), (120, 230, 90), (200, 130, 255), (255, 140, 40))


def colour(k: int) -> tuple[int, int, int]:
    """The colour of the k-th object, red, green and blue."""
    return COLOURS[k % len(COLOURS)]


def outlines(layers: Layers, clip: Clip, i: int, size: tuple[int, int]) -> np.ndarray:
    """Frame i, scaled to `size` (height, width), with the amodal outline of each object, (h, w, 3) uint8 RGB."""
    x, y = layers.info.canvas["offset"]
    frame = np.pad(clip[i], ((y, y), (x, x), (0, 0))) if x or y else clip[i]
    picture = shrink(frame, size).copy()
    for k, layer in enumerate(layers.objects):
        mask = shrink(layer.completion.amodal_masks[i], size).astype(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(picture, contours, -1, colour(k), max(1, round(max(size) / 400)), cv2.LINE_AA)
    return picture
