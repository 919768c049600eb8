"""Remove what segmentation networks leave beside and inside an object's masks: specks, far islands and pinholes.

An object may truly be in pieces: behind a fence, or with an occluder across it. So no piece is removed for its size
alone. A small piece goes if nearby frames show nothing there and it is tiny or far from the larger pieces, and also if
it is both.
"""

import cv2
import numpy as np

from unocclude.executor import Executor
from unocclude.executor.ranges import run_ranges
from unocclude.masks import MaskTrack, encode
from unocclude.motion.working import FrameCache

SMALL = 0.1
"""A piece with less than this fraction of the object's typical area may be an error."""
DUST, DUST_PIXELS = 0.003, 12
"""Maximum area of a speck, relative to the typical area and in pixels; the larger of the two holds."""
PINHOLE, PINHOLE_PIXELS = 0.001, 4
"""The same of a pinhole. Larger holes are often real."""
CRUMBLED = 0.02
"""A mask of which more than this fraction is dust is in pieces, as behind a fence. No speck is larger than this."""
FAR, FARTHER = 0.25, 1.0
"""Distance from the box of the larger pieces beyond which a speck or any other small piece is far, relative to the
object's size. Fast limbs that an occluder cuts off are far and hardly supported, too."""
OFFSETS = (1, 2, 3, 5)
"""Distances of the frames, before and after, that can support a piece."""
NEAR = 15
"""The typical area is measured over this many frames on both sides."""
_SLACK, _SLACK_PIXELS = 0.04, 2
"""A piece may be this far from where another frame has it: a fraction of the object's size, plus pixels."""


def clean(track: MaskTrack, shots: list[range], executor: Executor | None = None) -> MaskTrack:
    """Remove specks, far islands and pinholes from a track. A mask that consists of specks becomes empty.

    shots: the ranges of frames between cuts; only frames of one shot support each other. If nothing would be left, the
    track is returned as it is. executor: does the work, in ranges of frames.
    """
    call = _Clean(track, shots)
    whole = range(len(track))
    found = [call(whole)] if executor is None else run_ranges(executor, call, whole)
    cleaned = sorted(change for changes in found for change in changes)
    changes = {i: mask for i, mask, _ in cleaned}
    pixels = sum(changed for *_, changed in cleaned)
    cleaned_track = track.replaced(changes)
    if not cleaned_track.areas.any():
        cleaned_track, pixels, changes = track.replaced({}), 0, {}
    if changes:
        some = f"{len(changes)} of {len(track)} masks had specks or pinholes"
        cleaned_track.notes += (f"{some}; {pixels} pixel{'s were' if pixels > 1 else ' was'} changed",)
    cleaned_track.cleaned = pixels, len(changes)
    return cleaned_track


class _Clean:
    """Cleans ranges of frames; see `clean`."""

    def __init__(self, track: MaskTrack, shots: list[range]):
        self.track, self.shots = track, shots
        self._supports: dict[range, _Support] = {}

    def __call__(self, frames: range) -> list[tuple[int, bytes, int]]:
        """The changed masks: frame, mask, and number of changed pixels."""
        changes = []
        for i in frames:
            if self.track.areas[i]:
                mask, support = self.track[i], self._support(i)
                cleaned = _fill_pinholes(_without_specks(support, i, mask), support.typical[i])
                if changed := int(np.count_nonzero(cleaned != mask)):
                    changes.append((i, encode(cleaned), changed))
        return changes

    def _support(self, i: int) -> "_Support":
        shot = next(shot for shot in self.shots if i in shot)
        if shot not in self._supports:
            self._supports = {shot: _Support(self.track, shot)}  # frames are in order, so one is enough
        return self._supports[shot]


class _Support:
    """What the frames of a shot say of a small piece of one of them.

    typical: typical area of the object around each frame, in pixels, by frame number.
    """

    def __init__(self, track: MaskTrack, shot: range):
        self.track, self.shot = track, shot
        areas = track.areas[shot.start : shot.stop]
        self.typical = {}
        for k, i in enumerate(shot):
            near = areas[max(0, k - NEAR) : k + NEAR + 1]
            self.typical[i] = float(np.percentile(near[near > 0], 75)) if near.any() else 0.0
        self._centres = FrameCache(self._centre, keep=2 * max(OFFSETS) + 2)

    def of(self, i: int, labels: np.ndarray, count: int, by_dust: bool = True) -> np.ndarray:
        """Which pieces of frame i other frames support: (count,) bool. labels: (H, W) int32, the pieces 1 to count - 1.

        Half of the frames before, or half of those after, must have the object there, either in the same place or
        moved along with the largest piece. by_dust: whether pieces as small as dust can support others.
        """
        reach = _SLACK_PIXELS + round(_SLACK * self.typical[i] ** 0.5)
        areas = np.bincount(labels.ravel(), minlength=count)
        sides = []
        for sign in (-1, 1):
            frames = [i + sign * k for k in OFFSETS if i + sign * k in self.shot]
            if any(self.track.areas[s] for s in frames):
                shown = [_shown(labels, self._places(i, s, reach, by_dust), count) >= 0.5 * areas for s in frames]
                sides.append(np.mean(shown, axis=0) >= 0.5)
        return np.any(sides, axis=0) if sides else np.full(count, by_dust)

    def _places(self, i: int, s: int, reach: int, by_dust: bool) -> np.ndarray:
        """Where frame s lets expect pixels of the object in frame i, (H, W) bool."""
        mask = self.track[s] if by_dust else _without_dust(self.track[s], self.typical[s])
        if not self.track.areas[s]:
            return mask
        here, there = self._centres[i], self._centres[s]
        expected = mask.astype(np.uint8)
        if here is not None and there is not None:
            dx, dy = np.rint(here - there)
            expected = np.maximum(
                expected, cv2.warpAffine(expected, np.array([[1, 0, dx], [0, 1, dy]]), mask.shape[::-1])
            )
        return cv2.dilate(expected, np.ones((2 * reach + 1,) * 2, np.uint8)) > 0

    def _centre(self, i: int) -> np.ndarray | None:
        """Centre x, y of the box of the largest piece of frame i; None if that may be a speck itself."""
        _, _, stats, _ = cv2.connectedComponentsWithStats(self.track[i].astype(np.uint8))
        x, y, width, height, area = stats[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())]
        return np.array([x + width / 2, y + height / 2]) if area >= SMALL * self.typical[i] else None


def _shown(labels: np.ndarray, where: np.ndarray, count: int) -> np.ndarray:
    """Number of pixels of each piece in `where`, (count,)."""
    return np.bincount(labels[where], minlength=count)


def _without_specks(support: _Support, i: int, mask: np.ndarray) -> np.ndarray:
    """The mask of frame i without the pieces that are not the object."""
    typical = support.typical[i]
    count, labels, stats, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    areas[0] = 0
    small = (areas < SMALL * typical) & (areas > 0)
    if not small.any():
        return mask
    supported = ~small | support.of(i, labels, count)
    dust = areas <= _dust(typical)
    body = stats[supported & ~dust]
    far = np.ones(count, bool)
    if len(body):
        low, high = body[:, :2].min(0), (body[:, :2] + body[:, 2:4]).max(0)
        distance = np.maximum(low - centres, centres - high).max(1)
        far = distance > np.where(dust, FAR, FARTHER) * typical**0.5
    gone = ~supported & (dust | far)
    alone = dust & far & ~gone
    if len(body) and alone.any() and areas[dust & ~gone].sum() <= CRUMBLED * areas[~gone].sum():
        gone |= alone & ~support.of(i, labels, count, by_dust=False)
    gone[0] = True
    return ~gone[labels]


def _without_dust(mask: np.ndarray, typical: float) -> np.ndarray:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    large = stats[:, cv2.CC_STAT_AREA] > _dust(typical)
    large[0] = False
    return np.asarray(large[labels])


def _dust(typical: float) -> float:
    """Maximum area of a speck in pixels."""
    return min(max(DUST * typical, DUST_PIXELS), CRUMBLED * typical)


def _fill_pinholes(mask: np.ndarray, typical: float) -> np.ndarray:
    """Fill tiny holes, unless the mask is full of them, as that of an object behind a net."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    box = np.s_[y : y + height, x : x + width]
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~mask[box]).astype(np.uint8), connectivity=4)
    left, top, wide, high, area = stats.T
    inside = (left > 0) & (top > 0) & (left + wide < width) & (top + high < height)
    holes = inside & (area <= max(PINHOLE * typical, PINHOLE_PIXELS))
    holes[0] = False
    if not holes.any() or area[holes].sum() > CRUMBLED * np.count_nonzero(mask):
        return mask
    filled = mask.copy()
    filled[box] |= holes[labels]
    return filled
