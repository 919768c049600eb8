"""Amodal masks by votes of other frames."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

import cv2
import numpy as np

from unocclude.methods.recall.prior import ShapePrior
from unocclude.methods.recall.voting import AGREEMENT, BALLOTS, PRIOR, REFERENCES
from unocclude.motion.align import Aligned, Aligner
from unocclude.motion.evidence import BACKGROUND, FOREIGN, STILL, UNKNOWN, Evidence
from unocclude.motion.hull import hull
from unocclude.motion.working import FrameCache


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
        self._ballots = FrameCache(lambda s: self._ballot(s, BALLOTS.against, 0))
        self._rigid_ballots = FrameCache(lambda s: self._ballot(s, BALLOTS.against_rigid, BALLOTS.deep))

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
        if sum(a.trusted for a in aligned) >= REFERENCES.least_trusted:
            aligned += self._align(self._half_visible(i), i)
        else:
            aligned = self._align_by_way(i) or aligned
        if not labels.size:
            return [Silhouette(window, visible.astype(np.float32), np.zeros_like(visible), [])]
        areas = [self.work.areas[a.source] for a in aligned]
        expected = max(float(visible.sum()), float(np.mean(areas)) if areas else 0.0)
        trusted = [a for a in aligned if a.trusted]
        if len(trusted) >= REFERENCES.least_trusted:
            trusted = self.aligner.settle(trusted, i)
            references = sorted(
                ((float(np.exp(-a.error / REFERENCES.rigid_error_scale)), a) for a in trusted),
                key=lambda pair: -pair[0],
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
        votes *= np.where(votes > 0, PRIOR.for_object, PRIOR.against_object)
        weight = 1 - (1 - PRIOR.left) * self._whole(i)
        return [
            1 / (1 + np.exp(-(votes + weight * np.clip(sample, -PRIOR.most_sure, PRIOR.most_sure))))
            for sample in logits
        ]

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
            if sum(a.trusted for a in aligned) == REFERENCES.enough_trusted:
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
                if trusted == REFERENCES.enough_trusted or (k >= REFERENCES.least_trusted and not trusted):
                    break
            if sum(a.trusted for a in aligned) >= REFERENCES.least_trusted:
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
        return count[..., 0] / BALLOTS.vote, count[..., 1] / BALLOTS.vote

    def _rigid(
        self,
        references: list[tuple[float, Aligned]],
        window: tuple[slice, slice],
        labels: np.ndarray,
        visible: np.ndarray,
    ) -> np.ndarray:
        """Share of references that show the object at a pixel, among those with evidence there."""
        votes, against = self._count(references, window, self._rigid_ballots)
        own = REFERENCES.guess * sum(weight for weight, _ in references)
        share = (votes + own * self._guess(visible, labels)) / (votes + against + own)
        return np.where(labels == BACKGROUND, share - AGREEMENT.rigid_doubt, share)

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
        own = REFERENCES.own * total * self._whole(i) * (labels != FOREIGN)
        guess = REFERENCES.guess * total
        share = (votes + guess * self._guess(visible, labels)) / (votes + against + own + guess)
        needed = np.where(labels == STILL, AGREEMENT.still, AGREEMENT.foreign)
        needed = needed - AGREEMENT.hull_bonus * (hull(visible) & (labels == FOREIGN))
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
                    REFERENCES.score_scale * (a.score - best)
                    - abs(a.source - a.target) / REFERENCES.age_scale
                    - (REFERENCES.unsure_error if np.isnan(a.error) else min(a.error, REFERENCES.refused_error))
                    / REFERENCES.error_scale
                )
            )
            for a in aligned
        ]

    def _ballot(self, s: int, against: Mapping[int, float], deep: float) -> np.ndarray:
        """Votes of frame s for and against the object at each pixel, (h, w, 2) uint8, in units of 1 / `BALLOTS.vote`.

        Its visible part votes for the object with 1, or 1 + `deep` well inside.
        """
        visible, window = self.work.visible[s], self.evidence.window(s)
        inner = cv2.erode(
            visible.astype(np.uint8), np.ones((2 * BALLOTS.deep_inside + 1,) * 2, np.uint8), borderValue=0
        )
        table = np.array([against[label] for label in range(4)], np.float32)
        if self.evidence.trajectory.ratio[s] > 0.9:
            table[UNKNOWN] *= BALLOTS.whole_factor
        other = self.work.inside.astype(np.float32)
        other[window] = table[self.evidence.labels[s]]
        other[visible] = 0
        return np.dstack([np.rint(BALLOTS.vote * layer).astype(np.uint8) for layer in (visible + deep * inner, other)])


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
