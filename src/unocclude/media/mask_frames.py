"""Which frame of a clip each mask belongs to, when there are masks for only some frames, or names say it."""

import re
from collections.abc import Sequence

from unocclude.errors import InputError

SAV_STEP = 4
"""SA-V has masks for every fourth frame."""
MAX_LISTED = 5


def frames_of_masks(
    what: str, count: int, stems: Sequence[str] | None, clip_length: int, clip_stems: Sequence[str] | None
) -> tuple[list[int], str]:
    """The frame that each of `count` masks belongs to, and a note for the user ("" if there is nothing to say).

    what: name of the masks for messages. stems: names of the mask files without suffix, None if there are none; their
    last number counts. clip_stems: the same for the frames of the clip, None for a video.

    Raises InputError if masks and frames do not fit each other.
    """
    numbers, frame_numbers = _numbers(stems), _numbers(clip_stems)
    if count == clip_length:
        if numbers and frame_numbers and set(numbers) != set(frame_numbers):
            return _shifted(what, numbers, frame_numbers)
        return list(range(count)), ""
    if count > clip_length:
        raise _miscounted(what, count, clip_length)
    if stems is not None and clip_stems is not None and set(stems) <= set(clip_stems):
        return _sparse([list(clip_stems).index(stem) for stem in stems])
    if not numbers:
        raise _miscounted(what, count, clip_length)
    if frame_numbers:
        if missing := sorted(set(numbers) - set(frame_numbers)):
            raise InputError(
                f"{what}: there is no frame {_listed(missing)} for these masks; rename them like the frames"
            )
        return _sparse([frame_numbers.index(number) for number in numbers])
    first = 0 if max(numbers) < clip_length else 1
    if max(numbers) - first >= clip_length or min(numbers) < first:
        raise InputError(
            f"{what}: mask {max(numbers)} is beyond the {clip_length} frames of the clip; number masks like the frames"
        )
    return _sparse([number - first for number in numbers])


def spaced_frames(what: str, count: int, clip_length: int) -> tuple[list[int], str]:
    """The frames of `count` masks that are evenly spaced, as in SA-V: every fourth, else every n-th.

    Raises InputError if no spacing fits.
    """
    for step in (SAV_STEP, *range(2, clip_length + 1)):
        if -(-clip_length // step) == count and count > 1:
            return _sparse(list(range(0, clip_length, step)))
    raise _miscounted(what, count, clip_length)


def _sparse(frames: list[int]) -> tuple[list[int], str]:
    some = "one frame" if len(frames) == 1 else f"{len(frames)} frames"
    return frames, f"there are masks for {some} ({_listed(frames)}); the object is tracked in the others"


def _shifted(what: str, numbers: list[int], frame_numbers: list[int]) -> tuple[list[int], str]:
    """As many masks as frames, but numbered differently: a constant shift is taken as it is."""
    shift = frame_numbers[0] - numbers[0]
    if [number + shift for number in numbers] == list(frame_numbers):
        return list(range(len(numbers))), (
            f"masks are numbered from {numbers[0]}, frames from {frame_numbers[0]}; they were matched in order"
        )
    without = sorted(set(frame_numbers) - set(numbers))
    surplus = sorted(set(numbers) - set(frame_numbers))
    raise InputError(
        f"{what}: the masks do not belong to the frames: frame {_listed(without)} has no mask, and mask "
        f"{_listed(surplus)} no frame; remove what is surplus, or rename the masks like the frames"
    )


def _miscounted(what: str, count: int, clip_length: int) -> InputError:
    return InputError(
        f"{what}: {count} masks for {clip_length} frames; give one for every frame (an empty one where the object is "
        "hidden), or number the files like the frames they belong to"
    )


def _numbers(stems: Sequence[str] | None) -> list[int]:
    """The last number in each stem; empty unless each has one of its own."""
    found = [re.findall(r"[0-9]+", stem) for stem in stems or ()]
    if not all(found):
        return []
    numbers = [int(parts[-1]) for parts in found]
    return numbers if len(set(numbers)) == len(numbers) else []


def _listed(numbers: Sequence[int]) -> str:
    more = ", ..." if len(numbers) > MAX_LISTED else ""
    return ", ".join(str(number) for number in numbers[:MAX_LISTED]) + more
