"""Amodal masks by votes of other frames."""

from dataclasses import dataclass
from itertools import zip_longest

import cv2
import numpy as np

from unocclude.methods.recall.prior import ShapePrior
from unocclude.motion.align import Aligned, Aligner
from unocclude.motion.evidence import BACKGROUND, FOREIGN, STILL, UNKNOWN, Evidence
from unocclude.motion.hull import hull
from unocclude.motion.working import FrameCache

# Weight of a reference's pixel outside its visible object as a vote against the object, by label: a possible occluder
# is hardly any evidence.
AGAINST = {BACKGROUND: 1.0, STILL: 1.0, UNKNOWN: 0.3, FOREIGN: 0.05}
WHOLE_KNOWS_BETTER = 2.7
"""Factor of votes against from unknown pixels of frames that show the whole object."""
# The same for precisely aligned references: only pixels that are clearly background contradict them.
AGAINST_RIGID = {BACKGROUND: 0.4, STILL: 0.1, UNKNOWN: 0.1, FOREIGN: 0.0}
RIGID_DOUBT = 0.2
"""Subtracted from the share of votes where the frame itself shows background."""
DEEP, DEEP_INSIDE = 4.0, 4
"""Additional weight of votes at least `DEEP_INSIDE` pixels inside a silhouette, which are robust to misalignment."""
VOTE = 50.0
"""Integer value of one vote in a uint8 ballot."""
RIGID_ERROR_SCALE = 12.0
"""Alignment error in grey levels at which the weight of a trusted reference falls to 1/e."""
LEAST_TRUSTED, ENOUGH_TRUSTED = 3, 8
"""Trusted references that are needed to vote without the others, and at which the search for more ends."""

GUESS = 0.1
"""Weight of the guess (see `_guess`) relative to all references."""

AGREE_FOREIGN = 0.43
AGREE_STILL = 0.55
"""Share of votes that makes a pixel part of the object, by label."""
HULL_BONUS = 0.15
"""Reduction of that share inside the convex hull of the visible part."""
UNSURE_ERROR, REFUSED_ERROR = 20.0, 45.0
"""Alignment error assumed where it could not be measured, and its maximum, in grey levels."""
ERROR_SCALE = 25.0
SCORE_SCALE = 4.0
AGE_SCALE = 12.0
"""Scales of error (grey levels), score and distance in time (frames) in the weight of a reference."""
OWN = 2.0
"""Weight of the frame's own vote that nothing is hidden, relative to all references."""

FOR_WEIGHT, AGAINST_WEIGHT = 1.5, 0.5
"""Weights of the votes' log-odds relative to the prior's, for votes for and against the object. Votes against are
weaker, because a part that a frame does not show may be hidden in it too."""
MOST_SURE, LEFT_TO_PRIOR = 6.0, 0.3
"""The prior's log-odds are clipped to +-`MOST_SURE`, and weighted by `LEFT_TO_PRIOR` where the object seems fully
visible."""


@dataclass(frozen=True)
class Silhouette:
    """The completed silhouette of one frame at working resolution.

    window: rows and columns. soft: (h, w) float32 in 0..1, object above 0.5. added: (h, w) bool, the part that is not
    visible. references: aligned references and their weights, best first.
    """

    window: tuple[slice, slice]
    soft: np.ndarray
    added: np.ndarray
    references: list[tuple[float, Aligned]]


class Voter:
    """Completes silhouettes of a scene by votes of references.

    count: number of references per frame. prior: shape prior, if any. draws: samples from the prior in addition to the
    mean; seed: of these.
    """

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
        """Up to `count` well-visible frames of the shot, alternately before and after frame i.

        Half of them are the nearest ones, the rest is evenly spaced.
        """
        wells = [s for s in self.evidence.trajectory.well_near(i) if s != i]
        before, after = [s for s in wells if s < i][::-1], [s for s in wells if s > i]
        untouched = self.evidence.trajectory.ratio[i] > 0.9 and self.evidence.contact[i] < 0.03
        count = self.count // 2 if untouched else self.count
        sides = [_spread(side, count // 2) for side in (before, after)]
        return [s for pair in zip_longest(*sides) for s in pair if s is not None]

    def silhouettes(self, i: int) -> list[Silhouette]:
        """Silhouette of frame i, followed by samples of it.

        Just one if references are aligned precisely; the visible mask if there are neither references nor a prior.
        """
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
            # no prior here: precisely aligned references are better
            softs, smallest = [self._rigid(references, window, labels, visible)], 0.002
        else:
            references = sorted(zip(self._weights(aligned), aligned, strict=True), key=lambda pair: -pair[0])
            soft = self._articulated(i, references, window, labels, visible)
            softs, smallest = self._with_prior(i, soft), 0.01
        return [self._settle(soft, window, visible, expected * smallest, references) for soft in softs]

    def _with_prior(self, i: int, soft: np.ndarray) -> list[np.ndarray]:
        """Combine votes and prior by adding their log-odds; one result per sample of the prior."""
        logits = self.prior.logits(i, self.draws, self.seed) if self.prior is not None else None
        if logits is None:
            return [soft]
        votes = np.clip(soft, 0.02, 0.98)
        votes = np.log(votes / (1 - votes))
        votes *= np.where(votes > 0, FOR_WEIGHT, AGAINST_WEIGHT)
        weight = 1 - (1 - LEFT_TO_PRIOR) * self._whole(i)
        return [1 / (1 + np.exp(-(votes + weight * np.clip(sample, -MOST_SURE, MOST_SURE)))) for sample in logits]

    def _whole(self, i: int) -> float:
        """Confidence that the object is fully visible in frame i, 0 to 1."""
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
        """Align sources to `target`, in order, until enough of them are trusted."""
        aligned: list[Aligned] = []
        for source in sources:
            aligned.append(self.aligner.align(source, target))
            if sum(a.trusted for a in aligned) == ENOUGH_TRUSTED:
                break
        return aligned

    def _align_by_way(self, i: int) -> list[Aligned]:
        """Align references by way of the previous or next frame, if enough of them can be trusted.

        The visible part of frame i alone may be too small for a direct alignment.
        """
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
        """Nearby frames that show only part of the object."""
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
        """Share of references that show the object at a pixel, among those with evidence there."""
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
        # a frame in which the object seems fully visible votes that nothing is hidden
        own = OWN * total * self._whole(i) * (labels != FOREIGN)
        guess = GUESS * total
        share = (votes + guess * self._guess(visible, labels)) / (votes + against + own + guess)
        needed = np.where(labels == STILL, AGREE_STILL, AGREE_FOREIGN)
        needed = needed - HULL_BONUS * (hull(visible) & (labels == FOREIGN))
        soft = np.clip(0.5 + (share - needed), 0, 1).astype(np.float32)
        soft[labels == BACKGROUND] = 0
        return soft

    def _guess(self, visible: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Guess for pixels without votes: the convex hull of the visible part, where something may occlude it."""
        return 0.9 * (hull(visible) & (labels == FOREIGN)).astype(np.float32)

    def _weights(self, aligned: list[Aligned]) -> list[float]:
        """Weights of references: how well silhouette and pixels explain the frame, and how close in time they are."""
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
        """Votes of frame s for and against the object at each pixel, (h, w, 2) uint8, in units of 1 / `VOTE`.

        Its visible part votes for the object with 1, or 1 + `deep` well inside.
        """
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
    """Select `count` of `frames` (nearest first): the nearest half, and evenly spaced ones of the rest, alternately."""
    if len(frames) <= count:
        near, far = frames[: (len(frames) + 1) // 2], frames[(len(frames) + 1) // 2 :]
    else:
        near = frames[: count // 2]
        far = [frames[k] for k in np.linspace(len(near), len(frames) - 1, count - len(near)).astype(int)]
    return [s for pair in zip_longest(near, far[::-1]) for s in pair if s is not None]


def _solid(added: np.ndarray, smallest: float) -> np.ndarray:
    """Remove slivers and components under `smallest` pixels; returns an empty mask if less than three times that is
    left."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    opened = cv2.morphologyEx(added.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(opened)
    large = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= smallest]
    kept = np.isin(parts, large)
    return kept if kept.sum() >= 3 * smallest else np.zeros_like(kept)
