"""Grids of sub-images, the region to fill, and which transformer tokens belong to which sub-image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SubImage:
    """One sub-image of a grid.

    picture: (h, w, 3) uint8. hole: (h, w) bool, the region to fill; None if there is none. start: (h, w, 3) uint8, the
    initial image for denoising at a strength below 1; by default the picture.
    """

    picture: np.ndarray
    hole: np.ndarray | None = None
    start: np.ndarray | None = None


@dataclass(frozen=True)
class Grid:
    """ShotInputs of one size, row by row, that the network sees as one image. The paper's grid G_k is
    [X_ex, A_ex; X_k, I_m,k]; sub-images are numbered from 1 in reading order, as in its section 3.3."""

    rows: Sequence[Sequence[SubImage]]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.rows), len(self.rows[0])

    @property
    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        return np.vstack([np.hstack([cell.picture for cell in row]) for row in self.rows])

    @property
    def start(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        return np.vstack([np.hstack([c.picture if c.start is None else c.start for c in row]) for row in self.rows])

    @property
    def hole(self) -> np.ndarray:
        """(H, W) bool."""
        known = np.zeros(self.rows[0][0].picture.shape[:2], bool)
        return np.vstack([np.hstack([known if c.hole is None else c.hole for c in row]) for row in self.rows])

    def sub_image(self, picture: np.ndarray, number: int) -> np.ndarray:
        """Crop sub-image `number` from a picture of the grid's size."""
        height, width = self.rows[0][0].picture.shape[:2]
        row, column = divmod(number - 1, self.shape[1])
        return picture[row * height : (row + 1) * height, column * width : (column + 1) * width]

    def token_indices(self, number: int, side: int) -> np.ndarray:
        """Omega_number: indices, among the image tokens in raster order of the packed latents, of sub-image
        `number`; a token is `side` x `side` pixels. ShotInputs are whole tokens wide and high."""
        height, width = (size // side for size in self.rows[0][0].picture.shape[:2])
        rows, columns = self.shape
        raster = np.arange(rows * height * columns * width).reshape(rows * height, columns * width)
        row, column = divmod(number - 1, columns)
        return raster[row * height : (row + 1) * height, column * width : (column + 1) * width].ravel()

    def token_order(self, side: int) -> tuple[np.ndarray, int]:
        """Image tokens sub-image by sub-image; in the last one, tokens that touch the hole come last.

        With this order every set of tokens that is treated alike is a slice. Also returns how many touch the hole.
        """
        cells = [self.token_indices(number, side) for number in range(1, self.shape[0] * self.shape[1] + 1)]
        height, width = self.hole.shape
        wanted = self.hole.reshape(height // side, side, width // side, side).any((1, 3)).ravel()
        last = cells.pop()
        return np.concatenate([*cells, last[~wanted[last]], last[wanted[last]]]), int(wanted[last].sum())
