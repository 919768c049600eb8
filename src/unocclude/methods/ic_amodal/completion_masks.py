"""Where the object may continue in a frame: the completion mask, as in the open-world system (section 3, overview)."""

from collections.abc import Callable
from functools import lru_cache, partial

import cv2
import numpy as np

from unocclude.completion import FrameResult
from unocclude.errors import InputError
from unocclude.methods.ic_amodal.options import ICAmodalOptions
from unocclude.methods.open_world.networks import load_published
from unocclude.methods.open_world.perception import ObjectPerception, PerceptionNetworks
from unocclude.methods.open_world.rules import Repaired
from unocclude.motion.hull import hull
from unocclude.scene import Scene

REACH = 0.28
"""The object is expected within this distance of recall's silhouette, relative to the square root of its area."""
KEPT = 8
"""Frames whose occluders are kept in memory."""

CompletionMask = Callable[[FrameResult], np.ndarray]
"""recall's result for a frame → (H, W) bool on the canvas, where the object may continue; it may contain visible
pixels."""


def choose_completion_mask(
    scene: Scene, options: ICAmodalOptions, device: str, perception: PerceptionNetworks | None = None
) -> tuple[str, CompletionMask]:
    """How completion masks are made, in one word for result.json, and the function that makes them.

    Occluders that the user gives come first; then, as published, the networks of the open-world system where their
    weights are present; then evidence. perception: the networks, by default those whose weights are present. Raises
    InputError if networks are asked for and missing.
    """
    if scene.given_occluders is not None:
        return "given", lambda recalled: scene.completion_mask(recalled.index)
    if options.completion == "wide":
        return "wide", lambda recalled: scene.completion_mask(recalled.index)
    networks = load_published(device) if perception is None else perception
    if options.completion == "networks" and not networks.can_detect:
        raise InputError(
            "completion=networks needs Grounding DINO, SAM and an occlusion order; fetch grounding-dino-tiny, "
            "sam-vit-huge and instaorder-od (`unocclude weights list`), or set completion=evidence"
        )
    if options.completion != "evidence" and networks.can_detect:
        return "networks", _OccludersByNetworks(scene, networks, options.prompt)
    return "evidence", partial(expected_extent, scene)


def expected_extent(scene: Scene, recalled: FrameResult) -> np.ndarray:
    """The part of the evidence's completion mask that is near recall's silhouette.

    The evidence only says what is not background; over a whole clip that is several times the object. The object is
    expected inside the silhouette's convex hull, and around it within `REACH`.
    """
    open_ = scene.completion_mask(recalled.index)
    if not recalled.amodal.any():
        return open_
    radius = max(1, round(REACH * float(np.sqrt(recalled.amodal.sum()))))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    near = cv2.dilate(hull(recalled.amodal).astype(np.uint8), kernel, borderValue=0) > 0
    return open_ & near


class _OccludersByNetworks:
    """The object's occluders frame by frame, from RAM++, Grounding DINO, SAM and InstaOrder, and all that lies beyond
    the frame. An occluder that is missed in one frame but found in both neighbours is filled in."""

    def __init__(self, scene: Scene, networks: PerceptionNetworks, words: str):
        self.scene, self.networks, self.words = scene, networks, words
        self._of = lru_cache(maxsize=KEPT)(self._in_front)

    def __call__(self, recalled: FrameResult) -> np.ndarray:
        scene, i = self.scene, recalled.index
        found = self._of(i)
        shot = scene.clip.shot_of(i)
        if i - 1 in shot and i + 1 in shot:
            found = found | (self._of(i - 1) & self._of(i + 1))
        return scene.on_canvas(found & ~scene.track[i]) | ~scene.inside

    def _in_front(self, i: int) -> np.ndarray:
        """Occluders in frame i, (H, W) bool of the frame's size."""
        visible = self.scene.track[i]
        if not visible.any():
            return np.zeros_like(visible)
        perceived = ObjectPerception(self.networks, Repaired(), self.scene.clip[i], visible, self.words)
        found = perceived.in_front()
        return np.zeros_like(visible) if found is None else found
