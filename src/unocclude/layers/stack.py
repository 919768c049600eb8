"""Layers as editors stack them: the clean plate, the objects back to front, and what is in front but is no object."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from unocclude.layers.result import Layers

IN_FRONT = "in front"


@dataclass(frozen=True)
class StackLayer:
    """One layer of a stack. name: to show. id: the object's, None for the plate and for what is in front."""

    name: str
    id: int | None = None

    @property
    def slug(self) -> str:
        """The name in letters, digits and underscores, for channels and files; different for different layers."""
        plain = re.sub(r"\W+", "_", self.name, flags=re.ASCII).strip("_")
        return plain if self.id is None else f"o{self.id}_{plain}".rstrip("_")


PLATE = StackLayer("plate")


class Stack:
    """The layers of a result. objects: one for each object. has_front: whether anything that is no object hides one.

    frames: those to use; frame i of the stack is the i-th of them.
    """

    def __init__(self, result: Layers, frames: range | None = None):
        self.result = result
        self.numbers = range(len(result)) if frames is None else frames
        self.objects = {layer.id: StackLayer(layer.name, layer.id) for layer in result.objects}
        self._completions = {layer.id: layer.completion for layer in result.objects}
        self.has_front = any(self._front(i).any() for i in self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def layers(self) -> list[StackLayer]:
        """All layers: plate, objects as given, and what is in front, if there is any."""
        return [PLATE, *self.objects.values(), *([StackLayer(IN_FRONT)] if self.has_front else [])]

    def at(self, i: int) -> list[StackLayer]:
        """The layers of frame i, back to front."""
        front = [StackLayer(IN_FRONT)] if self.has_front else []
        return [PLATE, *(self.objects[number] for number in self.result.order_at(self.numbers[i])), *front]

    def rgba(self, layer: StackLayer, i: int) -> np.ndarray:
        """Frame i of a layer, (H, W, 4) uint8 with straight alpha."""
        i = self.numbers[i]
        if layer.id is not None:
            return self._completions[layer.id].rgba[i]
        plate = self.result.background[i]
        if layer == PLATE:
            return np.dstack([plate, np.full(plate.shape[:2], 255, np.uint8)])
        edges, front = self.result.edges[i], self._front(i)
        rgb = np.where(edges[..., 3:] > 0, edges[..., :3], plate)
        return np.dstack([rgb, np.full(front.shape, 255, np.uint8)]) * front[..., None]

    def _front(self, i: int) -> np.ndarray:
        """Where an object is hidden, and by no object, (H, W) bool."""
        amodal, visible = (
            np.any([getattr(c, kind)[i] for c in self._completions.values()], axis=0)
            for kind in ("amodal_masks", "visible_masks")
        )
        inside = np.zeros_like(visible)
        (x, y), (height, width) = self.result.info.canvas["offset"], visible.shape
        inside[y : height - y, x : width - x] = True
        return np.asarray(amodal & ~visible & inside)

    def frames(self, layer: StackLayer) -> Iterator[np.ndarray]:
        """All frames of a layer."""
        return (self.rgba(layer, i) for i in range(len(self)))

    def frame_names(self) -> list[str]:
        """The names of the source frames without suffix, or their numbers."""
        names = self.result.info.source["names"]
        stems = [PurePath(name).stem for name in names or ()]
        if len(set(stems)) != len(self.result):
            stems = [f"{i:05d}" for i in range(len(self.result))]
        return [stems[i] for i in self.numbers]
