"""Steady the edges of masks that wobble from frame to frame, or lie beside the object's edge, as those of networks do.

Masks that follow the object agree with each other along optical flow. Where they do not, the signed distance to the
edge is averaged over neighbouring frames along the flow, and a cut on the image's colours and edges decides within a
narrow band around the result. The same cut shows whether all masks are too wide or too narrow. Masks that are neither
are never changed.
"""

import cv2
import numpy as np

from unocclude.clip import Clip
from unocclude.masks import MaskTrack, encode
from unocclude.motion.working import FrameCache
from unocclude.perception.colours import ColourGrid, colour_bins
from unocclude.perception.flow import dense_flow, pixels, sample
from unocclude.perception.graphcut import CERTAIN, min_cut
from unocclude.types import FrameProgress

WOBBLE, FAILED = 1.4, 5.0
"""Edges are steadied if their median disagreement with the frame before is between these, in pixels. Masks
drawn by people and those of SAM 2 have 0.2 to 1.2 on the development clips, and exact ones with an error of 2 pixels
1.7 to 2.8. Above `FAILED`, the flow is wrong."""
WIDE, NARROW = -1.1, 0.45
"""Edges are moved if the cut moves them by less than the one or more than the other, in pixels: inwards, outwards. It
moves those of exact masks by -0.9 to -0.1, those 2 pixels too wide by -1.6 to -0.8, and too narrow by -0.4 to 0.8."""
MOST_MOVED = 2.5
"""Maximum distance in pixels by which all edges are moved."""
SAMPLES, LEAST_SAMPLES = 6, 3
"""Number of frames, evenly spaced, on which this is measured, and the smallest number of them."""
LEAST_SIZE = 24
"""Smaller objects, in pixels, are left alone."""
PAIRS = 12
"""Number of pairs of frames, evenly spaced, on which a shot's wobble is measured."""
REACH = 3
"""Frames on both sides over which an edge is averaged."""
BAND, FREE = 5.0, 3.5
"""No pixel farther than `BAND` from the given edge changes; the cut is free within `FREE` of the averaged one."""
SURE = 2.5
"""Pixels at least this far from the averaged edge teach the colours of object and background."""
_CAP = 8.0  # signed distances are clipped to this
_APART = 6.0  # distances that differ more belong to other edges
_PAD = 16  # margin of crops in pixels
_CELLS = 6  # cells of the colour model along each side of the crop

Crop = tuple[slice, slice]


def steady(clip: Clip, track: MaskTrack, progress: FrameProgress | None = None) -> MaskTrack:
    """Steady the edges of a track in the shots in which they wobble; the track itself if there are none.

    progress(done, total) is called after each frame that is steadied.
    """
    steadier = _Steadier(clip, track)
    wobbles = {shot: steadier.wobble(shot) for shot in clip.shots}
    offsets = {shot: steadier.offset(shot) for shot in clip.shots}
    uneven = [shot for shot in clip.shots if WOBBLE < wobbles[shot] < FAILED or offsets[shot]]
    frames = [(i, offsets[shot]) for shot in uneven for i in shot if track.areas[i]]
    changes = {}
    for done, (i, offset) in enumerate(frames, 1):
        changes[i] = encode(steadier.mask(i, offset))
        if progress:
            progress(done, len(frames))
    if not changes:
        return track
    result = track.replaced(changes)
    worst, most = max(wobbles[shot] for shot in uneven), max((offsets[shot] for shot in uneven), key=abs)
    beside = f" and lie {abs(most):.1f} pixels {'outside' if most < 0 else 'inside'} the object's" if most else ""
    told = f"the masks' edges wobble by {worst:.1f} pixels{beside}; they were steadied in {len(frames)} frames"
    result.notes += (told,)
    return result


class _Steadier:
    def __init__(self, clip: Clip, track: MaskTrack):
        self.clip, self.track = clip, track
        keep = 2 * REACH + 2
        self._distances = FrameCache(lambda i: signed_distance(track[i]), keep)
        self._forward = FrameCache(lambda i: self._flow(i, i + 1), keep)
        self._backward = FrameCache(lambda i: self._flow(i, i - 1), keep)

    def _crop(self, *frames: int) -> Crop:
        boxes = self.track.boxes[[i for i in frames if self.track.areas[i]]]
        (x0, y0), (x1, y1) = boxes[:, :2].min(0), boxes[:, 2:].max(0)
        bottom, right = min(y1 + _PAD, self.clip.height), min(x1 + _PAD, self.clip.width)
        return np.s_[max(0, y0 - _PAD) : bottom, max(0, x0 - _PAD) : right]

    def _flow(self, a: int, b: int) -> tuple[Crop, np.ndarray]:
        """Flow from frame a to b around the object, and where that is."""
        crop = self._crop(a, b)
        return crop, dense_flow(np.ascontiguousarray(self.clip[a][crop]), np.ascontiguousarray(self.clip[b][crop]))

    def _moved(self, at: np.ndarray, i: int, step: int) -> np.ndarray:
        """Positions (h, w, 2) of frame i in frame i + step (1 or -1)."""
        crop, flow = (self._forward if step > 0 else self._backward)[i]
        corner = np.array([crop[1].start, crop[0].start], np.float32)
        return at + sample(flow, at - corner)

    def wobble(self, shot: range) -> float:
        """Median disagreement of the edges of neighbouring frames in pixels; 0 if it cannot be measured."""
        pairs = [i for i in shot if i + 1 in shot and min(self.track.areas[i : i + 2]) >= LEAST_SIZE**2]
        chosen = sorted({pairs[k] for k in np.linspace(0, len(pairs) - 1, PAIRS).astype(int)}) if pairs else []
        found = []
        for i in chosen:
            crop = self._crop(i)
            here = self._distances[i][crop]
            edge = np.abs(here) < 1.5
            if not edge.any():  # the object fills the frame
                continue
            there = sample(self._distances[i + 1], self._moved(_grid(crop), i, 1))
            found.append(float(np.median(np.abs(there - here)[edge])))
        return float(np.median(found)) if found else 0.0

    def offset(self, shot: range) -> float:
        """How far all edges of a shot should move outwards, in pixels; 0 unless that is certain."""
        large = [i for i in shot if self.track.areas[i] >= LEAST_SIZE**2]
        chosen = sorted({large[k] for k in np.linspace(0, len(large) - 1, SAMPLES).astype(int)}) if large else []
        if len(chosen) < LEAST_SAMPLES:
            return 0.0
        first = float(np.median([self._moved_by_cut(i, 0.0) for i in chosen]))
        if WIDE <= first <= NARROW:
            return 0.0
        second = float(np.median([self._moved_by_cut(i, first) for i in chosen]))
        return float(np.clip(first + second, -MOST_MOVED, MOST_MOVED))

    def _moved_by_cut(self, i: int, offset: float) -> float:
        """Mean distance in pixels by which the cut moves the edge of frame i outwards, after `offset`."""
        crop = self._crop(i)
        edge = self._distances[i][crop] + offset
        cut = _cut(np.ascontiguousarray(self.clip[i][crop]), edge)
        return float((cut.sum() - (edge > 0).sum()) / max((np.abs(edge) < 1).sum() / 2, 1))

    def mask(self, i: int, offset: float = 0.0) -> np.ndarray:
        """The steadied mask of frame i, (H, W) bool. offset: how far all edges move outwards, in pixels."""
        crop = self._crop(i)
        given = self._distances[i][crop]
        edge = self._averaged(i, crop, given) + offset
        cut = _cut(np.ascontiguousarray(self.clip[i][crop]), edge)
        mask = self.track[i]
        mask[crop] = np.where(np.abs(given) < BAND, cut, mask[crop])
        return mask

    def _averaged(self, i: int, crop: Crop, given: np.ndarray) -> np.ndarray:
        """Mean signed distance over the neighbouring frames that show the same edge, (h, w) float32."""
        shot = self.clip.shot_of(i)
        total, count = given.copy(), np.ones_like(given)
        for step in (-1, 1):
            at = _grid(crop)
            for k in range(1, REACH + 1):
                j = i + step * k
                if j not in shot or not self.track.areas[j]:
                    break
                at = self._moved(at, j - step, step)
                there = sample(self._distances[j], at)
                same = np.abs(there - given) < _APART
                total += np.where(same, there, 0)
                count += same
        return total / count


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance of each pixel's centre to the mask's edge, positive inside, at most 8 pixels, (H, W) float32."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return np.clip(np.where(mask, inside - 0.5, 0.5 - outside), -_CAP, _CAP).astype(np.float32)


def _grid(crop: Crop) -> np.ndarray:
    corner = np.array([crop[1].start, crop[0].start], np.float32)
    return pixels((crop[0].stop - crop[0].start, crop[1].stop - crop[1].start)) + corner


def _cut(picture: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """The object in a picture (h, w, 3) uint8 RGB, given the signed distance to its approximate edge; (h, w) bool."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    bins = colour_bins(lab)
    grid = pixels(edge.shape) + 0.5
    x, y = grid[..., 0] / edge.shape[1], grid[..., 1] / edge.shape[0]
    colours = ColourGrid(_CELLS)
    colours.add(bins, x, y, (edge > 0).astype(np.float32), (np.abs(edge) > SURE).astype(np.float32))
    inside, outside = colours.look(bins, x, y)
    likely = np.clip(np.log((inside + 0.3) / (outside + 0.3)), -3, 3)
    logit = np.clip(likely + edge, -0.99 * CERTAIN, 0.99 * CERTAIN)
    return min_cut(np.where(np.abs(edge) > FREE, np.sign(edge) * CERTAIN, logit), lab)
