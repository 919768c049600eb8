"""Following an object from frame to frame, without downloaded weights.

Each frame's mask is an exact minimum cut. Its evidence: the previous mask warped by dense optical flow, trusted only
where forward and backward flow agree; a local colour model of the previous frame, warped by the same flow; and
long-term colours of the object, with and without their position in it. Where flow fails (something was uncovered)
colour decides, but only inside the object's expected extent: its last well-visible silhouette, moved with the object,
or with its last known motion relative to the camera while it is hidden. When little of the object is left it is
searched by appearance (`reidentification`).

After Video SnapCut (Bai et al., SIGGRAPH 2009), Dynamic Color Flow (Bai et al., ECCV 2010) and ObjectFlow
(Tsai et al., CVPR 2016); the implementation is ours.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from unocclude.geometry import bounding_box, mask_iou
from unocclude.perception.colours import ColourGrid, colour_bins
from unocclude.perception.confidence import Signs, expected_iou
from unocclude.perception.flow import dense_flow, pixels, places, sample, similarity
from unocclude.perception.graphcut import min_cut
from unocclude.perception.matching import aligned, match
from unocclude.perception.reidentification import Match, TemplateMemory
from unocclude.perception.segment import NEVER, tidy
from unocclude.perception.window import Window
from unocclude.types import PixelBox

# Weights of the evidence (log-odds) and of the cut's smoothness.
PRIOR, NEARBY, RECALLED, MATCHED, SMOOTHNESS = 0.8, 0.7, 1.1, 1.0, 1.5
UNCOVERED = 0.4  # probability that an uncovered pixel in the middle of the expected extent belongs to the object
HIDDEN = 0.08  # the same for a pixel outside the object's last mask (an occluder, or an error)
DOUBT = 0.8  # reduction of its weight as an example of background if it has the object's colour
FADE = 0.9  # decay per frame of the expected extent outside the mask of a well-visible object
LEARN = 0.05  # update rate of the long-term colours in frames that show the object well
GONE = 0.02  # smaller masks, relative to the usual area, count as empty
POOR = 0.65  # below this fraction of the usual score the object is searched elsewhere
FOUND = 0.35  # minimum score of a match found there, relative to the usual score
UNLIKE = 30.0  # RMS colour difference (Lab) from which a match is not the object


@dataclass
class _RunningMeans:
    """Moving averages over well-visible frames: the object's area and its score (summed colour evidence)."""

    area: float
    score: float

    def learn(self, area: float, score: float) -> None:
        self.area = 0.9 * self.area + 0.1 * area
        self.score = 0.9 * self.score + 0.1 * score


@dataclass
class _Colours:
    """Long-term colours of the object: without position, and by position in its box."""

    anywhere: ColourGrid = field(default_factory=ColourGrid)
    placed: ColourGrid = field(default_factory=lambda: ColourGrid(cells=5))

    def learn(self, bins: np.ndarray, inside: np.ndarray, share: float) -> None:
        """Update the colours with the pixels `inside` (0..1), at rate `share`."""
        total = max(float(inside.sum()), 1.0)
        for grid, (x, y) in ((self.anywhere, places(inside.shape)), (self.placed, _placed(inside))):
            grid.fade(1.0 - share)
            grid.add(bins, x, y, inside, inside * (share * 1e4 / total))

    def evidence(self, bins: np.ndarray, extent: np.ndarray, background: np.ndarray) -> np.ndarray:
        """Log-odds within +-3 of the object's colours (positions relative to `extent`) against those of
        `background`."""
        x, y = places(bins.shape)
        scene = ColourGrid()
        scene.add(bins, x, y, 1.0 - background, np.ones_like(background))
        return self.against(scene, bins, extent)

    def against(self, scene: ColourGrid, bins: np.ndarray, extent: np.ndarray) -> np.ndarray:
        """`evidence` against the background colours in `scene`."""
        x, y = places(bins.shape)
        anywhere = self.anywhere.look(bins, x, y)[0] / max(self.anywhere.totals[0], 1.0)
        placed = self.placed.look(bins, *_placed(extent))[0] / max(self.placed.totals[0], 1.0)
        around = scene.look(bins, x, y)[1] / max(scene.totals[1], 1.0)
        own = 0.5 * anywhere + 0.5 * placed * self.placed.cells**2
        return np.clip(np.log((own + 1e-4) / (around + 1e-4)), -3, 3)


class Follower:
    """Follows an object from frame to frame; `mask` (H, W) bool is its visible mask in the last frame.

    frame: (H, W, 3) uint8 RGB, which shows the object. mask: its visible mask there, not empty. score: the expected IoU
    of that mask, 0..1.
    """

    def __init__(self, frame: np.ndarray, mask: np.ndarray, score: float = 1.0):
        self.mask = mask
        self.signs = Signs(score)
        self._extent = mask.astype(np.float32)  # 0..1: where the object is expected, including hidden parts
        self._drift = np.zeros(2)  # motion of the object relative to the camera, pixels per frame
        self._colours = _Colours()
        self._templates = TemplateMemory()
        self._poor = 0  # frames since the object was last seen well enough
        window = Window.around(_box_or_frame(mask), mask.shape)
        inside = window.take(self._extent)
        bins = colour_bins(cv2.cvtColor(window.take(frame), cv2.COLOR_RGB2LAB))
        self._colours.learn(bins, inside, 1.0)
        evidence = self._colours.evidence(bins, inside, 1.0 - inside)
        self._usual = _RunningMeans(float(mask.sum()), _score(evidence, inside > 0.5, window))
        self._anchor = cv2.cvtColor(window.take(frame), cv2.COLOR_RGB2LAB), inside
        self._templates.add(frame, mask)

    @property
    def confidence(self) -> float:
        """The expected IoU of the mask, 0..1."""
        return expected_iou(self.signs)

    def learn(self, frame: np.ndarray, mask: np.ndarray) -> None:
        """Learn the object's looks from another frame in which its mask is known."""
        window = Window.around(_box_or_frame(mask), mask.shape)
        bins = colour_bins(cv2.cvtColor(window.take(frame), cv2.COLOR_RGB2LAB))
        self._colours.learn(bins, window.take(mask.astype(np.float32)), 0.3)
        self._templates.add(frame, mask)

    def hide(self) -> None:
        """Go on from a frame in which nothing of the object is visible."""
        self.mask = np.zeros_like(self.mask)
        self._poor += 1

    def step(self, before: np.ndarray, now: np.ndarray) -> None:
        """Track from frame `before`, whose mask is known, to the next one, `now`; both (H, W, 3) uint8 RGB."""
        window = Window.around(_box_or_frame(self._extent > 0.3), self.mask.shape)
        a, b = window.take(before), window.take(now)
        inside, extent = window.take(self.mask.astype(np.float32)), window.take(self._extent)
        lab_a, lab_b = cv2.cvtColor(a, cv2.COLOR_RGB2LAB), cv2.cvtColor(b, cv2.COLOR_RGB2LAB)
        bins_a, bins_b = colour_bins(lab_a), colour_bins(lab_b)
        forth, back = dense_flow(a, b), dense_flow(b, a)

        motion = self._motion(forth, back, inside, extent, window)
        expected = cv2.warpAffine(extent, motion, inside.shape[::-1])
        moved = sample(cv2.GaussianBlur(inside, (0, 0), 1.0), pixels(inside.shape) + back)
        trust = _trust(forth, back, lab_a, lab_b)
        chance = np.maximum(trust * moved + (1 - trust) * UNCOVERED * expected, HIDDEN * expected)

        scene = ColourGrid()
        scene.add(bins_a, *places(inside.shape), inside, np.ones_like(inside))
        recalled = self._colours.against(scene, bins_b, expected)
        doubt = extent * (1 - inside) / (1 + np.exp(-self._colours.against(scene, bins_a, extent)))
        nearby = _nearby(bins_a, bins_b, inside, 1 - DOUBT * doubt, forth)

        matched = match(lab_b, self._known(window, lab_a, inside, expected))
        logit = PRIOR * _log_odds(chance) + NEARBY * nearby + RECALLED * recalled + MATCHED * matched
        logit[cv2.dilate(np.maximum(moved, expected), np.ones((9, 9), np.uint8)) < 0.15] = NEVER
        cut = tidy(min_cut(logit, lab_b, SMOOTHNESS))

        carried = np.zeros_like(self._extent)
        box = np.s_[window.y0 : window.y1, window.x0 : window.x1]
        carried[box] = cv2.resize(expected, (window.x1 - window.x0, window.y1 - window.y0))
        mask, score = window.put(cut, now), _score(recalled, cut, window)
        self.signs = self.signs.after(
            certainty=_certainty(logit, cut),
            agreement=float(trust[cut].mean()) if cut.any() else 0.0,
            overlap=mask_iou(cut, moved > 0.5, empty=1.0),
            likeness=float(recalled[cut].mean()) if cut.any() else -3.0,
            share=float(mask.sum()) / max(self._usual.area, 1.0),
        )
        if mask.sum() < max(9.0, GONE * self._usual.area):
            mask[:] = False
            score = 0.0
        hidden = mask.sum() < 0.8 * (carried > 0.5).sum()
        self.mask = mask
        self._extent = np.maximum(mask, carried * (1.0 if hidden else FADE)).astype(np.float32)
        if not hidden:
            self._usual.learn(float(mask.sum()), score)
            self._colours.learn(bins_b, cut.astype(np.float32), LEARN)
            self._templates.add(now, mask)
        self._poor = self._poor + 1 if hidden and score < POOR * self._usual.score else 0
        if self._poor and self._poor % 2 == 0:
            self._search(now, score)

    def jump(self, now: np.ndarray) -> None:
        """Continue at frame `now` after a cut; only the object's appearance is kept."""
        self.mask = np.zeros_like(self.mask)
        self._drift[:] = 0
        self._poor += 1
        self.signs = self.signs.lost()
        self._search(now, 0.0, reach=8.0)

    def _known(
        self, window: Window, before: np.ndarray, inside: np.ndarray, expected: np.ndarray
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """The frame before and the anchor, as `match` takes them; the anchor with its object where it is expected."""
        lab, mask = self._anchor
        size = (window.width, window.height)
        boxes = _box_or_frame(mask > 0.5), _box_or_frame(expected > 0.5)
        return [(before, inside), (aligned(lab, *boxes, size), aligned(mask, *boxes, size))]

    def _motion(
        self, forth: np.ndarray, back: np.ndarray, inside: np.ndarray, extent: np.ndarray, window: Window
    ) -> np.ndarray:
        """The object's motion (2, 3) in window pixels: measured, or camera motion plus the last drift."""
        slip = np.linalg.norm(forth + sample(back, pixels(inside.shape) + forth), axis=2)
        camera = similarity(forth, (inside < 0.5) & (extent < 0.3) & (slip < 1))
        seen = inside > 0.5
        share = seen.sum() / max((extent > 0.5).sum(), 1)
        scale = np.array(window.scale)
        sure = seen & (slip < 1)
        if sure.sum() < 12 or share < 0.4:
            camera[:, 2] += self._drift * scale
            return camera
        own = similarity(forth, sure)
        if share < 0.6 or not 0.85 < np.hypot(own[0, 0], own[0, 1]) < 1.18:
            own = np.column_stack([np.eye(2), np.median(forth[sure], axis=0)])
        if share > 0.6:
            drift = (own - camera) @ np.array([*_centre(extent), 1.0]) / scale
            self._drift = 0.7 * self._drift + 0.3 * drift if self._drift.any() else drift
        return own

    def _search(self, now: np.ndarray, score: float, reach: float = 2.0) -> None:
        """Search the object by appearance and continue there if its score clearly exceeds `score`."""
        size = float(np.sqrt(self._usual.area))
        near = _centre(self._extent)
        needed = max(FOUND * self._usual.score, 1.5 * score)
        best: np.ndarray | None = None
        for found in self._templates.search(now, near, size * (reach + 0.25 * self._poor)):
            if found.difference < UNLIKE:
                mask, value = self._cut_at(now, found)
                if value > needed and mask.any():
                    best, needed = mask, value
        if best is not None:
            self.mask, self._extent = best, best.astype(np.float32)
            self._drift[:] = 0
            self._poor = 0
            self.signs = self.signs.found()

    def _cut_at(self, now: np.ndarray, match: Match) -> tuple[np.ndarray, float]:
        """Segment the object at a match; its mask (H, W) bool and score."""
        window = Window.around(match.box, now.shape[:2])
        lab = cv2.cvtColor(window.take(now), cv2.COLOR_RGB2LAB)
        bins = colour_bins(lab)
        expected = window.take(match.silhouette(now.shape[:2]))
        spread = 1 + 0.04 * max(match.box[2] - match.box[0], match.box[3] - match.box[1]) * min(window.scale)
        soft = cv2.GaussianBlur(expected, (0, 0), spread)
        prior = PRIOR * _log_odds(0.8 * soft)
        prior[soft < 0.03] = NEVER
        cut = expected > 0.5
        for _ in range(3):
            recalled = self._colours.evidence(bins, expected, 1.0 - cut)
            cut = tidy(min_cut(prior + recalled, lab, SMOOTHNESS))
        return window.put(cut, now), _score(recalled, cut, window)


def _trust(forth: np.ndarray, back: np.ndarray, lab_a: np.ndarray, lab_b: np.ndarray) -> np.ndarray:
    """Confidence (h, w) 0..1 in the flow from b to a: forward-backward consistency, similarity, inside the window."""
    there = pixels(back.shape) + back
    slip = np.linalg.norm(back + sample(forth, there), axis=2) / (1.0 + 0.1 * np.linalg.norm(back, axis=2))
    change = np.abs(lab_b.astype(np.float32) - sample(lab_a, there).astype(np.float32)).sum(2)
    trust = np.exp(-(slip**2) - (cv2.blur(change, (3, 3)) / 60.0) ** 2)
    height, width = back.shape[:2]
    trust[(there < -0.5).any(2) | (there[..., 0] > width - 0.5) | (there[..., 1] > height - 0.5)] = 0
    return trust


def _nearby(
    bins_a: np.ndarray, bins_b: np.ndarray, inside: np.ndarray, weight: np.ndarray, forth: np.ndarray
) -> np.ndarray:
    """Log-odds within +-3 of b's pixels by the colours of a's labelled pixels, moved by the flow."""
    height, width = inside.shape
    target = pixels(inside.shape) + forth + 0.5
    grid = ColourGrid(cells=8)
    grid.add(bins_a, target[..., 0] / width, target[..., 1] / height, inside, weight)
    own, other = grid.look(bins_b, *places(inside.shape))
    return np.clip(np.log((own + 0.5) / (other + 0.5)), -3, 3)


def _certainty(logit: np.ndarray, cut: np.ndarray) -> float:
    """Expected IoU of a cut (h, w) bool if pixels were independent, with the log-odds `logit`."""
    chance = 1 / (1 + np.exp(-np.clip(logit, -20, 20)))
    return float((chance * cut).sum() / max(cut.sum() + (chance * ~cut).sum(), 1e-6))


def _score(evidence: np.ndarray, cut: np.ndarray, window: Window) -> float:
    """Score of a mask: colour evidence summed over its pixels, in units of frame pixels."""
    return float(evidence[cut].sum()) / (window.scale[0] * window.scale[1])


def _log_odds(chance: np.ndarray) -> np.ndarray:
    return np.log((chance + 0.02) / (1.02 - chance))


def _placed(extent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates x, y, (h, w) each, relative to the extent's box enlarged by a fifth: 0..1 inside it."""
    x0, y0, x1, y1 = _box_or_frame(extent > 0.3)
    grid = pixels(extent.shape)
    width, height = max(x1 - x0, 1) * 1.2, max(y1 - y0, 1) * 1.2
    return (grid[..., 0] - (x0 + x1) / 2) / width + 0.5, (grid[..., 1] - (y0 + y1) / 2) / height + 0.5


def _centre(weight: np.ndarray) -> tuple[float, float]:
    """Centre of mass (x, y); the image centre if all weights are 0."""
    total = float(weight.sum())
    if total <= 0:
        return weight.shape[1] / 2, weight.shape[0] / 2
    columns, rows = np.arange(weight.shape[1]), np.arange(weight.shape[0])
    return float(weight.sum(0) @ columns) / total, float(weight.sum(1) @ rows) / total


def _box_or_frame(mask: np.ndarray) -> PixelBox:
    """The bounding box of a mask; the whole frame if it is empty."""
    box = bounding_box(mask)
    return box if box[2] else (0, 0, mask.shape[1], mask.shape[0])
