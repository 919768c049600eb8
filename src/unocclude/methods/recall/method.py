"""The method `recall`."""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np

from unocclude.completion import FrameResult
from unocclude.errors import InputError
from unocclude.methods.base import DEFAULT_SETTINGS, Method, RunSettings
from unocclude.methods.compose import compose
from unocclude.methods.parallel_map import parallel_map
from unocclude.methods.recall.appearance import recall_pixels
from unocclude.methods.recall.edges import clean_rim
from unocclude.methods.recall.options import RecallOptions
from unocclude.methods.recall.prior import ShapePrior
from unocclude.methods.recall.silhouette import Silhouette, Voter
from unocclude.methods.recall.still import complete_still
from unocclude.scene import Scene


class Recall(Method):
    name = "recall"
    summary = "finds the hidden part in the frames that show it; no downloads, CPU"
    samples = True
    independent = True
    Options = RecallOptions
    options: RecallOptions

    def __init__(self, options: RecallOptions, settings: RunSettings = DEFAULT_SETTINGS):
        super().__init__(options, settings)
        if settings.hypotheses > 1 and not options.prior:
            raise InputError(
                "recall draws hypotheses from its shape prior; leave out --set prior=false or --hypotheses"
            )

    def complete(self, scene: Scene, start: int = 0) -> Iterator[FrameResult]:
        prior = ShapePrior(scene.evidence) if self.options.prior else None
        draws = self.settings.hypotheses - 1
        voter = Voter(scene.evidence, self.options.references, prior, draws, self.settings.seed)
        return parallel_map(lambda i: self._frame(scene, voter, i), range(start, len(scene)))

    def _frame(self, scene: Scene, voter: Voter, i: int) -> FrameResult:
        frame, visible = scene.frame(i), scene.visible(i)
        results = []
        if len(scene.clip.shot_of(i)) == 1:
            amodal, colour, recalled = complete_still(scene, i)
            results.append(_compose(scene, i, frame, amodal, colour, recalled))
        else:
            for silhouette in voter.silhouettes(i):
                amodal = upsample(scene, silhouette) | visible
                colour, recalled = recall_pixels(scene, i, visible, amodal, silhouette)
                results.append(_compose(scene, i, frame, amodal, colour, recalled))
        wanted = self.settings.hypotheses
        if wanted == 1:
            return results[0]
        # with a single silhouette all hypotheses are equal
        return replace(results[0], hypotheses=results if len(results) == wanted else results[:1] * wanted)


def _compose(
    scene: Scene, i: int, frame: np.ndarray, amodal: np.ndarray, colour: np.ndarray, recalled: np.ndarray
) -> FrameResult:
    """`compose`, with visible pixels that are mixed with an occluder or with the background replaced."""
    visible = scene.visible(i)
    cleaned, replaced = clean_rim(frame, visible, amodal | visible)
    colour = np.where((replaced & ~recalled)[..., None], cleaned, colour)
    replaced |= visible & recalled
    return compose(i, frame, visible, amodal, colour, recalled, replaced, scene.matte(i))


def upsample(scene: Scene, silhouette: Silhouette) -> np.ndarray:
    """Scale the added part of a working silhouette up to the canvas, (H, W) bool.

    The edge of the visible part is not changed, so an object that is not occluded stays as it is.
    """
    work = scene.evidence.work
    soft: np.ndarray = np.zeros((work.height, work.width), np.float32)
    near: np.ndarray = np.zeros((work.height, work.width), np.uint8)
    soft[silhouette.window] = silhouette.soft
    near[silhouette.window] = silhouette.added
    size = (scene.width, scene.height)
    if (scene.height, scene.width) != soft.shape:
        soft = cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR)
        near = cv2.resize(cv2.dilate(near, np.ones((3, 3), np.uint8)), size, interpolation=cv2.INTER_NEAREST)
    return (soft > 0.5) & (near > 0)
