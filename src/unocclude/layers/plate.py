"""The clean plate: the background of a clip with all objects removed.

Pixels near an object are taken from frames of the shot that show what is behind it: the median over evenly spaced
frames if the camera stands, else the median of the nearest frames, moved by the camera motion. What no frame shows is
filled smoothly, or by a network in one frame of the shot and carried to the others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from unocclude.clip import Clip
from unocclude.completion import GENERATED, RECALLED, SEEN
from unocclude.masks import MaskTrack
from unocclude.motion.camera import SharedCamera
from unocclude.motion.fill import smooth_fill
from unocclude.motion.match import match_colours
from unocclude.motion.working import FrameCache

EDGE = 2
"""Pixels within this distance of an object are no background: edges are soft, and encoders blur them."""
STANDS = 0.35
"""The camera stands if background moves by less than this many pixels at the corners, between any two frames."""
CHECKED = 8
"""Number of frames of a shot that are compared with its first one, to see whether the camera stands."""
SAMPLES = 41
"""Number of frames of a shot over which the median is taken if the camera stands."""
SOURCES, TRIED = 5, 24
"""If the camera moves: number of frames that each pixel's median is taken over, and maximum number that are tried."""
OFFSETS = (1, 2, 3, 4, 6, 8, 11, 14, 18, 23, 29, 36, 45, 56, 70, 90, 120, 160, 220, 300)
"""Distances of the frames that are tried, on both sides."""
MATCHED = 96
"""Longer side in pixels of the pictures on which brightness and colours are matched."""
LIGHT = 1.5
"""Grey levels: smaller differences in brightness between two frames are noise, not a change of light."""
THINNED = 3
"""Every how many pixels, in both directions, brightness is compared."""
ROWS = 1 << 22
"""Pixels of all samples that a median is taken over at once."""

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Fills what no frame shows: from an image (H, W, 3) uint8 RGB and the mask of known pixels to the filled image."""


@dataclass(frozen=True, eq=False)
class PlateFrame:
    """The clean plate of one frame. rgb: (H, W, 3) uint8, the input frame's own pixels where provenance is 1 (seen).
    provenance: (H, W) uint8, 1 seen, 2 recalled, 3 generated. edges: (H, W, 4) uint8, the frame's own pixels within
    `EDGE` of an object's edge, opaque; nothing elsewhere. They are no part of the plate, because they are mixed with
    the objects, but make a composition of unedited layers exact.
    """

    rgb: np.ndarray
    provenance: np.ndarray
    edges: np.ndarray

    def padded(self, rows: int, columns: int) -> "PlateFrame":
        """The plate on a larger canvas; what is outside the frame counts as generated and repeats its border."""
        if not (rows or columns):
            return self
        around = ((rows, rows), (columns, columns))
        return PlateFrame(
            np.pad(self.rgb, (*around, (0, 0)), mode="edge"),
            np.pad(self.provenance, around, constant_values=GENERATED),
            np.pad(self.edges, (*around, (0, 0))),
        )


class Plate:
    """The clean plate of a clip, frame by frame; `plate[i]` is a `PlateFrame` of the size of the frames.

    tracks: the visible masks of all objects. inpaint: fills what no frame shows, for example `InpaintingFill`; None to
    fill it smoothly. A frame's plate does not depend on which frames were computed before.
    """

    def __init__(
        self,
        clip: Clip,
        tracks: Sequence[MaskTrack],
        camera: SharedCamera | None = None,
        inpaint: Fill | None = None,
    ):
        self._clip, self._tracks, self._inpaint = clip, tracks, inpaint
        self._camera = camera or SharedCamera(clip, tracks)
        self._still = FrameCache(self._still_picture, keep=1)
        self._stands: dict[int, bool] = {}
        self._light = FrameCache(self._light_of, keep=1 << 20)
        self._free = FrameCache(self._background, keep=2 * TRIED)
        self._drawn = FrameCache(self._draw, keep=1)

    def __reduce__(self) -> tuple[type["Plate"], tuple[object, ...]]:
        """For worker processes, which compute what is cached again."""
        return Plate, (self._clip, self._tracks, self._camera, self._inpaint)

    def __len__(self) -> int:
        return len(self._clip)

    def __getitem__(self, i: int) -> PlateFrame:
        frame, free = self._clip[i], self._free[i]
        edges = self._edges(i)
        provenance = np.where(free, SEEN, GENERATED).astype(np.uint8)
        if free.all():
            return PlateFrame(frame, provenance, edges)
        shot = self._clip.shot_of(i)
        if self.stands(shot):
            picture, known = self._in_light_of(i, shot)
            provenance[~free & known] = RECALLED
            rgb = np.where(free[..., None], frame, picture)
            return PlateFrame(rgb, provenance, edges)
        rgb, recalled = self._recalled(i, shot)
        provenance[recalled] = RECALLED
        known = free | recalled
        if self._inpaint and not known.all():
            known |= self._carry(i, shot, rgb, known)
        box = _around(~free, frame.shape[:2])
        if not known.all():
            rgb[box] = smooth_fill(np.ascontiguousarray(rgb[box]), known[box])
        return PlateFrame(rgb, provenance, edges)

    def stands(self, shot: range) -> bool:
        """Whether the camera stands still during a shot."""
        if shot.start not in self._stands:
            last = len(shot) - 1
            far = sorted({shot.start + round(k * last / CHECKED) for k in range(1, CHECKED + 1)} - {shot.start})
            self._stands[shot.start] = all(self._agrees(shot.start, i) for i in far)
        return self._stands[shot.start]

    def _agrees(self, source: int, target: int) -> bool:
        """Whether the background is in the same place in two frames.

        It is not if it moves at a corner or in the middle, and the frames are more alike after that motion.
        """
        width, height = self._clip.width - 1, self._clip.height - 1
        points = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1], [width / 2, height / 2, 1]]).T
        motion = self._camera.measure(source, target)
        moved = motion @ points
        if np.abs(moved[:2] / moved[2] - points[:2]).max() < STANDS:
            return True
        size = (self._clip.width, self._clip.height)
        covered = cv2.warpPerspective(self._free[source].astype(np.uint8), motion, size, flags=cv2.INTER_NEAREST) > 0
        both = covered & self._free[source] & self._free[target]
        here, there = self._clip[target][both].astype(np.float32), self._clip[source]
        after = cv2.warpPerspective(there, motion, size)[both]
        return bool(both.any() and np.abs(here - there[both]).mean() <= np.abs(here - after).mean())

    def _background(self, i: int) -> np.ndarray:
        """Background pixels of frame i, more than `EDGE` away from all objects, (H, W) bool."""
        return ~grown(self._objects(i))

    def _objects(self, i: int) -> np.ndarray:
        """Visible pixels of any object in frame i, (H, W) bool."""
        masks = [track[i] for track in self._tracks if track.areas[i]]
        return np.any(masks, axis=0) if masks else np.zeros((self._clip.height, self._clip.width), bool)

    def _edges(self, i: int) -> np.ndarray:
        near = ~self._free[i] & ~self._objects(i)
        for mask in (track[i] for track in self._tracks if track.areas[i]):
            inner = cv2.erode(mask.astype(np.uint8), np.ones((2 * EDGE + 1,) * 2, np.uint8), borderValue=1)
            near |= mask & (inner == 0)  # a method may replace mixed pixels of an object's rim
        return np.where(near[..., None], np.dstack([self._clip[i], np.full(near.shape, 255, np.uint8)]), 0)

    # A camera that stands ---------------------------------------------------------------------------------------

    def _still_picture(self, start: int) -> tuple[np.ndarray, np.ndarray]:
        """The plate of the shot from frame `start`: (H, W, 3) uint8, and which pixels any frame shows, (H, W) bool."""
        shot = self._clip.shot_of(start)
        hidden = np.zeros((self._clip.height, self._clip.width), bool)
        seen = np.zeros_like(hidden)
        for i in shot:
            hidden |= ~self._free[i]
            seen |= self._free[i]
        chosen = [shot[round(k)] for k in np.linspace(0, len(shot) - 1, min(SAMPLES, len(shot)))]
        picture: np.ndarray = self._clip[start].astype(np.float32)
        ys, xs = np.nonzero(hidden)
        if len(ys):
            picture[ys, xs] = self._medians(chosen, ys, xs)
        sampled = np.any([self._free[i] for i in chosen], axis=0)
        for i in shot if (seen & ~sampled).any() else ():  # pixels that show up only between the samples
            late = self._free[i] & ~sampled
            picture[late] = self._clip[i][late] - self._light[i]
            sampled |= late
        picture = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
        return (picture if seen.all() else (self._inpaint or smooth_fill)(picture, seen)), seen

    def _medians(self, frames: Sequence[int], ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
        """Median of the background over frames, in the light of the shot's first one, at these pixels: (N, 3) float32;
        0 where no frame shows it."""
        result = np.zeros((len(ys), 3), np.float32)
        step = max(1, ROWS // len(frames))
        for at in range(0, len(ys), step):
            y, x = ys[at : at + step], xs[at : at + step]
            values = np.stack([self._clip[i][y, x] - self._light[i] for i in frames])
            values[~np.stack([self._free[i][y, x] for i in frames])] = np.nan
            result[at : at + step] = _nanmedian(values)
        return result

    def _in_light_of(self, i: int, shot: range) -> tuple[np.ndarray, np.ndarray]:
        """The shot's plate in the light of frame i."""
        picture, known = self._still[shot.start]
        change = self._light[i]
        if not change.any():
            return picture, known
        return np.clip(np.rint(picture + change), 0, 255).astype(np.uint8), known

    def _light_of(self, i: int) -> np.ndarray:
        """By how much the background of frame i is brighter than that of the shot's first one, (3,) float32."""
        first = self._clip.shot_of(i).start
        both = (self._free[i] & self._free[first])[::THINNED, ::THINNED]
        if not both.any():
            return np.zeros(3, np.float32)
        here, there = (self._clip[k][::THINNED, ::THINNED][both].astype(np.int16) for k in (i, first))
        change = np.median(here - there, axis=0).astype(np.float32)
        return np.where(np.abs(change) < LIGHT, np.float32(0), change)

    # A camera that moves ----------------------------------------------------------------------------------------

    def _recalled(self, i: int, shot: range) -> tuple[np.ndarray, np.ndarray]:
        """Frame i with hidden background from other frames: (H, W, 3) uint8, and where it was found, (H, W) bool."""
        rgb, free = self._clip[i].copy(), self._free[i]
        box = _around(~free, free.shape)
        wanted = ~free[box]
        here = rgb[box].astype(np.float32)
        size = wanted.shape[::-1]
        into = np.array([[1, 0, -box[1].start], [0, 1, -box[0].start], [0, 0, 1.0]])
        count = np.zeros(wanted.shape, np.int32)
        values = np.full((SOURCES, *here.shape), np.nan, np.float32)
        sources = [s for k in OFFSETS for s in (i - k, i + k) if s in shot][:TRIED]
        for s in sources:
            motion = into @ self._camera.between(s, i)
            there = cv2.warpPerspective(self._free[s].astype(np.uint8) * 255, motion, size) > 254
            take = there & wanted & (count < SOURCES)
            if not take.any():
                continue
            moved = cv2.warpPerspective(self._clip[s], motion, size, flags=cv2.INTER_CUBIC).astype(np.float32)
            moved = match_colours(moved, here, there & ~wanted, MATCHED)
            ys, xs = np.nonzero(take)
            values[count[ys, xs], ys, xs] = moved[ys, xs]
            count[take] += 1
            if (count[wanted] >= SOURCES).all():
                break
        found = count > 0
        here[found] = _nanmedian(values[:, found])
        rgb[box][found] = np.clip(np.rint(here[found]), 0, 255).astype(np.uint8)
        recalled = np.zeros_like(free)
        recalled[box] = found
        return rgb, recalled

    def _draw(self, start: int) -> tuple[int, np.ndarray, np.ndarray]:
        """The frame of the shot from `start` that shows most of the objects, inpainted.

        Its number, (H, W, 3) uint8, and which pixels were drawn, (H, W) bool.
        """
        assert self._inpaint
        shot = self._clip.shot_of(start)
        i = max(shot, key=lambda k: sum(int(track.areas[k]) for track in self._tracks))
        rgb, recalled = self._recalled(i, shot)
        known = self._free[i] | recalled
        return i, self._inpaint(rgb, known), ~known

    def _carry(self, i: int, shot: range, rgb: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Write what was drawn for the shot into frame i, where nothing is known; returns these pixels, (H, W) bool."""
        source, picture, drawn = self._drawn[shot.start]
        size = known.shape[::-1]
        motion = np.eye(3) if source == i else self._camera.between(source, i)
        there = cv2.warpPerspective(drawn.astype(np.uint8) * 255, motion, size, flags=cv2.INTER_NEAREST) > 0
        moved = cv2.warpPerspective(picture, motion, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        take: np.ndarray = there & ~known
        rgb[take] = moved[take]
        return take


def grown(mask: np.ndarray) -> np.ndarray:
    """A mask (H, W) bool and what is within `EDGE` of it."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * EDGE + 1, 2 * EDGE + 1))
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0


def _nanmedian(values: np.ndarray) -> np.ndarray:
    """Median over the first axis of (K, N, 3), without NaN; 0 where all are NaN. Faster than NumPy's."""
    ordered = np.sort(values, axis=0)  # NaN last
    count = np.isfinite(ordered).sum(axis=0)
    low, high = np.maximum(count - 1, 0) // 2, np.maximum(count, 1) // 2
    high = np.minimum(high, np.maximum(count - 1, 0))
    pair = [np.take_along_axis(ordered, k[None], axis=0)[0] for k in (low, high)]
    return np.nan_to_num((pair[0] + pair[1]) / 2)


def _around(mask: np.ndarray, size: tuple[int, int]) -> tuple[slice, slice]:
    """The bounding box of a mask with some of its surroundings, to which colours are matched."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    reach = max(8, max(w, h) // 6)
    return np.s_[max(0, y - reach) : min(size[0], y + h + reach), max(0, x - reach) : min(size[1], x + w + reach)]
