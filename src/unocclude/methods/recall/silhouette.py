"""Votes of other frames on where the hidden part of the object is."""

from dataclasses import dataclass

import cv2
import numpy as np

from unocclude.motion.align import Aligned, Aligner
from unocclude.motion.evidence import BACKGROUND, FOREIGN, STILL, UNKNOWN, Evidence
from unocclude.motion.working import Recent

# How much a reference's pixel that is not its visible object speaks against the object, by label: what may hide
# the object there says next to nothing.
AGAINST = {BACKGROUND: 1.0, STILL: 1.0, UNKNOWN: 0.3, FOREIGN: 0.1}
AGAINST_UNKNOWN_WHOLE = 0.8

AGREE_FOREIGN = 0.43
AGREE_STILL = 0.55


@dataclass(frozen=True)
class Silhouette:
    """One frame's completed silhouette at working resolution.

    `window` rows and columns; `soft` (h, w) float32 in 0..1, of which > 0.5 is object; `references` the aligned
    references and their weights, best first.
    """

    window: tuple[slice, slice]
    soft: np.ndarray
    references: list[tuple[float, Aligned]]


class Voter:
    """Completes silhouettes of one scene from its references."""

    def __init__(self, evidence: Evidence, count: int = 16):
        self.evidence, self.work = evidence, evidence.work
        self.count = count
        self.aligner = Aligner(evidence)
        self._against = Recent(self._speaks_against)

    def references(self, i: int) -> list[int]:
        """Up to `count` well-visible frames of the shot: half before and half after, the nearest ones and a spread of
        the others."""
        wells = [s for s in self.evidence.trajectory.well_near(i) if s != i]
        before, after = [s for s in wells if s < i][::-1], [s for s in wells if s > i]
        return [s for side in (before, after) for s in _spread(side, self.count // 2)]

    def silhouette(self, i: int) -> Silhouette:
        """Frame i's silhouette; the visible mask where no other frame has a say."""
        evidence, window = self.evidence, self.evidence.window(i)
        visible, labels = self.work.visible[i][window], evidence.labels[i]
        sources = self.references(i)
        if not sources or not labels.size:
            return Silhouette(window, visible.astype(np.float32), [])
        aligned = [self.aligner.align(s, i) for s in sources]
        references = sorted(zip(self._weights(aligned), aligned, strict=True), key=lambda pair: -pair[0])

        votes = np.zeros(labels.shape, np.float32)
        against = np.zeros(labels.shape, np.float32)
        for weight, a in references:
            votes += weight * self.aligner.warp(self.work.visible[a.source].astype(np.float32), a.motion, window)
            against += weight * self.aligner.warp(self._against[a.source], a.motion, window)
        total = sum(weight for weight, _ in references)
        # a frame that shows the object as large as ever, untouched, votes that nothing is hidden in it
        whole = float(np.clip((evidence.trajectory.ratio[i] - 0.8) / 0.15, 0, 1)) * (1 - evidence.contact[i])
        own = total * whole * (labels != FOREIGN)
        share = votes / (votes + against + own + 0.05 * total)

        needed = np.where(labels == STILL, AGREE_STILL, AGREE_FOREIGN)
        soft = np.clip(0.5 + (share - needed), 0, 1).astype(np.float32)
        soft[labels == BACKGROUND] = 0
        expected = max(float(visible.sum()), float(np.mean([self.work.areas[s] for s in sources])))
        soft = np.where(_solid((soft > 0.5) & ~visible, expected) | visible, soft, np.minimum(soft, 0.49))
        soft[visible] = 1
        return Silhouette(window, soft, references)

    def _weights(self, aligned: list[Aligned]) -> list[float]:
        """exp of how well each silhouette and its pixels explain what is seen, and how near in time it is."""
        best = max(a.score for a in aligned)
        return [
            float(
                np.exp(
                    4.0 * (a.score - best)
                    - abs(a.source - a.target) / 12.0
                    - (a.error if np.isfinite(a.error) else 20.0) / 25.0
                )
            )
            for a in aligned
        ]

    def _speaks_against(self, s: int) -> np.ndarray:
        """(h, w) float32 in 0..1: how much frame s says that a place is not the object."""
        window = self.evidence.window(s)
        table = np.array([AGAINST[label] for label in range(4)], np.float32)
        if self.evidence.trajectory.ratio[s] > 0.9:
            table[UNKNOWN] = AGAINST_UNKNOWN_WHOLE
        whole = self.work.inside.astype(np.float32)
        whole[window] = table[self.evidence.labels[s]]
        whole[self.work.visible[s]] = 0
        return whole


def _spread(frames: list[int], count: int) -> list[int]:
    """The nearest half of `count` frames and an even spread of the rest."""
    if len(frames) <= count:
        return frames
    near = count // 2
    return frames[:near] + [frames[k] for k in np.linspace(near, len(frames) - 1, count - near).astype(int)]


def _solid(added: np.ndarray, expected_area: float) -> np.ndarray:
    """Added pixels without slivers and specks; none at all where they are under 3 % of the object."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    opened = cv2.morphologyEx(added.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(opened)
    large = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= 0.01 * expected_area]
    kept = np.isin(parts, large)
    return kept if kept.sum() >= 0.03 * expected_area else np.zeros_like(kept)
