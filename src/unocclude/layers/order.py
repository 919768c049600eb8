"""Occlusion order of several objects, back to front, per range of frames.

Object b is in front of object a where b is visible in a place that a should cover. What a should cover is known from
frames that show it well: its silhouettes there, moved into its expected box and shifted to where they best explain what
is visible of it. Further cues: b lies in the convex hull of a; a shows less of itself than in other frames; b reaches
lower in the frame, which on the ground means nearer; the boundary between them moves with b's inside. These votes are
collected over time, so that an order changes only where enough frames say so.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, groupby, pairwise

import cv2
import numpy as np

from unocclude.clip import Clip
from unocclude.errors import InputError
from unocclude.masks import MaskTrack
from unocclude.motion.align import warp
from unocclude.motion.camera import fit_motion, follow, shift
from unocclude.motion.hull import hull
from unocclude.motion.trajectory import Trajectory
from unocclude.motion.working import FrameCache, Working, resize_map
from unocclude.scene import UNDECIDED, Scene
from unocclude.types import FrameProgress

SIDE = 320
"""Longer side of the masks that are compared, in pixels."""
REFERENCES = 4
"""Number of other frames that say what an object should cover."""
TOUCHED = 12
"""A frame in which another object touches this one is used as if it were this many frames farther away."""
SEARCH = 0.15
"""A silhouette is shifted by at most this fraction of its size."""
NEAR = 3
"""Objects within this distance in pixels touch."""
HULL = 0.5
"""Weight of the convex hull where no other frame shows the object."""
SURE = 0.02
"""Fraction of the smaller object's visible area that damps the votes of a few pixels."""
SILHOUETTES, CONTACT, HULLS, LOWER, SHOWN, FOLLOWED = 1.0, 0.5, 1.0, 1.0, 0.3, 1.5
"""Weights of the cues: silhouettes, and more so where the visible masks touch; convex hulls; what reaches lower; what
shows more of itself; whose motion the boundary follows. Chosen on the physics worlds with seeds 100 to 123."""
STEP = 0.04
"""An object clearly reaches lower than another one from this difference on, as a fraction of the frame's height."""
CHANGE = 6.0
"""The order of two objects changes only if that explains votes of more than this many frames."""
LEAST = 0.3
"""Two objects whose votes sum up to less than this have no known order."""
CLEAR, CLEAR_STILL = 2.0, 0.5
"""Votes from which a completion relies on the order; the second one for each frame of very short clips."""
CUE = 0.5
"""Weight of a vote by a network for depth or occlusion order."""
CUES = 12
"""Number of frames of a shot that the network is asked about."""

OrderCue = Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray]
"""From an image (H, W, 3) uint8 RGB and N masks to (N, N) bool, true at [i, j] if mask i occludes mask j."""


@dataclass(frozen=True)
class OrderRange:
    """Frames `start` to `end` (exclusive) in which the order is the same. ids: the objects, back to front. cycles: of
    objects that hide each other in turn; `ids` then contradicts the weakest of the relations."""

    start: int
    end: int
    ids: tuple[int, ...]
    cycles: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class Relations:
    """How N objects are related in each of T frames.

    votes: (N, N, T) float32; at [a, b] how strongly b is in front of a where positive, and behind it where negative; 0
    if that is unknown, infinite where the user said it. votes[b, a] is its negative.
    """

    votes: np.ndarray

    def as_json(self) -> list[list[list[float]]]:
        """For each pair a < b in order: its pieces, [first frame, votes[a, b]]."""
        return [
            [[i, float(line[i])] for i in range(len(line)) if i == 0 or line[i] != line[i - 1]]
            for line in (self.votes[a, b] for a, b in combinations(range(len(self.votes)), 2))
        ]

    @classmethod
    def from_json(cls, pieces: Sequence[Sequence[Sequence[float]]], count: int, frames: int) -> "Relations":
        """The relations of `count` objects in `frames` frames from what `as_json` returned."""
        votes: np.ndarray = np.zeros((count, count, frames), np.float32)
        for (a, b), line in zip(combinations(range(count), 2), pieces, strict=True):
            for start, vote in line:
                votes[a, b, int(start) :] = vote
            votes[b, a] = -votes[a, b]
        return cls(votes)

    def sides(self, a: int) -> np.ndarray:
        """(N, T) int8: on which side of object a the others are (`IN_FRONT`, `UNDECIDED`, `BEHIND`).

        Weak votes are undecided here, since a wrong side spoils a completion.
        """
        clear = min(CLEAR, CLEAR_STILL * self.votes.shape[2])
        return np.where(np.abs(self.votes[a]) >= clear, np.sign(self.votes[a]), UNDECIDED).astype(np.int8)


def relations(
    clip: Clip,
    tracks: Sequence[MaskTrack],
    in_front_of: Sequence[tuple[int, int]] = (),
    cue: OrderCue | None = None,
    progress: FrameProgress | None = None,
) -> Relations:
    """Relations of objects, from their visible masks in all frames.

    in_front_of: pairs (a, b) of indices for which the user says that a is in front of b; above all other evidence. cue:
    a network that is asked about some of the frames in which objects touch. Raises InputError if `in_front_of`
    contradicts itself.
    """
    check_user_order(len(tracks), in_front_of)
    count = len(tracks)
    votes: np.ndarray = np.zeros((count, count, len(clip)), np.float32)
    if count > 1:
        evidence = _Silhouettes(clip, tracks)
        if progress:
            progress(0, len(clip))
        for i in range(len(clip)):
            for a, b in combinations(range(count), 2):
                votes[a, b, i] = evidence.vote(i, a, b)
            if progress:
                progress(i + 1, len(clip))
        if cue is not None:
            _add_cues(clip, tracks, votes, cue)
    for a, b in combinations(range(count), 2):
        for shot in clip.shots:
            votes[a, b, shot.start : shot.stop] = settled(votes[a, b, shot.start : shot.stop])
        votes[b, a] = -votes[a, b]
    for front, back in in_front_of:
        votes[back, front], votes[front, back] = np.inf, -np.inf
    return Relations(votes)


def settled(votes: np.ndarray) -> np.ndarray:
    """Votes of T frames (T,), piecewise constant: each piece has the sum of its votes, or 0 if it is below `LEAST`.

    The signs of the pieces maximise the sum of the votes that they agree with, minus `CHANGE` for every change (Viterbi
    1967).
    """
    signs = np.array([1.0, -1.0])
    best, paths = np.zeros(2), np.zeros((len(votes), 2), int)
    for i, vote in enumerate(votes):
        stay, change = best, best[::-1] - CHANGE
        paths[i] = np.where(stay >= change, [0, 1], [1, 0])
        best = np.maximum(stay, change) + signs * vote
    states = np.zeros(len(votes), int)
    state = int(best.argmax())
    for i in range(len(votes) - 1, -1, -1):
        states[i] = state
        state = paths[i, state]
    result = np.zeros_like(votes)
    for _, piece in groupby(range(len(votes)), key=lambda i: states[i]):
        frames = list(piece)
        total = float(votes[frames].sum())
        result[frames] = total if abs(total) >= LEAST else 0.0
    return result


def check_user_order(count: int, in_front_of: Sequence[tuple[int, int]]) -> None:
    """Raise InputError if the pairs (a, b), a in front of b, contain a cycle."""
    behind = {k: {b for a, b in in_front_of if a == k} for k in range(count)}
    while free := [k for k, others in behind.items() if not others & behind.keys()]:
        for k in free:
            del behind[k]
    if behind:
        raise InputError(
            f"in_front_of goes round in a circle over {len(behind)} objects; leave out one of these relations"
        )


class _Silhouettes:
    """What each object should cover in a frame, at low resolution."""

    def __init__(self, clip: Clip, tracks: Sequence[MaskTrack]):
        self._tracks = tracks
        scale = min(1.0, SIDE / max(clip.width, clip.height))
        self._size = max(1, round(clip.width * scale)), max(1, round(clip.height * scale))
        self._trajectories = [Trajectory(Working(Scene(clip, track))) for track in tracks]
        self._to_small = [
            resize_map((clip.width, clip.height), self._size) @ t.work.to_canvas for t in self._trajectories
        ]
        self._visible = [FrameCache(partial(self._see, track), keep=256) for track in tracks]
        self._expected = [FrameCache(partial(self._expect, k), keep=4) for k in range(len(tracks))]
        self._grey = FrameCache(lambda i: cv2.cvtColor(self._small(clip[i]), cv2.COLOR_RGB2GRAY), keep=4)
        self._ahead = [FrameCache(partial(self._look_ahead, k), keep=4) for k in range(len(tracks))]

    def _small(self, image: np.ndarray) -> np.ndarray:
        return cv2.resize(image, self._size, interpolation=cv2.INTER_AREA)

    def _see(self, track: MaskTrack, i: int) -> np.ndarray:
        return self._small(track[i].astype(np.uint8) * 255) > 127

    def vote(self, i: int, a: int, b: int) -> float:
        """How clearly frame i shows that b is in front of a (up to 1), or behind it (down to -1)."""
        areas = [int(self._tracks[k].areas[i]) for k in (a, b)]
        if not any(areas) or not self._touch(i, a, b):
            return 0.0
        first, second = self._visible[a][i], self._visible[b][i]
        damp = SURE * min(int(mask.sum()) for mask in (first, second) if mask.any() or not all(areas)) + 2
        total = (SILHOUETTES + CONTACT * _meet(first, second)) * _share(
            self._expected[a][i][second & ~first].sum(), self._expected[b][i][first & ~second].sum(), damp
        )
        if all(areas):
            total += HULLS * _share((hull(first) & second).sum(), (hull(second) & first).sum(), damp)
            lower = self._tracks[b].boxes[i][3] - self._tracks[a].boxes[i][3]
            total += LOWER * float(np.clip(lower / (STEP * self._tracks[a].height), -1, 1))
        total += FOLLOWED * self._follow(i, a, b, damp)
        total += SHOWN * (self._trajectories[b].ratio[i] - self._trajectories[a].ratio[i])
        return float(np.tanh(total))

    def _follow(self, i: int, a: int, b: int, damp: float) -> float:
        """Whose motion the boundary between two objects follows until the next frame: 1 if b's, -1 if a's.

        The boundary belongs to the object in front, so it moves with that object's inside.
        """
        if i + 1 >= len(self._tracks[a]) or i + 1 not in self._trajectories[a].work.whole_shot(i):
            return 0.0
        first, second = self._visible[a][i + 1], self._visible[b][i + 1]
        zone = _grown(first) & _grown(second)
        if not zone.any():
            return 0.0
        wrong_a, wrong_b = (int((self._ahead[k][i] ^ mask)[zone].sum()) for k, mask in ((a, first), (b, second)))
        return _share(wrong_a, wrong_b, damp)

    def _look_ahead(self, k: int, i: int) -> np.ndarray:
        """The visible mask of object k in frame i, moved as its inside moves until the next frame, (h, w) bool."""
        mask = self._visible[k][i]
        inner = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8))
        points = cv2.goodFeaturesToTrack(self._grey[i], 80, 0.005, 3, mask=inner) if inner.any() else None
        if points is None or len(points) < 3:
            return mask
        moved, found = follow(self._grey[i], self._grey[i + 1], points[:, 0], 11)
        motion = fit_motion(points[found, 0], moved[found], 1.0) if found.sum() >= 3 else np.eye(3)
        return warp(mask.astype(np.uint8) * 255, motion, self._size) > 127

    def _touch(self, i: int, a: int, b: int) -> bool:
        """Whether the boxes in which two objects are visible or expected meet."""
        first, second = self._box(a, i), self._box(b, i)
        return bool((first[:2] - NEAR < second[2:]).all() and (second[:2] - NEAR < first[2:]).all())

    def _box(self, k: int, i: int) -> np.ndarray:
        """The union of visible and expected box (4,), in small pixels; NaN without either."""
        trajectory = self._trajectories[k]
        boxes = [trajectory.boxes[i]] if np.isfinite(trajectory.boxes[i]).all() else []
        boxes += [trajectory.work.boxes[i]] if self._tracks[k].areas[i] else []
        if not boxes:
            return np.full(4, np.nan)
        union = np.concatenate([np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]])
        return union * self._to_small[k][0, 0]

    def _references(self, k: int, i: int) -> list[int]:
        wells = [s for s in self._trajectories[k].well_near(i) if s != i]
        return sorted(wells, key=lambda s: abs(s - i) + TOUCHED * self._touched(k, s))[:REFERENCES]

    def _touched(self, k: int, s: int) -> bool:
        others = (b for b in range(len(self._tracks)) if b != k and self._tracks[b].areas[s])
        return any(self._touch(s, k, b) for b in others)

    def _expect(self, k: int, i: int) -> np.ndarray:
        """Probability that object k covers a pixel in frame i, (h, w) float32."""
        visible = self._visible[k][i]
        others = np.any([v[i] for b, v in enumerate(self._visible) if b != k], axis=0) & ~visible
        moved = [self._transplant(k, s, i, visible, others) for s in self._references(k, i)]
        if not moved:
            return (visible + HULL * (hull(visible) & ~visible)).astype(np.float32)
        return np.maximum(np.mean(moved, axis=0), visible)

    def _transplant(self, k: int, source: int, i: int, visible: np.ndarray, others: np.ndarray) -> np.ndarray:
        """The silhouette of frame `source` in its place in frame i, (h, w) float32."""
        box, before = (self._trajectories[k].boxes[s] * self._to_small[k][0, 0] for s in (i, source))
        silhouette = self._visible[k][source].astype(np.float32)
        if not np.isfinite(np.concatenate([box, before])).all():
            return np.zeros_like(silhouette)
        size, size_before = box[2:] - box[:2], before[2:] - before[:2]
        scale = float(np.clip(np.sqrt(size.prod() / max(size_before.prod(), 1e-6)), 0.5, 2))
        move = (box[:2] + box[2:]) / 2 - scale * (before[:2] + before[2:]) / 2
        motion = shift(*move) @ np.diag([scale, scale, 1.0])
        reach = max(1, round(SEARCH * float(size.max())))
        dx, dy = _best_shift(warp(silhouette, motion, self._size), visible, others, reach)
        return warp(silhouette, shift(dx, dy) @ motion, self._size)


def _share(over_a: float, over_b: float, damp: float) -> float:
    return float(over_a - over_b) / float(over_a + over_b + damp)


def _meet(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two masks are at most two pixels apart."""
    return bool((_grown(first, 1) & _grown(second, 1)).any())


def _grown(mask: np.ndarray, by: int = NEAR) -> np.ndarray:
    """A mask and what is within `by` pixels of it, in a square."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * by + 1,) * 2, np.uint8)) > 0


def _best_shift(silhouette: np.ndarray, visible: np.ndarray, others: np.ndarray, reach: int) -> tuple[int, int]:
    """The shift (dx, dy) of a silhouette (h, w) that covers most of the object's visible pixels and least of the rest.

    It may lie on other objects at no cost, since these may hide it.
    """
    x, y, w, h = cv2.boundingRect((silhouette > 0.5).astype(np.uint8))
    if not w:
        return 0, 0
    worth = np.where(visible, 1.0, np.where(others, 0.0, -1.0)).astype(np.float32)
    padded = cv2.copyMakeBorder(worth, reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=0)
    part = padded[y : y + h + 2 * reach, x : x + w + 2 * reach]
    template = np.ascontiguousarray(silhouette[y : y + h, x : x + w])
    score = cv2.matchTemplate(part, template, cv2.TM_CCORR) / float(template.sum())
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    score -= 0.1 * (dx**2 + dy**2) / reach**2
    row, column = np.unravel_index(int(np.argmax(score)), score.shape)
    return int(column) - reach, int(row) - reach


def _add_cues(clip: Clip, tracks: Sequence[MaskTrack], votes: np.ndarray, cue: OrderCue) -> None:
    """Add the votes of a network about frames in which objects touch."""
    for shot in clip.shots:
        touching = [i for i in shot if votes[:, :, i].any()]
        for i in touching[:: max(1, len(touching) // CUES)]:
            there = [k for k, track in enumerate(tracks) if track.areas[i]]
            over = cue(clip[i], [tracks[k][i] for k in there]).astype(np.int8)
            for (x, a), (y, b) in combinations(enumerate(there), 2):
                votes[a, b, i] += CUE * (int(over[y, x]) - int(over[x, y]))


def from_completions(
    known: Relations,
    visible: Sequence[Sequence[np.ndarray] | MaskTrack],
    amodal: Sequence[Sequence[np.ndarray]],
    shots: Sequence[range],
) -> Relations:
    """Decide pairs that are undecided, from the completed objects: where both are, the visible one is in front.

    visible, amodal: masks (H, W) bool of each object in every frame, of one size.
    """
    votes = known.votes.copy()
    for a, b in combinations(range(len(visible)), 2):
        for shot in shots:
            part = np.s_[shot.start : shot.stop]
            if not votes[a, b, part].any():
                found = np.array([_balance(visible[a][i], amodal[a][i], visible[b][i], amodal[b][i]) for i in shot])
                votes[a, b, part] = settled(found.astype(np.float32))
                votes[b, a, part] = -votes[a, b, part]
    return Relations(votes)


def _balance(visible_a: np.ndarray, amodal_a: np.ndarray, visible_b: np.ndarray, amodal_b: np.ndarray) -> float:
    over_a, over_b = int((amodal_a & visible_b & ~visible_a).sum()), int((amodal_b & visible_a & ~visible_b).sum())
    return _share(over_a, over_b, SURE * min(int(amodal_a.sum()), int(amodal_b.sum())) + 2)


# From relations of pairs to an order ------------------------------------------------------------------------


def ordered(found: Relations, ids: Sequence[int], tracks: Sequence[MaskTrack]) -> list[OrderRange]:
    """The order back to front per range of frames.

    Objects without relations are ordered by where they stand: what reaches lower in the frame is nearer.
    """
    low = [float(t.boxes[t.areas > 0, 3].mean()) if t.areas.any() else 0.0 for t in tracks]
    farthest = sorted(range(len(ids)), key=lambda k: (low[k], k))
    ranges: list[OrderRange] = []
    for piece in _constant(found.votes):
        sequence, cycles = _sorted(found.votes[:, :, piece.start], farthest)
        now = OrderRange(
            piece.start, piece.stop, tuple(ids[k] for k in sequence), tuple(tuple(ids[k] for k in c) for c in cycles)
        )
        last = ranges[-1] if ranges else None
        if last and (last.ids, last.cycles) == (now.ids, now.cycles):
            ranges[-1] = OrderRange(last.start, now.end, now.ids, now.cycles)
        else:
            ranges.append(now)
    return ranges


def _constant(votes: np.ndarray) -> Iterator[range]:
    """Ranges of frames in which no relation changes."""
    signs = np.sign(votes)
    edges = [0, *(np.flatnonzero((signs[..., 1:] != signs[..., :-1]).any((0, 1))) + 1).tolist(), votes.shape[2]]
    return (range(start, end) for start, end in pairwise(edges))


def _sorted(votes: np.ndarray, farthest: Sequence[int]) -> tuple[list[int], list[list[int]]]:
    """Indices back to front, and the cycles that were broken at their weakest relation. votes: (N, N)."""
    behind = {a: {b: abs(votes[a, b]) for b in farthest if votes[a, b] < 0} for a in farthest}
    sequence: list[int] = []
    cycles: list[list[int]] = []
    while len(sequence) < len(farthest):
        left = [k for k in farthest if k not in sequence]
        free = next((k for k in left if not behind[k].keys() & set(left)), None)
        if free is not None:
            sequence.append(free)
            continue
        cycle = _cycle(behind, left)
        cycles.append(cycle)
        a, b = min(zip(cycle, cycle[1:] + cycle[:1], strict=True), key=lambda pair: behind[pair[0]][pair[1]])
        del behind[a][b]
    return sequence, cycles


def _cycle(behind: dict[int, dict[int, float]], left: Sequence[int]) -> list[int]:
    """Some cycle among objects of which each has another one behind it."""
    path = [left[0]]
    while True:
        step = max((b for b in behind[path[-1]] if b in left), key=lambda b: behind[path[-1]][b])
        if step in path:
            return path[path.index(step) :]
        path.append(step)


def sides_of(found: Relations, a: int) -> dict[int, np.ndarray]:
    """On which side of object a each other object is: index → (T,) int8, as `scene.OtherObject` has it."""
    return {b: side for b, side in enumerate(found.sides(a)) if b != a}
