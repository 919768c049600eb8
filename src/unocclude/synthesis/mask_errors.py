"""Errors of visible masks as segmentation networks make them: edges that are off, wobble, and specks."""

import cv2
import numpy as np

Generator = np.random.Generator

OFFSET = 2.0
"""Maximum constant offset of an edge in pixels, outwards or inwards."""
WOBBLE = 1.0
"""Standard deviation of an edge's offset in a frame, in pixels; it varies along the edge."""
SMOOTH = 4.0
"""Length in pixels over which the offset varies along the edge."""
SPECKS = 3
"""Maximum number of specks per frame, of at most `SPECK` pixels radius."""
SPECK = 2


def with_errors(masks: list[np.ndarray], rng: Generator) -> list[np.ndarray]:
    """Masks (H, W) bool of one object with edges that are off by a constant and by noise drawn anew in each frame, and
    with specks anywhere in the frame. Empty masks stay empty."""
    offset = float(rng.uniform(-OFFSET, OFFSET))
    return [_distorted(mask, offset, rng) if mask.any() else mask for mask in masks]


def _distorted(mask: np.ndarray, offset: float, rng: Generator) -> np.ndarray:
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    noise = cv2.GaussianBlur(rng.normal(size=mask.shape).astype(np.float32), (0, 0), SMOOTH / 2)
    noise = noise * (WOBBLE / max(float(noise.std()), 1e-6))
    # the distance is 1, not 0, at the first pixel on either side of an edge
    out = (np.where(mask, inside - 0.5, 0.5 - outside) + offset + noise > 0).astype(np.uint8)
    height, width = mask.shape
    for _ in range(int(rng.integers(SPECKS + 1))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(out, centre, int(rng.integers(1, SPECK + 1)), 1, -1)
    return out > 0 if out.any() else mask
