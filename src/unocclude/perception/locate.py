"""From a prompt to the object's visible masks in all frames."""

from typing import Any

import numpy as np

from unocclude import weights as checkpoints
from unocclude.clip import Clip
from unocclude.masks import MaskTrack
from unocclude.perception.prompt import Cue, Prompt
from unocclude.perception.text_prompt import SAM2
from unocclude.perception.track import track_prompt
from unocclude.types import FrameProgress


def track(
    clip: Clip,
    *,
    box: Any = None,
    point: Any = None,
    mask: np.ndarray | None = None,
    text: str | None = None,
    frame: int = 0,
    device: str = "auto",
    progress: FrameProgress | None = None,
) -> MaskTrack:
    """Track the object that `box`, `point`, `mask` or `text` marks in frame `frame`; returns its visible masks.

    `box` is (x0, y0, x1, y1) in pixels with exclusive ends, or a list of boxes that together contain the
    object; `point` is (x, y) on the object, or a list; `mask` is (H, W), non-zero on the object;
    `text` needs published weights, which run on `device`. `progress(done, total)` is called after each frame. The
    result's `origin` is "flow+cut", or "sam2" for a text if the weights of SAM 2 are present.

    Raises InputError for a prompt that names nothing in the clip.
    """
    return locate(clip, Prompt.of(box, point, mask, frame, text), progress, device)


def locate(clip: Clip, prompt: Prompt, progress: FrameProgress | None = None, device: str = "auto") -> MaskTrack:
    """`track` for a `Prompt`. An object named by a text is tracked by SAM 2 if its weights are present, else by our own
    tracker, like all others.

    Raises InputError for a prompt that names nothing in the clip.
    """
    prompt.check(clip)
    if prompt.description is None:
        return track_prompt(clip, prompt, progress)
    from unocclude.perception.text import TextToMask

    mask = TextToMask(device)(clip[prompt.frame], prompt.description)
    if len(clip) > 1 and checkpoints.is_present(SAM2):
        from unocclude.perception.sam2_video import Sam2Video

        cues = {prompt.frame: Cue(mask=mask)}
        return Sam2Video(device=device)(clip, [cues], progress)[0]
    return track_prompt(clip, Prompt().mask(mask, frame=prompt.frame), progress)
