"""Windows: crops around the object, scaled down to a bounded size."""

from dataclasses import dataclass

import cv2
import numpy as np

from unocclude.types import Box


@dataclass(frozen=True)
class Window:
    """A box of the frame (pixels, exclusive ends), scaled to `width` x `height`, never enlarged."""

    x0: int
    y0: int
    x1: int
    y1: int
    width: int
    height: int

    @classmethod
    def around(cls, box: Box, shape: tuple[int, int], pad: float = 0.4, side: int = 320) -> "Window":
        """The window around `box`, padded by `pad` of its longer side (at least 16 px).

        Its longer side is scaled to at most `side` px. `shape` is the frame's (height, width). A box outside the
        frame gives the nearest strip of the frame.
        """
        height, width = shape
        margin = max(16.0, pad * max(box[2] - box[0], box[3] - box[1]))
        x0 = int(np.clip(box[0] - margin, 0, max(width - 16, 0)))
        y0 = int(np.clip(box[1] - margin, 0, max(height - 16, 0)))
        x1 = int(np.clip(np.ceil(box[2] + margin), min(x0 + 16, width), width))
        y1 = int(np.clip(np.ceil(box[3] + margin), min(y0 + 16, height), height))
        scale = min(1.0, side / max(x1 - x0, y1 - y0))
        return cls(x0, y0, x1, y1, max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))

    @property
    def scale(self) -> tuple[float, float]:
        """Window pixels per frame pixel along x and y, at most 1."""
        return self.width / (self.x1 - self.x0), self.height / (self.y1 - self.y0)

    def take(self, image: np.ndarray) -> np.ndarray:
        """Crop a frame-sized (H, W) or (H, W, C) uint8 or float32 array and scale it to the window's size."""
        crop = np.ascontiguousarray(image[self.y0 : self.y1, self.x0 : self.x1])
        if crop.shape[:2] == (self.height, self.width):
            return crop
        return cv2.resize(crop, (self.width, self.height), interpolation=cv2.INTER_AREA)

    def put(self, mask: np.ndarray, frame: np.ndarray) -> np.ndarray:
        """Paste a window-sized mask (h, w) bool into a frame-sized mask (H, W) bool.

        When the mask has to be enlarged, a guided filter (He et al., 2010) on the frame's luma aligns its edges.
        """
        full = np.zeros(frame.shape[:2], bool)
        size = (self.x1 - self.x0, self.y1 - self.y0)
        if size == (self.width, self.height):
            full[self.y0 : self.y1, self.x0 : self.x1] = mask
            return full
        soft = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        crop = np.ascontiguousarray(frame[self.y0 : self.y1, self.x0 : self.x1])
        guide = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
        radius = 2 * int(np.ceil(1.0 / min(self.scale))) + 1
        full[self.y0 : self.y1, self.x0 : self.x1] = _guided(soft, guide, radius) > 0.5
        return full


def _guided(image: np.ndarray, guide: np.ndarray, radius: int, epsilon: float = 1e-3) -> np.ndarray:
    """Guided filter of `image` by `guide`, (h, w) float32 both."""

    def mean(a: np.ndarray) -> np.ndarray:
        return cv2.blur(a, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)

    g, i = mean(guide), mean(image)
    slope = (mean(guide * image) - g * i) / (mean(guide * guide) - g * g + epsilon)
    return mean(slope) * guide + mean(i - slope * g)
