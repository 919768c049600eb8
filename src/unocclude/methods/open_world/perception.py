"""What the iteration asks of perception: the object's name, what is in front of it, and its mask when it was drawn.

The published networks answer where they are given (`Perception`); elsewhere what the user says is in front, our own
evidence, and a cut by colours do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from unocclude.clip import Clip
from unocclude.methods.open_world.crop import put, resized
from unocclude.methods.open_world.rules import BACKGROUND, Parity
from unocclude.methods.open_world.segments import in_front
from unocclude.motion.hull import bites, hull
from unocclude.perception.colours import ColourGrid, colour_bins
from unocclude.perception.graphcut import CERTAIN, min_cut
from unocclude.perception.prompt import Prompt
from unocclude.perception.segment import segment
from unocclude.scene import Scene

NAMELESS = "single object"
"""What is asked for where nobody says what the object is."""

CUT_SIZE = 480
"""Pixels of the longer side at which the drawn object is cut out by colours."""

RARE = 1e-3
"""Share of an area below which a colour says little of it."""

HULL, BEYOND = 1.0, 0.5
"""Log-odds of a pixel inside and beyond the visible part's hull: what is neither's colour was drawn as the object's, on
a backdrop that is known."""

TOUCHED, DIMINISHED = 0.1, 0.75
"""A frame of a clip is held to hide its object where at least this share of the outline has something foreign beside
it, or less than this share of the area nearby is seen."""


@dataclass(frozen=True)
class Perception:
    """The published networks, as far as they are at hand. Images are (H, W, 3) uint8 RGB, masks (H, W) bool.

    tags: an image's tags (RAM++). ground: boxes (N, 4), phrases and scores of what a caption names in an image
    (Grounding DINO, which lower-cases the caption and ends it with a dot). segment: masks (N, H, W) of boxes (SAM).
    choose: which of some names fits an image's masked part best (CLIP). order: (N, N), true at [i, j] where mask i lies
    over mask j; only the pairs with one mask, the third argument, are needed (InstaOrder).
    """

    tags: Callable[[np.ndarray], list[str]] | None = None
    ground: Callable[[np.ndarray, str], tuple[np.ndarray, list[str], np.ndarray]] | None = None
    segment: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    choose: Callable[[np.ndarray, np.ndarray, list[str]], str] | None = None
    order: Callable[[np.ndarray, Sequence[np.ndarray], int], np.ndarray] | None = None

    @property
    def finds(self) -> bool:
        """Whether objects can be found and put in order."""
        return None not in (self.ground, self.segment, self.order)


class Sight:
    """Perception of one image and the object in it.

    words: what the user calls the object, "" where nothing was said.
    """

    def __init__(self, perception: Perception, rules: Parity, image: np.ndarray, visible: np.ndarray, words: str):
        self.perception, self.rules, self.image, self.visible, self.words = perception, rules, image, visible, words

    @cached_property
    def tags(self) -> list[str]:
        """What is in the image, `BACKGROUND` among it; nothing where no network says so."""
        return [*self.perception.tags(self.image), BACKGROUND] if self.perception.tags else []

    @cached_property
    def name(self) -> str:
        """What the object is called: the tag, or the user's words, that fits it best."""
        names = self.rules.names(self.tags) + [self.words] * bool(self.words)
        if self.perception.choose and names:
            return self.perception.choose(self.image, self.visible, names)
        return self.words or NAMELESS

    def find(self, image: np.ndarray) -> list[np.ndarray]:
        """Masks of all that the tags name in an image, and of what has the object's name where none of them has."""
        assert self.perception.ground and self.perception.segment
        boxes: list[np.ndarray] = []
        phrases: list[str] = []
        if self.tags:
            found, phrases, _ = self.perception.ground(image, ". ".join(self.tags))
            boxes += list(found)
        if self.name not in phrases:
            boxes += list(self.perception.ground(image, self.name)[0])
        return list(self.perception.segment(image, np.array(boxes, np.float32))) if boxes else []

    def in_front(self) -> np.ndarray | None:
        """What lies over the object, by the networks: (H, W) bool. None where the rules give up as nothing was
        found."""
        assert self.perception.order
        masks = self.find(self.image)
        if not masks and self.rules.needs_detections:
            return None
        masks.append(self.visible)
        query = len(masks) - 1
        masks += self.rules.background(masks)
        return in_front(masks, self.perception.order(self.image, masks, query), query) & ~self.visible

    def again(
        self, drawn: np.ndarray, query: np.ndarray, visible: np.ndarray, allowed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """The completed object in the generator's picture and what still lies over it, (h, w) bool both; None where it
        is given up. allowed: where it may be, besides `visible`."""
        candidates = self.find(drawn) if self.perception.finds else [cut_by_colours(drawn, visible, allowed)]
        found = self.rules.amodal(candidates, query, visible, allowed)
        if found is None:
            return None
        index, amodal = found
        nothing = np.zeros_like(amodal)
        if index is None or not self.perception.order or len(candidates) == 1:
            return amodal, nothing
        return amodal, in_front(candidates, self.perception.order(drawn, candidates, index), index) & ~amodal


def evident_occluders(scene: Scene, i: int, scale: float) -> np.ndarray:
    """What may hide the object of frame i where no network says so, (h, w) bool of the frame's size times `scale`.

    What the user gave; else, in a clip, the completion mask of a frame in which something seems to touch or to have
    diminished the object; else, in a still, what lies in the pockets of its outline.
    """
    if scene.given_occluders is not None:
        return resized(scene.given_occluders[i], scale)
    if len(scene.clip.shot_of(i)) == 1:
        return in_the_pockets(resized(scene.clip[i], scale), resized(scene.track[i], scale))
    evidence = scene.evidence
    if evidence.contact[i] < TOUCHED and evidence.trajectory.ratio[i] >= DIMINISHED:
        return resized(np.zeros_like(scene.track[i]), scale)
    x, y = scene.offset
    open_ = scene.completion_mask(i)[y : y + scene.clip.height, x : x + scene.clip.width]
    return resized(open_, scale)


def in_the_pockets(image: np.ndarray, visible: np.ndarray, size: int = 480) -> np.ndarray:
    """What lies in the deep and wide pockets of an object's outline, as an occluder cuts them: (H, W) bool.

    Each pocket, and the segment around its deepest point, wherever that reaches. image: (H, W, 3) uint8 RGB. Pockets
    are looked for on at most `size` pixels of the object's box.
    """
    found = np.zeros_like(visible)
    x, y, w, h = cv2.boundingRect(visible.astype(np.uint8))
    if not w:
        return found
    scale = min(1.0, size / max(w, h))
    part = resized(visible[y : y + h, x : x + w], scale)
    pockets = bites(np.pad(part, 1))[1:-1, 1:-1].astype(np.uint8)
    put(found, cv2.resize(pockets, (w, h), interpolation=cv2.INTER_NEAREST) > 0, y, x)
    clip = Clip.from_frames([image])
    count, labels = cv2.connectedComponents(pockets)
    depth = cv2.distanceTransform(pockets, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    for k in range(1, count):
        row, column = np.unravel_index(np.argmax(np.where(labels == k, depth, 0)), depth.shape)
        point = (x + float(column) * w / part.shape[1], y + float(row) * h / part.shape[0])
        found |= segment(clip, Prompt(points=(point,)))
    return found & ~visible


def cut_by_colours(drawn: np.ndarray, visible: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """The completed object in the generator's picture, (h, w) bool: the visible part, and what of the `allowed` part
    goes with it by its colours.

    A minimum cut: colours of the visible part against those of everything that is neither visible nor allowed. Only
    what is connected with the visible part counts.
    """
    scale = min(1.0, CUT_SIZE / max(visible.shape))
    seen, open_ = resized(visible, scale), resized(allowed & ~visible, scale)
    if not seen.any() or not open_.any():
        return visible
    lab = cv2.cvtColor(resized(drawn, scale), cv2.COLOR_RGB2LAB)
    bins, anywhere, grid = colour_bins(lab), np.zeros(seen.shape), ColourGrid()
    grid.add(bins, anywhere, anywhere, seen.astype(np.float32), (~open_ | seen).astype(np.float32))
    own, other = (
        counts / max(total, 1) for counts, total in zip(grid.look(bins, anywhere, anywhere), grid.totals, strict=True)
    )
    logit = np.log((own + RARE) / (other + RARE)) + np.where(hull(seen), HULL, BEYOND)
    logit[~open_] = -CERTAIN
    logit[seen] = CERTAIN
    cut = min_cut(logit, lab)
    _, pieces = cv2.connectedComponents(cut.astype(np.uint8), connectivity=4)
    cut &= np.isin(pieces, np.unique(pieces[seen]))
    whole = cv2.resize(cut.astype(np.float32), visible.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    return visible | (whole & allowed)
