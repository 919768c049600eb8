"""Laying another frame's object over this frame's: which motion, and how far to trust it.

Every reference starts from a *transplant*: its silhouette moved into the expected box and shifted to where it
explains the visible evidence best. Where the object has texture, a motion from matched features (SIFT), refined by
Lucas-Kanade between object-only pictures, may replace it; it is chosen only when it lowers the error on visible pixels
that were held back from its fit.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from unocclude.motion.camera import follow, is_tame, shift
from unocclude.motion.evidence import BACKGROUND, STILL, Evidence, largest_difference
from unocclude.motion.fill import smooth_fill
from unocclude.motion.working import Recent

SEARCH = 0.2
"""A transplant is shifted by at most this share of the box."""

COLOUR_SPREAD = 100.0
"""Grey levels of RGB distance at which a visible pixel no longer speaks for a shift."""

ERROR_CAP = 60.0
"""Grey levels at which a pixel's error stops growing: wrong is wrong."""


POINTS = 150
"""Places at most whose remaining motion a fit looks at."""

LOOK, COARSE, FINE = 13, 3, 1
"""Pixels of the square in which a place is followed, and pyramid levels of the first and of the later fits."""

LEAST_AGREEING = 3
"""Where so many references show a place, their median stands for it."""

PINNED_SHIFT, PINNED_RATIO = 3.0, 0.55
"""An alignment is trusted when its error is under this share of the mean error at shifts of so many pixels."""


@dataclass(frozen=True)
class Aligned:
    """Reference `source` laid over frame `target`: `motion` (3x3) maps working pixels of source to target; `error` is
    the mean absolute difference in grey levels over the held-back visible pixels (nan where there are too few);
    `score` (at most 1) says how well the silhouette explains what is seen; `precise` whether the motion came from
    pixels rather than from boxes; `trusted` whether those pixels pin it down: a small shift would clearly raise the
    error, as it does on rigid textured things."""

    source: int
    target: int
    motion: np.ndarray
    error: float
    score: float
    precise: bool
    trusted: bool = False


@dataclass(frozen=True)
class _Judge:
    """What motions onto a frame are judged by: `box` around its visible object, there the held-back visible `pixels`
    (h, w) bool, the softened picture `look` (h, w, 4) uint8 with the visible mask, and how many pixels there are."""

    box: tuple[slice, slice]
    pixels: np.ndarray
    look: np.ndarray
    count: int


class Aligner:
    """Aligns references with frames of one scene at working resolution."""

    def __init__(self, evidence: Evidence):
        self.evidence = evidence
        self.work = evidence.work
        self._features = Recent(self._find_features)
        self._object_only = Recent(self._make_object_only)
        self._judge = Recent(self._make_judge, keep=16)

    def align(self, source: int, target: int, start: np.ndarray | None = None) -> Aligned:
        """The best motion of the object from frame `source` to frame `target`; a guess `start` is tried first."""
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
        """Trusted references, fitted once more: onto what is visible in `target` and, where nothing is, onto the
        median of them all. A motion that is right on the visible part may be wrong beyond it, and there the others
        tell. Their `error` becomes the mean difference from that picture."""
        window = self.evidence.window(target)
        shown = np.stack([self.warp(self.evidence.shown[a.source], a.motion, window) for a in aligned])
        visible = self.work.visible[target][window]
        agreed = ~visible & ((shown[..., 3] > 250).sum(0) >= LEAST_AGREEING)
        looks = np.where(shown[:, agreed, 3:] > 250, shown[:, agreed, :3].astype(np.float32), np.nan)
        look = self.evidence.shown[target][window].copy()
        look[agreed, :3] = np.nanmedian(looks, axis=0)
        known = np.zeros_like(self.work.inside)
        known[window] = visible | agreed
        picture = np.zeros(known.shape, np.uint8)
        picture[window] = smooth_fill(cv2.cvtColor(look, cv2.COLOR_RGBA2GRAY), known[window])

        def away(shown: np.ndarray) -> float:
            both = known[window] & (shown[..., 3] > 250)
            difference = largest_difference(look, shown)
            return cv2.mean(difference, both.astype(np.uint8))[0] if both.any() else np.inf

        settled = []
        for a, before in zip(aligned, shown, strict=True):
            a = replace(a, error=away(before))
            motion = self._fit(a.source, a.motion, 1.0, window, picture, known)
            if motion is not None:
                error = away(self.warp(self.evidence.shown[a.source], motion, window))
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
        """Expected box to expected box, then the shift that scores best on a half-size grid."""
        window = self.evidence.window(target)
        box, box_source = self.evidence.expected_box[target], self.work.boxes[source]
        if not self.evidence.trajectory.well[source]:
            box_source = self.evidence.expected_box[source]  # what is seen may be much less
        size, size_source = box[2:] - box[:2], box_source[2:] - box_source[:2]
        scale = float(np.clip(np.sqrt(size.prod() / size_source.prod()), 0.5, 2))
        move = (box[:2] + box[2:]) / 2 - scale * (box_source[:2] + box_source[2:]) / 2
        motion = shift(*move) @ np.diag([scale, scale, 1.0])

        visible, labels = self.work.visible[target][window], self.evidence.labels[target]
        worth = np.select([visible, labels == BACKGROUND, labels == STILL], [1, -1, -0.6], 0).astype(np.float32)
        half = (max(1, worth.shape[1] // 2), max(1, worth.shape[0] // 2))

        def small(image: np.ndarray) -> np.ndarray:
            return cv2.resize(image, half, interpolation=cv2.INTER_AREA).astype(np.float32)

        silhouette = small(self.warp(self.work.visible[source], motion, window).astype(np.float32))
        if not silhouette.any():
            return motion, -1.0
        reach = max(2, round(SEARCH * float(size.max()) / 2))
        seen = small(visible.astype(np.float32))
        here = small(self.evidence.shown[target][window][..., :3]) / COLOUR_SPREAD
        there = small(self.warp(self.evidence.shown[source], motion, window)[..., :3]) / COLOUR_SPREAD

        def shifted(image: np.ndarray, template: np.ndarray) -> np.ndarray:
            padded = cv2.copyMakeBorder(image, reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=0)
            return cv2.matchTemplate(padded, template, cv2.TM_CCORR)

        score = shifted(small(worth), silhouette)
        if seen.any():
            score -= shifted(seen * (here**2).sum(2), silhouette) + shifted(seen, silhouette * (there**2).sum(2))
            for c in range(3):
                score += 2 * shifted(seen * here[..., c], silhouette * there[..., c])
        dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        total = float(silhouette.sum())
        score = score / total - 0.15 * (dx**2 + dy**2) / reach**2
        y, x = np.unravel_index(np.argmax(score), score.shape)
        return shift(2.0 * (x - reach), 2.0 * (y - reach)) @ motion, float(score[y, x])

    def warp(self, image: np.ndarray, motion: np.ndarray, window: tuple[slice, slice]) -> np.ndarray:
        """A working picture or mask (bool stays bool) moved by `motion` and cut to `window`."""
        into = shift(-window[1].start, -window[0].start) @ motion
        size = (window[1].stop - window[1].start, window[0].stop - window[0].start)
        if image.dtype == bool:
            return warp(image.astype(np.uint8) * 255, into, size) > 127
        return warp(image, into, size)

    def _error(self, source: int, target: int, motion: np.ndarray) -> float:
        """Mean capped difference over the held-back visible pixels of `target`; those that `source` should cover and
        does not count as wrong."""
        judge = self._judge[target]
        if judge.count < 16:
            return np.nan
        moved = self.warp(self.evidence.shown[source], motion, judge.box)
        both = judge.pixels & (moved[..., 3] > 127)
        shared = int(both.sum())
        if shared < 0.25 * judge.count:
            return np.inf
        difference = largest_difference(judge.look, moved)[both]
        # an uncovered visible pixel may be hidden in the source
        share = min(judge.count - shared, 0.5 * judge.count) * 0.5
        wrong = float(np.minimum(difference, ERROR_CAP).sum())
        return (wrong + ERROR_CAP * 0.3 * share) / (shared + share)

    def _make_judge(self, i: int) -> _Judge:
        visible = self.work.visible[i]
        x, y, width, height = cv2.boundingRect(visible.astype(np.uint8))
        box = np.s_[y : y + height, x : x + width]
        pixels = visible[box] & _held_back(box)
        return _Judge(box, pixels, np.ascontiguousarray(self.evidence.shown[i][box]), int(pixels.sum()))

    def _find_features(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """SIFT keypoints (N, 2) and descriptors (N, 128) inside the visible mask."""
        part = self.work.parts[i].grey
        empty = np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
        if min(part.mask.shape) < 16 or not part.mask.any():
            return empty
        inner = cv2.erode(part.mask.astype(np.uint8), np.ones((3, 3), np.uint8))
        points, descriptors = cv2.SIFT.create(300, contrastThreshold=0.005).detectAndCompute(part.look, inner)
        if descriptors is None:
            return empty
        return np.array([p.pt for p in points], np.float32) + np.array([part.x, part.y], np.float32), descriptors

    def _match(self, source: int, target: int) -> np.ndarray | None:
        """A motion that enough matched features share, else None. Its demands are low: what is wrong shows in the
        held-back error."""
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
        """Grey picture of frame i in which all that is not the visible object is filled smoothly from it."""
        box, part = self.evidence.window(i), self.work.parts[i].grey
        grey = np.zeros((self.work.height, self.work.width), np.uint8)
        grey[part.y : part.y + len(part.look), part.x : part.x + part.look.shape[1]] = part.look
        grey[box] = smooth_fill(grey[box], self.work.visible[i][box])
        return grey

    def _refine(self, source: int, target: int, motion: np.ndarray, tolerance: float) -> np.ndarray | None:
        """`motion` re-fitted to what it leaves unexplained, from the pixels not held back, within
        `tolerance` pixels; None where it does not fit."""
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
        """`motion` of frame `source` re-fitted onto a grey working `picture` that shows the object where `known`."""
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
    """The 3x3 motion of a rigid thing from point pairs (N, 2): a homography where it explains clearly more than an
    affine map, else the affine map, else a similarity; None where fewer than `least` or a third of the pairs agree
    or the map is wild."""
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
    """A picture moved by a 3x3 `motion`, linearly interpolated, black outside; size: (width, height)."""
    if motion[2, 0] == motion[2, 1] == 0:  # twice as fast
        return cv2.warpAffine(image, motion[:2] / motion[2, 2], size, flags=cv2.INTER_LINEAR)
    return cv2.warpPerspective(image, motion, size, flags=cv2.INTER_LINEAR)


def _held_back(window: tuple[slice, slice]) -> np.ndarray:
    """Checkerboard of 8x8 blocks: where it is true, pixels judge motions and never shape them."""
    ys, xs = np.ogrid[window[0], window[1]]
    return ((ys >> 3) + (xs >> 3)) & 1 == 0
