"""Read the masks of objects from files, and find the frames of a clip that they belong to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from pycocotools import mask as coco

from unocclude.clip import Clip
from unocclude.errors import InputError
from unocclude.masks import MaskTrack
from unocclude.media.mask_frames import frames_of_masks, spaced_frames
from unocclude.media.masks import ObjectMasks, read_object_masks
from unocclude.media.rle import Rle


def read_masks(path: str | Path, *, object_id: int | None = None) -> MaskTrack:
    """Read the masks of one object, one per frame (see `unocclude.media.masks.read_object_masks` for the formats).

    Raises InputError if files cannot be read, sizes differ, there are several objects and none is chosen, or the masks
    are empty in all frames.
    """
    track = read_track(Path(path), object_id)
    _check_visible(track, path)
    return track


def read_track(path: Path, object_id: int | None = None) -> MaskTrack:
    """As `read_masks`, but the masks may be empty in all frames."""
    masks = read_object_masks(path, object_id)
    return _track(path, masks.one(path), masks.notes, masks.mattes)


def cut_to(track: MaskTrack, clip: Clip) -> MaskTrack:
    """The masks of the frames that a clip was opened with, of a track of the whole file; else the track itself."""
    if clip.numbers is None or len(track) != clip.total:
        return track
    return track[clip.numbers.start : clip.numbers.stop]


def read_union(path: Path) -> MaskTrack:
    """The pixels of any object at a path, such as those of all occluders; they may be empty in all frames."""
    masks = read_object_masks(path)
    tracks = [_track(path, rles, masks.notes) for rles in masks.objects.values()]
    if len(tracks) == 1:
        return tracks[0]
    union = MaskTrack.from_valid_rles([coco.merge([t.rle(i) for t in tracks]) for i in range(len(tracks[0]))])
    union.path, union.notes = path, masks.notes
    return union


@dataclass(frozen=True, eq=False)
class SomeMasks:
    """Masks of an object for only some frames of a clip.

    masks: frame → (H, W) bool; an empty mask says that the object is hidden. notes: as those of a `MaskTrack`.
    """

    masks: dict[int, np.ndarray]
    notes: tuple[str, ...] = ()


def read_for(clip: Clip, path: str | Path, object_id: int | None = None) -> MaskTrack | SomeMasks:
    """Read the masks of one object of a clip: a track, or some masks where there are none for the other frames.

    The names of mask files, COCO's images and the spacing of SA-V tell which frames the masks belong to.

    Raises InputError as `read_masks` does, and where the masks do not fit the clip.
    """
    masks = read_object_masks(path, object_id)
    return _fitted(clip, Path(path), masks, masks.one(Path(path)))


def read_objects_for(clip: Clip, path: str | Path) -> dict[int, tuple[str, MaskTrack | SomeMasks]]:
    """As `read_for`, for all objects at a path: id → (name, masks); objects that are nowhere visible are left
    out. Ids that begin at 0 are numbered from 1."""
    masks = read_object_masks(path)
    shift = 1 if 0 in masks.objects else 0  # SA-V counts from 0, which is the background everywhere else
    found = {}
    for number, rles in masks.objects.items():
        if any(rle is not None and coco.area(rle) for rle in rles):
            found[number + shift] = masks.names.get(number, ""), _fitted(clip, Path(path), masks, rles)
    if not found:
        raise InputError(f"{path}: the masks are empty in all frames; an object must be visible in at least one")
    return found


COMMON_RATES = (24000 / 1001, 24, 25, 30000 / 1001, 30, 50, 60000 / 1001, 60, 90, 120, 240)
"""Frames per second of cameras and screen recorders."""


def other_rate(clip: Clip, count: int, name: str) -> str | None:
    """What to do about masks of a clip at a variable rate whose frames were extracted at a constant one."""
    if clip.is_constant_rate:
        return None
    rate = min(COMMON_RATES, key=lambda rate: abs(rate * clip.times[-1] + 1 - count))
    fits = abs(rate * clip.times[-1] + 1 - count) <= 2
    cause = f"the clip has a variable rate, and {count} {name}s fit an extraction at a constant {rate:.5g} a second"
    cause = cause if fits else "the clip has a variable rate, so that extraction at a constant one changes the count"
    return f"{cause}: extract the frames with ffmpeg -fps_mode passthrough (-vsync 0 before FFmpeg 5.1)"


def _fitted(clip: Clip, path: Path, masks: ObjectMasks, rles: list[Rle | None]) -> MaskTrack | SomeMasks:
    stems, first = masks.stems, 0
    if clip.numbers is not None and len(rles) == clip.total:  # of the whole file
        part = slice(clip.numbers.start, clip.numbers.stop)
        rles, stems, first = rles[part], stems and stems[part], part.start
    what, count = str(path), len(rles)
    if masks.frames not in (None, len(clip)) and count != len(clip):
        raise InputError(f"{path}: its masks are of a video with {masks.frames} frames, the clip has {len(clip)}")
    try:
        if count < len(clip) and stems is None:
            frames, note = spaced_frames(what, count, len(clip))
        else:
            frames, note = frames_of_masks(what, count, stems, len(clip), clip.names)
    except InputError as error:
        if remedy := other_rate(clip, count, "mask"):
            raise InputError(f"{path}: {count} masks for {len(clip)} frames; {remedy}") from None
        raise error
    notes = (*masks.notes, *([note] if note else []))
    if count == len(clip) and None not in rles:
        order = sorted(range(count), key=frames.__getitem__)
        read = masks.mattes
        mattes = None if read is None else partial(_ordered, read, first, order)
        track = _track(path, [rles[k] for k in order], notes, mattes)
        _check_visible(track, path)
        return track
    some = {frame: coco.decode(rle).astype(bool) for frame, rle in zip(frames, rles, strict=True) if rle is not None}
    if not any(mask.any() for mask in some.values()):
        raise InputError(f"{path}: all {len(some)} masks are empty; the object must be visible in one")
    return SomeMasks(some, notes)


def _ordered(read: Callable[[int], np.ndarray], first: int, order: Sequence[int], i: int) -> np.ndarray:
    return read(first + order[i])


def _track(
    path: Path,
    rles: list[Rle | None],
    notes: tuple[str, ...],
    mattes: Callable[[int], np.ndarray] | None = None,
) -> MaskTrack:
    shown = [rle for rle in rles if rle is not None]
    if len(shown) < len(rles):
        raise InputError(
            f"{path}: {len(rles) - len(shown)} of {len(rles)} images are not annotated; open it with its clip"
        )
    try:
        track = MaskTrack.from_valid_rles(shown)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    track.path, track.notes, track._mattes = path, notes, mattes
    return track


def _check_visible(track: MaskTrack, path: str | Path) -> None:
    if not track.areas.any():
        raise InputError(f"{path}: the masks are empty in all {len(track)} frames; the object must be visible in one")
