"""Modal and amodal RGB pairs for content completion as in Diffusion-VAS (section 3.4, figure 2).

Mask sequences of other objects are removed from an unoccluded object.
"""

from collections.abc import Sequence

import numpy as np

from unocclude.synthesis.source_clips import SourceClip
from unocclude.synthesis.world import World

THRESHOLD = 0.7
"""Carving stops when the mean IoU of the remaining and the whole mask falls below this ("a set threshold" in the paper,
with the value of the published code)."""
ROUNDS = 5
"""Maximum number of mask sequences; at least one is used whatever the threshold (published code)."""


def choose_object(sources: Sequence[SourceClip], index: int, seed: int) -> SourceClip:
    """The object of pair `index`; each source is used once before any is used again."""
    turn, k = divmod(index, len(sources))
    return sources[np.random.default_rng([seed, 3, turn]).permutation(len(sources))[k]]


def carve(amodal: Sequence[np.ndarray], masks: Sequence[Sequence[np.ndarray]], threshold: float = THRESHOLD) -> tuple[
    list[np.ndarray], int
]:  # fmt: skip
    """Remove mask sequences, (T, H, W) bool each, one after the other from `amodal`, (T, H, W) bool.

    Continues while the mean IoU with `amodal`, over frames with an object, is at least `threshold`. A sequence that
    would leave nothing in any frame is skipped. Returns the remaining masks and the number of sequences used.
    """
    modal, used = [mask.copy() for mask in amodal], 0
    for sequence in masks:
        if used and mean_visibility(modal, amodal) < threshold:
            break
        left = [mask & ~taken for mask, taken in zip(modal, sequence, strict=True)]
        if any(mask.any() for mask in left):
            modal, used = left, used + 1
    return modal, used


def mean_visibility(modal: Sequence[np.ndarray], amodal: Sequence[np.ndarray]) -> float:
    """Mean of |M ∩ A| / |M ∪ A| over frames with an object; 1 without any."""
    values = [float((m & a).sum() / (m | a).sum()) for m, a in zip(modal, amodal, strict=True) if (m | a).any()]
    return float(np.mean(values)) if values else 1.0


def carve_world(
    object_: SourceClip,
    sources: Sequence[SourceClip],
    seed: int,
    frames: int | None = 25,
    size: tuple[int, int] | None = (256, 128),
    threshold: float = THRESHOLD,
) -> World:
    """A pair as a world.

    `frames` are the modal RGB on white (input of stage 2), `amodal_rgb` the whole object (its target), `visible` the
    carved masks and `amodal` the whole ones. sources: clips whose masks are removed, at their original positions,
    except `object_` itself. frames, size: as published, 25 frames of 256x128, aspect ratio not kept.
    """
    rng = np.random.default_rng(seed)
    numbers = object_.window(frames, rng)
    pictures, amodal = object_.frames(numbers, size), object_.masks(numbers, size)
    shape = amodal[0].shape[::-1]
    others = [source for source in sources if source.name != object_.name] or list(sources)
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
