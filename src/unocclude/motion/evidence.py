"""Occlusion evidence: what is plain background behind the object, and what may lie in front of it.

A pixel is *background* when it agrees with what other frames show at the same place under camera motion and the
object covered that place in one of them; *still* when it agrees but the object never covered it (a static occluder
looks like that); *foreign* when other frames show something else there; otherwise unknown.
"""

from typing import NamedTuple

import cv2
import numpy as np

from unocclude.motion.camera import Camera
from unocclude.motion.trajectory import Trajectory
from unocclude.motion.working import Recent, SceneLike, Working

UNKNOWN, BACKGROUND, STILL, FOREIGN = range(4)

OFFSETS = (1, 2, 4, 6, 9, 12, 16, 20, 26, 34, 44)
TOLERANCE = 22.0
"""Grey levels (largest of the three channels, after a slight blur) by which agreeing pixels may differ."""


class Labels(NamedTuple):
    """Labels of a region of one frame at working resolution."""

    x: int
    y: int
    labels: np.ndarray  # (h, w) uint8


class Evidence:
    """Camera motion and labels of a scene, computed once when asked for."""

    def __init__(self, scene: SceneLike):
        self.scene = scene
        self.work = Working(scene)
        self.camera = Camera(self.work)
        self.trajectory = Trajectory(self.work)
        self.labels = Recent(self._labels)

    def _labels(self, i: int) -> np.ndarray:
        """(h, w) uint8 labels of frame i at working resolution; FOREIGN outside the frame."""
        work = self.work
        if work.scene.given_occluders is not None:
            return np.where(work.occluder[i] | ~work.inside, FOREIGN, BACKGROUND).astype(np.uint8)
        here = _soft(work.frame[i])
        shot = work.shot(i)
        size = (work.width, work.height)
        seen = np.zeros(here.shape[:2], np.float32)
        agree = np.zeros_like(seen)
        covered = np.zeros(here.shape[:2], bool)
        for s in sorted({i + sign * k for k in OFFSETS for sign in (-1, 1)} & set(shot)):
            motion = self.camera.between(s, i)
            visible = work.visible[s].astype(np.uint8)
            known = work.inside & (cv2.dilate(visible, np.ones((5, 5), np.uint8)) == 0)
            if not self.trajectory.well[s]:
                # what is near a badly visible object may be what hides it, so it says nothing of the background
                known[self.trajectory.window(s, 0.1)] = False
            known = known.astype(np.uint8)
            moved = cv2.warpPerspective(_soft(work.frame[s]), motion, size, flags=cv2.INTER_LINEAR)
            valid = cv2.warpPerspective(known, motion, size, flags=cv2.INTER_NEAREST)
            covered |= cv2.warpPerspective(visible, motion, size, flags=cv2.INTER_NEAREST) > 0
            difference = cv2.absdiff(here, moved).max(2)
            seen += valid
            agree += valid * (difference < TOLERANCE)
        labels = np.full(seen.shape, UNKNOWN, np.uint8)
        known = seen >= 3
        same = known & (agree >= 0.5 * seen)
        labels[same] = np.where(covered[same], BACKGROUND, STILL)
        labels[known & (agree <= 0.25 * seen)] = FOREIGN
        labels[~work.inside] = FOREIGN
        return labels

    def completion_mask(self, i: int) -> np.ndarray:
        """(H, W) bool on the canvas: see `Scene.completion_mask`."""
        open_ = (self.labels[i] != BACKGROUND).astype(np.uint8)
        size = (self.scene.width, self.scene.height)
        return (cv2.resize(open_, size, interpolation=cv2.INTER_NEAREST) > 0) | self.scene.visible(i)


def _soft(frame: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(frame, (0, 0), 1.0)
