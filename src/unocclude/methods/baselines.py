"""Baselines: the visible mask itself, its convex hull, and the hull within the completion mask."""

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np

from unocclude.completion import FrameResult
from unocclude.methods.base import Method
from unocclude.methods.compose import compose
from unocclude.methods.inpaint import inpaint
from unocclude.motion.hull import hull
from unocclude.scene import Scene


class _Silhouette(Method):
    """Base of methods that only extend the silhouette; its colours are inpainted from the visible pixels."""

    independent = True

    @abstractmethod
    def silhouette(self, scene: Scene, i: int, visible: np.ndarray) -> np.ndarray:
        """The amodal mask of frame i, (H, W) bool."""

    def complete(self, scene: Scene, start: int = 0) -> Iterator[FrameResult]:
        for i in range(start, len(scene)):
            frame, visible = scene.frame(i), scene.visible(i)
            amodal = self.silhouette(scene, i, visible) | visible
            colour = inpaint(frame, visible, amodal)
            yield compose(i, frame, visible, amodal, colour, np.zeros_like(visible), matte=scene.matte(i))


class Modal(_Silhouette):
    name = "modal"
    summary = "the visible mask unchanged (lower bound)"

    def silhouette(self, scene: Scene, i: int, visible: np.ndarray) -> np.ndarray:
        return visible


class Convex(_Silhouette):
    name = "convex"
    summary = "the convex hull of the visible mask"

    def silhouette(self, scene: Scene, i: int, visible: np.ndarray) -> np.ndarray:
        return hull(visible)


class ConvexR(_Silhouette):
    name = "convex-r"
    summary = "the convex hull within our completion mask (the paper uses PCNet-M's occlusion order instead)"

    def silhouette(self, scene: Scene, i: int, visible: np.ndarray) -> np.ndarray:
        return hull(visible) & scene.completion_mask(i)
