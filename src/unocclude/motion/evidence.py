"""Occlusion evidence: what is plain background behind the object, and what may lie in front of it.

A pixel is *background* when it agrees with what other frames show at the same place under camera motion and the
object covered that place in one of them; *still* when it agrees but the object never covered it (a static occluder
looks like that); *foreign* when other frames show something else there; otherwise unknown.
"""

import cv2
import numpy as np

from unocclude.motion.camera import Camera, shift
from unocclude.motion.trajectory import Trajectory, interpolate
from unocclude.motion.working import COMPARED, Recent, SceneLike, Working

UNKNOWN, BACKGROUND, STILL, FOREIGN = range(4)

OFFSETS = (1, 2, 4, 6, 9, 12, 16, 20, 26)
"""Frames that are compared with a frame, on both sides."""

TOLERANCE = 22.0
"""Grey levels (largest of the three channels, after a slight blur) by which agreeing pixels may differ."""

MARGIN = 0.45
"""How far around its expected box the object is looked for, in box sizes."""

BOX_REACH = 12
"""A frame with an untouched silhouette corrects the expected box this many frames around it."""


class Evidence:
    """Camera motion, labels and the expected box of a scene, computed once when asked for."""

    def __init__(self, scene: SceneLike):
        self.scene = scene
        self.work = Working(scene)
        self.camera = Camera(self.work)
        self.trajectory = Trajectory(self.work)
        self.labels = Recent(self._labels, keep=2 * COMPARED)  # small, and dear to work out
        self.contact = Recent(self._contact, keep=1 << 20)  # one number a frame
        self.expected_box = Recent(self._expected_box)
        self.shown = Recent(self._shown, keep=COMPARED)

    def window(self, i: int) -> tuple[slice, slice]:
        """Rows and columns in which frame i's object is looked for, at working resolution."""
        return self.trajectory.window(i, MARGIN)

    def picture(self, i: int) -> np.ndarray:
        """(h, w, 3) uint8 RGB: the frame at working resolution, slightly blurred."""
        return self.shown[i][..., :3]

    def _labels(self, i: int) -> np.ndarray:
        """(h, w) uint8 labels of frame i's window; FOREIGN outside the picture."""
        work, window = self.work, self.window(i)
        if self.scene.given_occluders is not None:
            return np.where(work.occluder[i] | ~work.inside, FOREIGN, BACKGROUND)[window].astype(np.uint8)
        here = self.shown[i][window]
        seen = np.zeros(here.shape[:2], np.float32)
        agree = np.zeros_like(seen)
        covered = np.zeros(here.shape[:2], bool)
        if not here.size:
            return covered.astype(np.uint8)
        size = here.shape[1::-1]
        into_window = shift(-window[1].start, -window[0].start)
        shot = work.whole_shot(i)
        for s in sorted({i + sign * k for k in OFFSETS for sign in (-1, 1)} & set(shot)):
            motion = into_window @ self.camera.between(s, i)
            visible = work.visible[s].astype(np.uint8)
            known = (cv2.dilate(visible, np.ones((5, 5), np.uint8)) == 0) & work.inside
            if not self.trajectory.well[s]:
                # what is near a badly visible object may be what hides it, so it says nothing of the background
                known[self.trajectory.window(s, 0.1)] = False
            moved = cv2.warpPerspective(self.shown[s], motion, size, flags=cv2.INTER_LINEAR)
            valid = cv2.warpPerspective(known.astype(np.uint8), motion, size, flags=cv2.INTER_NEAREST)
            covered |= cv2.warpPerspective(visible, motion, size, flags=cv2.INTER_NEAREST) > 0
            seen += valid
            agree += valid * (largest_difference(here, moved) < TOLERANCE)
        labels = np.full(seen.shape, UNKNOWN, np.uint8)
        known_here = seen >= 3
        same = known_here & (agree >= 0.5 * seen)
        labels[same] = np.where(covered[same], BACKGROUND, STILL)
        labels[known_here & (agree <= 0.25 * seen)] = FOREIGN
        labels[~work.inside[window]] = FOREIGN
        return labels

    def _shown(self, i: int) -> np.ndarray:
        """(h, w, 4) uint8: the frame, slightly blurred (sigma 1), so that agreement does not hang on noise and half a
        pixel of misalignment; in the last channel the visible mask."""
        soft = cv2.GaussianBlur(self.work.frame(i), (0, 0), 1.0)
        return np.dstack([soft, self.work.visible[i].astype(np.uint8) * 255])

    def _contact(self, i: int) -> float:
        """Share of the visible silhouette's surroundings that is foreign, 0..1; 1 where nothing is visible."""
        window = self.window(i)
        visible = self.work.visible[i][window].astype(np.uint8)
        if not visible.any():
            return 1.0
        ring = cv2.dilate(visible, np.ones((9, 9), np.uint8)) > cv2.dilate(visible, np.ones((3, 3), np.uint8))
        return float((self.labels[i][ring] == FOREIGN).mean()) if ring.any() else 0.0

    def _expected_box(self, i: int) -> np.ndarray:
        """The whole object's box x0, y0, x1, y1 in frame i, working pixels, from the frames nearby whose silhouette
        nothing touches; from well-visible frames where there are none. NaN where the shot never shows the object."""
        trajectory = self.trajectory
        wells = trajectory.well_near(i)
        whole = {s for s in wells if trajectory.ratio[s] >= 0.9 and self.contact[s] <= 0.05}
        knots = [s for s in wells if s in whole or whole.isdisjoint(range(s - BOX_REACH, s + BOX_REACH + 1))]
        return trajectory.led(i, interpolate(self.work.boxes, knots, np.array([i]))[0]) if knots else np.full(4, np.nan)

    def completion_mask(self, i: int) -> np.ndarray:
        """(H, W) bool on the canvas: see `Scene.completion_mask`."""
        open_ = np.zeros((self.work.height, self.work.width), np.uint8)
        open_[self.window(i)] = self.labels[i] != BACKGROUND
        size = (self.scene.width, self.scene.height)
        return (cv2.resize(open_, size, interpolation=cv2.INTER_NEAREST) > 0) | self.scene.visible(i)


def largest_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Per-pixel absolute difference of two (h, w, 4) uint8 pictures, the largest of the first three channels: (h, w)
    uint8."""
    red, green, blue, _ = cv2.split(cv2.absdiff(first, second))
    return cv2.max(cv2.max(red, green), blue)
