"""Segmentation of one object in one frame, from boxes, points and rough masks, without downloaded weights.

A small network (`mask_network`) says what the object may be, GrabCut and the colours of object and surroundings where
its edges are, and motion what moves together; a minimum cut joins them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np

from unocclude.clip import Clip
from unocclude.errors import InputError
from unocclude.geometry import bounding_box, clip_box, mask_iou
from unocclude.perception.colours import ColourGrid, colour_bins
from unocclude.perception.flow import dense_flow, pixels, places, similarity
from unocclude.perception.graphcut import min_cut
from unocclude.perception.mask_network import NOWHERE, Marks, View, best_level, log_odds
from unocclude.perception.mask_part import part_around
from unocclude.perception.prompt import Cue
from unocclude.perception.window import Window
from unocclude.types import Box, Point

NEVER = -10.0  # log-odds of a pixel that cannot belong to the object
# weights of the evidence, log-odds each
NETWORK = 0.9
VOTE = 0.6
COLOURS = 0.3
MOTION = 1.0
ELLIPSE = 0.6  # of the ellipses inscribed in the boxes
SIDE = 272  # longest side of what is cut, in pixels; a click should be answered within 300 ms
_PADS = (0.15, 0.4, 1.0)  # widths of the surroundings that vote, relative to the box's longer side
_SIZES = (0.14, 0.25, 0.45, 0.8, 1.4)  # views around points, relative to the frame's longer side
_USUAL = (0.5, 0.8, 1.0, 1.0, 0.9)  # how usual objects of their sizes are
LEAST_PART = 0.1  # smaller parts, relative to the rough mask, are hardly more than the dot of a point
REACH = 2  # distance of the frames, before and after, whose motion is looked at
_DOT = 2.0  # radius around a point, in window pixels, that is as the point says


class Segmentation(NamedTuple):
    """A mask (H, W) bool, and its expected IoU with the object's visible mask, 0..1."""

    mask: np.ndarray
    score: float


def segment(clip: Clip, frame: int, cue: Cue, guess: np.ndarray | None = None) -> Segmentation:
    """The object's visible mask in a frame from a cue.

    guess: a rough mask (H, W) bool, such as a tracker's. Points and boxes correct it, or the cue's own mask: it changes
    near them, and the rest is kept.

    The mask is never empty unless the cue says that the object is hidden; it contains the positive points and none of
    the negative ones. A cue that has only a mask, or says that the object is hidden, has score 1. Deterministic.

    Raises InputError if the cue has only negative points and there is no guess.
    """
    shape = (clip.height, clip.width)
    if cue.hidden:
        return Segmentation(np.zeros(shape, bool), 1.0)
    if cue.mask is not None:
        guess = np.asarray(cue.mask) != 0
        if not len(cue.boxes) and not len(cue.points):
            return Segmentation(guess, 1.0)
    rough = guess if guess is not None and guess.any() else None
    if rough is None and not len(cue.boxes) and not cue.inside:
        raise InputError("points that are not on the object do not tell what it is; add a box or a point on it")
    marks = Marks([clip_box(box, shape) for box in cue.boxes], cue.inside, cue.outside, rough)
    picture = clip[frame]
    view = _view(picture, marks)
    answer = log_odds(picture, marks, [view])[0]
    chance = _chance(answer) * view.take(_possible(marks, shape))
    evidence = view.put(answer - _odds(best_level(chance)), shape, NOWHERE)
    look = _Look(clip, frame, picture, Window.around(_bounds(marks, evidence), shape, pad=0.5, side=SIDE), marks)
    mask = _pointed(look.window.put(_cut(look, evidence), picture), marks)
    if rough is not None and (cue.inside or cue.outside):
        mask = _pointed(_corrected(clip, frame, rough, mask, marks), marks)
    return Segmentation(mask, _score(chance, view, mask, marks))


# Where to look ------------------------------------------------------------------------------------------------


def _view(picture: np.ndarray, marks: Marks) -> View:
    """The network's view: around the boxes, else around rough mask and points, else of the most certain size."""
    if marks.boxes:
        return View.around(_around(marks.boxes))
    if marks.rough is not None:
        return View.around(_around([bounding_box(marks.rough), *_dots(marks)]))
    return _view_of_points(picture, marks)


def _view_of_points(picture: np.ndarray, marks: Marks) -> View:
    """The view around positive points whose mask is certain, is whole and is much the same in the next view."""
    x0, y0, x1, y1 = _around(_dots(replace(marks, outside=())))
    least, longest = 1.3 * max(x1 - x0, y1 - y0), max(picture.shape[:2])
    views = [View.at((x0 + x1) / 2, (y0 + y1) / 2, max(least, size * longest)) for size in _SIZES]
    masks, certainties = [], []
    for answer, view in zip(log_odds(picture, marks, views), views, strict=True):
        inside = view.take(np.ones(picture.shape[:2], np.float32)) > 0.5
        chance = _chance(answer) * inside
        mask = chance > best_level(chance)
        masks.append(view.put(mask.astype(np.float32), picture.shape[:2], 0) > 0.5)
        certainties.append(_soft_iou(chance, mask) * np.exp(-2 * _cut_off(mask, inside)))
    pairs = [mask_iou(one, other, empty=0.0) for one, other in pairwise(masks)]
    agreement = np.maximum([0, *pairs], [*pairs, 0])
    return views[int(np.argmax(np.array(certainties) * (0.3 + agreement) * _USUAL))]


def _cut_off(mask: np.ndarray, inside: np.ndarray) -> float:
    """Pixels of a view's mask at the view's border, though not at the frame's, relative to the mask's diameter."""
    border = np.ones(mask.shape, bool)
    border[2:-2, 2:-2] = False
    return float((mask & border & inside).sum() / max(np.sqrt(mask.sum()), 1))


def _dots(marks: Marks) -> list[Box]:
    return [(x, y, x + 1, y + 1) for x, y in (*marks.inside, *marks.outside)]


def _around(boxes: Sequence[Box]) -> Box:
    rows = np.array(boxes, float)
    return (*rows[:, :2].min(0).tolist(), *rows[:, 2:].max(0).tolist())


def _bounds(marks: Marks, evidence: np.ndarray) -> Box:
    """What the cut looks at: the boxes, else what the network and the prompt mark."""
    if marks.boxes:
        return _around(marks.boxes)
    seen = evidence > 0 if marks.rough is None else (evidence > 0) | marks.rough
    return _around([*([bounding_box(seen)] if seen.any() else []), *_dots(marks)])


@dataclass(frozen=True)
class _Look:
    """A frame seen through a window, and what marks the object in it."""

    clip: Clip
    frame: int
    picture: np.ndarray
    window: Window
    marks: Marks

    @cached_property
    def rgb(self) -> np.ndarray:
        """(h, w, 3) uint8."""
        return self.window.take(self.picture)

    @cached_property
    def allowed(self) -> np.ndarray:
        """Where the object may be, (h, w) bool."""
        return (self.window.take(_possible(self.marks, self.picture.shape)) > 0.5) | self.dots(self.marks.inside)

    def dots(self, points: Sequence[Point]) -> np.ndarray:
        """The pixels around points, (h, w) bool."""
        found = np.zeros((self.window.height, self.window.width), bool)
        grid = pixels(found.shape)
        for x, y in points:
            found |= np.linalg.norm(grid + 0.5 - self.at((x + 0.5, y + 0.5)), axis=2) <= _DOT
        return found

    def at(self, place: Sequence[float]) -> np.ndarray:
        """A place in the frame, x and y with pixel corners at integers, in the window."""
        moved: np.ndarray = (np.array(place) - (self.window.x0, self.window.y0)) * self.window.scale
        return moved


def _possible(marks: Marks, shape: tuple[int, ...]) -> np.ndarray:
    """Where the object may be, (H, W) float32: in the boxes if there are some, else anywhere in the frame."""
    return _area(marks.boxes, shape).astype(np.float32) if marks.boxes else np.ones(shape[:2], np.float32)


def _area(boxes: Sequence[Box], shape: tuple[int, ...]) -> np.ndarray:
    """The pixels of boxes in a frame, (H, W) bool."""
    area = np.zeros(shape[:2], bool)
    for x0, y0, x1, y1 in boxes:
        area[int(y0) : int(y1), int(x0) : int(x1)] = True
    return area


# Evidence and the cut -----------------------------------------------------------------------------------------


def _cut(look: _Look, evidence: np.ndarray) -> np.ndarray:
    """The minimum cut of all evidence in the window, (h, w) bool; evidence: the network's log-odds (H, W)."""
    lab = cv2.cvtColor(look.rgb, cv2.COLOR_RGB2LAB)
    bins, (x, y) = colour_bins(lab), places(lab.shape)
    flows = _flows(look)
    prior = NETWORK * look.window.take(evidence)
    if look.marks.boxes:
        prior += VOTE * _vote(look) + ELLIPSE * _roundness(look)
    inside, outside = look.dots(look.marks.inside), look.dots(look.marks.outside)
    cut = (prior > 0) & look.allowed
    for last in (False, True):  # the colours of a first guess, then the cut
        grid = ColourGrid()
        grid.add(bins, x, y, cut.astype(np.float32), np.ones(cut.shape))
        own, other = (grid.look(bins, x, y)[side] * 1e4 / max(grid.totals[side], 1) for side in (0, 1))
        logit = prior + COLOURS * np.clip(np.log((own + 0.5) / (other + 0.5)), -3, 3)
        for flow in flows:
            logit += MOTION * _motion_evidence(flow, cut, look.allowed) / len(flows)
        logit[~look.allowed | outside] = NEVER
        logit[inside & ~outside] = -NEVER
        found = min_cut(logit, lab) if last else cv2.GaussianBlur(logit, (0, 0), 1.0) > 0
        cut = (tidy(found) | inside) & ~outside
    return cut


def _vote(look: _Look) -> np.ndarray:
    """Log-odds (h, w) of GrabCut (Rother et al., SIGGRAPH 2004) against surroundings of three widths."""
    area = _area(look.marks.boxes, look.picture.shape)
    bounds, vote = bounding_box(area), np.zeros(look.allowed.shape, np.float32)
    for pad in _PADS:
        view = Window.around(bounds, area.shape, pad=pad, side=160)
        mask = _grabcut(view.take(look.picture), view.take(area.astype(np.float32)) > 0.5)
        vote += look.window.take(view.put(mask, look.picture).astype(np.float32)) / len(_PADS)
    odds: np.ndarray = np.log((vote + 0.1) / (1.1 - vote))
    return odds


def _roundness(look: _Look) -> np.ndarray:
    """Log-odds (h, w) that fall from 2 in the middle of the nearest box over 0 on its inscribed ellipse to -4."""
    found = np.full(look.allowed.shape, -4.0, np.float32)
    for box in look.marks.boxes:
        x0, y0 = look.at(box[:2])
        x1, y1 = look.at(box[2:])
        found = np.maximum(found, 2 * np.clip(1 - _squared_radius(found.shape, (x0, y0, x1, y1)), -2, 1))
    return found


def _squared_radius(shape: tuple[int, ...], box: Box) -> np.ndarray:
    """Squared distance from the centre of a box, 1 on its inscribed ellipse, (h, w)."""
    x, y = pixels(shape).transpose(2, 0, 1)
    x0, y0, x1, y1 = box
    across, down = (2 * x + 1 - x0 - x1) / max(x1 - x0, 1e-6), (2 * y + 1 - y0 - y1) / max(y1 - y0, 1e-6)
    squared: np.ndarray = across**2 + down**2
    return squared


def _grabcut(rgb: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """GrabCut within `inside` of an (h, w, 3) uint8 image, (h, w) bool; `inside` itself if the result is empty."""
    if inside.all() or not inside.any():
        return inside
    labels = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    models = np.zeros((2, 1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(rgb, labels, (0, 0, 1, 1), models[0], models[1], 3, cv2.GC_INIT_WITH_MASK)
    mask: np.ndarray = labels == cv2.GC_PR_FGD
    return mask if mask.any() else inside


def _flows(look: _Look) -> list[np.ndarray]:
    """Optical flow from the frame to one neighbour before and one after in its shot, within the window."""
    shot = look.clip.shot_of(look.frame)
    found = []
    for gap in (-REACH, REACH):
        other = min(max(look.frame + gap, shot.start), shot.stop - 1)
        if other != look.frame:
            found.append(dense_flow(look.rgb, look.window.take(look.clip[other])))
    return found


def _motion_evidence(flow: np.ndarray, cut: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Log-odds (h, w) within +-2 that a pixel moves with the object rather than with the surroundings.

    Both motions are similarities fitted to `flow`, on `cut` and outside `inside`; where they agree the log-odds are 0.
    """
    grid = pixels(cut.shape)
    object_, scene = similarity(flow, cut), similarity(flow, ~(inside if not inside.all() else cut))
    errors = [np.linalg.norm(grid @ m[:, :2].T + m[:, 2] - grid - flow, axis=2) for m in (object_, scene)]
    gap = np.linalg.norm(grid @ (object_ - scene)[:, :2].T + (object_ - scene)[:, 2], axis=2)
    evidence = np.clip(errors[1], 0, 3) - np.clip(errors[0], 0, 3)
    return np.clip(evidence * np.clip(gap - 0.5, 0, 1), -2, 2)


# The result ---------------------------------------------------------------------------------------------------


def _pointed(mask: np.ndarray, marks: Marks) -> np.ndarray:
    """A frame's mask (H, W) as the prompt demands: within its boxes, with and without its points, and not empty."""
    if marks.boxes:
        mask = mask & _area(marks.boxes, mask.shape)
    elif marks.inside and marks.rough is None:
        parts = _parts_with(mask, marks.inside)
        mask = parts if parts.any() else mask
    if not mask.any() and marks.boxes:
        mask = _ellipses(marks.boxes, mask.shape)
    mask = mask.copy()
    for points, value in ((marks.inside, True), (marks.outside, False)):
        for x, y in points:
            mask[int(y), int(x)] = value
    return mask


def _ellipses(boxes: Sequence[Box], shape: tuple[int, ...]) -> np.ndarray:
    """The ellipses inscribed in boxes, (H, W) bool."""
    found: np.ndarray = np.any([_squared_radius(shape, box) <= 1 for box in boxes], axis=0)
    return found


def _parts_with(mask: np.ndarray, points: Sequence[Point]) -> np.ndarray:
    """The connected parts of a mask that contain points."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    wanted = {int(labels[int(y), int(x)]) for x, y in points} - {0}
    return np.isin(labels, list(wanted))


def _corrected(clip: Clip, frame: int, rough: np.ndarray, found: np.ndarray, marks: Marks) -> np.ndarray:
    """`rough` without the parts that negative points mark, and with those that positive points mark.

    The part of a positive point is the one of `found`, what the rough mask and all points give together; if that is
    hardly more than a dot, it is what the point gives alone.
    """
    mask = rough & ~part_around(clip[frame], rough, marks.outside, marks.inside)
    for point in marks.inside:
        if not rough[int(point[1]), int(point[0])]:
            part = _parts_with(found & ~rough, [point])
            if part.sum() < LEAST_PART * rough.sum():
                cue = Cue([point, *marks.outside], [True] + [False] * len(marks.outside))
                part = part | segment(clip, frame, cue).mask
            mask |= part
    return mask


def _score(chance: np.ndarray, view: View, mask: np.ndarray, marks: Marks) -> float:
    """The expected IoU, 0..1: what the network expects, and with boxes how likely a shape the mask is.

    The numbers are least squares on generated scenes and pasted cut-outs, none of them a clip.
    """
    seen = view.take(mask.astype(np.float32)) > 0.5
    expected = _soft_iou(chance, seen)
    if not marks.boxes:
        return float(np.clip(1.24 * expected - 0.23, 0, 1))
    round_ = view.take(_ellipses(marks.boxes, mask.shape).astype(np.float32)) > 0.5
    return float(np.clip(0.95 * expected + 0.49 * mask_iou(round_, seen, empty=0.0) - 0.34, 0, 1))


def _odds(chance: float) -> float:
    return float(np.log(chance / (1 - chance)))


def _chance(evidence: np.ndarray) -> np.ndarray:
    chance: np.ndarray = 1 / (1 + np.exp(-evidence))
    return chance


def _soft_iou(chance: np.ndarray, mask: np.ndarray) -> float:
    """Expected intersection over expected union of a mask with an object of independent pixels."""
    return float((chance * mask).sum() / max(mask.sum() + (chance * ~mask).sum(), 1e-6))


def tidy(mask: np.ndarray, smallest: float = 0.03, hole: float = 0.01) -> np.ndarray:
    """Remove components under `smallest` and fill holes under `hole` of the mask's area."""
    area = mask.sum()
    if not area:
        return mask
    mask = mask.copy()
    for value, limit in ((False, hole), (True, smallest)):
        _, labels, stats, _ = cv2.connectedComponentsWithStats((mask == value).astype(np.uint8), connectivity=4)
        small = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] < limit * area)
        small = small[small > 0]
        if small.size:
            mask[np.isin(labels, small)] = not value
    return mask
