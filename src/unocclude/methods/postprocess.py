"""Post-processing shared by the generative methods: from network outputs to frame results."""

from collections.abc import Iterator, Sequence

import numpy as np

from unocclude.completion import FrameResult
from unocclude.media.nearest_fill import fill_edges
from unocclude.methods.compose import compose
from unocclude.methods.framing import Framing
from unocclude.methods.network_inputs import foreground
from unocclude.scene import Scene

SampledFrame = tuple[np.ndarray, np.ndarray]
"""One frame of one sample: amodal mask (H, W) bool and appearance (H, W, 3) uint8."""


def paste_back(framing: Framing, mask: np.ndarray, picture: np.ndarray, clean: bool = True) -> SampledFrame:
    """Paste a network's output back onto the canvas.

    mask: (h, w) bool, the amodal mask. picture: (h, w, 3) uint8, the object on white. clean: replace colours at the
    object's edge with those just inside it, and extend them outwards. Decoded edge pixels are mixed with white, and
    scaling up would mix in more.
    """
    if clean:
        picture = fill_edges(picture, mask)
    return framing.uncrop(mask.astype(np.float32)) > 0.5, framing.uncrop(picture)


def restrict(scene: Scene, i: int, amodal: np.ndarray, within: str) -> np.ndarray:
    """Restrict the amodal mask (H, W) bool of frame i to its completion mask if the option `within` says so."""
    return amodal & scene.completion_mask(i) if within == "completion" else amodal


def majority(pictures: np.ndarray, white: float) -> tuple[np.ndarray, np.ndarray]:
    """Combine K draws of a frame, (K, h, w, 3) float32 in [0, 1], each showing the object on white.

    Returns the mask (h, w) bool where at least half of the draws have the object (see `foreground`), and the mean
    colour (h, w, 3) uint8 of the draws that do.
    """
    found = foreground(pictures, white)
    counted = found | ~found.any(0)
    mean = (pictures * counted[..., None]).sum(0) / counted.sum(0)[..., None]
    return found.mean(0) >= 0.5, (mean * 255).round().astype(np.uint8)


def compose_hypotheses(scene: Scene, shot: range, samples: Sequence[Iterator[SampledFrame]]) -> Iterator[FrameResult]:
    """Frame results of a shot from K samples. The first sample is the result; with K > 1, all are its hypotheses."""
    for i, *frames in zip(shot, *samples, strict=True):
        frame, visible = scene.frame(i), scene.visible(i)
        first, *others = (
            compose(i, frame, visible, amodal, colour, np.zeros_like(visible), matte=scene.matte(i))
            for amodal, colour in frames
        )
        many = (first, *others) if others else ()
        yield FrameResult(first.index, first.amodal, first.rgba, first.provenance, many)


def empty_results(scene: Scene, shot: range) -> Iterator[FrameResult]:
    """Frame results of a shot in which the object is never visible."""
    for i in shot:
        blank = np.zeros((scene.height, scene.width), bool)
        yield compose(i, scene.frame(i), blank, blank, np.zeros_like(scene.frame(i)), blank)
