"""Visible masks of one object in all frames from a prompt in one, without weights.

Each frame's mask is an exact minimum cut. Its evidence: the previous mask moved by dense optical flow, trusted only
where forward and backward flow agree; a localised colour model of the previous frame, moved by the same flow; and a
long-term colour model of the object. Where flow has no answer (something was uncovered) colour decides, but only
inside the object's expected extent: the last well-visible silhouette, carried along by the object's own motion.

After Video SnapCut (Bai et al., SIGGRAPH 2009), Dynamic Color Flow (Bai et al., ECCV 2010) and ObjectFlow
(Tsai et al., CVPR 2016); the code is ours.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from unocclude.clip import Clip
from unocclude.masks import MaskTrack, encode
from unocclude.perception.colours import ColourGrid, colour_bins
from unocclude.perception.find import Looks, Place
from unocclude.perception.graphcut import min_cut
from unocclude.perception.prompt import Prompt
from unocclude.perception.segment import segment, tidy
from unocclude.perception.window import Window

ORIGIN = "flow+cut"
Progress = Callable[[int, int], None]


def track(
    clip: Clip,
    *,
    box: Any = None,
    point: Any = None,
    mask: np.ndarray | None = None,
    frame: int = 0,
    progress: Progress | None = None,
) -> MaskTrack:
    """Visible masks of the object that `box`, `point` or `mask` marks in frame `frame`, in all frames of `clip`.

    `box` is (x0, y0, x1, y1) in pixels with exclusive ends, or a list of boxes that together hold the object;
    `point` is (x, y) on the object, or a list; `mask` is (H, W), non-zero on the object. `progress(done, total)`
    is called after each frame. The result's `origin` is "flow+cut".

    Raises InputError for a prompt that names nothing in the clip.
    """
    return track_prompt(clip, Prompt.of(box, point, mask, frame), progress)


def track_prompt(clip: Clip, prompt: Prompt, progress: Progress | None = None) -> MaskTrack:
    """`track` for a ready `Prompt`. Masks are propagated from its frame outward, forward and then backward."""
    prompt.check(clip)
    first = segment(clip, prompt)
    counts = [b""] * len(clip)
    counts[prompt.frame] = encode(first)
    done = 1
    if progress:
        progress(done, len(clip))
    for order in (range(prompt.frame + 1, len(clip)), range(prompt.frame - 1, -1, -1)):
        state = _State.start(clip[prompt.frame], first)
        previous = prompt.frame
        for i in order:
            state.step(clip[previous], clip[i])
            counts[i] = encode(state.mask)
            previous, done = i, done + 1
            if progress:
                progress(done, len(clip))
    return MaskTrack(counts, clip.height, clip.width, ORIGIN)


@dataclass
class _State:
    """What is carried from frame to frame: the mask, the expected extent, the colours, the motion."""

    mask: np.ndarray  # (H, W) bool
    extent: np.ndarray  # (H, W) float32 0..1: where the object is expected to lie, hidden parts included
    memory: ColourGrid  # long-term colours of the object (global)
    layout: ColourGrid  # long-term colours of the object by their place in its box
    reference: float  # typical visible area
    looks: Any
    drift: np.ndarray = field(default_factory=lambda: np.zeros(2))  # object against camera, frame pixels a frame
    lost: int = 0
    poor: int = 0

    @classmethod
    def start(cls, frame: np.ndarray, mask: np.ndarray) -> "_State":
        window = Window.around(_box_of(mask), mask.shape)
        small, inside = window.take(frame), window.take(mask.astype(np.float32))
        memory = ColourGrid()
        bins = colour_bins(cv2.cvtColor(small, cv2.COLOR_RGB2LAB))
        memory.add(bins, *_places(inside.shape), inside, np.ones_like(inside))
        layout = ColourGrid(cells=P['cells'])
        layout.add(bins, *_placed(inside), inside, np.ones_like(inside))
        o = cls(mask, mask.astype(np.float32), memory, layout, float(mask.sum()), Looks())
        o.start_count=inside.sum()
        o.looks.see(frame, mask)
        return o

    def step(self, before: np.ndarray, now: np.ndarray) -> None:
        """Go from frame `before` to frame `now`, both (H, W, 3) uint8."""
        window = Window.around(_box_of(self.extent > 0.3), self.mask.shape)
        a, b = window.take(before), window.take(now)
        inside, extent = window.take(self.mask.astype(np.float32)), window.take(self.extent)
        back, forth = _flow(b, a), _flow(a, b)
        grid = _pixels(inside.shape)
        lab_a, lab_b = (cv2.cvtColor(x, cv2.COLOR_RGB2LAB) for x in (a, b))

        # the previous mask, moved; and how far the flow can be trusted
        there = grid + back
        moved = _sample(cv2.GaussianBlur(inside, (0, 0), 1.0), there)
        slip = np.linalg.norm(back + _sample(forth, there), axis=2)
        size = np.linalg.norm(back, axis=2)
        change = np.abs(lab_b.astype(np.float32) - _sample(lab_a, there).astype(np.float32)).sum(2)
        change = cv2.blur(change, (3, 3))
        trust = np.exp(-((slip / (1.0 + 0.1 * size)) ** 2) - (change / 60.0) ** 2)
        off = (there[..., 0] < -0.5) | (there[..., 1] < -0.5)
        off |= (there[..., 0] > inside.shape[1] - 0.5) | (there[..., 1] > inside.shape[0] - 0.5)
        trust[off] = 0

        # where the object is expected
        motion = self._object_motion(forth, inside, extent, window)
        expected = cv2.warpAffine(extent, motion, inside.shape[::-1], flags=cv2.INTER_LINEAR)

        # colour models
        bins_a, bins_b = colour_bins(lab_a), colour_bins(lab_b)
        x, y = _places(inside.shape)
        target = grid + forth
        ones = np.ones_like(inside)
        everywhere = ColourGrid()
        everywhere.add(bins_a, x, y, inside, ones)
        long_logit = self._recall(bins_b, everywhere, expected)
        doubt = extent * (1 - inside) / (1 + np.exp(-self._recall(bins_a, everywhere, extent)))
        local = ColourGrid(cells=8)
        local.add(bins_a, target[..., 0] / inside.shape[1], target[..., 1] / inside.shape[0], inside, 1 - P['doubt'] * doubt)
        near = local.look(bins_b, x, y)
        rare = 0.5
        local_logit = np.log((near[0] + rare) / (near[1] + rare))

        prior = trust * moved + (1 - trust) * P['q'] * expected
        prior = np.maximum(prior, P['h'] * expected)
        prior_logit = np.log((prior + P['e']) / (1 - prior + P['e']))
        logit = P['p'] * prior_logit + P['s'] * np.clip(local_logit, -3, 3) + P['l'] * np.clip(long_logit, -3, 3)
        near_object = cv2.dilate(np.maximum(moved, expected), np.ones((3, 3), np.uint8), iterations=P['near']) > 0.15
        logit[~near_object] = -10
        cut = tidy(min_cut(logit, lab_b, P['smooth']))
        self.debug = dict(b=b, moved=moved, trust=trust, expected=expected, local=local_logit, long=long_logit, cut=cut)

        full = window.put(cut, now)
        area = float(full.sum())
        carried = np.zeros_like(self.extent)
        size_full = (window.x1 - window.x0, window.y1 - window.y0)
        carried[window.y0 : window.y1, window.x0 : window.x1] = cv2.resize(expected, size_full)
        worth = float(np.clip(long_logit, -3, 3)[cut].sum() / np.prod(window.scale))
        if not hasattr(self,'usual'): self.usual = worth
        cover = area / max(float((carried > 0.5).sum()), 1.0)
        if area < max(9.0, P['lost'] * self.reference):
            full[:] = False
            area = 0
            worth = 0
            self.lost += 1
        else:
            self.lost = 0
        self.poor = self.poor + 1 if (worth < P['poor'] * self.usual) else 0
        if self.poor > 1 and (self.poor % 2 == 0):
            found = self._find(now, carried, full, worth)
            if found is not None:
                self.mask = found
                self.extent = found.astype(np.float32)
                self.poor = 0
                self.drift[:] = 0
                return
        hidden = area < 0.8 * float((carried > 0.5).sum())
        self.extent = np.maximum(full.astype(np.float32), carried * (P['hold'] if hidden else P['fade']))
        self.mask = full
        if not hidden:
            self.usual = 0.9 * self.usual + 0.1 * worth
            self.reference = 0.9 * self.reference + 0.1 * area
            self.memory.fade(1 - P['learn'])
            self.memory.add(bins_b, x, y, cut.astype(np.float32), P["learn"] * cut.astype(np.float32) * self.start_count / max(cut.sum(), 1))
            self.layout.fade(1 - P['learn'])
            self.layout.add(bins_b, *_placed(cut.astype(np.float32)), cut.astype(np.float32), P['learn'] * cut.astype(np.float32) * self.start_count / max(cut.sum(),1))
            self.looks.see(now, full)

    def _recall(self, bins: np.ndarray, scene: ColourGrid, extent: np.ndarray) -> np.ndarray:
        """Log-ratio of the object's long-term colours (anywhere and at their place) to the background's of `scene`."""
        zero = np.zeros(bins.shape)
        recalled = self.memory.look(bins, zero, zero)[0] / max(self.memory.totals[0], 1.0)
        placed = self.layout.look(bins, *_placed(extent))[0] * self.layout.cells**2 / max(self.layout.totals[0], 1.0)
        around = scene.look(bins, zero, zero)[1] / max(scene.totals[1], 1.0)
        recalled = (1 - P['lay']) * recalled + P['lay'] * placed
        return np.log((recalled + P['le']) / (around + P['le']))

    def _find(self, now, carried, current, worth):
        """Look for the object elsewhere; its (H, W) bool mask there, or None when nothing is clearly better."""
        centre = _centre(carried) if carried.any() else (now.shape[1] / 2, now.shape[0] / 2)
        size = np.sqrt(self.reference)
        best = None
        for place in self.looks.find(now, centre, size * (2.0 + 0.25 * self.poor)):
            if place.difference > P['diff']:
                continue
            mask, value = self._cut_at(now, place)
            if value > P['accept'] * self.usual and value > 1.5 * worth and (best is None or value > best[1]):
                best = mask, value
        return None if best is None else best[0]

    def _cut_at(self, now, place):
        """Segment the object at a place found by its looks; the mask and what it is worth."""
        box = place.box
        window = Window.around(box, now.shape[:2])
        lab = cv2.cvtColor(window.take(now), cv2.COLOR_RGB2LAB)
        silhouette = np.zeros(now.shape[:2], np.float32)
        size = max(1, round(box[2] - box[0])), max(1, round(box[3] - box[1]))
        _paste(silhouette, cv2.resize(place.mask, size), round(box[0]), round(box[1]))
        expected = window.take(silhouette)
        blur = 0.04 * max(size) * min(window.scale) + 1
        soft = cv2.GaussianBlur(expected, (0, 0), blur)
        bins, (x, y) = colour_bins(lab), _places(soft.shape)
        prior = np.log((soft * .8 + 0.02) / (1 - soft * .8 + 0.02))
        prior[soft < 0.03] = -10
        cut = expected > 0.5
        for _ in range(3):
            scene = ColourGrid()
            scene.add(bins, x, y, cut.astype(np.float32), np.ones_like(soft))
            recall = np.clip(self._recall(bins, scene, expected), -3, 3)
            cut = tidy(min_cut(P['p'] * prior + recall, lab, P['smooth']))
        return window.put(cut, now), float(recall[cut].sum() / np.prod(window.scale))

    def _object_motion(self, forth, inside, extent, window) -> np.ndarray:
        """Similarity motion of the object's pixels in window pixels, (2, 3); the last one when too few are seen."""
        camera = _similarity(forth, (inside < 0.5) & (extent < 0.3))
        seen = inside > 0.5
        centre = np.array([*_centre(extent), 1.0])
        scale = np.array(window.scale)
        share = seen.sum() / max((extent > 0.5).sum(), 1)
        if seen.sum() >= 12 and share > 0.3:
            own = _similarity(forth, seen)
            zoom = np.hypot(own[0, 0], own[0, 1])
            if not 0.85 < zoom < 1.18 or share < 0.6:
                own = np.array([[1.0, 0, 0], [0, 1, 0]])
                own[:, 2] = np.median(forth[seen], axis=0)
            drift = (own @ centre - camera @ centre) / scale
            self.drift = 0.7 * self.drift + 0.3 * drift if self.drift.any() else drift
            return own
        camera = camera.copy()
        camera[:, 2] += self.drift * scale
        return camera


def _paste(canvas: np.ndarray, patch: np.ndarray, x: int, y: int) -> None:
    height, width = canvas.shape
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + patch.shape[1], width), min(y + patch.shape[0], height)
    if x1 > x0 and y1 > y0:
        canvas[y0:y1, x0:x1] = patch[y0 - y : y1 - y, x0 - x : x1 - x]


def _similarity(forth: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The similarity that best explains the flow at the pixels `where`, (2, 3); RANSAC, fixed seed."""
    ys, xs = np.nonzero(where)
    if len(xs) < 6:
        return np.eye(2, 3)
    pick = np.linspace(0, len(xs) - 1, min(len(xs), 400)).astype(int)
    source = np.stack([xs[pick], ys[pick]], 1).astype(np.float32)
    cv2.setRNGSeed(0)
    found, _ = cv2.estimateAffinePartial2D(
        source, source + forth[ys[pick], xs[pick]], method=cv2.RANSAC, ransacReprojThreshold=1.5
    )
    return np.eye(2, 3) if found is None else found


def _placed(extent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel's x and y as parts of the extent's box (with a margin of a tenth), both (h, w), 0..1 inside."""
    x0, y0, x1, y1 = _box_of(extent > 0.3)
    grid = _pixels(extent.shape)
    w, h = max(x1 - x0, 1) * 1.2, max(y1 - y0, 1) * 1.2
    return (grid[..., 0] - (x0 + x1) / 2) / w + 0.5, (grid[..., 1] - (y0 + y1) / 2) / h + 0.5


def _centre(weight: np.ndarray) -> tuple[float, float]:
    total = max(float(weight.sum()), 1e-6)
    x, y = np.arange(weight.shape[1]), np.arange(weight.shape[0])
    return float((weight.sum(0) * x).sum() / total), float((weight.sum(1) * y).sum() / total)


import json, os
P = dict(p=.8, s=.7, l=.8, smooth=1.5, q=.7, hold=1.0, fade=.9, lay=.5, le=1e-4, cells=5, doubt=.8, h=.3, learn=.05, e=.02, near=4, poor=.5, diff=30, accept=.35, lost=.02)
P.update(json.loads(os.environ.get('P', '{}')))


def _flow(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Dense flow from RGB a to b, (h, w, 2) float32 as x, y (DIS, Kroeger et al., ECCV 2016)."""
    grey = [cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (a, b)]
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(grey[0], grey[1], None)


def _sample(image: np.ndarray, at: np.ndarray) -> np.ndarray:
    return cv2.remap(image, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _pixels(shape: tuple[int, ...]) -> np.ndarray:
    """(h, w, 2) float32: each pixel's x and y."""
    return np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), 2).astype(np.float32)


def _places(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel's x and y as parts of the window, 0..1, both (h, w)."""
    grid = _pixels(shape)
    return (grid[..., 0] + 0.5) / shape[1], (grid[..., 1] + 0.5) / shape[0]


def _box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    x0, y0, w, h = cv2.boundingRect(mask.astype(np.uint8))
    return x0, y0, x0 + w, y0 + h
