"""Modal and amodal RGB pairs for content completion as in Diffusion-VAS (section 3.4, figure 2): an unoccluded object,
out of which the mask sequences of other objects are carved."""

from collections.abc import Sequence

import numpy as np

from unocclude.synthesis.sources import Source
from unocclude.synthesis.world import World

THRESHOLD = 0.7
"""Carving ends when the mean IoU of what is left and the whole falls below this ("a set threshold"; the value is that
of the published code)."""
ROUNDS = 5
"""Carved at most so often, and at least once, whatever the threshold says (published code)."""


def choose_object(sources: Sequence[Source], index: int, seed: int) -> Source:
    """The object of pair `index`: every source once before any comes again."""
    turn, k = divmod(index, len(sources))
    return sources[np.random.default_rng([seed, 3, turn]).permutation(len(sources))[k]]


def carve(amodal: Sequence[np.ndarray], masks: Sequence[Sequence[np.ndarray]], threshold: float = THRESHOLD) -> tuple[
    list[np.ndarray], int
]:  # fmt: skip
    """What is left of `amodal`, (T, H, W) bool, when mask sequences (T, H, W each) are taken away one after the other,
    frame i from frame i, and how many were used: the next is used while the mean IoU with `amodal`, over frames that
    have an object, is not below `threshold`. One that would leave nothing in any frame is passed over."""
    modal, used = [mask.copy() for mask in amodal], 0
    for sequence in masks:
        if used and mean_visibility(modal, amodal) < threshold:
            break
        left = [mask & ~taken for mask, taken in zip(modal, sequence, strict=True)]
        if any(mask.any() for mask in left):
            modal, used = left, used + 1
    return modal, used


def mean_visibility(modal: Sequence[np.ndarray], amodal: Sequence[np.ndarray]) -> float:
    """Mean over frames that have an object of |M ∩ A| / |M ∪ A|; 1 where no frame has."""
    values = [float((m & a).sum() / (m | a).sum()) for m, a in zip(modal, amodal, strict=True) if (m | a).any()]
    return float(np.mean(values)) if values else 1.0


def carve_world(
    object_: Source,
    sources: Sequence[Source],
    seed: int,
    frames: int | None = 25,
    size: tuple[int, int] | None = (256, 128),
    threshold: float = THRESHOLD,
) -> World:
    """A pair as a world: `frames` are the modal RGB on white (the second stage's input), `amodal_rgb` the whole object
    (its target), `visible` what carving left and `amodal` the whole.

    `sources`: whose masks carve, where they lie in their own frames; `object_` itself does not. frames, size: as
    published, 25 frames of 256x128, aspect ratio not kept.
    """
    rng = np.random.default_rng(seed)
    numbers = object_.window(frames, rng)
    pictures, amodal = object_.frames(numbers, size), object_.masks(numbers, size)
    shape = amodal[0].shape[::-1]
    others = [source for source in sources if source.name != object_.name]
    drawn = [others[int(k)] for k in rng.integers(len(others), size=ROUNDS)]
    windows = [source.window(len(numbers), rng) for source in drawn]
    masks = [source.masks(own, shape, amodal=True) for source, own in zip(drawn, windows, strict=True)]
    modal, used = carve(amodal, masks, threshold)
    world = World([], [], [], [], [], object_.fps)
    for picture, whole, left in zip(pictures, amodal, modal, strict=True):
        world.frames.append(np.where(left[..., None], picture, 255).astype(np.uint8))
        world.amodal.append(whole)
        world.visible.append(left)
        world.amodal_rgb.append(np.where(whole[..., None], picture, 0).astype(np.uint8))
        world.occluders.append(((whole & ~left).astype(np.uint8) * 255)[None])
    world.about.update(
        kind="carve", seed=seed, caption=object_.caption, dataset=object_.dataset, instance=object_.name,
        carved_with=[source.name for source in drawn[:used]], **{"class": object_.label},
    )  # fmt: skip
    return world
