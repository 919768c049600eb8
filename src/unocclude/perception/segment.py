"""Segmentation of the object in the prompt's frame, by GrabCut and motion, without weights."""

from itertools import pairwise

import cv2
import numpy as np

from unocclude.clip import Clip
from unocclude.geometry import clip_box, mask_iou
from unocclude.perception.colours import ColourGrid, colour_bins
from unocclude.perception.flow import dense_flow, pixels, places, similarity
from unocclude.perception.graphcut import min_cut
from unocclude.perception.prompt import Cue
from unocclude.perception.window import Window
from unocclude.types import Box, PixelBox

NEVER = -10.0  # log-odds of a pixel that cannot belong to the object
MOTION = 1.0  # weight of motion evidence
_PADS = (0.15, 0.4, 1.0)  # widths of the surroundings that vote, relative to the box's longer side


def segment(clip: Clip, frame: int, cue: Cue) -> np.ndarray:
    """The object's visible mask in a frame from a cue, (H, W) bool, never empty unless the cue says so.

    A mask is returned as it is. A box: GrabCut (Rother et al., SIGGRAPH 2004) against surroundings of three widths
    votes; the vote is refined by minimum cuts on colours and on motion relative to the surroundings in neighbouring
    frames. A point: see `_from_points`.
    """
    shape = (clip.height, clip.width)
    if cue.hidden:
        return np.zeros(shape, bool)
    if cue.mask is not None:
        return cue.mask != 0
    if cue.inside:
        return _from_points(clip, frame, cue)
    boxes = [clip_box(box, shape) for box in cue.boxes]
    return _from_boxes(clip, frame, boxes)


def _from_boxes(clip: Clip, frame: int, boxes: list[PixelBox]) -> np.ndarray:
    shape = (clip.height, clip.width)
    allowed = np.zeros(shape, np.float32)
    for x0, y0, x1, y1 in boxes:
        allowed[y0:y1, x0:x1] = 1
    if allowed.all():
        return allowed > 0
    bounds = _bounds(boxes)
    window = Window.around(bounds, shape, pad=0.5)
    vote = np.zeros((window.height, window.width), np.float32)
    for pad in _PADS:
        view = Window.around(bounds, shape, pad=pad)
        mask = view.put(_grabcut(view.take(clip[frame]), view.take(allowed) > 0.5), clip[frame])
        vote += window.take(mask.astype(np.float32)) / len(_PADS)
    inside = window.take(allowed) > 0.5
    cut = _refine(clip, frame, window, vote, inside)
    full = window.put(cut, clip[frame]) & (allowed > 0)
    return full if full.sum() >= 0.02 * allowed.sum() else allowed > 0


def _grabcut(rgb: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """GrabCut within `inside` of an (h, w, 3) uint8 image, (h, w) bool; `inside` itself if the result is empty."""
    if inside.all() or not inside.any():
        return inside
    labels = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    mask = _decide(rgb, labels, rounds=6)
    return mask if mask.any() else inside


def _decide(rgb: np.ndarray, labels: np.ndarray, rounds: int) -> np.ndarray:
    """Deterministic GrabCut from a map of `cv2.GC_*` labels, (h, w) uint8."""
    cv2.setRNGSeed(0)
    models = np.zeros((2, 1, 65))
    cv2.grabCut(rgb, labels, (0, 0, 1, 1), models[0], models[1], rounds, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def _refine(clip: Clip, frame: int, window: Window, vote: np.ndarray, inside: np.ndarray) -> np.ndarray:
    lab = cv2.cvtColor(window.take(clip[frame]), cv2.COLOR_RGB2LAB)
    bins, (x, y) = colour_bins(lab), places(lab.shape)
    flows = _flows(clip, frame, window)
    prior = np.log((vote + 0.1) / (1.1 - vote))
    cut = vote > 0.5
    for _ in range(3):
        grid = ColourGrid()
        grid.add(bins, x, y, cut.astype(np.float32), np.ones(cut.shape))
        own, other = (grid.look(bins, x, y)[side] * 1e4 / max(grid.totals[side], 1) for side in (0, 1))
        logit = prior + np.clip(np.log((own + 0.5) / (other + 0.5)), -3, 3)
        for flow in flows:
            logit += MOTION * _motion_evidence(flow, cut, inside) / len(flows)
        logit[~inside] = NEVER
        cut = tidy(min_cut(logit, lab))
    return cut


def _flows(clip: Clip, frame: int, window: Window) -> list[np.ndarray]:
    """Optical flow from `frame` to one neighbour before and one after in its shot, within the window."""
    shot = clip.shot_of(frame)
    here = window.take(clip[frame])
    found = []
    for gap in (-2, 2):
        other = min(max(frame + gap, shot.start), shot.stop - 1)
        if other != frame:
            found.append(dense_flow(here, window.take(clip[other])))
    return found


def _motion_evidence(flow: np.ndarray, cut: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Log-odds (h, w) within +-2 that a pixel moves with the object rather than with the surroundings.

    Both motions are similarities fitted to `flow`, on `cut` and outside `inside`; where they agree the log-odds are 0.
    """
    grid = pixels(cut.shape)
    object_, scene = similarity(flow, cut), similarity(flow, ~inside)
    errors = [np.linalg.norm(grid @ m[:, :2].T + m[:, 2] - grid - flow, axis=2) for m in (object_, scene)]
    gap = np.linalg.norm(grid @ (object_ - scene)[:, :2].T + (object_ - scene)[:, 2], axis=2)
    evidence = np.clip(errors[1], 0, 3) - np.clip(errors[0], 0, 3)
    return np.clip(evidence * np.clip(gap - 0.5, 0, 1), -2, 2)


def _bounds(boxes: list[PixelBox]) -> Box:
    rows = np.array(boxes)
    return (*rows[:, :2].min(0).tolist(), *rows[:, 2:].max(0).tolist())


def _from_points(clip: Clip, index: int, cue: Cue) -> np.ndarray:
    """Segment around points on the object.

    For several object sizes, pixels near the points are labelled object and pixels beyond that size background, and
    GrabCut decides in between. The mask whose outline follows the strongest edges and which agrees best with the next
    size wins.
    """
    frame, shape = clip[index], (clip.height, clip.width)
    points = np.array(cue.inside)
    spread = float(np.ptp(points, axis=0).max()) if len(points) > 1 else 0.0
    masks, scores = [], []
    longest = max(shape)
    for radius in np.geomspace(max(6.0, 0.04 * longest), 0.5 * longest, 7):
        box = (*(points.min(0) - radius).tolist(), *(points.max(0) + radius).tolist())
        window = Window.around(box, shape, pad=0.25, side=240)
        rgb = window.take(frame)
        grid = pixels(rgb.shape)
        scale = np.array(window.scale)
        at = (points - (window.x0, window.y0) + 0.5) * scale - 0.5
        distance = np.min([np.linalg.norm((grid - p) / scale, axis=2) for p in at], axis=0)
        reach = radius + spread / 2
        core = max(1.5 / min(window.scale), 0.12 * radius)
        labels = np.full(distance.shape, cv2.GC_BGD, np.uint8)
        labels[distance < reach] = cv2.GC_PR_BGD
        labels[distance < 0.55 * reach] = cv2.GC_PR_FGD
        labels[distance < core] = cv2.GC_FGD
        if not (labels == cv2.GC_BGD).any() and not (labels == cv2.GC_PR_BGD).any():
            continue
        cut = _decide(rgb, labels, rounds=5)
        cut = _parts_with(tidy(cut), at)
        masks.append(window.put(cut, frame))
        scores.append(_edge_support(rgb, cut, distance < reach))
    if not masks:
        return np.ones(shape, bool)
    agreement = [1.0] * len(masks)
    if len(masks) > 1:
        pairs = [mask_iou(a, b, empty=0.0) for a, b in pairwise(masks)]
        agreement = [max(p) for p in zip([0, *pairs], [*pairs, 0], strict=True)]
    best = masks[int(np.argmax([s * (0.3 + a) for s, a in zip(scores, agreement, strict=True)]))]
    for x, y in points:
        best[int(y), int(x)] = True
    return best


def _edge_support(rgb: np.ndarray, cut: np.ndarray, reach: np.ndarray) -> float:
    """Mean colour step across the outline, 0..1; outline pixels at the limit of `reach` count as 0."""
    lab = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB), (0, 0), 1.0).astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    step = np.linalg.norm(cv2.dilate(lab, kernel) - cv2.erode(lab, kernel), axis=2)
    outline = cv2.dilate(cut.astype(np.uint8), kernel).astype(bool) & ~cut
    if not outline.any():
        return 0.0
    limit = ~cv2.erode(reach.astype(np.uint8), kernel, borderValue=1).astype(bool)
    strength = np.clip(step / 80.0, 0, 1) * ~limit
    return float(strength[outline].mean())


def _parts_with(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    at = np.clip(np.rint(points).astype(int), 0, np.array(mask.shape[::-1]) - 1)
    wanted = {int(labels[y, x]) for x, y in at} - {0}
    return np.isin(labels, list(wanted)) if wanted else mask


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
