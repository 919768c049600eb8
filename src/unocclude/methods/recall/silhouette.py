"""Amodal masks by votes of other frames."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

import cv2
import numpy as np

from unocclude.methods.recall.prior import ShapePrior
from unocclude.methods.recall.sticking import sticking
from unocclude.methods.recall.voting import AGREEMENT, BALLOTS, PRIOR, REFERENCES
from unocclude.motion.align import Aligned, Aligner
from unocclude.motion.evidence import BACKGROUND, FOREIGN, STILL, UNKNOWN, Evidence
from unocclude.motion.hull import hull
from unocclude.motion.working import FrameCache

SMALLEST, SMALLEST_RIGID = 0.01, 0.002
"""Minimum area of an added component relative to the object's, and if references are aligned precisely."""
GAP = 5
"""Gaps narrower than this many pixels are closed."""


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


@dataclass(frozen=True)
class Votes:
    """What the references of one frame say, and what the frame itself shows, in its window.

    visible: (h, w) bool. labels: (h, w) uint8, occlusion labels. references: aligned references and their weights, best
    first. votes, against: (h, w) float32, weighted votes for and against the object. rigid: the references are aligned
    precisely. whole: confidence that the object is fully visible, 0 to 1. expected: its area in working pixels.
    contact: fraction of the outline that touches something foreign. sticking: (h, w) float32, see `sticking`; None if
    it is not needed.
    """

    window: tuple[slice, slice]
    visible: np.ndarray
    labels: np.ndarray
    references: list[tuple[float, Aligned]]
    votes: np.ndarray
    against: np.ndarray
    rigid: bool
    whole: float
    expected: float
    contact: float = 0.0
    sticking: np.ndarray | None = None

    @property
    def total(self) -> float:
        """Sum of the references' weights."""
        return sum(weight for weight, _ in self.references)


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
        """Silhouette of frame i, followed by samples of it, if there is a prior that has something to say.

        The visible mask if there are neither references nor a prior.
        """
        votes = self.votes(i)
        logits = None
        if self.prior is not None and votes.labels.size:
            logits = self.prior.logits(i, self.draws, self.seed)
        return decide(votes, logits)

    def votes(self, i: int) -> Votes:
        """Align references with frame i and count their votes."""
        window = self.evidence.window(i)
        visible, labels = self.work.visible[i][window], self.evidence.labels[i]
        aligned = self._align(self.references(i), i)
        if sum(a.trusted for a in aligned) >= REFERENCES.least_trusted:
            aligned += self._align(self._half_visible(i), i)
        else:
            aligned = self._align_by_way(i) or aligned
        areas = [self.work.areas[a.source] for a in aligned]
        expected = max(float(visible.sum()), float(np.mean(areas)) if areas else 0.0)
        trusted = [a for a in aligned if a.trusted]
        rigid = len(trusted) >= REFERENCES.least_trusted and labels.size > 0
        if not labels.size:
            aligned, weights = [], []
        elif rigid:
            aligned = self.aligner.settle(trusted, i)
            weights = [float(np.exp(-a.error / REFERENCES.rigid_error_scale)) for a in aligned]
        else:
            weights = self._weights(aligned)
        references = sorted(zip(weights, aligned, strict=True), key=lambda pair: -pair[0])
        count = self._count(references, window, self._rigid_ballots if rigid else self._ballots)
        sticks = sticking(self.evidence, i) if self.prior is not None and (labels == STILL).any() else None
        contact = self.evidence.contact[i]
        return Votes(window, visible, labels, references, *count, rigid, self._whole(i), expected, contact, sticks)

    def _whole(self, i: int) -> float:
        """Confidence that the object is fully visible in frame i, 0 to 1."""
        evidence = self.evidence
        return float(np.clip((evidence.trajectory.ratio[i] - 0.8) / 0.15, 0, 1)) * (1 - evidence.contact[i])

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


def decide(votes: Votes, logits: np.ndarray | None) -> list[Silhouette]:
    """The silhouette of a frame from its votes and, if there are any, the prior's logits (K, h, w); one per sample."""
    if not votes.labels.size:
        return [settle(votes.visible.astype(np.float32), votes)]
    share = rigid_share(votes) if votes.rigid else articulated_share(votes)
    if logits is None:
        return [settle(share, votes)]
    combine = prior_where_unseen if votes.rigid else with_prior
    # most of what looks like background is background
    doubt = PRIOR.static_doubt - PRIOR.sticking * (0.0 if votes.sticking is None else votes.sticking)
    doubted = logits - doubt * (votes.labels == STILL)
    return [settle(combine(share, sample, votes), votes, sample > PRIOR.sure) for sample in doubted]


def rigid_share(votes: Votes) -> np.ndarray:
    """Share of precisely aligned references that show the object, among those with evidence at a pixel; (h, w)."""
    own = REFERENCES.guess * votes.total
    share = (votes.votes + own * _guess(votes)) / (votes.votes + votes.against + own)
    return np.where(votes.labels == BACKGROUND, share - AGREEMENT.rigid_doubt, share)


def articulated_share(votes: Votes) -> np.ndarray:
    """Share of the votes for the object, above 0.5 where they suffice under the pixel's label; (h, w) float32."""
    if not votes.references:
        return votes.visible.astype(np.float32)
    labels = votes.labels
    # a frame in which the object seems fully visible votes that nothing is hidden
    own = REFERENCES.own * votes.total * votes.whole * (labels != FOREIGN)
    guess = REFERENCES.guess * votes.total
    share = (votes.votes + guess * _guess(votes)) / (votes.votes + votes.against + own + guess)
    needed = np.where(labels == STILL, AGREEMENT.still, AGREEMENT.foreign)
    needed = needed - AGREEMENT.hull_bonus * (hull(votes.visible) & (labels == FOREIGN))
    soft = np.clip(0.5 + (share - needed), 0, 1).astype(np.float32)
    soft[labels == BACKGROUND] = 0
    return soft


def _guess(votes: Votes) -> np.ndarray:
    """Guess for pixels without votes: the convex hull of the visible part, where something may occlude it."""
    return 0.9 * (hull(votes.visible) & (votes.labels == FOREIGN)).astype(np.float32)


def with_prior(share: np.ndarray, logits: np.ndarray, votes: Votes) -> np.ndarray:
    """Combine the votes' share and the prior's logits, (h, w) each, by adding their log-odds.

    Where the frame agrees with the scene but the object never covered it, a static occluder looks like background, to
    the references too: there the prior counts in full (less `PRIOR.static_doubt`), and votes against the object only as
    far as something foreign touches it, which explains what is hidden.
    """
    share = np.clip(share, 0.02, 0.98)
    odds = np.log(share / (1 - share))
    still = votes.labels == STILL
    first, full = PRIOR.touched
    touched = np.clip((votes.contact - first) / (full - first), 0, 1)
    against = np.where(still, PRIOR.against_object * touched, PRIOR.against_object)
    odds *= np.where(odds > 0, PRIOR.for_object, against)
    weight = np.where(still, 1.0, 1 - (1 - PRIOR.left) * votes.whole)
    return _sigmoid(odds + weight * np.clip(logits, -PRIOR.most_sure, PRIOR.most_sure))


def prior_where_unseen(share: np.ndarray, logits: np.ndarray, votes: Votes) -> np.ndarray:
    """The share of precisely aligned references, but the prior where none of them shows the object or background.

    That place may be hidden in all of them, as by an occluder that stands in front of an object at rest.
    """
    unseen = (votes.votes < PRIOR.unseen_for * votes.total) & (votes.against < PRIOR.unseen_against * votes.total)
    return np.where(unseen & (votes.labels != BACKGROUND), _sigmoid(logits), share)


def _sigmoid(odds: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-odds)))


def settle(soft: np.ndarray, votes: Votes, sure: np.ndarray | None = None) -> Silhouette:
    """The silhouette where `soft` is above 0.5, without slivers and small components, united with the visible part.

    sure: (h, w) bool, where the prior is sure of the object; narrow gaps there are closed.
    """
    soft = soft.copy()
    smallest = votes.expected * (SMALLEST_RIGID if votes.rigid else SMALLEST)
    added = _solid((soft > 0.5) & ~votes.visible, smallest)
    if sure is not None:
        added |= _gaps(added, votes.visible) & sure & (votes.labels != BACKGROUND)
    added = _attached(added, votes.visible)
    soft[added] = np.maximum(soft[added], 0.51)
    soft[~added] = np.minimum(soft[~added], 0.49)
    soft[votes.visible] = 1
    return Silhouette(votes.window, soft, added, votes.references)


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


def _gaps(added: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Narrow gaps between the added and the visible part, where mixed pixels at the edge vote neither way."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (GAP, GAP))
    whole = np.pad((added | visible).astype(np.uint8), GAP)
    closed = cv2.morphologyEx(whole, cv2.MORPH_CLOSE, kernel)[GAP:-GAP, GAP:-GAP] > 0
    return closed & (cv2.dilate(added.astype(np.uint8), kernel) > 0) & ~visible


def _attached(added: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """The added part without the pieces that float apart from everything visible; all of it if nothing is visible."""
    if not visible.any():
        return added
    _, pieces = cv2.connectedComponents((added | visible).astype(np.uint8))
    return added & np.isin(pieces, np.unique(pieces[visible]))
