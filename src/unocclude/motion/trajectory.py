"""Where the whole object is expected: its box, interpolated over time from the frames that show it well."""

import numpy as np

from unocclude.motion.working import Working

NEAR = 15
"""A frame is compared with the best-visible ones within this many frames."""

WELL_VISIBLE = 0.7
"""A frame shows the object well when its visible area is at least this share of the largest nearby."""


class Trajectory:
    """`ratio` (T,): visible area over the largest within `NEAR` frames of the same shot. `well` (T,) bool: frames
    that show the object well; every shot that shows it at all has one. `boxes` (T, 4): the expected whole box in
    working pixels, linear between well-visible frames and constant before the first and after the last; NaN in shots
    that never show it."""

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

    def well_near(self, i: int) -> list[int]:
        """Well-visible frames of frame i's shot: all within the working window, and the nearest one beyond it on
        each side, so that an object is remembered however long it stays hidden."""
        near, shot = self.work.shot(i), self.work.whole_shot(i)
        frames = np.flatnonzero(self.well[shot.start : shot.stop]) + shot.start
        first, last = np.searchsorted(frames, (near.start, near.stop))
        return [int(s) for s in frames[max(0, first - 1) : last + 1]]

    def window(self, i: int, margin: float) -> tuple[slice, slice]:
        """Rows and columns of frame i's expected box and visible mask, grown by `margin` of the box on every side."""
        boxes = [box for box in (self.boxes[i], self.work.boxes[i]) if np.isfinite(box).all() and box[2] > box[0]]
        if not boxes:
            return np.s_[0:0, 0:0]
        x0, y0 = np.min([box[:2] for box in boxes], axis=0)
        x1, y1 = np.max([box[2:] for box in boxes], axis=0)
        grow = margin * max(x1 - x0, y1 - y0) + 2
        left, top = max(0, int(x0 - grow)), max(0, int(y0 - grow))
        right, bottom = min(self.work.width, int(x1 + grow) + 1), min(self.work.height, int(y1 + grow) + 1)
        return np.s_[top:bottom, left:right]


def interpolate(boxes: np.ndarray, knots: list[int], at: np.ndarray) -> np.ndarray:
    """Boxes (T, 4) at frames `at` (N,), linear between the frames `knots` and constant beyond them: (N, 4)."""
    return np.stack([np.interp(at, knots, boxes[knots, k]) for k in range(4)], axis=1)
