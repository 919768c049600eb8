"""The network inputs of a shot: masks, frames and depth, cropped to one size."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from unocclude.completion import LazySequence
from unocclude.methods.framing import Framing, crop_around, crop_following
from unocclude.scene import Scene
from unocclude.types import Box

if TYPE_CHECKING:
    import torch

WHITE = 255
NEARLY_WHITE = 0.9
"""In an image of an object on white, 0..1, a pixel belongs to the object if any channel is below this."""


class NetworkInputs:
    """Inputs for the k-th frame of a shot, (h, w) or (h, w, 3) uint8, each cropped by that frame's framing."""

    def __init__(self, scene: Scene, shot: range, framings: Sequence[Framing]):
        self.scene, self.shot, self.framings = scene, shot, framings

    def visible_mask(self, k: int) -> np.ndarray:
        """The visible mask, 0 to 255; its edges are soft where it was scaled down, as in training."""
        return self.framings[k].crop(self.scene.visible(self.shot[k]))

    def frame(self, k: int) -> np.ndarray:
        """The RGB frame, white outside the canvas."""
        return self.framings[k].crop(self.scene.frame(self.shot[k]), WHITE)

    def object_on_white(self, k: int) -> np.ndarray:
        """The visible object on a white background."""
        return np.where(self.visible_mask(k)[..., None] > 127, self.frame(k), WHITE).astype(np.uint8)

    def depth(self, depth: Callable[[int], np.ndarray], k: int) -> np.ndarray:
        """Pseudo-depth, 255 nearest. Outside the canvas it is 255, because anything might be in front there."""
        return self.framings[k].crop(depth(self.shot[k]), 255)

    def tensors(self, make: Callable[[int], np.ndarray]) -> "LazySequence[torch.Tensor]":
        """One of the inputs above for all frames, as tensors (see `tensor`) that are computed on access."""
        return LazySequence(len(self.shot), lambda k: tensor(make(k)))


def object_boxes(scene: Scene, shot: range) -> list[Box]:
    """Boxes (x0, y0, x1, y1) of the visible object on the canvas, for the frames that show it."""
    return [box for box in _boxes_by_frame(scene, shot) if box is not None]


def object_framings(scene: Scene, shot: range, size: tuple[int, int], follow: bool) -> list[Framing]:
    """One framing per frame, scaled to `size` (width, height).

    follow: move the crop with the object; otherwise use one crop that holds the object in every frame. The object must
    be visible in at least one frame of the shot.
    """
    canvas = (scene.width, scene.height)
    if follow:
        return crop_following(_boxes_by_frame(scene, shot), canvas, size)
    return [crop_around(object_boxes(scene, shot), canvas, 0, size=size)] * len(shot)


def _boxes_by_frame(scene: Scene, shot: range) -> list[Box | None]:
    """Box of the visible object in each frame, None where it is not visible."""
    x, y = scene.offset
    boxes = scene.track.boxes + np.array([x, y, x, y])
    return [tuple(boxes[i]) if scene.track.areas[i] else None for i in shot]


def foreground(picture: np.ndarray, white: float = NEARLY_WHITE) -> np.ndarray:
    """Mask of an object on white: (...) bool from (..., 3) in [0, 1]. `white`: see `NEARLY_WHITE`."""
    found: np.ndarray = picture.min(-1) < white
    return found


def tensor(picture: np.ndarray) -> "torch.Tensor":
    """Convert (h, w) or (h, w, 3) uint8 to (3, h, w) float32 in [-1, 1]; a single channel is repeated."""
    import torch

    planes = np.broadcast_to(picture[..., None], (*picture.shape, 3)) if picture.ndim == 2 else picture
    return torch.from_numpy(planes.astype(np.float32).transpose(2, 0, 1).copy()) / 127.5 - 1
