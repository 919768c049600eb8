"""What the networks of the diffusion methods see of a shot: pictures of one size, cut by framings."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from unocclude.completion import Frames
from unocclude.methods.framing import Box, Framing, around, following
from unocclude.scene import Scene

if TYPE_CHECKING:
    import torch

WHITE = 255
NEARLY_WHITE = 0.9
"""Of an object on white, a pixel is object where one of its channels, 0 to 1, is less."""


class Shown:
    """Pictures of a shot's frame k, (h, w) or (h, w, 3) uint8."""

    def __init__(self, scene: Scene, shot: range, framings: Sequence[Framing]):
        self.scene, self.shot, self.framings = scene, shot, framings

    def mask(self, k: int) -> np.ndarray:
        """The visible mask; its edges are soft where it was shrunk, as the networks learn it."""
        return self.framings[k].cut(self.scene.visible(self.shot[k]))

    def frame(self, k: int) -> np.ndarray:
        """The frame; white beyond the canvas."""
        return self.framings[k].cut(self.scene.frame(self.shot[k]), WHITE)

    def object(self, k: int) -> np.ndarray:
        """The visible object on white."""
        return np.where(self.mask(k)[..., None] > 127, self.frame(k), WHITE).astype(np.uint8)

    def depth(self, depth: Callable[[int], np.ndarray], k: int) -> np.ndarray:
        """Pseudo-depth; what lies beyond the canvas is nearest, for anything may hide there."""
        return self.framings[k].cut(depth(self.shot[k]), 255)

    def all(self, make: Callable[[int], np.ndarray]) -> "Frames[torch.Tensor]":
        """Every frame's picture as a tensor, made when asked for."""
        return Frames(len(self.shot), lambda k: tensor(make(k)))


def object_boxes(scene: Scene, shot: range) -> list[Box]:
    """The visible object's boxes on the canvas (x0, y0, x1, y1), of the frames that show it."""
    return [box for box in _boxes_by_frame(scene, shot) if box is not None]


def object_framings(scene: Scene, shot: range, size: tuple[int, int], follow: bool) -> list[Framing]:
    """A framing of every frame, at `size` (width, height): around all that is visible of the object in the shot, which
    must be something, or going along with it."""
    canvas = (scene.width, scene.height)
    if follow:
        return following(_boxes_by_frame(scene, shot), canvas, size)
    return [around(object_boxes(scene, shot), canvas, 0, size=size)] * len(shot)


def _boxes_by_frame(scene: Scene, shot: range) -> list[Box | None]:
    """The visible object's boxes, None where a frame does not show it."""
    x, y = scene.offset
    boxes = scene.track.boxes + np.array([x, y, x, y])
    return [tuple(boxes[i]) if scene.track.areas[i] else None for i in shot]


def off_white(picture: np.ndarray, white: float = NEARLY_WHITE) -> np.ndarray:
    """Where an object on white is, (...) bool of (..., 3) in [0, 1]."""
    found: np.ndarray = picture.min(-1) < white
    return found


def whole_box(box: Sequence[float]) -> tuple[int, int, int, int]:
    """The smallest box of whole pixels around one."""
    return math.floor(box[0]), math.floor(box[1]), math.ceil(box[2]), math.ceil(box[3])


def tensor(picture: np.ndarray) -> "torch.Tensor":
    """(3, h, w) float32 in [-1, 1] of (h, w[, 3]) uint8."""
    import torch

    planes = np.broadcast_to(picture[..., None], (*picture.shape, 3)) if picture.ndim == 2 else picture
    return torch.from_numpy(planes.astype(np.float32).transpose(2, 0, 1).copy()) / 127.5 - 1
