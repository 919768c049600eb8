"""Votes of other frames on where the hidden part of the object is."""

from dataclasses import dataclass
from itertools import zip_longest

import cv2
import numpy as np

from unocclude.methods.recall.prior import ShapePrior
from unocclude.motion.align import Aligned, Aligner
from unocclude.motion.evidence import BACKGROUND, FOREIGN, STILL, UNKNOWN, Evidence
from unocclude.motion.hull import hull
from unocclude.motion.working import FrameCache

# How much a reference's pixel that is not its visible object speaks against the object, by label: what may hide
# the object there says next to nothing.
AGAINST = {BACKGROUND: 1.0, STILL: 1.0, UNKNOWN: 0.3, FOREIGN: 0.05}
WHOLE_KNOWS_BETTER = 2.7
# References laid exactly are believed where they show the object; only what is surely behind it contradicts them.
AGAINST_RIGID = {BACKGROUND: 0.4, STILL: 0.1, UNKNOWN: 0.1, FOREIGN: 0.0}
RIGID_DOUBT = 0.2
DEEP, DEEP_INSIDE = 4.0, 4
"""Votes from `DEEP_INSIDE` pixels or more inside a silhouette count so many times more: an object that is a little off
does not vote there."""
VOTE = 50.0
RIGID_ERROR_SCALE = 12.0
LEAST_TRUSTED, ENOUGH_TRUSTED = 3, 8

GUESS = 0.1
"""Weight of the guess where no frame has a say, as a share of all references."""

AGREE_FOREIGN = 0.43
AGREE_STILL = 0.55
HULL_BONUS = 0.15
UNSURE_ERROR, REFUSED_ERROR = 20.0, 45.0
ERROR_SCALE = 25.0
SCORE_SCALE = 4.0
AGE_SCALE = 12.0
OWN = 2.0

FOR_WEIGHT, AGAINST_WEIGHT = 1.5, 0.5
"""How much the votes' log odds count beside the prior's where they speak for the object, and where against it: in
frames that do not show a part it may be hidden as well."""
MOST_SURE, LEFT_TO_PRIOR = 6.0, 0.3
"""The prior's log odds are cut at the first, and count the second as much where the object is seen as large as ever,
untouched."""


@dataclass(frozen=True)
class Silhouette:
    """One frame's completed silhouette at working resolution.

    `window` rows and columns; `soft` (h, w) float32 in 0..1, of which > 0.5 is object; `added` (h, w) bool, its part
    that is not visible; `references` the aligned references and their weights, best first.
    """

    window: tuple[slice, slice]
    soft: np.ndarray
    added: np.ndarray
    references: list[tuple[float, Aligned]]


class Voter:
    """Completes silhouettes of one scene from its references."""

    def __init__(
        self, evidence: Evidence, count: int = 12, prior: ShapePrior | None = None, draws: int = 0, seed: int = 0
    ):
        self.evidence, self.work = evidence, evidence.work
        self.count = count
        self.prior, self.draws, self.seed = prior, draws, seed
        self.aligner = Aligner(evidence)
        self._ballots = FrameCache(lambda s: self._ballot(s, AGAINST, 0))
        self._rigid_ballots = FrameCache(lambda s: self._ballot(s, AGAINST_RIGID, DEEP))

    def references(self, i: int) -> list[int]:
        """Up to `count` well-visible frames of the shot: half before and half after, in turn; the nearest ones and a
        spread of the others."""
        wells = [s for s in self.evidence.trajectory.well_near(i) if s != i]
        before, after = [s for s in wells if s < i][::-1], [s for s in wells if s > i]
        untouched = self.evidence.trajectory.ratio[i] > 0.9 and self.evidence.contact[i] < 0.03
        count = self.count // 2 if untouched else self.count
        sides = [_spread(side, count // 2) for side in (before, after)]
        return [s for pair in zip_longest(*sides) for s in pair if s is not None]

    def silhouettes(self, i: int) -> list[Silhouette]:
        """Frame i's silhouette, then as many others as it could have; it alone where references are laid exactly, and
        the visible mask where neither other frames nor the prior have a say."""
        evidence, window = self.evidence, self.evidence.window(i)
        visible, labels = self.work.visible[i][window], evidence.labels[i]
        aligned = self._align(self.references(i), i)
        if sum(a.trusted for a in aligned) >= LEAST_TRUSTED:
            aligned += self._align(self._half_visible(i), i)
        else:
            aligned = self._align_by_way(i) or aligned
        if not labels.size:
            return [Silhouette(window, visible.astype(np.float32), np.zeros_like(visible), [])]
        areas = [self.work.areas[a.source] for a in aligned]
        expected = max(float(visible.sum()), float(np.mean(areas)) if areas else 0.0)
        trusted = [a for a in aligned if a.trusted]
        if len(trusted) >= LEAST_TRUSTED:
            trusted = self.aligner.settle(trusted, i)
            references = sorted(
                ((float(np.exp(-a.error / RIGID_ERROR_SCALE)), a) for a in trusted), key=lambda pair: -pair[0]
            )
            # no prior here: references that lie exactly know better
            softs, smallest = [self._rigid(references, window, labels, visible)], 0.002
        else:
            references = sorted(zip(self._weights(aligned), aligned, strict=True), key=lambda pair: -pair[0])
            soft = self._articulated(i, references, window, labels, visible)
            softs, smallest = self._with_prior(i, soft), 0.01
        return [self._settle(soft, window, visible, expected * smallest, references) for soft in softs]

    def _with_prior(self, i: int, soft: np.ndarray) -> list[np.ndarray]:
        """What the votes say and what the prior says, together: log odds are added."""
        logits = self.prior.logits(i, self.draws, self.seed) if self.prior is not None else None
        if logits is None:
            return [soft]
        votes = np.clip(soft, 0.02, 0.98)
        votes = np.log(votes / (1 - votes))
        votes *= np.where(votes > 0, FOR_WEIGHT, AGAINST_WEIGHT)
        weight = 1 - (1 - LEFT_TO_PRIOR) * self._whole(i)
        return [1 / (1 + np.exp(-(votes + weight * np.clip(said, -MOST_SURE, MOST_SURE)))) for said in logits]

    def _whole(self, i: int) -> float:
        """How sure it is that nothing of the object is hidden in frame i, 0 to 1."""
        evidence = self.evidence
        return float(np.clip((evidence.trajectory.ratio[i] - 0.8) / 0.15, 0, 1)) * (1 - evidence.contact[i])

    @staticmethod
    def _settle(
        soft: np.ndarray,
        window: tuple[slice, slice],
        visible: np.ndarray,
        smallest: float,
        references: list[tuple[float, Aligned]],
    ) -> Silhouette:
        soft = soft.copy()
        added = _solid((soft > 0.5) & ~visible, smallest)
        soft[~added] = np.minimum(soft[~added], 0.49)
        soft[visible] = 1
        return Silhouette(window, soft, added, references)

    def _align(self, sources: list[int], target: int) -> list[Aligned]:
        """The sources laid over `target`, in their order, until enough of them are trusted."""
        aligned: list[Aligned] = []
        for source in sources:
            aligned.append(self.aligner.align(source, target))
            if sum(a.trusted for a in aligned) == ENOUGH_TRUSTED:
                break
        return aligned

    def _align_by_way(self, i: int) -> list[Aligned]:
        """References laid over the frame before or after and from there over frame i, where enough of them can be
        trusted: what is seen in i alone may be too little to find the way."""
        for via in sorted({i - 1, i + 1} & set(self.work.shot(i))):
            step = self.aligner.align(via, i)
            aligned: list[Aligned] = []
            for k, source in enumerate(self.references(via) if step.trusted else []):
                first = self.aligner.align(source, via)
                if first.trusted and source != i:
                    aligned.append(self.aligner.align(source, i, step.motion @ first.motion))
                trusted = sum(a.trusted for a in aligned)
                if trusted == ENOUGH_TRUSTED or (k >= LEAST_TRUSTED and not trusted):
                    break
            if sum(a.trusted for a in aligned) >= LEAST_TRUSTED:
                return aligned
        return []

    def _half_visible(self, i: int) -> list[int]:
        """Frames nearby that show some of the object, but not well."""
        trajectory = self.evidence.trajectory
        some = [s for s in self.work.shot(i) if not trajectory.well[s] and trajectory.ratio[s] > 0.2 and s != i]
        return _spread(sorted(some, key=lambda s: abs(s - i)), self.count // 2)

    def _count(
        self, references: list[tuple[float, Aligned]], window: tuple[slice, slice], ballots: FrameCache[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weighted votes for and against the object at every pixel of the window, (h, w) float32 each."""
        count = np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start, 2), np.float32)
        for weight, a in references:
            count += weight * self.aligner.warp(ballots[a.source], a.motion, window)
        return count[..., 0] / VOTE, count[..., 1] / VOTE

    def _rigid(
        self,
        references: list[tuple[float, Aligned]],
        window: tuple[slice, slice],
        labels: np.ndarray,
        visible: np.ndarray,
    ) -> np.ndarray:
        """Share of references that show the object at a pixel among those that can tell."""
        votes, against = self._count(references, window, self._rigid_ballots)
        own = GUESS * sum(weight for weight, _ in references)
        share = (votes + own * self._guess(visible, labels)) / (votes + against + own)
        return np.where(labels == BACKGROUND, share - RIGID_DOUBT, share)

    def _articulated(
        self,
        i: int,
        references: list[tuple[float, Aligned]],
        window: tuple[slice, slice],
        labels: np.ndarray,
        visible: np.ndarray,
    ) -> np.ndarray:
        if not references:
            return visible.astype(np.float32)
        votes, against = self._count(references, window, self._ballots)
        total = sum(weight for weight, _ in references)
        # a frame that shows the object as large as ever, untouched, votes that nothing is hidden in it
        own = OWN * total * self._whole(i) * (labels != FOREIGN)
        guess = GUESS * total
        share = (votes + guess * self._guess(visible, labels)) / (votes + against + own + guess)
        needed = np.where(labels == STILL, AGREE_STILL, AGREE_FOREIGN)
        needed = needed - HULL_BONUS * (hull(visible) & (labels == FOREIGN))
        soft = np.clip(0.5 + (share - needed), 0, 1).astype(np.float32)
        soft[labels == BACKGROUND] = 0
        return soft

    def _guess(self, visible: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """What is believed where no frame has a say: the object's hull, as far as something may hide it."""
        return 0.9 * (hull(visible) & (labels == FOREIGN)).astype(np.float32)

    def _weights(self, aligned: list[Aligned]) -> list[float]:
        """exp of how well each silhouette and its pixels explain what is seen, and how near in time it is."""
        best = max((a.score for a in aligned), default=0.0)
        return [
            float(
                np.exp(
                    SCORE_SCALE * (a.score - best)
                    - abs(a.source - a.target) / AGE_SCALE
                    - (UNSURE_ERROR if np.isnan(a.error) else min(a.error, REFUSED_ERROR)) / ERROR_SCALE
                )
            )
            for a in aligned
        ]

    def _ballot(self, s: int, against: dict[int, float], deep: float) -> np.ndarray:
        """(h, w, 2) uint8, `VOTE` to a vote: how much frame s says that a place is the object (1 on its visible part,
        1 + `deep` well inside) and that it is not."""
        visible, window = self.work.visible[s], self.evidence.window(s)
        inner = cv2.erode(visible.astype(np.uint8), np.ones((2 * DEEP_INSIDE + 1,) * 2, np.uint8), borderValue=0)
        table = np.array([against[label] for label in range(4)], np.float32)
        if self.evidence.trajectory.ratio[s] > 0.9:
            table[UNKNOWN] *= WHOLE_KNOWS_BETTER
        other = self.work.inside.astype(np.float32)
        other[window] = table[self.evidence.labels[s]]
        other[visible] = 0
        return np.dstack([np.rint(VOTE * layer).astype(np.uint8) for layer in (visible + deep * inner, other)])


def _spread(frames: list[int], count: int) -> list[int]:
    """`count` of the frames (nearest first): the nearest half of them and an even spread of the rest, in turn, so that
    also the first few of the result are both near and far."""
    if len(frames) <= count:
        near, far = frames[: (len(frames) + 1) // 2], frames[(len(frames) + 1) // 2 :]
    else:
        near = frames[: count // 2]
        far = [frames[k] for k in np.linspace(len(near), len(frames) - 1, count - len(near)).astype(int)]
    return [s for pair in zip_longest(near, far[::-1]) for s in pair if s is not None]


def _solid(added: np.ndarray, smallest: float) -> np.ndarray:
    """Added pixels without slivers and specks (parts under `smallest` pixels); none at all where they are under three
    times that."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    opened = cv2.morphologyEx(added.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(opened)
    large = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= smallest]
    kept = np.isin(parts, large)
    return kept if kept.sum() >= 3 * smallest else np.zeros_like(kept)
