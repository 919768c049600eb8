"""The part of a mask that does not belong to the object, from points on it."""

from collections.abc import Sequence

import cv2
import numpy as np

from unocclude.geometry import bounding_box
from unocclude.perception.colours import ColourGrid, colour_bins
from unocclude.perception.flow import pixels, places
from unocclude.perception.graphcut import CERTAIN, min_cut
from unocclude.perception.window import Window
from unocclude.types import Point

# lengths are relative to the square root of the mask's area
NEAR, FAR = 0.1, 0.4  # how far from the points colours are those of the part, and from where on those of the object
DOT = 0.03  # radius around a point within which all pixels are as it says
OFFSET, SLOPE = 0.5, 2.0  # log-odds of the part at a point, and how fast they fall with the distance
ROUNDS = 2  # cuts, each with the colours of the one before
MOST = 0.6  # a larger share of the mask is no part of it; the points must mean something else


def part_around(
    picture: np.ndarray, mask: np.ndarray, points: Sequence[Point], others: Sequence[Point] = ()
) -> np.ndarray:
    """The part of a mask in which `points` lie, (H, W) bool; empty if none of them is on the mask.

    picture: (H, W, 3) uint8 RGB. mask: (H, W) bool. points: on what does not belong to the object. others: on the
    object. A component of the mask that has such a point, and is not the largest, is a part as a whole. Within the
    largest, a minimum cut looks for the edges of what has the colours around the points and is near to them.
    """
    part = np.zeros_like(mask)
    if not points or not mask.any():
        return part
    _, components = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    largest = int(np.argmax(np.bincount(components[mask])))
    numbers = [int(components[int(y), int(x)]) for x, y in points]
    part |= np.isin(components, [n for n in numbers if n not in (0, largest)])
    there = [point for point, n in zip(points, numbers, strict=True) if n == largest]
    if there:
        part |= _cut_off(picture, components == largest, there, others)
    return part


def _cut_off(picture: np.ndarray, mask: np.ndarray, points: Sequence[Point], others: Sequence[Point]) -> np.ndarray:
    window = Window.around(bounding_box(mask), mask.shape, pad=0.1)
    lab = cv2.cvtColor(window.take(picture), cv2.COLOR_RGB2LAB)
    inside = window.take(mask.astype(np.float32)) > 0.5
    away = _distance(points, window, inside)
    near = np.exp(-((away / NEAR) ** 2)) * inside
    far = (1 - np.exp(-((away / FAR) ** 2))) * inside
    dots = (away < DOT) & inside
    kept = _distance(others, window, inside) < DOT if others else np.zeros_like(inside)
    bins, (x, y) = colour_bins(lab), places(inside.shape)
    part = dots
    for _ in range(ROUNDS):
        colours = ColourGrid()
        colours.add(bins, x, y, near / (near + far + 1e-6), near + far)
        own, other = (
            found / max(total, 1e-6) for found, total in zip(colours.look(bins, x, y), colours.totals, strict=True)
        )
        logit = np.clip(np.log((own + 1e-4) / (other + 1e-4)), -3, 3) + OFFSET - SLOPE * away
        logit[~inside | kept] = -CERTAIN
        logit[dots & ~kept] = CERTAIN
        cut = min_cut(logit, lab)
        _, labels = cv2.connectedComponents(cut.astype(np.uint8), connectivity=4)
        part = cut & np.isin(labels, np.unique(labels[dots & cut]))
        near, far = part.astype(np.float32), (inside & ~part).astype(np.float32)
    found: np.ndarray = window.put(part, picture) & mask
    return found if found.sum() <= MOST * mask.sum() else np.zeros_like(mask)


def _distance(points: Sequence[Point], window: Window, inside: np.ndarray) -> np.ndarray:
    """Distance of each window pixel to the nearest point, relative to the square root of the mask's area, (h, w)."""
    grid = pixels(inside.shape) + 0.5
    at = (np.array(points, float) + 0.5 - (window.x0, window.y0)) * window.scale
    nearest = np.min([np.linalg.norm(grid - place, axis=2) for place in at], axis=0)
    relative: np.ndarray = nearest / np.sqrt(max(inside.sum(), 1))
    return relative
