"""Visible masks of one object in all frames from a prompt in one, without weights.

Each frame's mask is an exact minimum cut. Its evidence: the previous mask moved by dense optical flow,
trusted only where forward and backward flow agree; a localised colour model of the previous frame, moved by
the same flow; and long-term colours of the object, anywhere in it and at their place in it. Where flow has no
answer (something was uncovered) colour decides, but only inside the object's expected extent: its last
well-visible silhouette, carried along by its own motion, or by its last known motion against the camera's
while it is hidden. When little of the object is left it is looked for elsewhere by its looks (`reidentification`).

After Video SnapCut (Bai et al., SIGGRAPH 2009), Dynamic Color Flow (Bai et al., ECCV 2010) and ObjectFlow
(Tsai et al., CVPR 2016); the code is ours.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from unocclude.clip import Clip
from unocclude.geometry import bounding_box
from unocclude.masks import MaskTrack, encode
from unocclude.perception.colours import ColourGrid, colour_bins
from unocclude.perception.flow import dense_flow, pixels, places, sample, similarity
from unocclude.perception.graphcut import min_cut
from unocclude.perception.prompt import Prompt
from unocclude.perception.reidentification import Match, TemplateMemory
from unocclude.perception.segment import NEVER, segment, tidy
from unocclude.perception.window import Window
from unocclude.types import FrameProgress, PixelBox

ORIGIN = "flow+cut"

# Weights of the evidence (log-odds) and of the cut's smoothness; set by hand on ten clips.
PRIOR, NEARBY, RECALLED, SMOOTHNESS = 0.8, 0.7, 1.1, 1.5
UNCOVERED = 0.7  # chance that an uncovered pixel in the middle of the expected extent is the object's
HIDDEN = 0.3  # the same for a pixel that was not the object's in the last frame (an occluder, or an error)
DOUBT = 0.8  # how much less such a pixel counts as an example of background when its colour is the object's
FADE = 0.9  # of the expected extent a frame, where the object turns out not to be while it is well visible
LEARN = 0.05  # share of the long-term colours renewed by a frame where the object is well visible
GONE = 0.02  # of the usual area: less counts as nothing
POOR = 0.65  # of the usual worth: less makes us look elsewhere
FOUND = 0.35  # of the usual worth: what must be found there
UNLIKE = 30.0  # rms colour difference (Lab) at which a found place is not the object


def track_prompt(clip: Clip, prompt: Prompt, progress: FrameProgress | None = None) -> MaskTrack:
    """Visible masks of what boxes, points or a mask name: propagated from the prompt's frame forward, then backward.

    The same input gives the same masks, bit for bit. Memory does not grow with the clip's length.
    """
    prompt.check(clip)
    first = segment(clip, prompt)
    counts = [b""] * len(clip)
    counts[prompt.frame] = encode(first)
    done = 1
    if progress:
        progress(done, len(clip))
    cuts = {shot.start for shot in clip.shots}
    for order in (range(prompt.frame + 1, len(clip)), range(prompt.frame - 1, -1, -1)):
        follower = Follower(clip[prompt.frame], first)
        for i in order:
            if (i if order.step > 0 else i + 1) in cuts:
                follower.jump(clip[i])
            else:
                follower.step(clip[i - order.step], clip[i])
            counts[i] = encode(follower.mask)
            done += 1
            if progress:
                progress(done, len(clip))
    return MaskTrack(counts, clip.height, clip.width, ORIGIN)


@dataclass
class _Usual:
    """What a well-visible frame looks like: the object's area, and its worth (summed colour evidence)."""

    area: float
    worth: float

    def learn(self, area: float, worth: float) -> None:
        self.area = 0.9 * self.area + 0.1 * area
        self.worth = 0.9 * self.worth + 0.1 * worth


@dataclass
class _Colours:
    """Long-term colours of the object: anywhere in it, and by their place in its box."""

    anywhere: ColourGrid = field(default_factory=ColourGrid)
    placed: ColourGrid = field(default_factory=lambda: ColourGrid(cells=5))

    def learn(self, bins: np.ndarray, inside: np.ndarray, share: float) -> None:
        """Let the pixels `inside` (0..1) make up `share` of what is known."""
        total = max(float(inside.sum()), 1.0)
        for grid, (x, y) in ((self.anywhere, places(inside.shape)), (self.placed, _placed(inside))):
            grid.fade(1.0 - share)
            grid.add(bins, x, y, inside, inside * (share * 1e4 / total))

    def evidence(self, bins: np.ndarray, extent: np.ndarray, background: np.ndarray) -> np.ndarray:
        """Log-odds, within +-3, that a colour is the object's (in `extent`) and not that of `background`."""
        x, y = places(bins.shape)
        scene = ColourGrid()
        scene.add(bins, x, y, 1.0 - background, np.ones_like(background))
        return self.against(scene, bins, extent)

    def against(self, scene: ColourGrid, bins: np.ndarray, extent: np.ndarray) -> np.ndarray:
        """The same against the background colours that `scene` holds."""
        x, y = places(bins.shape)
        anywhere = self.anywhere.look(bins, x, y)[0] / max(self.anywhere.totals[0], 1.0)
        placed = self.placed.look(bins, *_placed(extent))[0] / max(self.placed.totals[0], 1.0)
        around = scene.look(bins, x, y)[1] / max(scene.totals[1], 1.0)
        own = 0.5 * anywhere + 0.5 * placed * self.placed.cells**2
        return np.clip(np.log((own + 1e-4) / (around + 1e-4)), -3, 3)


class Follower:
    """Carries an object from frame to frame; `mask` is (H, W) bool, its visible mask in the last frame."""

    def __init__(self, frame: np.ndarray, mask: np.ndarray):
        self.mask = mask
        self._extent = mask.astype(np.float32)  # 0..1: where the object is expected, hidden parts included
        self._drift = np.zeros(2)  # of the object against the camera, frame pixels a frame
        self._colours = _Colours()
        self._templates = TemplateMemory()
        self._poor = 0  # frames since the object was last seen well enough
        window = Window.around(_box_or_frame(mask), mask.shape)
        inside = window.take(self._extent)
        bins = colour_bins(cv2.cvtColor(window.take(frame), cv2.COLOR_RGB2LAB))
        self._colours.learn(bins, inside, 1.0)
        evidence = self._colours.evidence(bins, inside, 1.0 - inside)
        self._usual = _Usual(float(mask.sum()), _worth(evidence, inside > 0.5, window))
        self._templates.add(frame, mask)

    def step(self, before: np.ndarray, now: np.ndarray) -> None:
        """Go from frame `before`, whose mask is known, to the next one, `now`; both (H, W, 3) uint8 RGB."""
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

        logit = PRIOR * _log_odds(chance) + NEARBY * nearby + RECALLED * recalled
        logit[cv2.dilate(np.maximum(moved, expected), np.ones((9, 9), np.uint8)) < 0.15] = NEVER
        cut = tidy(min_cut(logit, lab_b, SMOOTHNESS))

        carried = np.zeros_like(self._extent)
        box = np.s_[window.y0 : window.y1, window.x0 : window.x1]
        carried[box] = cv2.resize(expected, (window.x1 - window.x0, window.y1 - window.y0))
        mask, worth = window.put(cut, now), _worth(recalled, cut, window)
        if mask.sum() < max(9.0, GONE * self._usual.area):
            mask[:] = False
            worth = 0.0
        hidden = mask.sum() < 0.8 * (carried > 0.5).sum()
        self.mask = mask
        self._extent = np.maximum(mask, carried * (1.0 if hidden else FADE)).astype(np.float32)
        if not hidden:
            self._usual.learn(float(mask.sum()), worth)
            self._colours.learn(bins_b, cut.astype(np.float32), LEARN)
            self._templates.add(now, mask)
        self._poor = self._poor + 1 if hidden and worth < POOR * self._usual.worth else 0
        if self._poor and self._poor % 2 == 0:
            self._search(now, worth)

    def jump(self, now: np.ndarray) -> None:
        """Go to frame `now` across a cut: nothing is carried over but how the object looks."""
        self.mask = np.zeros_like(self.mask)
        self._drift[:] = 0
        self._poor += 1
        self._search(now, 0.0, reach=8.0)

    def _motion(
        self, forth: np.ndarray, back: np.ndarray, inside: np.ndarray, extent: np.ndarray, window: Window
    ) -> np.ndarray:
        """The object's motion in window pixels, (2, 3): as seen, or camera and last drift."""
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

    def _search(self, now: np.ndarray, worth: float, reach: float = 2.0) -> None:
        """Go on from where the object is found by its looks, if that is clearly worth more than `worth`."""
        size = float(np.sqrt(self._usual.area))
        near = _centre(self._extent)
        needed = max(FOUND * self._usual.worth, 1.5 * worth)
        best: np.ndarray | None = None
        for place in self._templates.search(now, near, size * (reach + 0.25 * self._poor)):
            if place.difference < UNLIKE:
                mask, value = self._cut_at(now, place)
                if value > needed and mask.any():
                    best, needed = mask, value
        if best is not None:
            self.mask, self._extent = best, best.astype(np.float32)
            self._drift[:] = 0
            self._poor = 0

    def _cut_at(self, now: np.ndarray, place: Match) -> tuple[np.ndarray, float]:
        """Segment the object where it was found; its (H, W) bool mask and worth."""
        window = Window.around(place.box, now.shape[:2])
        lab = cv2.cvtColor(window.take(now), cv2.COLOR_RGB2LAB)
        bins = colour_bins(lab)
        expected = window.take(place.silhouette(now.shape[:2]))
        spread = 1 + 0.04 * max(place.box[2] - place.box[0], place.box[3] - place.box[1]) * min(window.scale)
        soft = cv2.GaussianBlur(expected, (0, 0), spread)
        prior = PRIOR * _log_odds(0.8 * soft)
        prior[soft < 0.03] = NEVER
        cut = expected > 0.5
        for _ in range(3):
            recalled = self._colours.evidence(bins, expected, 1.0 - cut)
            cut = tidy(min_cut(prior + recalled, lab, SMOOTHNESS))
        return window.put(cut, now), _worth(recalled, cut, window)


def _trust(forth: np.ndarray, back: np.ndarray, lab_a: np.ndarray, lab_b: np.ndarray) -> np.ndarray:
    """How far the flow back from b to a can be trusted, (h, w) 0..1: round trip, likeness, in the window."""
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
    """Log-odds, within +-3, of b's pixels by the colours a's labelled pixels bring to their place."""
    height, width = inside.shape
    target = pixels(inside.shape) + forth + 0.5
    grid = ColourGrid(cells=8)
    grid.add(bins_a, target[..., 0] / width, target[..., 1] / height, inside, weight)
    own, other = grid.look(bins_b, *places(inside.shape))
    return np.clip(np.log((own + 0.5) / (other + 0.5)), -3, 3)


def _worth(evidence: np.ndarray, cut: np.ndarray, window: Window) -> float:
    """Colour evidence for a mask, summed over its pixels, in frame pixels."""
    return float(evidence[cut].sum()) / (window.scale[0] * window.scale[1])


def _log_odds(chance: np.ndarray) -> np.ndarray:
    return np.log((chance + 0.02) / (1.02 - chance))


def _placed(extent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel's x and y as parts of the extent's box, widened by a fifth, both (h, w), 0..1 inside it."""
    x0, y0, x1, y1 = _box_or_frame(extent > 0.3)
    grid = pixels(extent.shape)
    width, height = max(x1 - x0, 1) * 1.2, max(y1 - y0, 1) * 1.2
    return (grid[..., 0] - (x0 + x1) / 2) / width + 0.5, (grid[..., 1] - (y0 + y1) / 2) / height + 0.5


def _centre(weight: np.ndarray) -> tuple[float, float]:
    """Centre of mass, x and y; the middle where there is no mass."""
    total = float(weight.sum())
    if total <= 0:
        return weight.shape[1] / 2, weight.shape[0] / 2
    columns, rows = np.arange(weight.shape[1]), np.arange(weight.shape[0])
    return float(weight.sum(0) @ columns) / total, float(weight.sum(1) @ rows) / total


def _box_or_frame(mask: np.ndarray) -> PixelBox:
    """The bounding box of a mask; the whole frame if it is empty."""
    box = bounding_box(mask)
    return box if box[2] else (0, 0, mask.shape[1], mask.shape[0])
