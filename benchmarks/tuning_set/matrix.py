"""The cells of the tuning set: which kind of occluder, object and camera each composite has."""

from dataclasses import asdict, dataclass, replace

import numpy as np

AXES: dict[str, tuple[str, ...]] = {
    "occluder": ("moving", "standing", "fixed"),
    "shape": ("pole", "fence", "foliage", "large"),
    "look": ("textured", "uniform", "like the object"),
    "object": ("articulated", "rigid"),
    "travel": ("moving", "at rest", "never whole", "leaving"),
    "camera": ("still", "panning", "handheld"),
    "masks": ("exact", "perturbed"),
}
"""The levels of each axis. occluder: it moves through the scene, stands in the scene, or is fixed in the picture.
travel: what the object does; `never whole`: some of it is hidden in every frame."""

SHARES = {"occluder": (0.4, 0.45, 0.15), "travel": (0.5, 0.2, 0.15, 0.15), "masks": (0.75, 0.25)}
"""Shares of an axis' levels, where they are not equal."""

HIDDEN = ("hidden", "nothing hidden")
HALVES = ("tune", "report")


@dataclass(frozen=True)
class Cell:
    """One composite's levels on all axes; hidden: one of `HIDDEN`."""

    half: str
    hidden: str
    occluder: str
    shape: str
    look: str
    object: str
    travel: str
    camera: str
    masks: str

    def about(self) -> dict[str, str]:
        return asdict(self)


def draw(half: str, count: int, seed: int) -> list[Cell]:
    """`count` cells in which every level of an axis occurs in its share; every third one hides nothing."""
    rng = np.random.default_rng([seed, HALVES.index(half)])
    columns = {axis: _column(axis, count, rng) for axis in AXES}
    cells = []
    for k in range(count):
        levels = {axis: columns[axis][k] for axis in AXES}
        cells.append(_possible(Cell(half, HIDDEN[k % 3 == 2], **levels)))
    return cells


def _column(axis: str, count: int, rng: np.random.Generator) -> list[str]:
    levels = AXES[axis]
    shares = np.array(SHARES.get(axis, [1 / len(levels)] * len(levels)))
    ends = np.rint(np.cumsum(shares) * count).astype(int)
    column = np.repeat(levels, np.diff(ends, prepend=0))
    return [str(level) for level in rng.permutation(column)]


def _possible(cell: Cell) -> Cell:
    """The nearest cell that can be: what is fixed in the picture stands in the scene too if the camera is still, and
    nothing is hidden in every frame if nothing is hidden."""
    if cell.occluder == "fixed" and cell.camera == "still":
        cell = replace(cell, camera="handheld")
    if cell.travel == "never whole" and cell.hidden == HIDDEN[1]:
        cell = replace(cell, travel="moving")
    return cell
