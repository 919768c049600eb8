"""`recall`, the default method: the hidden part of an object is looked for in the frames that show it.

Training-free. Well-visible frames before and after are laid over the frame (`motion.align`), vote on the silhouette
(`silhouette`) within what occlusion evidence leaves open (`motion.evidence`), and give their pixels (`appearance`);
what no frame shows is inpainted from the object's own pixels. A single image has no other frames: `still`.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from pydantic import Field

from unocclude.completion import FrameResult
from unocclude.methods.base import Method, Options
from unocclude.methods.compose import compose
from unocclude.methods.recall.appearance import recall_pixels
from unocclude.methods.recall.silhouette import Voter
from unocclude.methods.recall.still import complete_still
from unocclude.scene import Scene


class RecallOptions(Options):
    references: int = Field(16, ge=2, le=64, description="frames that vote on each frame's silhouette")


class Recall(Method):
    name = "recall"
    summary = "finds the hidden part in the frames that show it; no downloads, CPU"
    Options = RecallOptions
    options: RecallOptions

    def complete(self, scene: Scene, start: int = 0) -> Iterator[FrameResult]:
        voter = Voter(scene.evidence, self.options.references)
        for i in range(start, len(scene)):
            frame, visible = scene.frame(i), scene.visible(i)
            if len(scene.clip.shot_of(i)) == 1:
                amodal, colour, recalled = complete_still(scene, i)
            else:
                silhouette = voter.silhouette(i)
                amodal = _upsample(scene, silhouette.soft, silhouette.window) | visible
                colour, recalled = recall_pixels(scene, i, visible, amodal, silhouette)
            yield compose(i, frame, visible, amodal, colour, recalled)


def _upsample(scene: Scene, soft: np.ndarray, window: tuple[slice, slice]) -> np.ndarray:
    """A soft working mask's window as a (H, W) bool mask on the canvas."""
    work = scene.evidence.work
    whole = np.zeros((work.height, work.width), np.float32)
    whole[window] = soft
    if (scene.height, scene.width) == whole.shape:
        return whole > 0.5
    return cv2.resize(whole, (scene.width, scene.height), interpolation=cv2.INTER_LINEAR) > 0.5
