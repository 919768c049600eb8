"""Where the whole object is expected: its box, interpolated over time from the frames that show it well."""

from functools import cached_property

import numpy as np

from unocclude.motion.working import Working

NEAR = 15
"""A frame is compared with the best-visible ones within this many frames."""

WELL_VISIBLE = 0.7
"""A frame shows the object well when its visible area is at least this share of the largest nearby."""


class Trajectory:
    """`ratio` (T,): visible area over the largest within `NEAR` frames of the same shot. `well` (T,) bool: frames
    that show the object well; each shot that shows it at all has one. `boxes` (T, 4): the expected whole box in
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
            # where nothing within reach is visible, the frames that are visible further off still count
            known = np.flatnonzero((areas >= WELL_VISIBLE * best) & (areas > 0))
            if len(known):
                frames = np.arange(len(areas))
                for k in range(4):
                    self.boxes[shot.start : shot.stop, k] = np.interp(
                        frames, known, work.boxes[shot.start : shot.stop][known, k]
                    )

    @cached_property
    def well(self) -> np.ndarray:
        return (self.ratio >= WELL_VISIBLE) & (self.work.areas > 0)

    def window(self, i: int, margin: float) -> tuple[slice, slice]:
        """Rows and columns of frame i's expected box and visible mask, grown by `margin` of the box on every side."""
        boxes = [box for box in (self.boxes[i], self.work.boxes[i]) if np.isfinite(box).all() and box[2] > box[0]]
        if not boxes:
            return np.s_[0:0, 0:0]
        x0, y0 = np.min([box[:2] for box in boxes], axis=0)
        x1, y1 = np.max([box[2:] for box in boxes], axis=0)
        grow = margin * max(x1 - x0, y1 - y0)
        left, top = max(0, int(x0 - grow)), max(0, int(y0 - grow))
        return np.s_[
            top : min(self.work.height, int(np.ceil(y1 + grow))), left : min(self.work.width, int(np.ceil(x1 + grow)))
        ]
