"""Tracking of objects from cues in some frames, without downloaded weights.

The cues of an object give its mask in their frames, the anchors. Between two anchors the object is followed from both,
and the clip is cut over from one to the other where they are surest together. A follower is trusted less the less it
agrees with the anchor at which it arrives. Before the first and after the last anchor there is one direction only.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from unocclude.clip import Clip
from unocclude.geometry import mask_iou
from unocclude.masks import MaskTrack, encode
from unocclude.perception.follower import Follower
from unocclude.perception.prompt import Cue, Prompt, start_frame
from unocclude.perception.segment import segment
from unocclude.types import FrameProgress, MaskProgress

ORIGIN = "flow+cut"


def track_prompt(
    clip: Clip, prompt: Prompt, progress: FrameProgress | None = None, found: MaskProgress | None = None
) -> MaskTrack:
    """Track the object that a prompt's cues mark, in all frames.

    Deterministic, bit for bit. Memory does not grow with the clip's length, apart from the run-length encoded masks.
    """
    prompt.check(clip)
    done = 0

    def advance(i: int, counts: bytes) -> None:
        nonlocal done
        done = min(done + 1, len(clip))
        if found:
            found(0, i, counts)
        if progress:
            progress(done, len(clip))

    tracker = _Tracker(clip, prompt.cues, advance)
    counts, confidence = tracker.run()
    if progress and done < len(clip):
        progress(len(clip), len(clip))
    return MaskTrack(counts, clip.height, clip.width, ORIGIN, confidence=confidence)


@dataclass(frozen=True)
class _Found:
    """A mask, run-length encoded, and its confidence."""

    counts: bytes
    confidence: float


class _Tracker:
    """Tracks one object. advance: called with each frame that is reached for the first time, and its mask."""

    def __init__(self, clip: Clip, cues: Mapping[int, Cue], advance: Callable[[int, bytes], None]):
        self._clip, self._cues, self._advance = clip, cues, advance
        self._cuts = {shot.start for shot in clip.shots}
        self._start = start_frame(cues)
        self._anchors: dict[int, np.ndarray] = {}
        self._scores: dict[int, float] = {}
        self._ahead: dict[int, _Found] = {}  # followed forward, by frame
        self._back: dict[int, _Found] = {}  # followed backward
        self._agreement: dict[tuple[int, int], float] = {}  # of a follower from one anchor with the next, IoU

    def run(self) -> tuple[list[bytes], np.ndarray]:
        """Masks of all frames, and their confidence (T,) float32."""
        for i, cue in self._cues.items():
            if cue.hidden or cue.bounds is not None or i == self._start:
                self._fix(i, None)
        self._sweep(1)
        self._sweep(-1)
        known = sorted(self._anchors)
        for a, b in pairwise(known):  # between anchors, the direction that the sweeps did not take
            if a >= self._start:
                self._follow(b, range(b - 1, a - 1, -1), self._back)
            else:
                self._follow(a, range(a + 1, b + 1), self._ahead)
        found = self._joined(known)
        confidence = np.array([found[i].confidence for i in range(len(self._clip))], np.float32)
        return [found[i].counts for i in range(len(self._clip))], confidence

    def _fix(self, i: int, guess: np.ndarray | None) -> None:
        """Make frame i an anchor: its cue, applied to `guess`, gives the mask."""
        found = segment(self._clip, i, self._cues[i], guess)
        self._anchors[i], self._scores[i] = found.mask, found.score
        self._advance(i, encode(found.mask))

    def _sweep(self, step: int) -> None:
        """Follow the object from the start to one end of the clip. Cues that only correct become anchors on the way."""
        found, end = (self._ahead, len(self._clip)) if step > 0 else (self._back, -1)
        here: int | None = self._start
        while here is not None:
            here = self._sweep_on(here, range(here + step, end, step), found)

    def _sweep_on(self, anchor: int, frames: Sequence[int], found: dict[int, _Found]) -> int | None:
        """Follow the object from an anchor to the next cue in `frames`; returns its frame, None if there is none."""
        for i, one, mask in self._steps(anchor, frames):
            if i in self._cues:
                if i not in self._anchors:
                    self._fix(i, mask if mask.any() else None)
                self._agreement[anchor, i] = mask_iou(mask, self._anchors[i], empty=1.0)
                return i
            found[i] = one
            self._advance(i, one.counts)
        return None

    def _follow(self, anchor: int, frames: Sequence[int], found: dict[int, _Found]) -> None:
        """Follow the object from an anchor through `frames`, which adjoin it, to another anchor, the last of them."""
        for i, one, mask in self._steps(anchor, frames):
            if i == frames[-1]:
                self._agreement[anchor, i] = mask_iou(mask, self._anchors[i], empty=1.0)
            else:
                found[i] = one

    def _steps(self, anchor: int, frames: Sequence[int]) -> Iterator[tuple[int, _Found, np.ndarray]]:
        follower = self._follower(anchor)
        before = anchor
        for i in frames:
            if max(i, before) in self._cuts:
                follower.jump(self._clip[i])
            else:
                follower.step(self._clip[before], self._clip[i])
            yield i, _Found(encode(follower.mask), follower.confidence), follower.mask
            before = i

    def _follower(self, anchor: int) -> Follower:
        """A follower at an anchor. Where the object is hidden there, it knows its looks from the nearest other one."""
        shown = [i for i, mask in self._anchors.items() if mask.any()]
        nearest = min(shown, key=lambda i: (abs(i - anchor), i))
        follower = Follower(self._clip[nearest], self._anchors[nearest], self._scores[nearest])
        for i in sorted(shown, key=lambda i: -abs(i - anchor)):
            if i != nearest:
                follower.learn(self._clip[i], self._anchors[i])
        if nearest != anchor:
            follower.hide()
        return follower

    def _joined(self, anchors: list[int]) -> dict[int, _Found]:
        """For every frame the mask of one direction."""
        found = {i: _Found(encode(self._anchors[i]), self._scores[i]) for i in anchors}
        found.update((i, self._back[i]) for i in range(anchors[0]))
        found.update((i, self._ahead[i]) for i in range(anchors[-1] + 1, len(self._clip)))
        for a, b in pairwise(anchors):
            frames = range(a + 1, b)
            ahead = self._trusted(self._ahead, frames, a, b)
            back = self._trusted(self._back, frames, b, a)
            sure = np.array([[0.0, *(one.confidence for one in way)] for way in (ahead, back)])
            total = sure[0].cumsum() + sure[1].sum() - sure[1].cumsum()
            # surest together; of equal ones the middle
            best = min(np.flatnonzero(total >= total.max() - 1e-9), key=lambda k: (abs(2 * k - len(frames)), k))
            found.update((i, (ahead if k < best else back)[k]) for k, i in enumerate(frames))
        return found

    def _trusted(self, found: Mapping[int, _Found], frames: Sequence[int], start: int, end: int) -> list[_Found]:
        """What was followed from one anchor to another; near `end` it is only as sure as it agrees with that anchor."""
        lost = 1 - self._agreement[start, end]
        part = [((i - start) / (end - start)) ** 0.5 for i in frames]
        return [
            replace(found[i], confidence=found[i].confidence * (1 - lost * k))
            for i, k in zip(frames, part, strict=True)
        ]
