"""Occlusion evidence: which pixels are background behind the object, and which may be in front of it.

After compensation of camera motion, a pixel is *background* if it agrees with other frames and the object covered that
place in one of them; *still* if it agrees but the object never covered it, which includes static occluders; *foreign*
if other frames show something else there; otherwise unknown. Where other objects are known, those in front are foreign,
those behind are background, and no object is compared with; what is still is background, unless it is one of them.
"""

import cv2
import numpy as np

from unocclude.motion.camera import Camera, KnownCamera, shift
from unocclude.motion.trajectory import Trajectory, interpolate
from unocclude.motion.working import COMPARED, FrameCache, SceneLike, Working

UNKNOWN, BACKGROUND, STILL, FOREIGN = range(4)

OFFSETS = (1, 2, 4, 6, 9, 12, 16, 20, 26)
"""Distances of the frames that a frame is compared with, on both sides."""

TOLERANCE = 22.0
"""Maximum difference of agreeing pixels in grey levels, in any channel, after a slight blur."""

MARGIN = 0.45
"""Margin around the expected box in which the object is searched, relative to the box size."""

BOX_REACH = 12
"""A frame whose silhouette nothing touches corrects the expected boxes of this many frames on each side."""


class Evidence:
    """Camera motion, occlusion labels and expected boxes of a scene, computed on demand and cached.

    labels[i]: (h, w) uint8 labels of frame i's window. contact[i]: fraction of the outline that touches something
    foreign. expected_box[i]: (4,) box of the whole object. frames[i]: (h, w, 4) uint8, blurred frame and visible mask.
    All at working resolution.
    """

    def __init__(self, scene: SceneLike):
        self.scene = scene
        self.work = Working(scene)
        known = scene.known_camera
        self.camera = Camera(self.work) if known is None else KnownCamera(known, self.work)
        self.trajectory = Trajectory(self.work)
        self.labels = FrameCache(self._labels, keep=2 * COMPARED)  # small, but slow to compute
        self.contact = FrameCache(self._contact, keep=1 << 20)  # one number per frame
        self.expected_box = FrameCache(self._expected_box)
        self.frames = FrameCache(self._frame_and_mask, keep=COMPARED)

    def window(self, i: int) -> tuple[slice, slice]:
        """Rows and columns in which the object is searched in frame i, at working resolution."""
        return self.trajectory.window(i, MARGIN)

    def picture(self, i: int) -> np.ndarray:
        """Frame i at working resolution, slightly blurred, (h, w, 3) uint8 RGB."""
        return self.frames[i][..., :3]

    def _labels(self, i: int) -> np.ndarray:
        """Labels (h, w) uint8 of frame i's window; FOREIGN outside the frame."""
        work, window = self.work, self.window(i)
        if self.scene.given_occluders is not None:
            return np.where(work.occluder[i] | ~work.inside, FOREIGN, BACKGROUND)[window].astype(np.uint8)
        here = self.frames[i][window]
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
            objects = visible | work.others[s]
            known = (cv2.dilate(objects, np.ones((5, 5), np.uint8)) == 0) & work.inside
            if not self.trajectory.well[s]:
                # pixels near a partly visible object may belong to its occluder, so they are no evidence of background
                known[self.trajectory.window(s, 0.1)] = False
            moved = cv2.warpPerspective(self.frames[s], motion, size, flags=cv2.INTER_LINEAR)
            valid = cv2.warpPerspective(known.astype(np.uint8), motion, size, flags=cv2.INTER_NEAREST)
            covered |= cv2.warpPerspective(visible, motion, size, flags=cv2.INTER_NEAREST) > 0
            seen += valid
            agree += valid * (largest_difference(here, moved) < TOLERANCE)
        labels = np.full(seen.shape, UNKNOWN, np.uint8)
        known_here = seen >= 3
        same = known_here & (agree >= 0.5 * seen)
        labels[same] = np.where(covered[same], BACKGROUND, STILL)
        labels[known_here & (agree <= 0.25 * seen)] = FOREIGN
        if self.scene.others:  # an occluder that stands still would be one of them
            labels[labels == STILL] = BACKGROUND
        labels[work.behind[i][window]] = BACKGROUND
        labels[work.occluder[i][window] | ~work.inside[window]] = FOREIGN
        return labels

    def _frame_and_mask(self, i: int) -> np.ndarray:
        """Frame i blurred (sigma 1, robust to noise and sub-pixel misalignment) with its visible mask as fourth
        channel: (h, w, 4) uint8."""
        soft = cv2.GaussianBlur(self.work.frame(i), (0, 0), 1.0)
        return np.dstack([soft, self.work.visible[i].astype(np.uint8) * 255])

    def _contact(self, i: int) -> float:
        """Fraction of the visible mask's surroundings that is foreign, 0..1; 1 if nothing is visible."""
        window = self.window(i)
        visible = self.work.visible[i][window].astype(np.uint8)
        if not visible.any():
            return 1.0
        ring = cv2.dilate(visible, np.ones((9, 9), np.uint8)) > cv2.dilate(visible, np.ones((3, 3), np.uint8))
        return float((self.labels[i][ring] == FOREIGN).mean()) if ring.any() else 0.0

    def _expected_box(self, i: int) -> np.ndarray:
        """Expected box (4,) of the whole object in frame i, in working pixels; NaN if the shot never shows the object.

        Interpolated between nearby frames whose silhouette nothing touches, or between well-visible frames if there are
        none.
        """
        trajectory = self.trajectory
        wells = trajectory.well_near(i)
        whole = {s for s in wells if trajectory.ratio[s] >= 0.9 and self.contact[s] <= 0.05}
        knots = [s for s in wells if s in whole or whole.isdisjoint(range(s - BOX_REACH, s + BOX_REACH + 1))]
        return (
            trajectory.follow_visible(i, interpolate(self.work.boxes, knots, np.array([i]))[0])
            if knots
            else np.full(4, np.nan)
        )

    def completion_mask(self, i: int) -> np.ndarray:
        """(H, W) bool on the canvas: see `Scene.completion_mask`."""
        open_ = np.zeros((self.work.height, self.work.width), np.uint8)
        open_[self.window(i)] = self.labels[i] != BACKGROUND
        size = (self.scene.width, self.scene.height)
        return (cv2.resize(open_, size, interpolation=cv2.INTER_NEAREST) > 0) | self.scene.visible(i)


def largest_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Largest absolute difference over the first three channels of two (h, w, 4) uint8 images: (h, w) uint8."""
    red, green, blue, _ = cv2.split(cv2.absdiff(first, second))
    return cv2.max(cv2.max(red, green), blue)
