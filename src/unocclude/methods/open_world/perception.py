"""Perception of one object: its name, its occluders, and its mask in an inpainted picture.

The published networks (`PerceptionNetworks`) are used if present. Otherwise occluders are given by the user or come
from our own evidence, and masks from a segmentation by colour.
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
from unocclude.motion.hull import hull, occlusion_concavities
from unocclude.perception.colours import ColourGrid, colour_bins
from unocclude.perception.graphcut import CERTAIN, min_cut
from unocclude.perception.prompt import Cue
from unocclude.perception.segment import segment
from unocclude.scene import Scene

NAMELESS = "single object"
"""Name in the prompt for an object without a description."""

CUT_SIZE = 480
"""Longer side in pixels at which an inpainted object is segmented by colour."""

RARE = 1e-3
"""Relative frequency below which a colour is weak evidence."""

HULL, BEYOND = 1.0, 0.5
"""Prior log-odds of a pixel inside and outside the convex hull of the visible part. Both are positive: a pixel with an
unknown colour was inpainted as part of the object, because the backdrop is known."""

TOUCHED, DIMINISHED = 0.1, 0.75
"""An object in a clip counts as occluded if at least this fraction of its outline touches something foreign, or if less
than this fraction of its area in nearby frames is visible."""


@dataclass(frozen=True)
class PerceptionNetworks:
    """The published networks; None for those whose weights are missing.

    Images are (H, W, 3) uint8 RGB, masks (H, W) bool. tags: tags of an image (RAM++). ground: boxes (N, 4), phrases and
    scores of what a caption names in an image (Grounding DINO). segment: masks (N, H, W) of boxes (SAM). choose: the
    name that best fits the masked part of an image (CLIP). order: (N, N), true at [i, j] if mask i occludes mask j, for
    pairs with one mask, the third argument (InstaOrder).
    """

    tags: Callable[[np.ndarray], list[str]] | None = None
    ground: Callable[[np.ndarray, str], tuple[np.ndarray, list[str], np.ndarray]] | None = None
    segment: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    choose: Callable[[np.ndarray, np.ndarray, list[str]], str] | None = None
    order: Callable[[np.ndarray, Sequence[np.ndarray], int], np.ndarray] | None = None

    @property
    def can_detect(self) -> bool:
        """Whether objects can be detected, segmented and ordered."""
        return None not in (self.ground, self.segment, self.order)


class ObjectPerception:
    """PerceptionNetworks of one image and the object in it.

    words: the user's description of the object, or "".
    """

    def __init__(
        self, perception: PerceptionNetworks, rules: Parity, image: np.ndarray, visible: np.ndarray, words: str
    ):
        self.perception, self.rules, self.image, self.visible, self.words = perception, rules, image, visible, words

    @cached_property
    def tags(self) -> list[str]:
        """Tags of the image, with `BACKGROUND` added; none without a tagger."""
        return [*self.perception.tags(self.image), BACKGROUND] if self.perception.tags else []

    @cached_property
    def name(self) -> str:
        """The object's name: the tag or the user's words, whichever fits it best."""
        names = self.rules.candidate_names(self.tags) + [self.words] * bool(self.words)
        if self.perception.choose and names:
            return self.perception.choose(self.image, self.visible, names)
        return self.words or NAMELESS

    def detect(self, image: np.ndarray) -> list[np.ndarray]:
        """Masks of everything in an image that the tags name, and of objects with the object's name if none has it."""
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
        """Occluders of the object according to the networks, (H, W) bool; None if the rules need detections and there
        are none."""
        assert self.perception.order
        masks = self.detect(self.image)
        if not masks and self.rules.needs_detections:
            return None
        masks.append(self.visible)
        query = len(masks) - 1
        masks += self.rules.background_segments(masks)
        return in_front(masks, self.perception.order(self.image, masks, query), query) & ~self.visible

    def perceive_completion(
        self, drawn: np.ndarray, query: np.ndarray, visible: np.ndarray, allowed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """The completed object in an inpainted picture and its remaining occluders, (h, w) bool both.

        None if the rules discard the completion. allowed: where the object may be, besides `visible`.
        """
        candidates = self.detect(drawn) if self.perception.can_detect else [segment_by_colour(drawn, visible, allowed)]
        found = self.rules.select_mask(candidates, query, visible, allowed)
        if found is None:
            return None
        index, amodal = found
        nothing = np.zeros_like(amodal)
        if index is None or not self.perception.order or len(candidates) == 1:
            return amodal, nothing
        return amodal, in_front(candidates, self.perception.order(drawn, candidates, index), index) & ~amodal


def occluders_from_evidence(scene: Scene, i: int, scale: float) -> np.ndarray:
    """Possible occluders of the object in frame i without networks, (h, w) bool, the frame's size times `scale`.

    Occluders given by the user; otherwise, in a clip, the completion mask if the object seems occluded (see `TOUCHED`);
    otherwise, in a single image, what lies in the concavities of its outline.
    """
    if scene.given_occluders is not None:
        return resized(scene.given_occluders[i], scale)
    if len(scene.clip.shot_of(i)) == 1:
        return occluders_in_concavities(resized(scene.clip[i], scale), resized(scene.track[i], scale))
    evidence = scene.evidence
    if evidence.contact[i] < TOUCHED and evidence.trajectory.ratio[i] >= DIMINISHED:
        return resized(np.zeros_like(scene.track[i]), scale)
    x, y = scene.offset
    open_ = scene.completion_mask(i)[y : y + scene.clip.height, x : x + scene.clip.width]
    return resized(open_, scale)


def occluders_in_concavities(image: np.ndarray, visible: np.ndarray, size: int = 480) -> np.ndarray:
    """Possible occluders in the deep, wide concavities of an object's outline, (H, W) bool.

    Each concavity, and the image segment around its deepest point. image: (H, W, 3) uint8 RGB. size: maximum size in
    pixels at which concavities are searched.
    """
    found = np.zeros_like(visible)
    x, y, w, h = cv2.boundingRect(visible.astype(np.uint8))
    if not w:
        return found
    scale = min(1.0, size / max(w, h))
    part = resized(visible[y : y + h, x : x + w], scale)
    pockets = occlusion_concavities(np.pad(part, 1))[1:-1, 1:-1].astype(np.uint8)
    put(found, cv2.resize(pockets, (w, h), interpolation=cv2.INTER_NEAREST) > 0, y, x)
    clip = Clip.from_frames([image])
    count, labels = cv2.connectedComponents(pockets)
    depth = cv2.distanceTransform(pockets, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    for k in range(1, count):
        row, column = np.unravel_index(np.argmax(np.where(labels == k, depth, 0)), depth.shape)
        point = (x + float(column) * w / part.shape[1], y + float(row) * h / part.shape[0])
        found |= segment(clip, 0, Cue(points=[point])).mask
    return found & ~visible


def segment_by_colour(drawn: np.ndarray, visible: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Segment the completed object in an inpainted picture, (h, w) bool: the visible part and similar pixels in
    `allowed`.

    A minimum cut on the colours of the visible part against those of everything neither visible nor allowed. Only
    components connected to the visible part are kept.
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
