"""Alignment of an object between two frames: its motion, and how far to trust it.

Every reference starts with a *transplant*: its silhouette is moved into the expected box and shifted to where it best
explains the visible evidence. If the object has texture, a motion from matched SIFT features, refined by Lucas-Kanade
on object-only images, may replace it, but only if it lowers the error on held-back visible pixels.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from unocclude.motion.camera import follow, is_tame, shift
from unocclude.motion.evidence import Evidence, largest_difference
from unocclude.motion.fill import smooth_fill
from unocclude.motion.shift_search import ShiftSearch
from unocclude.motion.working import FrameCache

SEARCH = 0.2
"""A transplant is shifted by at most this fraction of the box."""

ERROR_CAP = 60.0
"""Maximum error of a pixel in grey levels."""


POINTS = 150
"""Maximum number of points tracked per fit."""

LOOK, COARSE, FINE = 13, 3, 1
"""Window size for tracking a point, and pyramid levels of the first and of later fits."""

LEAST_AGREEING = 3
"""A pixel covered by this many references is represented by their median."""

PINNED_SHIFT, PINNED_RATIO = 3.0, 0.55
"""An alignment is trusted if its error is below `PINNED_RATIO` of the mean error when shifted by `PINNED_SHIFT`
pixels."""


@dataclass(frozen=True)
class Aligned:
    """Reference frame `source` aligned to frame `target`.

    motion: 3x3 map from working pixels of source to target. error: mean absolute difference in grey levels over
    held-back visible pixels, NaN if there are too few. score: how well the silhouette explains what is visible, at most
    1. precise: the motion was fitted to pixels, not only to boxes. trusted: a small shift would clearly raise the
    error, as for rigid textured objects.
    """

    source: int
    target: int
    motion: np.ndarray
    error: float
    score: float
    precise: bool
    trusted: bool = False


@dataclass(frozen=True)
class _HeldBackPixels:
    """Visible pixels of a frame on which motions are evaluated.

    box: bounding box of the visible object. pixels: (h, w) bool, the held-back pixels in it. image: (h, w, 4) uint8,
    the blurred frame and the visible mask. count: number of pixels.
    """

    box: tuple[slice, slice]
    pixels: np.ndarray
    image: np.ndarray
    count: int


class Aligner:
    """Aligns references to frames of a scene at working resolution."""

    def __init__(self, evidence: Evidence):
        self.evidence = evidence
        self.work = evidence.work
        self._features = FrameCache(self._find_features)
        self._object_only = FrameCache(self._make_object_only)
        self._held_back = FrameCache(self._hold_back, keep=16)
        self._shift_search = FrameCache(self._search_shifts, keep=16)

    def align(self, source: int, target: int, start: np.ndarray | None = None) -> Aligned:
        """The best motion of the object from frame `source` to frame `target`; `start` is an optional initial guess."""
        transplant, score = self._transplant(source, target)
        best = Aligned(source, target, transplant, self._error(source, target, transplant), score, False)
        if not self.work.visible[target].any():
            return best
        exact = best
        for candidate in (start, self._match(source, target), transplant):
            motion, tolerance = candidate, 1.0
            while motion is not None:
                if motion is not transplant:
                    error = self._error(source, target, motion)
                    if not error < exact.error:
                        break
                    exact = Aligned(source, target, motion, error, score, True)
                if tolerance < 0.2:
                    break
                motion = self._refine(source, target, motion, tolerance)
                tolerance /= 2
            if exact.precise:
                break
        if self._is_pinned(exact):
            return replace(exact, trusted=True)
        return exact if exact.error < 0.8 * best.error else best

    def settle(self, aligned: list[Aligned], target: int) -> list[Aligned]:
        """Refit trusted references to the visible part of `target` and, elsewhere, to the median of all references.

        A motion that is right on the visible part may be wrong beyond it; there the other references help. `error`
        becomes the mean difference from that image.
        """
        window = self.evidence.window(target)
        warped = np.stack([self.warp(self.evidence.frames[a.source], a.motion, window) for a in aligned])
        visible = self.work.visible[target][window]
        agreed = ~visible & ((warped[..., 3] > 250).sum(0) >= LEAST_AGREEING)
        colours = np.where(warped[:, agreed, 3:] > 250, warped[:, agreed, :3].astype(np.float32), np.nan)
        image = self.evidence.frames[target][window].copy()
        image[agreed, :3] = np.nanmedian(colours, axis=0)
        known = np.zeros_like(self.work.inside)
        known[window] = visible | agreed
        picture = np.zeros(known.shape, np.uint8)
        picture[window] = smooth_fill(cv2.cvtColor(image, cv2.COLOR_RGBA2GRAY), known[window])

        def difference_of(warped: np.ndarray) -> float:
            both = known[window] & (warped[..., 3] > 250)
            difference = largest_difference(image, warped)
            return cv2.mean(difference, both.astype(np.uint8))[0] if both.any() else np.inf

        settled = []
        for a, before in zip(aligned, warped, strict=True):
            a = replace(a, error=difference_of(before))
            motion = self._fit(a.source, a.motion, 1.0, window, picture, known)
            if motion is not None:
                error = difference_of(self.warp(self.evidence.frames[a.source], motion, window))
                if error < a.error:
                    a = replace(a, motion=motion, error=error)
            settled.append(a)
        return settled

    def _is_pinned(self, aligned: Aligned) -> bool:
        if not aligned.error < PINNED_RATIO * ERROR_CAP:
            return False
        nearby = [
            self._error(aligned.source, aligned.target, shift(dx, dy) @ aligned.motion)
            for dx, dy in ((PINNED_SHIFT, 0), (0, PINNED_SHIFT), (-PINNED_SHIFT, 0), (0, -PINNED_SHIFT))
        ]
        return aligned.error < PINNED_RATIO * float(np.mean(nearby))

    def _transplant(self, source: int, target: int) -> tuple[np.ndarray, float]:
        """Map the expected box of `source` to that of `target`, then apply the best-scoring shift at half
        resolution."""
        window = self.evidence.window(target)
        box, box_source = self.evidence.expected_box[target], self.work.boxes[source]
        if not self.evidence.trajectory.well[source]:
            box_source = self.evidence.expected_box[source]  # the visible part may be much smaller
        size, size_source = box[2:] - box[:2], box_source[2:] - box_source[:2]
        scale = float(np.clip(np.sqrt(size.prod() / size_source.prod()), 0.5, 2))
        move = (box[:2] + box[2:]) / 2 - scale * (box_source[:2] + box_source[2:]) / 2
        motion = shift(*move) @ np.diag([scale, scale, 1.0])

        silhouette = self.warp(self.work.visible[source], motion, window)
        if not silhouette.any():
            return motion, -1.0
        moved = self.warp(self.evidence.frames[source], motion, window)
        shifted, score = self._shift_search[target].best(silhouette, moved[..., :3])
        return shift(*shifted) @ motion, score

    def _search_shifts(self, target: int) -> ShiftSearch:
        window, box = self.evidence.window(target), self.evidence.expected_box[target]
        reach = max(2, round(SEARCH * float((box[2:] - box[:2]).max()) / 2))
        picture = self.evidence.frames[target][window][..., :3]
        return ShiftSearch(self.work.visible[target][window], self.evidence.labels[target], picture, reach)

    def warp(self, image: np.ndarray, motion: np.ndarray, window: tuple[slice, slice]) -> np.ndarray:
        """Warp a working image or mask (bool stays bool) by `motion` and crop it to `window`."""
        into = shift(-window[1].start, -window[0].start) @ motion
        size = (window[1].stop - window[1].start, window[0].stop - window[0].start)
        if image.dtype == bool:
            return warp(image.astype(np.uint8) * 255, into, size) > 127
        return warp(image, into, size)

    def _error(self, source: int, target: int, motion: np.ndarray) -> float:
        """Mean capped difference over the held-back visible pixels of `target`.

        Pixels that `source` should cover but does not count as errors.
        """
        held = self._held_back[target]
        if held.count < 16:
            return np.nan
        moved = self.warp(self.evidence.frames[source], motion, held.box)
        both = held.pixels & (moved[..., 3] > 127)
        shared = int(both.sum())
        if shared < 0.25 * held.count:
            return np.inf
        difference = largest_difference(held.image, moved)[both]
        # an uncovered visible pixel may be occluded in the source
        share = min(held.count - shared, 0.5 * held.count) * 0.5
        wrong = float(np.minimum(difference, ERROR_CAP).sum())
        return (wrong + ERROR_CAP * 0.3 * share) / (shared + share)

    def _hold_back(self, i: int) -> _HeldBackPixels:
        visible = self.work.visible[i]
        x, y, width, height = cv2.boundingRect(visible.astype(np.uint8))
        box = np.s_[y : y + height, x : x + width]
        pixels = visible[box] & _held_back(box)
        return _HeldBackPixels(box, pixels, np.ascontiguousarray(self.evidence.frames[i][box]), int(pixels.sum()))

    def _find_features(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """SIFT keypoints (N, 2) and descriptors (N, 128) inside the visible mask."""
        part = self.work.parts[i].grey
        empty = np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
        if min(part.mask.shape) < 16 or not part.mask.any():
            return empty
        inner = cv2.erode(part.mask.astype(np.uint8), np.ones((3, 3), np.uint8))
        points, descriptors = cv2.SIFT.create(300, contrastThreshold=0.005).detectAndCompute(part.image, inner)
        if descriptors is None:
            return empty
        return np.array([p.pt for p in points], np.float32) + np.array([part.x, part.y], np.float32), descriptors

    def _match(self, source: int, target: int) -> np.ndarray | None:
        """A motion supported by enough matched features, else None.

        The threshold is low, because the held-back error reveals wrong motions.
        """
        (points, first), (moved, second) = self._features[source], self._features[target]
        if min(len(first), len(second)) < 8:
            return None
        pairs = [
            pair[0]
            for pair in cv2.BFMatcher(cv2.NORM_L2).knnMatch(first, second, k=2)
            if len(pair) == 2 and pair[0].distance < 0.85 * pair[1].distance
        ]
        if len(pairs) < 8:
            return None
        return fit_object(points[[m.queryIdx for m in pairs]], moved[[m.trainIdx for m in pairs]], 3.0, 6)

    def _make_object_only(self, i: int) -> np.ndarray:
        """Grey image of frame i with everything but the visible object replaced by a smooth fill from it."""
        box, part = self.evidence.window(i), self.work.parts[i].grey
        grey = np.zeros((self.work.height, self.work.width), np.uint8)
        grey[part.y : part.y + len(part.image), part.x : part.x + part.image.shape[1]] = part.image
        grey[box] = smooth_fill(grey[box], self.work.visible[i][box])
        return grey

    def _refine(self, source: int, target: int, motion: np.ndarray, tolerance: float) -> np.ndarray | None:
        """Refit `motion` to its residual on pixels not held back, within `tolerance` pixels; None if the fit fails."""
        window = self.evidence.window(target)
        return self._fit(source, motion, tolerance, window, self._object_only[target], self.work.visible[target])

    def _fit(
        self,
        source: int,
        motion: np.ndarray,
        tolerance: float,
        window: tuple[slice, slice],
        picture: np.ndarray,
        known: np.ndarray,
    ) -> np.ndarray | None:
        """Refit `motion` of frame `source` to a grey working image `picture` that shows the object where `known`."""
        covered = self.warp(self.work.visible[source], motion, window)
        both = known[window] & covered
        x, y, width, height = cv2.boundingRect(both.astype(np.uint8))
        if min(width, height) < 16:
            return None
        tight = np.s_[
            window[0].start + y : window[0].start + y + height,
            window[1].start + x : window[1].start + x + width,
        ]
        inside = np.s_[y : y + height, x : x + width]
        here = np.ascontiguousarray(picture[tight])
        there = smooth_fill(self.warp(self._object_only[source], motion, tight), covered[inside])
        inner = cv2.erode(both[inside].astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        ys, xs = np.nonzero(inner & ~_held_back(tight))
        if len(ys) < 60:
            return None
        step = len(ys) // POINTS + 1
        ys, xs = ys[::step], xs[::step]
        points = np.stack([xs, ys], 1).astype(np.float32)
        levels = COARSE if tolerance >= 1 else FINE
        moved, found = follow(here, there, points, LOOK, levels)
        rest = fit_object(moved[found], points[found], tolerance, 30)
        if rest is None:
            return None
        into = shift(tight[1].start, tight[0].start)
        return into @ rest @ np.linalg.inv(into) @ motion


def fit_object(points: np.ndarray, moved: np.ndarray, tolerance: float, least: int) -> np.ndarray | None:
    """The 3x3 motion of a rigid object from point pairs (N, 2), by RANSAC.

    A similarity, an affine map or a homography; a more general map must explain clearly more pairs. None if fewer than
    `least` or a third of the pairs agree, or if the map is implausible (see `is_tame`).
    """
    found: list[tuple[float, np.ndarray]] = []
    for kind, needed, bonus in (("similarity", 3, 1.0), ("affine", 6, 0.95), ("homography", 12, 0.93)):
        if len(points) < needed or (found and found[-1][0] >= bonus * len(points)):
            continue
        cv2.setRNGSeed(0)
        if kind == "homography":
            matrix, inliers = cv2.findHomography(points, moved, cv2.RANSAC, tolerance, maxIters=200)
        else:
            fit = cv2.estimateAffinePartial2D if kind == "similarity" else cv2.estimateAffine2D
            matrix, inliers = fit(points, moved, ransacReprojThreshold=tolerance, maxIters=300)
            matrix = None if matrix is None else np.vstack([matrix, [0, 0, 1]])
        if matrix is None or inliers.sum() < max(least, len(points) / 3) or not is_tame(matrix, points, 3.0):
            continue
        found.append((float(inliers.sum()) * bonus, matrix))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def warp(image: np.ndarray, motion: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Warp an image by a 3x3 `motion`, with linear interpolation and black outside; size: (width, height)."""
    if motion[2, 0] == motion[2, 1] == 0:  # twice as fast
        return cv2.warpAffine(image, motion[:2] / motion[2, 2], size, flags=cv2.INTER_LINEAR)
    return cv2.warpPerspective(image, motion, size, flags=cv2.INTER_LINEAR)


def _held_back(window: tuple[slice, slice]) -> np.ndarray:
    """Checkerboard of 8x8 blocks: where true, pixels evaluate motions and are never used to fit them."""
    ys, xs = np.ogrid[window[0], window[1]]
    return ((ys >> 3) + (xs >> 3)) & 1 == 0
