"""Expected boxes of the whole object, interpolated over time between frames that show it well."""

import numpy as np

from unocclude.motion.working import Working

NEAR = 15
"""Visible areas are compared within this many frames."""

WELL_VISIBLE = 0.7
"""A frame shows the object well if its visible area is at least this fraction of the largest one nearby."""

AT_BORDER = 1.5
"""A box within this many working pixels of the frame's border counts as cut by it."""

PACE = 4
"""Number of frames over which an object's velocity is measured."""
OUTWARD = np.array([-1.0, -1.0, 1.0, 1.0])
"""Outward directions of the sides of a box."""


class Trajectory:
    """Visibility and expected boxes of an object in all T frames.

    ratio: (T,), visible area relative to the largest within `NEAR` frames of the same shot. well: (T,) bool, frames
    that show the object well; every shot that shows it has at least one. boxes: (T, 4), expected boxes of the whole
    object in working pixels: interpolated between well-visible frames, constant before the first and after the last,
    and adjusted to the visible part in the frame; NaN in shots that never show it, and while it is outside the frame.
    gone: (T,) bool, the frames in which it is outside the frame.
    """

    def __init__(self, work: Working):
        self.work = work
        count = len(work.areas)
        self.ratio = np.zeros(count)
        self.boxes = np.full((count, 4), np.nan)
        for shot in work.scene.shots:
            areas = work.areas[shot.start : shot.stop]
            best = np.array([areas[max(0, k - NEAR) : k + NEAR + 1].max() for k in range(len(areas))])
            self.ratio[shot.start : shot.stop] = areas / np.maximum(best, 1e-9)
        self.well = (self.ratio >= WELL_VISIBLE) & (work.areas > 0)
        for shot in work.scene.shots:
            knots = [i for i in shot if self.well[i]]
            if knots:
                self.boxes[shot.start : shot.stop] = interpolate(work.boxes, knots, np.asarray(shot))
        (x, y), scale = work.scene.offset, work.scale
        self._frame = np.array([x, y, work.scene.width - x, work.scene.height - y]) * scale
        self.gone = np.zeros(count, bool)
        for shot in work.scene.shots:
            for run in _runs(work.areas[shot.start : shot.stop] == 0):
                beside = [shot.start + k for k in (run.start - 1, run.stop) if 0 <= k < len(shot)]
                self.gone[shot.start + run.start : shot.start + run.stop] = all(
                    self._leaves(i, self.boxes[i]).any() for i in beside
                )
        for i in range(count):
            self.boxes[i] = self.follow_visible(i, self.boxes[i])

    def follow_visible(self, i: int, box: np.ndarray) -> np.ndarray:
        """Move the expected box (4,) of frame i so that it contains the visible box, with the smallest possible shift.

        If the frame's border cuts the object, the box extends beyond it. NaN if the object is gone.
        """
        if self.gone[i]:
            return np.full(4, np.nan)
        if not self.work.areas[i] or self.well[i] or not np.isfinite(box).all():
            return box
        seen, led = self.work.boxes[i], box.copy()
        leaves = self._leaves(i, box)
        for axis in (0, 1):
            low, high = seen[axis], seen[axis + 2]
            size = max(box[axis + 2] - box[axis], high - low)
            if leaves[axis] != leaves[axis + 2]:
                start = high - size if leaves[axis] else low
            else:
                start = min(max(box[axis], high - size), low)
            led[axis], led[axis + 2] = start, start + size
        return led

    def _leaves(self, i: int, box: np.ndarray) -> np.ndarray:
        """At which sides (4,) bool the object is leaving the frame.

        The border cuts its visible part in a frame that does not show it well, while the expected `box` is not cut or
        was already moving that way.
        """
        nothing = np.zeros(4, bool)
        if self.well[i] or not self.work.areas[i]:
            return nothing
        seen = self.work.boxes[i]
        cut = np.abs(seen - self._frame) < AT_BORDER
        pull = self._extrapolated_motion(i)
        # displacement of the opposite side, and its extrapolation from the motion before
        come, would = np.roll(seen - box, 2), np.roll(pull, 2)
        goes = (would * OUTWARD > 1) & (would * OUTWARD > 0.5 * come * OUTWARD)
        return cut & (~(np.abs(box - self._frame) < AT_BORDER) | goes)

    def _extrapolated_motion(self, i: int) -> np.ndarray:
        """Displacement (4,) of a box's sides since the nearest well-visible frame, extrapolated at constant velocity;
        zero if the velocity is unknown."""
        frames = self.work.whole_shot(i)
        wells = np.flatnonzero(self.well[frames.start : frames.stop]) + frames.start
        if not len(wells):
            return np.zeros(4)
        nearest = int(wells[np.abs(wells - i).argmin()])
        away = 1 if nearest < i else -1
        earlier = [s for s in wells if 0 < (nearest - s) * away <= PACE]
        if not earlier:
            return np.zeros(4)
        first = int(max(earlier, key=lambda s: abs(nearest - s)))
        pace = (self.work.boxes[nearest] - self.work.boxes[first]) / abs(nearest - first)
        return np.asarray(pace * abs(i - nearest))

    def well_near(self, i: int) -> list[int]:
        """Well-visible frames of frame i's shot within the temporal window, and the nearest one beyond it on each side.

        So an object is remembered however long it stays hidden.
        """
        near, shot = self.work.shot(i), self.work.whole_shot(i)
        frames = np.flatnonzero(self.well[shot.start : shot.stop]) + shot.start
        first, last = np.searchsorted(frames, (near.start, near.stop))
        return [int(s) for s in frames[max(0, first - 1) : last + 1]]

    def window(self, i: int, margin: float) -> tuple[slice, slice]:
        """Rows and columns of the union of expected and visible box of frame i, grown by `margin` of its size."""
        boxes = [box for box in (self.boxes[i], self.work.boxes[i]) if np.isfinite(box).all() and box[2] > box[0]]
        if not boxes:
            return np.s_[0:0, 0:0]
        x0, y0 = np.min([box[:2] for box in boxes], axis=0)
        x1, y1 = np.max([box[2:] for box in boxes], axis=0)
        grow = margin * max(x1 - x0, y1 - y0) + 2
        left, top = max(0, int(x0 - grow)), max(0, int(y0 - grow))
        right, bottom = min(self.work.width, int(x1 + grow) + 1), min(self.work.height, int(y1 + grow) + 1)
        return np.s_[top:bottom, left:right]


def _runs(flags: np.ndarray) -> list[range]:
    """Runs of consecutive flags that are set."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [range(start, stop) for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)]


def interpolate(boxes: np.ndarray, knots: list[int], at: np.ndarray) -> np.ndarray:
    """Interpolate boxes (T, 4) at frames `at` (N,): linear between `knots`, constant beyond them; (N, 4)."""
    return np.stack([np.interp(at, knots, boxes[knots, k]) for k in range(4)], axis=1)
