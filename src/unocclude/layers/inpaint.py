"""Filling of the clean plate by an inpainting checkpoint."""

from functools import cached_property

import numpy as np

from unocclude.geometry import bounding_box
from unocclude.methods.inpainter import Inpainter, checkpoint_folder

WORDS = "empty background, nobody, nothing in front"
CONTEXT = 0.5
"""How far around the hole the network looks, relative to the hole's longer side."""
LEAST = 64
"""Least side of what it looks at, in pixels."""


class InpaintingFill:
    """Fills unknown pixels of a picture by a checkpoint of diffusers, such as `stable-diffusion-2-inpainting`.

    weights: a checkpoint's id or a folder, as `Inpainter` takes it. Raises InputError at once if it is not there; the
    networks are loaded when the first picture is filled.
    """

    def __init__(self, weights: str, device: str = "auto", seed: int = 0):
        checkpoint_folder(weights)
        self.weights, self._device, self._seed = weights, device, seed

    def __reduce__(self) -> tuple[type["InpaintingFill"], tuple[str, str, int]]:
        """For worker processes, which load the networks themselves."""
        return InpaintingFill, (self.weights, self._device, self._seed)

    @cached_property
    def _inpainter(self) -> Inpainter:
        return Inpainter(self.weights, self._device)

    def __call__(self, image: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Fill an image (H, W, 3) uint8 RGB where `known` (H, W) bool is false; known pixels are kept."""
        if known.all():
            return image
        rows, columns = _square_around(~known)
        crop, hole = np.ascontiguousarray(image[rows, columns]), ~known[rows, columns]
        filled = image.copy()
        filled[rows, columns][hole] = self._inpainter(crop, hole, WORDS, self._seed)[hole]
        return filled


def _square_around(hole: np.ndarray) -> tuple[slice, slice]:
    """The square around a hole (H, W) bool with its context, moved into the picture, and cut where that is smaller."""
    x0, y0, x1, y1 = bounding_box(hole)
    side = max(LEAST, round(max(x1 - x0, y1 - y0) * (1 + 2 * CONTEXT)))
    spans = []
    for low, high, size in ((y0, y1, hole.shape[0]), (x0, x1, hole.shape[1])):
        start = min(max(0, (low + high - side) // 2), max(0, size - side))
        spans.append(slice(start, min(size, start + side)))
    return spans[0], spans[1]
