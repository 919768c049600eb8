"""Sub-images as inputs of the network, and the object's mask in its output."""

from dataclasses import dataclass

import cv2
import numpy as np

from unocclude.completion import RECALLED, FrameResult
from unocclude.methods.framing import Framing, crop_around
from unocclude.methods.ic_amodal.completion_masks import CompletionMask
from unocclude.methods.network_inputs import object_boxes
from unocclude.scene import Scene

BACKGROUNDS = {"black": 0, "white": 255, "grey": 127}
UNLIKE = 0.05
"""Quantile of the object's colour distances that measures how similar it is to a background."""
LOOKED_AT = 64
"""Number of frames, spread over the shot, whose colours are sampled."""
DIFFERENT = 24
"""A completed pixel belongs to the object if any channel, slightly blurred, differs from the background by more."""


@dataclass(frozen=True)
class FrameInput:
    """One frame as input of the network; arrays have a sub-image's size, (h, w) bool or (h, w, 3) uint8.

    recalled: recall's result for the frame. frame: X_k. known: mask of the known part of the object. object_image:
    I_m,k, the known part alone on the background. hole: the region to fill. open_: the same on the canvas. start:
    recall's completion on the background, if its pixels count as known.
    """

    recalled: FrameResult
    frame: np.ndarray
    known: np.ndarray
    object_image: np.ndarray
    hole: np.ndarray
    open_: np.ndarray
    start: np.ndarray | None = None

    @property
    def index(self) -> int:
        return self.recalled.index


class ShotInputs:
    """Makes the inputs for the frames of a shot, all with the same crop of the canvas, so that they align."""

    def __init__(self, scene: Scene, shot: range, side: int, token: int, ground: str, mask: CompletionMask):
        self.scene, self.mask = scene, mask
        self.framing = frame_shot(scene, shot, side, token)
        self.ground = BACKGROUNDS[ground] if ground in BACKGROUNDS else self._unlike(shot)

    def frame_input(self, recalled: FrameResult, take: bool) -> FrameInput:
        """The input for one frame.

        The hole is the frame's completion mask; if `take`, recall's pixels count as known and the hole is the rest of
        its silhouette, which no frame shows.
        """
        scene, cut, i = self.scene, self.framing.crop, recalled.index
        image, visible = scene.frame(i), scene.visible(i)
        known, start, frame = visible, None, cut(image, self.ground)
        if take:
            known = visible | (recalled.provenance == RECALLED)
            hole = recalled.amodal & ~known
            image = np.where(visible[..., None], image, recalled.rgba[..., :3])
            start = self._on_ground(image, recalled.amodal)
        else:
            hole = self.mask(recalled) & ~visible
        small = cut(known) > 127
        cell = (cut(hole) > 127) & ~small
        return FrameInput(recalled, frame, small, self._on_ground(image, known), cell, hole, start)

    def object_mask(self, completed: np.ndarray, frame: FrameInput) -> np.ndarray:
        """The object's mask in a completed sub-image, (h, w) bool: the known part and what was filled."""
        return silhouette(completed, frame.known, frame.hole, self.ground)

    def own_mask(self, completed: np.ndarray, frame: FrameInput) -> np.ndarray:
        """The object's mask in a completed sub-image, (h, w) bool, by what the network drew there alone."""
        nothing = np.zeros_like(frame.known)
        return silhouette(completed, nothing, ~nothing, self.ground, beside=frame.known)

    def _on_ground(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Crop of a canvas-sized object alone on the background; scaling mixes its edge with the background."""
        return self.framing.crop(np.where(mask[..., None], image, self.ground).astype(np.uint8), self.ground)

    def _unlike(self, shot: range) -> int:
        """The background least similar to the object's visible colours, by their `UNLIKE` quantile."""
        showing = [i for i in shot if self.scene.track.areas[i]]
        pixels = np.concatenate([_few(self.scene, i) for i in showing[:: len(showing) // LOOKED_AT + 1]])
        likeness = {
            ground: float(np.quantile(np.abs(pixels.astype(np.int16) - ground).max(-1), UNLIKE))
            for ground in BACKGROUNDS.values()
        }
        return max(likeness, key=lambda ground: likeness[ground])


def silhouette(
    completed: np.ndarray, known: np.ndarray, hole: np.ndarray, ground: int, beside: np.ndarray | None = None
) -> np.ndarray:
    """The object's mask (h, w) bool in a completed sub-image (h, w, 3) uint8.

    The known part, and filled pixels that differ from the background and are connected to it, or to `beside`, where the
    object is known to be; if nothing is known, the largest connected component.
    """
    beside = known if beside is None else beside
    soft = cv2.GaussianBlur(completed, (0, 0), 1.0).astype(np.int16)
    found = known | (hole & (np.abs(soft - ground).max(-1) > DIFFERENT))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=8)
    if count < 2:
        return found
    near = cv2.dilate(beside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    chosen = np.setdiff1d(np.unique(labels[near & found]), 0)
    if not len(chosen):
        chosen = np.array([1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))])
    kept: np.ndarray = np.isin(labels, chosen)
    return kept


def frame_shot(scene: Scene, shot: range, side: int, token: int) -> Framing:
    """A crop of the canvas that contains the object, visible or expected, in all frames of the shot.

    It has about as many pixels as a square of `side`; its sides are multiples of `token`.
    """
    evidence = scene.evidence
    expected = [evidence.trajectory.boxes[i] / evidence.work.scale for i in shot]
    boxes = [(float(a), float(b), float(c), float(d)) for a, b, c, d in expected if np.isfinite(a)]
    boxes += object_boxes(scene, shot)
    return crop_around(boxes, (scene.width, scene.height), max(side, token) ** 2, multiple=token)


def _few(scene: Scene, i: int, most: int = 2000) -> np.ndarray:
    """Up to `most` of the object's visible pixels in a frame, (N, 3) uint8, evenly spaced."""
    pixels = scene.frame(i)[scene.visible(i)]
    few: np.ndarray = pixels[:: len(pixels) // most + 1]
    return few
