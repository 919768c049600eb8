"""The shift of a silhouette that best explains what a frame shows, by correlation in the Fourier domain."""

import cv2
import numpy as np

from unocclude.motion.evidence import BACKGROUND, STILL

COLOUR_SPREAD = 100.0
"""RGB distance in grey levels from which a visible pixel no longer supports a shift."""

STAY = 0.15
"""Penalty of the largest shift, relative to the silhouette's area."""


class ShiftSearch:
    """Scores shifts of silhouettes in one window of a frame, at half resolution.

    A silhouette gains where the object is visible, less where the colours differ, and loses on background. All terms
    are correlations of the frame with the silhouette; the frame's spectra are computed once.

    visible: (h, w) bool. labels: (h, w) uint8, occlusion labels. picture: (h, w, 3) uint8. reach: largest shift along
    each axis, in pixels of half resolution.
    """

    def __init__(self, visible: np.ndarray, labels: np.ndarray, picture: np.ndarray, reach: int):
        self.reach = reach
        self._half = (max(1, visible.shape[1] // 2), max(1, visible.shape[0] // 2))
        self._size = [cv2.getOptimalDFTSize(side + 2 * reach) for side in self._half[::-1]]
        worth = np.select([visible, labels == BACKGROUND, labels == STILL], [1, -1, -0.6], 0).astype(np.float32)
        seen, here = self._small(visible), self._small(picture) / COLOUR_SPREAD
        parts = [self._small(worth) - seen * (here**2).sum(2), -seen, *(2 * seen * here[..., c] for c in range(3))]
        self._spectra = [self._spectrum(part, reach) for part in parts]

    def best(self, silhouette: np.ndarray, picture: np.ndarray) -> tuple[tuple[float, float], float]:
        """The best shift (x, y) of a silhouette (h, w) bool with its picture (h, w, 3) uint8, in pixels, and its score.

        The score is relative to the silhouette's area, at most 1. The silhouette must not be empty.
        """
        shape = self._small(silhouette)
        there = self._small(picture) / COLOUR_SPREAD
        parts = [shape, shape * (there**2).sum(2), *(shape * there[..., c] for c in range(3))]
        total = np.zeros(self._size, np.float32)
        for spectrum, part in zip(self._spectra, parts, strict=True):
            total += cv2.mulSpectrums(spectrum, self._spectrum(part), 0, conjB=True)
        side = 2 * self.reach + 1
        score = cv2.idft(total, flags=cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT)[:side, :side]
        dy, dx = np.mgrid[-self.reach : self.reach + 1, -self.reach : self.reach + 1]
        score = score / float(shape.sum()) - STAY * (dx**2 + dy**2) / self.reach**2
        y, x = np.unravel_index(np.argmax(score), score.shape)
        return (2.0 * (x - self.reach), 2.0 * (y - self.reach)), float(score[y, x])

    def _small(self, image: np.ndarray) -> np.ndarray:
        image = image.astype(np.float32) if image.dtype == bool else image
        return cv2.resize(image, self._half, interpolation=cv2.INTER_AREA).astype(np.float32)

    def _spectrum(self, image: np.ndarray, offset: int = 0) -> np.ndarray:
        padded = np.zeros(self._size, np.float32)
        padded[offset : offset + image.shape[0], offset : offset + image.shape[1]] = image
        return cv2.dft(padded, nonzeroRows=offset + image.shape[0])
