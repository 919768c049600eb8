"""Samples that are views of other samples: some of the frames, cropped frames, or 25-frame sequences of long videos."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from unocclude.clip import Clip
from unocclude.datasets.base import Sample, Truth
from unocclude.masks import MaskTrack

Change = Callable[[np.ndarray, int], np.ndarray]
"""(image or mask (H, W[, 3]), its frame number in the original) → the changed image or mask."""

SEQUENCE = 25
"""Number of frames of a sequence in Diffusion-VAS (section 4.1)."""


class _View:
    """A frame source of some frames of another clip."""

    def __init__(self, clip: Clip, indices: Sequence[int], change: Change):
        self._clip, self._indices, self._change = clip, list(indices), change
        self.fps = clip.fps
        self.times = [clip.times[i] - clip.times[self._indices[0]] for i in self._indices]
        self.height, self.width = self.read(0).shape[:2]

    def __len__(self) -> int:
        return len(self._indices)

    def read(self, k: int) -> np.ndarray:
        i = self._indices[k]
        return np.array(self._change(self._clip[i], i))


def _unchanged(image: np.ndarray, i: int) -> np.ndarray:
    return image


def view_clip(clip: Clip, indices: Sequence[int], change: Change = _unchanged) -> Clip:
    """A clip of the frames `indices` of another clip, changed when they are read."""
    return Clip(_View(clip, indices, change))


def view_track(track: MaskTrack, indices: Sequence[int], change: Change = _unchanged) -> MaskTrack:
    """A track of the masks of the frames `indices` of another track, changed."""
    return MaskTrack.from_masks((change(track[i], i) for i in indices), track.origin)


def sequences(sample: Sample, length: int = SEQUENCE) -> list[Sample]:
    """Split a long video into sequences of `length` frames within its shots (PySceneDetect).

    As in Diffusion-VAS, section 4.1. Samples are named NAME-START. The rest of a shot after its last full sequence, and
    sequences in which the object is never visible, are dropped.
    """
    areas = sample.visible.areas
    starts = [s for shot in sample.clip.shots for s in range(shot.start, shot.stop - length + 1, length)]
    return [_sequence(sample, range(s, s + length)) for s in starts if areas[s : s + length].any()]


def _sequence(sample: Sample, part: range) -> Sample:
    def truth() -> Truth:
        whole = sample.truth
        rgb = whole.rgb
        return replace(
            whole,
            where=f"{whole.where}, frames {part.start} to {part.stop - 1}",
            visible=view_track(whole.visible, part),
            amodal=None if whole.amodal is None else view_track(whole.amodal, part),
            boxes=None if whole.boxes is None else whole.boxes[part.start : part.stop],
            rgb=None if rgb is None else lambda i: rgb(part[i]),
        )

    cut = Sample(
        f"{sample.name}-{part.start:05d}",
        lambda: view_clip(sample.clip, part),
        lambda: view_track(sample.visible, part),
        truth if sample.has_truth else None,
        text=sample.text,
        pad=sample.pad,
    )
    cut.origin = sample.origin
    return cut
