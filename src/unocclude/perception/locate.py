"""A prompt to the object's visible masks in all frames."""

from typing import Any

import numpy as np

from unocclude import weights as checkpoints
from unocclude.clip import Clip
from unocclude.masks import MaskTrack
from unocclude.perception.prompt import Prompt
from unocclude.perception.text_prompt import SAM2
from unocclude.perception.track import Progress, track_prompt


def track(
    clip: Clip,
    *,
    box: Any = None,
    point: Any = None,
    mask: np.ndarray | None = None,
    text: str | None = None,
    frame: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> MaskTrack:
    """Visible masks of the object that `box`, `point`, `mask` or `text` names in frame `frame`.

    `box` is (x0, y0, x1, y1) in pixels with exclusive ends, or a list of boxes that together hold the
    object; `point` is (x, y) on the object, or a list; `mask` is (H, W), non-zero on the object;
    `text` needs published weights, which run on `device`. `progress(done, total)` is called after each frame. The
    result's `origin` is "flow+cut", or after a text "sam2" where SAM 2's weights are.

    Raises InputError for a prompt that names nothing in the clip.
    """
    return locate(clip, Prompt.of(box, point, mask, frame, text), progress, device)


def locate(clip: Clip, prompt: Prompt, progress: Progress | None = None, device: str = "auto") -> MaskTrack:
    """`track` for a ready `Prompt`. What words name is found in its frame, and tracked by SAM 2 where its weights are,
    else by our own tracker.

    Raises InputError for a prompt that names nothing in the clip.
    """
    prompt.check(clip)
    if prompt.text is None:
        return track_prompt(clip, prompt, progress)
    from unocclude.perception.text import TextToMask

    mask = TextToMask(device)(clip[prompt.frame], str(prompt.text))
    if len(clip) > 1 and checkpoints.have(SAM2):
        from unocclude.perception.sam import Cue
        from unocclude.perception.sam2_video import Sam2Video

        cues = {prompt.frame: Cue(mask=mask)}
        return Sam2Video(device=device)(clip, [cues], progress)[0]
    return track_prompt(clip, Prompt(prompt.frame, mask=mask), progress)
