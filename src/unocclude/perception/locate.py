"""From prompts to the objects' visible masks in all frames."""

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unocclude import weights as checkpoints
from unocclude.clip import Clip, as_clip
from unocclude.executor import Executor
from unocclude.masks import MaskTrack
from unocclude.perception.prompt import Prompt
from unocclude.perception.text_prompt import SAM2
from unocclude.perception.track import track_prompt
from unocclude.types import ArrayLike, Coordinates, FrameProgress, MaskProgress


def track(
    clip: Clip | ArrayLike | Iterable[ArrayLike],
    prompt: Prompt | None = None,
    *,
    box: Coordinates | None = None,
    point: Coordinates | None = None,
    not_point: Coordinates | None = None,
    mask: ArrayLike | None = None,
    text: str | None = None,
    frame: int = 0,
    device: str = "auto",
    progress: FrameProgress | None = None,
) -> MaskTrack:
    """Track an object; returns its visible masks in all frames, with a confidence for each.

    clip: a `Clip`, or frames in memory as `Clip.from_frames` takes them. prompt: what names the object; in its place,
    the other arguments mark it in frame `frame`. box: (x0, y0, x1, y1) in pixels with exclusive ends, or a list of
    boxes that together contain the object. point: (x, y) on the object, or a list. not_point: the same for points that
    are not on it. mask: (H, W) bool, or what else `MaskTrack.from_masks` takes for one frame. text: needs published
    weights, which run on `device`. progress: `progress(done, total)` is called after each frame.

    The result's `origin` is "sam2" where the weights of SAM 2 are present, else "flow+cut", our own tracker. Its
    `confidence` is the expected IoU of each mask.

    Raises InputError for a prompt that names nothing in the clip.
    """
    if prompt is None:
        prompt = Prompt.of(box, point, mask, frame, text, not_point)
    return locate(as_clip(clip), [prompt], progress, device)[0]


def locate(
    clip: Clip,
    prompts: Sequence[Prompt],
    progress: FrameProgress | None = None,
    device: str = "auto",
    executor: Executor | None = None,
    found: MaskProgress | None = None,
) -> list[MaskTrack]:
    """`track` for several objects: their masks, in the order of `prompts`, from one pass over the clip with SAM 2.

    executor: its workers share the objects, where our own tracker is used. found: called with masks as they become
    known, which may still change; not with an executor.

    Raises InputError for a prompt that names nothing in the clip.
    """
    for prompt in prompts:
        prompt.check(clip)
    prompts = [_with_cues(clip, prompt, device) for prompt in prompts]
    if has_sam2():
        from unocclude.perception.sam2_video import Sam2Video

        return Sam2Video(device=device)(clip, [prompt.cues for prompt in prompts], progress, found)
    if executor is None or len(prompts) < 2:
        return [track_prompt(clip, prompt, progress, _numbered(found, k)) for k, prompt in enumerate(prompts)]
    tracks: dict[int, MaskTrack] = {}
    for outcome in executor.run(_Track(clip), enumerate(prompts)):
        tracks[outcome.argument[0]] = outcome.result()
        if progress:
            progress(len(clip) * len(tracks) // len(prompts), len(clip))
    return [tracks[k] for k in range(len(prompts))]


@dataclass(frozen=True)
class _Track:
    clip: Clip

    def __call__(self, numbered: tuple[int, Prompt]) -> MaskTrack:
        return track_prompt(self.clip, numbered[1])


def _numbered(found: MaskProgress | None, k: int) -> MaskProgress | None:
    """`found` for object k, when it is tracked alone."""
    return None if found is None else lambda _, i, counts: found(k, i, counts)


def has_sam2() -> bool:
    """Whether SAM 2 can be used: its weights are present, and the packages that run it are installed."""
    return checkpoints.is_present(SAM2) and all(map(importlib.util.find_spec, ("torch", "transformers")))


def _with_cues(clip: Clip, prompt: Prompt, device: str) -> Prompt:
    """The prompt with the mask of the object that its text describes, if it has one."""
    if prompt.description is None:
        return prompt
    from unocclude.perception.text import TextToMask

    return Prompt().mask(TextToMask(device)(clip[prompt.frame], prompt.description), frame=prompt.frame)
