"""What the generator sees of a frame in a sub-image, and what its answer means."""

from dataclasses import dataclass

import cv2
import numpy as np

from unocclude.completion import RECALLED, FrameResult
from unocclude.methods.framing import Framing, crop_around
from unocclude.methods.network_inputs import object_boxes
from unocclude.scene import Scene

GROUNDS = {"black": 0, "white": 255, "grey": 127}
UNLIKE = 0.05
"""Share of the object's pixels that may be as like the ground as the ground's likeness says."""
LOOKED_AT = 64
"""Frames, spread over the shot, whose colours are looked at."""
DIFFERENT = 24
"""Grey levels (largest of the three channels, after a slight blur) by which a completed pixel differs from the ground
to be object."""


@dataclass(frozen=True)
class Ask:
    """A frame as the generator is asked about it; (h, w[, 3]) uint8 or bool, a sub-image's size.

    frame: X_k. known: what is known of the object; shown: it alone on the ground, I_m,k. hole: what is to be filled.
    recalled: what recall says of the frame; start: that, on the ground, where its pixels count as known.
    """

    recalled: FrameResult
    frame: np.ndarray
    known: np.ndarray
    shown: np.ndarray
    hole: np.ndarray
    start: np.ndarray | None = None

    @property
    def index(self) -> int:
        return self.recalled.index


class Cells:
    """Cuts a shot's frames to sub-images; all of the same part of the canvas, so that they line up."""

    def __init__(self, scene: Scene, shot: range, side: int, token: int, ground: str):
        self.scene = scene
        self.framing = frame_shot(scene, shot, side, token)
        self.ground = GROUNDS[ground] if ground in GROUNDS else self._unlike(shot)

    def ask(self, recalled: FrameResult, take: bool) -> Ask:
        """What is to be filled in a frame: what its completion mask leaves open, or, where recall's pixels are taken,
        what no frame shows of its silhouette."""
        scene, cut, i = self.scene, self.framing.crop, recalled.index
        image, visible = scene.frame(i), scene.visible(i)
        known, start, frame = visible, None, cut(image, self.ground)
        if take:
            known = visible | (recalled.provenance == RECALLED)
            hole = recalled.amodal & ~known
            image = np.where(visible[..., None], image, recalled.rgba[..., :3])
            start = self._on_ground(image, recalled.amodal)
        else:
            hole = scene.completion_mask(i) & ~visible
        small = cut(known) > 127
        return Ask(recalled, frame, small, self._on_ground(image, known), (cut(hole) > 127) & ~small, start)

    def object(self, completed: np.ndarray, ask: Ask) -> np.ndarray:
        """The object's silhouette in a completed sub-image, (h, w) bool."""
        return silhouette(completed, ask.known, ask.hole, self.ground)

    def _on_ground(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """A canvas-sized object alone; its edge mixed with the ground where it was shrunk."""
        return self.framing.crop(np.where(mask[..., None], image, self.ground).astype(np.uint8), self.ground)

    def _unlike(self, shot: range) -> int:
        """The ground that the object's visible colours are the farthest from, `UNLIKE` of them left out."""
        showing = [i for i in shot if self.scene.track.areas[i]]
        pixels = np.concatenate([_few(self.scene, i) for i in showing[:: len(showing) // LOOKED_AT + 1]])
        likeness = {
            ground: float(np.quantile(np.abs(pixels.astype(np.int16) - ground).max(-1), UNLIKE))
            for ground in GROUNDS.values()
        }
        return max(likeness, key=lambda ground: likeness[ground])


def silhouette(completed: np.ndarray, known: np.ndarray, hole: np.ndarray, ground: int) -> np.ndarray:
    """(h, w) bool of a completed sub-image (h, w, 3) uint8: what is known of the object, and what was filled, differs
    from the ground and hangs together with the known part, or, where there is none, the largest piece."""
    soft = cv2.GaussianBlur(completed, (0, 0), 1.0).astype(np.int16)
    found = known | (hole & (np.abs(soft - ground).max(-1) > DIFFERENT))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=8)
    if count < 2:
        return found
    if known.any():
        near = cv2.dilate(known.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        chosen = np.setdiff1d(np.unique(labels[near & found]), 0)
    else:
        chosen = np.array([1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))])
    kept: np.ndarray = np.isin(labels, chosen)
    return kept


def frame_shot(scene: Scene, shot: range, side: int, token: int) -> Framing:
    """The part of the canvas that holds the object in all frames of the shot, visible or expected; as many pixels as a
    square of `side`, sides multiples of `token`."""
    evidence = scene.evidence
    expected = [evidence.trajectory.boxes[i] / evidence.work.scale for i in shot]
    boxes = [(float(a), float(b), float(c), float(d)) for a, b, c, d in expected if np.isfinite(a)]
    boxes += object_boxes(scene, shot)
    return crop_around(boxes, (scene.width, scene.height), max(side, token) ** 2, multiple=token)


def _few(scene: Scene, i: int, most: int = 2000) -> np.ndarray:
    """Up to `most` of a frame's visible pixels, (N, 3) uint8, evenly spread."""
    pixels = scene.frame(i)[scene.visible(i)]
    few: np.ndarray = pixels[:: len(pixels) // most + 1]
    return few
