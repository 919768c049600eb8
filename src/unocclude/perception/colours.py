"""A local colour model of object and background: a bilateral grid of labelled pixels."""

import numpy as np

_COLOURS = (16, 24, 24)  # bins of L, a, b
_RANGE = (
    (0, 255),
    (68, 188),
    (68, 188),
)  # 8-bit Lab as scaled by OpenCV; values outside go to the end bins


def colour_bins(lab: np.ndarray) -> np.ndarray:
    """Index of the colour bin of each pixel: (...) int64 from (..., 3) uint8 Lab."""
    index = np.zeros(lab.shape[:-1], np.int64)
    for channel, (bins, (low, high)) in enumerate(zip(_COLOURS, _RANGE, strict=True)):
        table = np.clip((np.arange(256) - low) * bins // (high - low + 1), 0, bins - 1)
        index = index * bins + table[lab[..., channel]]
    return index


class ColourGrid:
    """Densities of colour and coarse position for object and background, as weighted counts in a blurred grid.

    It is the localised colour model of Video SnapCut (Bai et al., 2009) held in a bilateral grid
    (Märki et al., Bilateral Space Video Segmentation, 2016). `cells` is the number of position bins along each
    side; 1 makes the model global.
    """

    def __init__(self, cells: int = 1):
        self.cells = cells
        self._counts = np.zeros((2, cells * cells * int(np.prod(_COLOURS))), np.float32)
        self._blurred: np.ndarray | None = None

    def _index(self, bins: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        place = np.clip(y * self.cells, 0, self.cells - 1).astype(np.int64) * self.cells
        place += np.clip(x * self.cells, 0, self.cells - 1).astype(np.int64)
        return place * int(np.prod(_COLOURS)) + bins

    def add(self, bins: np.ndarray, x: np.ndarray, y: np.ndarray, inside: np.ndarray, weight: np.ndarray) -> None:
        """Add pixels: colour `bins`, positions x, y in 0..1, `inside` (object) in 0..1, `weight` >= 0."""
        index = self._index(bins, x, y).ravel()
        for side, share in enumerate((inside, 1.0 - inside)):
            amount = (share * weight).ravel()
            self._counts[side] += np.bincount(index, amount, self._counts.shape[1]).astype(np.float32)
        self._blurred = None

    def fade(self, factor: float) -> None:
        """Multiply all counts by `factor`."""
        self._counts *= np.float32(factor)
        self._blurred = None

    @property
    def totals(self) -> np.ndarray:
        """Total counts of object and background, (2,)."""
        return self._counts.sum(1)

    def look(self, bins: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Blurred counts of object and background at each pixel's colour and position, (2, ...) float32."""
        if self._blurred is None:
            grid = self._counts.reshape(2, self.cells, self.cells, *_COLOURS)
            for axis in range(1, 6):
                grid = _blur(grid, axis)
            self._blurred = grid.reshape(2, -1)
        return self._blurred[:, self._index(bins, x, y)]


def _blur(grid: np.ndarray, axis: int) -> np.ndarray:
    """Binomial blur (1, 2, 1) / 4 along one axis, with replicated ends."""
    if grid.shape[axis] == 1:
        return grid
    grid = np.moveaxis(grid, axis, 0)
    out = grid * 0.5
    out[1:] += 0.25 * grid[:-1]
    out[:-1] += 0.25 * grid[1:]
    out[0] += 0.25 * grid[0]
    out[-1] += 0.25 * grid[-1]
    return np.moveaxis(out, 0, axis)
