"""Occlusion order: which of several masks in an image occludes which other.

From InstaOrderNet, from a depth map or, for one object of a clip, from occlusion evidence. All return a matrix (N, N)
bool, true at [i, j] if mask i occludes mask j.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from pathlib import Path

import cv2
import numpy as np

from unocclude import weights as checkpoints
from unocclude.errors import InputError
from unocclude.motion.evidence import UNKNOWN
from unocclude.networks import device_for
from unocclude.perception.depth import NEARNESS, OBJECT, DepthAnything, LayerDepth, Layered
from unocclude.perception.prepare import normalised

DEFAULT = "instaorder-od"
SIDE = 384
TOGETHER = 8
"""Pairs per batch, each in both directions."""

NEARER, FARTHER, EQUAL = 1, 0, 2
ANSWERS = ((NEARER, FARTHER), (FARTHER, NEARER), (EQUAL, EQUAL))
"""Meaning of the network's depth classes for the first and for the second mask."""


@dataclass(frozen=True, eq=False)
class Orders:
    """Order of N masks.

    over: (N, N) bool, true at [i, j] if i occludes j; both directions may be true, or neither. depth: (N, N) int8, at
    [i, j] NEARER if i is nearer than j, FARTHER or EQUAL; -1 for pairs that were not compared.
    """

    over: np.ndarray
    depth: np.ndarray


class InstaOrder:
    """InstaOrderNet_od (Lee, Park, CVPR 2022).

    weights: the checkpoint's id, or a folder that holds its file. Raises InputError if it is missing or does not fit.
    """

    def __init__(self, weights: str | Path = DEFAULT, device: str = "auto"):
        folder = checkpoints.resolve_checkpoint(weights, DEFAULT)
        self.device = device_for("occlusion order", device, extra="diffusion")
        from unocclude.networks.instaorder import load

        file = checkpoints.CHECKPOINTS[DEFAULT].parts[0].files[0]
        self.network = load(checkpoints.part_file(folder, file)).to(self.device)

    def __call__(self, image: np.ndarray, masks: Sequence[np.ndarray], query: int | None = None) -> np.ndarray:
        """Occlusion order (N, N) bool; see `orders`."""
        return self.orders(image, masks, query).over

    def orders(self, image: np.ndarray, masks: Sequence[np.ndarray], query: int | None = None) -> Orders:
        """Order of N masks (H, W), bool or non-zero, in an image (H, W, 3) uint8 RGB.

        query: index of the mask to compare with all others; by default all pairs are compared. As published, the whole
        image is scaled to 384 x 384, masks are two more channels, and each pair is averaged over both directions; i
        occludes j if that probability exceeds 0.5. Raises InputError if masks and image differ in size.
        """
        import torch

        check(image.shape[:2], masks, query)
        orders = Orders(np.zeros((len(masks), len(masks)), bool), np.full((len(masks), len(masks)), -1, np.int8))
        # on floats, which keeps the overshoot of cubic interpolation
        small = cv2.resize(np.divide(image, 255, dtype=np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        picture = torch.from_numpy(normalised(small)).to(self.device)
        remaining = pairs(len(masks), query)
        while chosen := list(islice(remaining, TOGETHER)):
            wanted = {k for pair in chosen for k in pair}
            shown = {k: torch.from_numpy(_small(masks[k])).to(self.device) for k in wanted}
            there = [torch.cat([shown[i], shown[j], picture]) for i, j in chosen]
            back = [torch.cat([shown[j], shown[i], picture]) for i, j in chosen]
            with torch.inference_mode():
                occlusion, depth = self.network(torch.stack(there + back))
            occlusion, depth = occlusion.sigmoid().float().cpu(), depth.softmax(-1).float().cpu()
            count = len(chosen)
            first_over = (occlusion[:count, 1] + occlusion[count:, 0]) / 2
            second_over = (occlusion[:count, 0] + occlusion[count:, 1]) / 2
            nearest = ((depth[:count] + depth[count:, [1, 0, 2]]) / 2).argmax(-1)
            for k, (i, j) in enumerate(chosen):
                orders.over[i, j], orders.over[j, i] = bool(first_over[k] > 0.5), bool(second_over[k] > 0.5)
                orders.depth[i, j], orders.depth[j, i] = ANSWERS[int(nearest[k])]
        return orders


def _small(mask: np.ndarray) -> np.ndarray:
    small = cv2.resize((np.asarray(mask) != 0).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    return small[None]


REACH = 0.01
"""Depth is compared within this distance of the shared boundary, relative to the image's longer side; at least 2 px."""

STEP = 0.02
"""Minimum depth difference that counts, relative to the range of the image's depth."""


def by_depth(depth: np.ndarray, masks: Sequence[np.ndarray], query: int | None = None) -> np.ndarray:
    """Occlusion order from a depth map, (N, N) bool.

    depth: (H, W), larger is nearer. query: as in `InstaOrder.orders`. Mask i occludes mask j if its mean depth near
    their shared boundary is nearer by more than `STEP` of the depth range. "Near" means within `REACH` of the other
    mask. Pixels in both masks are ignored, unless one mask lies inside the other. Masks that do not come that close do
    not occlude each other.
    """
    check(depth.shape, masks, query)
    over = np.zeros((len(masks), len(masks)), bool)
    reach = max(2, round(REACH * max(depth.shape)))
    least = STEP * float(np.ptp(depth)) if depth.size else 0.0
    for i, j in pairs(len(masks), query):
        first, second = np.asarray(masks[i]) != 0, np.asarray(masks[j]) != 0
        shared = first & second
        first, second = (own if (own := mask & ~shared).any() else mask for mask in (first, second))
        here = _meeting(first, second, reach)
        first, second = first[here], second[here]
        first, second = first & _within(reach, second), second & _within(reach, first)
        if first.any() and second.any():
            step = float(depth[here][first].mean(dtype=np.float64) - depth[here][second].mean(dtype=np.float64))
            over[i, j], over[j, i] = step > least, -step > least
    return over


def _meeting(first: np.ndarray, second: np.ndarray, reach: int) -> tuple[slice, slice]:
    """The window that contains all pixels of two masks within `reach` of the other mask."""
    boxes = np.array([cv2.boundingRect(mask.astype(np.uint8)) for mask in (first, second)])
    left, top = np.maximum(boxes[:, :2] - reach, 0).max(0)
    right, bottom = (boxes[:, :2] + boxes[:, 2:] + reach).min(0)
    return slice(top, max(top, bottom)), slice(left, max(left, right))


def _within(reach: float, mask: np.ndarray) -> np.ndarray:
    """Pixels within distance `reach` of a mask."""
    if not mask.any():
        return mask
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= reach


class DepthOrder:
    """Occlusion order from predicted depth and `by_depth`, a substitute for InstaOrderNet.

    depth: a function from (H, W, 3) uint8 RGB to depth (H, W), larger is nearer; by default Depth Anything V2, which
    raises InputError if its weights are missing.
    """

    def __init__(self, depth: Callable[[np.ndarray], np.ndarray] | None = None, device: str = "auto"):
        self.depth = depth or DepthAnything(device=device)

    def __call__(self, image: np.ndarray, masks: Sequence[np.ndarray], query: int | None = None) -> np.ndarray:
        """Occlusion order (N, N) bool; see `by_depth`."""
        check(image.shape[:2], masks, query)
        return by_depth(self.depth(image), masks, query)


def best(device: str = "auto") -> InstaOrder | DepthOrder:
    """InstaOrderNet if its weights are present, else order by depth. Raises InputError if weights of both are
    missing."""
    return InstaOrder(device=device) if checkpoints.is_present(DEFAULT) else DepthOrder(device=device)


CLOSE = 4
"""Minimum distance in working pixels within which evidence around the object is used, larger than its blur."""


def by_evidence(scene: Layered, i: int, masks: Sequence[np.ndarray], query: int) -> np.ndarray:
    """Occlusion order of the scene's object and other masks in frame i, from occlusion evidence: (N, N) bool.

    masks: on the canvas; `query` is the index of the object's mask, and only its row and column are filled. Pixels of a
    mask close to the object (`CLOSE`, `REACH`) vote: those labelled foreign or still, and given occluders, for the mask
    in front of the object; background, for the object in front of the mask. Unknown pixels do not vote.
    """
    check((scene.height, scene.width), masks, query)
    depth = LayerDepth(scene)(i)
    says = np.where(depth == np.float32(NEARNESS[UNKNOWN]), 0, np.sign(depth - OBJECT))
    reach = max(CLOSE / scene.evidence.work.scale, REACH * max(depth.shape))
    near = _within(reach, np.asarray(masks[query]) != 0)
    over = np.zeros((len(masks), len(masks)), bool)
    for _, k in pairs(len(masks), query):
        balance = says[near & (np.asarray(masks[k]) != 0)].sum()
        over[k, query], over[query, k] = balance > 0, balance < 0
    return over


def pairs(count: int, query: int | None = None) -> Iterator[tuple[int, int]]:
    """Pairs of masks to compare: all, or those with `query`."""
    if query is None:
        return combinations(range(count), 2)
    return ((query, k) for k in range(count) if k != query)


def check(shape: tuple[int, ...], masks: Sequence[np.ndarray], query: int | None = None) -> None:
    """Raise InputError unless all masks have the image's size and `query` is the index of one of them."""
    for k, mask in enumerate(masks):
        if mask.shape != tuple(shape):
            raise InputError(
                f"mask {k} has shape {mask.shape}, the image is {tuple(shape)}; they must be the same size"
            )
    if query is not None and not 0 <= query < len(masks):
        raise InputError(f"there is no mask {query}; there are {len(masks)}")
