"""Camera motion: the motion of the background between frames."""

from collections.abc import Sequence
from math import hypot
from typing import Protocol

import cv2
import numpy as np

from unocclude.clip import Clip
from unocclude.masks import MaskTrack
from unocclude.motion.working import MAX_WIDTH as MAX_WORKING
from unocclude.motion.working import FrameMotion, Working, resize_map

MAX_WIDTH = 400
"""Corners are tracked in grey images of at most this width."""


class View(Protocol):
    """Frames and what is background in them."""

    width: int

    def frame(self, i: int) -> np.ndarray:
        """Frame i, (h, w, 3) uint8 RGB."""
        ...

    def background(self, i: int) -> np.ndarray:
        """Pixels of frame i that may be background, (h, w) bool."""
        ...


class Camera:
    """Homographies between frames of one shot, in pixel coordinates of `view`.

    Corners in the background are tracked by pyramidal Lucas-Kanade; RANSAC selects the dominant motion.
    """

    def __init__(self, view: View):
        self.view = view
        self._shrink = min(1.0, MAX_WIDTH / view.width)
        self._steps: dict[int, np.ndarray] = {}

    def between(self, source: int, target: int) -> np.ndarray:
        """3x3 map of background points from frame `source` to frame `target`."""
        total = np.eye(3)
        for i in range(min(source, target), max(source, target)):
            if i not in self._steps:
                self._steps[i] = self.measure(i, i + 1)
            total = self._steps[i] @ total
        return total if source <= target else np.linalg.inv(total)

    def _grey(self, i: int) -> np.ndarray:
        grey = cv2.cvtColor(self.view.frame(i), cv2.COLOR_RGB2GRAY)
        return cv2.resize(grey, None, fx=self._shrink, fy=self._shrink, interpolation=cv2.INTER_AREA)

    def measure(self, source: int, target: int) -> np.ndarray:
        """`between`, measured on these two frames alone, which should be similar; the identity without corners."""
        first, second = self._grey(source), self._grey(target)
        free = self.view.background(source)
        free = cv2.resize(free.astype(np.uint8), first.shape[::-1], interpolation=cv2.INTER_NEAREST)
        free = cv2.erode(free, np.ones((5, 5), np.uint8))
        points = cv2.goodFeaturesToTrack(first, 400, 0.005, 6, mask=free)
        if points is None or len(points) < 12:
            return np.eye(3)
        points = points[:, 0]
        moved, found = follow(first, second, points)
        back, found_back = follow(second, first, moved)
        good = found & found_back & (np.abs(back - points).max(1) < 0.7)
        step = fit_motion(points[good], moved[good], 1.0)
        grow = np.diag([self._shrink, self._shrink, 1.0])
        return np.linalg.inv(grow) @ step @ grow


class _WholeFrames:
    """The frames of a clip, scaled down to at most `MAX_WORKING` pixels, with several objects."""

    def __init__(self, clip: Clip, tracks: Sequence[MaskTrack]):
        self._clip, self._tracks = clip, tracks
        scale = min(1.0, MAX_WORKING / max(clip.width, clip.height))
        self.width, self.height = max(1, round(clip.width * scale)), max(1, round(clip.height * scale))

    def frame(self, i: int) -> np.ndarray:
        frame = self._clip[i]
        size = (self.width, self.height)
        return frame if frame.shape[1::-1] == size else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)

    def background(self, i: int) -> np.ndarray:
        masks = np.any([track[i] for track in self._tracks], axis=0).astype(np.uint8) * 255
        return cv2.resize(masks, (self.width, self.height), interpolation=cv2.INTER_AREA) <= 127


class SharedCamera:
    """Camera motion of a clip with several objects, none of which is background; measured once for all of them."""

    def __init__(self, clip: Clip, tracks: Sequence[MaskTrack]):
        view = _WholeFrames(clip, tracks)
        self._camera = Camera(view)
        self._to_frame = resize_map((view.width, view.height), (clip.width, clip.height))

    def between(self, source: int, target: int) -> np.ndarray:
        """3x3 map of background points from frame `source` to frame `target`, in pixels of the frames."""
        return self._in_frame(self._camera.between(source, target))

    def measure(self, source: int, target: int) -> np.ndarray:
        """`between`, measured on these two frames alone; see `Camera.measure`."""
        return self._in_frame(self._camera.measure(source, target))

    def _in_frame(self, motion: np.ndarray) -> np.ndarray:
        return self._to_frame @ motion @ np.linalg.inv(self._to_frame)


class KnownCamera:
    """Known camera motion, converted to working pixels."""

    def __init__(self, camera: FrameMotion, work: Working):
        self._camera = camera
        self._to_work = np.linalg.inv(work.to_canvas) @ shift(*work.scene.offset)
        self._to_frame = np.linalg.inv(self._to_work)

    def between(self, source: int, target: int) -> np.ndarray:
        """3x3 map of background points from frame `source` to frame `target`."""
        return self._to_work @ self._camera.between(source, target) @ self._to_frame


def follow(
    first: np.ndarray, second: np.ndarray, points: np.ndarray, look: int = 15, levels: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Track points (N, 2) from one grey image to another by pyramidal Lucas-Kanade.

    look: window size in pixels. levels: pyramid levels. Returns their new positions (N, 2) float32, and which were
    found (N,) bool.
    """
    start = points.astype(np.float32)[:, None]
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        first, second, start, start.copy(), winSize=(look, look), maxLevel=levels
    )
    return np.asarray(moved)[:, 0], np.asarray(found).ravel().astype(bool)


def fit_motion(points: np.ndarray, moved: np.ndarray, tolerance: float) -> np.ndarray:
    """The 3x3 motion that most point pairs (N, 2) share within `tolerance` pixels.

    A homography if enough pairs support a plausible one (see `is_tame`), else a similarity, else a shift, else the
    identity.
    """
    if len(points) >= 30:
        cv2.setRNGSeed(0)
        homography, inliers = cv2.findHomography(points, moved, cv2.RANSAC, tolerance, maxIters=1000)
        if homography is not None and inliers.mean() > 0.4 and is_tame(homography, points, 2.0):
            return homography
    if len(points) >= 8:
        cv2.setRNGSeed(0)
        similarity, inliers = cv2.estimateAffinePartial2D(points, moved, ransacReprojThreshold=2 * tolerance)
        if similarity is not None and inliers.mean() > 0.3:
            return np.vstack([similarity, [0, 0, 1]])
    step = np.eye(3)
    if len(points) >= 3:
        step[:2, 2] = np.median(moved - points, axis=0)
    return step


def shift(dx: float, dy: float) -> np.ndarray:
    """3x3 translation."""
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1.0]])


def is_tame(motion: np.ndarray, points: np.ndarray, limit: float) -> bool:
    """Whether a 3x3 map is plausible on the bounding box of `points` (N, 2).

    Scale must stay within a factor of `limit`, anisotropy below `limit`, and the box away from the map's horizon.
    """
    (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
    (a, b, c), (d, e, f), (g, h, one) = (
        motion.tolist()
    )  # plain floats are faster here, and this runs thousands of times
    middle = ((left + right) / 2, (top + bottom) / 2)
    centre = g * middle[0] + h * middle[1] + one
    for x, y in (middle, (left, top), (right, bottom), (left, bottom), (right, top)):
        w = g * x + h * y + one
        if abs(w) < 1e-6 or not 1 / limit < w / centre < limit:
            return False
        u, v = (a * x + b * y + c) / w, (d * x + e * y + f) / w
        # singular values of the Jacobian [[p, q], [r, s]]: half the sum and difference of two lengths
        p, q, r, s = (a - u * g) / w, (b - u * h) / w, (d - v * g) / w, (e - v * h) / w
        sum_, difference = hypot(p + s, r - q), hypot(p - s, r + q)
        largest, smallest = (sum_ + difference) / 2, (sum_ - difference) / 2  # smallest has the sign of the determinant
        if smallest <= 0 or largest > limit or smallest < 1 / limit or largest > limit * smallest:
            return False
        if g == h == 0:
            return True
    return True
