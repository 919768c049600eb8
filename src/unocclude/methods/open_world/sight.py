"""What the iteration asks of perception: the object's name, what is in front of it, and its mask when it was drawn.

The published networks answer where they are given (`Perception`); elsewhere what the user says is in front, our own
evidence, and a cut by colours do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from unocclude.methods.open_world.geometry import put
from unocclude.methods.open_world.rules import BACKGROUND, Parity
from unocclude.methods.open_world.segments import in_front
from unocclude.motion.hull import bites, hull
from unocclude.perception.segment import decide
from unocclude.scene import Scene

NAMELESS = "single object"
"""What is asked for where nobody says what the object is."""

CUT_SIZE = 320
"""Pixels of the longer side at which the drawn object is cut out by colours."""


@dataclass(frozen=True)
class Perception:
    """The published networks, as far as they are at hand. Images are (H, W, 3) uint8 RGB, masks (H, W) bool.

    tags: an image's tags (RAM++). ground: boxes (N, 4), phrases and scores of what a caption names in an image
    (Grounding DINO, which lower-cases the caption and ends it with a dot). segment: masks (N, H, W) of boxes (SAM).
    choose: which of some names fits an image's masked part best (CLIP). order: (N, N), true at [i, j] where mask i lies
    over mask j (InstaOrder).
    """

    tags: Callable[[np.ndarray], list[str]] | None = None
    ground: Callable[[np.ndarray, str], tuple[np.ndarray, list[str], np.ndarray]] | None = None
    segment: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    choose: Callable[[np.ndarray, np.ndarray, list[str]], str] | None = None
    order: Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray] | None = None

    @property
    def finds(self) -> bool:
        """Whether objects can be found and put in order."""
        return None not in (self.ground, self.segment, self.order)


class Sight:
    """Perception of one image and the object in it.

    words: what the user calls the object, "" where nothing was said. tags and `name` are worked out at once.
    """

    def __init__(self, perception: Perception, rules: Parity, image: np.ndarray, visible: np.ndarray, words: str):
        self.perception, self.rules, self.image = perception, rules, image
        self.tags = [*perception.tags(image), BACKGROUND] if perception.tags else []
        names = rules.names(self.tags) + [words] * bool(words)
        self.name = words or NAMELESS
        if perception.choose and names:
            self.name = perception.choose(image, visible, names)

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

    def in_front(self, visible: np.ndarray) -> np.ndarray | None:
        """What lies over the object, by the networks: (H, W) bool. None where the rules give up as nothing was
        found."""
        assert self.perception.order
        masks = self.find(self.image)
        if not masks and self.rules.needs_detections:
            return None
        masks.append(visible)
        query = len(masks) - 1
        masks += self.rules.background(masks)
        return in_front(masks, self.perception.order(self.image, masks), query) & ~visible

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
        return amodal, in_front(candidates, self.perception.order(drawn, candidates), index) & ~amodal


def evident_occluders(scene: Scene, i: int) -> np.ndarray:
    """What may hide the object of frame i where no network says so, (H, W) bool of the frame's size.

    What the user gave; else, in a clip, the completion mask of a frame in which something seems to touch or to have
    diminished the object; else, in a still, pockets of its hull that are deep and wide.
    """
    if scene.given_occluders is not None:
        return scene.given_occluders[i]
    visible = scene.track[i]
    if len(scene.clip.shot_of(i)) == 1:
        return pockets(visible)
    if scene.evidence.untouched(i):
        return np.zeros_like(visible)
    x, y = scene.offset
    open_ = scene.completion_mask(i)[y : y + scene.clip.height, x : x + scene.clip.width]
    return open_ & ~visible


def pockets(visible: np.ndarray, size: int = 480) -> np.ndarray:
    """The hull's pockets in which something may lie in front of the object, (H, W) bool; worked out on at most `size`
    pixels of the object's box."""
    found = np.zeros_like(visible)
    x, y, w, h = cv2.boundingRect(visible.astype(np.uint8))
    if not w:
        return found
    scale = min(1.0, size / max(w, h))
    part = visible[y : y + h, x : x + w]
    small = cv2.resize(part.astype(np.uint8), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    deep = bites(np.pad(small > 0, 1))[1:-1, 1:-1]
    put(found, cv2.resize(deep.astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST) > 0, y, x)
    return found & ~visible


def cut_by_colours(drawn: np.ndarray, visible: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """The completed object in the generator's picture, (h, w) bool: the visible part and what GrabCut adds to it.

    The object's colours are those of the visible part, the background's those of everything that is neither visible nor
    `allowed`; only what is connected with the visible part counts.
    """
    scale = min(1.0, CUT_SIZE / max(visible.shape))
    size = (max(1, round(visible.shape[1] * scale)), max(1, round(visible.shape[0] * scale)))

    def small(mask: np.ndarray) -> np.ndarray:
        return cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 127

    seen, open_ = small(visible), small(allowed & ~visible)
    if not seen.any() or not open_.any():
        return visible
    labels = np.where(open_, np.where(hull(seen), cv2.GC_PR_FGD, cv2.GC_PR_BGD), cv2.GC_BGD).astype(np.uint8)
    labels[seen] = cv2.GC_FGD
    if not np.isin(labels, (cv2.GC_BGD, cv2.GC_PR_BGD)).any():
        return visible | allowed
    cut = decide(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), labels, rounds=5)
    _, pieces = cv2.connectedComponents(cut.astype(np.uint8), connectivity=4)
    cut &= np.isin(pieces, np.unique(pieces[seen]))
    whole = cv2.resize(cut.astype(np.float32), visible.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    return visible | (whole & allowed)
