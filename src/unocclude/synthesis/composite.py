"""Pseudo-occluded clips as in the data set of TGVAC (section 3.2).

The object of one clip is pasted over the unoccluded object of another; the ground truth is the original clip.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np

from unocclude.completion import LazySequence
from unocclude.synthesis.source_clips import SourceClip
from unocclude.synthesis.world import World

VALIDATION = 0.2
"""Fraction of the sources used for validation (section 4.1, "80-20 split")."""
CANDIDATES = 12
"""Number of random occluder trajectories; the one with the mean occlusion rate closest to the target is used."""


def split_sources(sources: Sequence[SourceClip], seed: int) -> dict[str, str]:
    """Assign each source, by name, to "train" or "val", about 80 to 20, so that no object is in both."""
    order = np.random.default_rng([seed, 80, 20]).permutation(len(sources))
    held_out = {int(k) for k in order[: round(VALIDATION * len(sources))]}
    return {source.name: "val" if k in held_out else "train" for k, source in enumerate(sources)}


def choose_pair(sources: Sequence[SourceClip], index: int, seed: int) -> tuple[SourceClip, SourceClip]:
    """Object and occluder of clip `index`.

    Each source is the object once before any is again. The occluder is another source, of the same split if possible.
    """
    turn, k = divmod(index, len(sources))
    order = np.random.default_rng([seed, 1, turn]).permutation(len(sources))
    object_ = sources[order[k]]
    splits = split_sources(sources, seed)
    others = [source for source in sources if source is not object_]
    same = [source for source in others if splits[source.name] == splits[object_.name]]
    pool = same or others
    return object_, pool[int(np.random.default_rng([seed, 2, index]).integers(len(pool)))]


def composite_world(
    object_: SourceClip, occluder: SourceClip, seed: int, frames: int | None = None, size: tuple[int, int] | None = None
) -> World:
    """Paste the object of `occluder` over the unoccluded object of `object_`.

    frames: number of frames, None for all unoccluded ones. size: (width, height), None for that of the source. The
    target of the mean occlusion rate is random, 0.05 to 0.65 (Table 1 has means of 0.29 to 0.39). The occluder keeps
    its own motion inside its box while the box moves over the object. Its edge is soft only inwards, so that visible
    pixels equal the source's, bit for bit.
    """
    rng = np.random.default_rng(seed)
    numbers = object_.window(frames, rng)
    cut = _CutOut(occluder, occluder.window(len(numbers), rng))
    laid = _Composite(object_, numbers, size, cut, rng)
    parts: Any = [LazySequence(len(numbers), partial(laid.part, k)) for k in range(5)]
    world = World(parts[0], parts[1], parts[2], parts[3], parts[4], object_.fps)
    world.about.update(
        kind="composite", seed=seed, caption=object_.caption, dataset=object_.dataset, instance=object_.name,
        occluder={"class": occluder.label, "instance": occluder.name},
        **{"class": object_.label},
    )  # fmt: skip
    return world


class _Composite:
    """The frames of a composite, made one by one, so that memory does not grow with the clip."""

    def __init__(
        self,
        object_: SourceClip,
        numbers: np.ndarray,
        size: tuple[int, int] | None,
        cut: "_CutOut",
        rng: np.random.Generator,
    ):
        self.object_, self.numbers, self.size, self.cut = object_, numbers, size, cut
        masks = LazySequence(len(numbers), self._mask)
        self.ways = _aim(masks, cut, rng)
        self.made: tuple[int, tuple[np.ndarray, ...]] = (-1, ())

    def _mask(self, k: int) -> np.ndarray:
        return self.object_.masks(self.numbers[k : k + 1], self.size)[0]

    def part(self, which: int, k: int) -> np.ndarray:
        """Part `which` of frame k, in the order of `World`'s fields; the last frame is kept."""
        if self.made[0] != k:
            self.made = (k, self._make(k))
        return self.made[1][which]

    def _make(self, k: int) -> tuple[np.ndarray, ...]:
        picture, mask = self.object_.frames(self.numbers[k : k + 1], self.size)[0], self._mask(k)
        height, width = mask.shape
        laid = cv2.warpAffine(self.cut[k], self.ways[k], (width, height), flags=cv2.INTER_LINEAR)
        opacity = np.where(laid[..., 3] >= 128, laid[..., 3], 0).astype(np.uint8)
        share = opacity[..., None].astype(np.float32) / 255
        colour = laid[..., :3] * (255 / np.maximum(laid[..., 3:], 1))
        frame = np.clip(np.rint(colour * share + picture * (1 - share)), 0, 255).astype(np.uint8)
        whole = np.where(mask[..., None], picture, 0).astype(np.uint8)
        return frame, mask & (opacity == 0), mask, whole, opacity[None]


class _CutOut:
    """The occluder alone in each frame, premultiplied RGBA (h, w, 4) uint8, cropped to its box over all frames, with a
    margin."""

    def __init__(self, source: SourceClip, numbers: np.ndarray):
        self.source, self.numbers = source, numbers
        low, high = np.full(2, np.iinfo(int).max), np.zeros(2, int)
        for k in range(len(numbers)):
            mask = self._mask(k)
            for axis in (0, 1):
                found = np.flatnonzero(mask.any(1 - axis))
                if len(found):
                    low[axis], high[axis] = min(low[axis], found[0]), max(high[axis], found[-1] + 1)
        self.box = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])))

    def __len__(self) -> int:
        return len(self.numbers)

    def _mask(self, k: int) -> np.ndarray:
        return self.source.masks(self.numbers[k : k + 1], None)[0]

    def alpha(self, k: int) -> np.ndarray:
        """Opacity in frame k, (h, w) uint8; soft only inwards, because outside the mask is the source's background."""
        inside = np.pad(self._mask(k)[self.box], 2)
        return np.where(inside, cv2.GaussianBlur(inside.astype(np.uint8) * 255, (3, 3), 0), 0).astype(np.uint8)

    def __getitem__(self, k: int) -> np.ndarray:
        alpha = self.alpha(k)
        picture = self.source.frames(self.numbers[k : k + 1], None)[0]
        rgb = np.pad(picture[self.box], ((2, 2), (2, 2), (0, 0)), mode="edge")
        share = alpha[..., None].astype(np.float32) / 255
        return np.dstack([np.rint(rgb * share).astype(np.uint8), alpha])


def _aim(amodal: Sequence[np.ndarray], cut: _CutOut, rng: np.random.Generator) -> np.ndarray:
    """The occluder's trajectory (T, 2, 3), maps from cut-out to frame pixels, with an occlusion rate near a random
    target."""
    wanted = rng.uniform(0.05, 0.65)
    middles, reach = _middles(amodal)
    things = [cut.alpha(k) for k in range(len(cut))]
    tops, tall = _middles([thing > 127 for thing in things])
    # candidates are evaluated on small masks
    small = min(1.0, 72 / max(amodal[0].shape))
    size = tuple(max(1, round(side * small)) for side in amodal[0].shape[::-1])
    masks = [cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 127 for mask in amodal]
    areas = np.array([max(1, int(mask.sum())) for mask in masks])
    best, gap = np.zeros((len(amodal), 2, 3)), np.inf
    for _ in range(CANDIDATES):
        ways = _way(middles, reach, tops, tall, rng)
        hidden = []
        for mask, thing, way in zip(masks, things, ways, strict=True):
            here = way * small
            here[:, 2] += (small - 1) / 2
            hidden.append(int((mask & (cv2.warpAffine(thing, here, size) >= 128)).sum()))
        rate = float((np.array(hidden) / areas).mean())
        if abs(rate - wanted) < gap and (rate > 0 or not np.isfinite(gap)):
            best, gap = ways, abs(rate - wanted)
    return best


def _middles(masks: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
    """Centres (x, y) of the masks' boxes, (T, 2), smoothed over time, and the median diagonal."""
    middles, diagonals = [], []
    for mask in masks:
        ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(ys):
            middles.append(((xs[0] + xs[-1]) / 2, (ys[0] + ys[-1]) / 2))
            diagonals.append(np.hypot(xs[-1] - xs[0] + 1, ys[-1] - ys[0] + 1))
        else:
            middles.append(middles[-1] if middles else (mask.shape[1] / 2, mask.shape[0] / 2))
    points = np.array(middles)
    padded = np.pad(points, ((2, 2), (0, 0)), mode="edge")
    smooth = np.mean([padded[k : k + len(points)] for k in range(5)], axis=0)
    return smooth, float(np.median(diagonals)) if diagonals else 1.0


def _way(middles: np.ndarray, reach: float, tops: np.ndarray, tall: float, rng: np.random.Generator) -> np.ndarray:
    """A random trajectory of the occluder: it crosses the object, follows it for a while, or stays over it."""
    count = len(middles)
    time = np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
    scale = rng.uniform(0.5, 1.2) * reach / max(tall, 1)
    flip = float(rng.choice([-1, 1]))
    follow = rng.uniform(0, 1)  # 0: relative to the object's mean position; 1: relative to its position in each frame
    base = follow * middles + (1 - follow) * middles.mean(0)
    angle = rng.normal(0, 0.35) + (np.pi if rng.uniform() < 0.5 else 0)
    travel = rng.uniform(0.1, 1.4) * reach * (time - rng.uniform(-0.5, 0.5))
    sway = rng.uniform(0, 0.12) * reach * np.sin(np.pi * rng.uniform(0.5, 2) * time + rng.uniform(0, 6))
    aside = rng.uniform(-0.35, 0.35) * reach + sway
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    centres = base + travel[:, None] * along + aside[:, None] * across
    grow = scale * (1 + rng.uniform(-0.15, 0.15) * time)
    ways = np.zeros((count, 2, 3))
    ways[:, 0, 0], ways[:, 1, 1] = flip * grow, grow
    ways[:, 0, 2] = centres[:, 0] - flip * grow * tops[:, 0]
    ways[:, 1, 2] = centres[:, 1] - grow * tops[:, 1]
    return ways
