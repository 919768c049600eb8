"""Dense optical flow, and the motion of a region."""

import cv2
import numpy as np


def dense_flow(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Flow from a to b, (h, w, 3) uint8 RGB: (h, w, 2) float32, x and y in pixels.

    Dense Inverse Search (Kroeger et al., ECCV 2016); zero for images with a side under 16 px.
    """
    if min(a.shape[:2]) < 16:
        return np.zeros((*a.shape[:2], 2), np.float32)
    grey = [cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (a, b)]
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    method.setFinestScale(0)
    return method.calc(grey[0], grey[1], None)  # type: ignore[call-overload]


def sample(image: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Bilinear samples of `image` at positions `at`, (h, w, 2) as x, y; borders are replicated."""
    edge = cv2.BORDER_REPLICATE
    return cv2.remap(image, at, None, cv2.INTER_LINEAR, borderMode=edge)  # type: ignore[call-overload]


def pixels(shape: tuple[int, ...]) -> np.ndarray:
    """Pixel coordinates x, y: (h, w, 2) float32."""
    return np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), 2).astype(np.float32)


def places(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Relative pixel coordinates x, y in 0..1, (h, w) each."""
    grid = pixels(shape)
    return (grid[..., 0] + 0.5) / shape[1], (grid[..., 1] + 0.5) / shape[0]


def similarity(flow: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The similarity transform (2, 3) that best explains `flow` at the pixels `where`, by RANSAC with a fixed seed.

    Returns the identity if there are fewer than 6 pixels or no fit.
    """
    ys, xs = np.nonzero(where)
    if len(xs) < 6:
        return np.eye(2, 3)
    pick = np.linspace(0, len(xs) - 1, min(len(xs), 400)).astype(int)
    source = np.stack([xs[pick], ys[pick]], 1).astype(np.float32)
    cv2.setRNGSeed(0)
    found, _ = cv2.estimateAffinePartial2D(
        source, source + flow[ys[pick], xs[pick]], method=cv2.RANSAC, ransacReprojThreshold=1.5
    )
    return np.eye(2, 3) if found is None else found
