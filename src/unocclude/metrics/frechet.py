"""FVD: Fréchet distance between the distributions of completed and true clips."""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unocclude import weights as checkpoints
from unocclude.errors import InputError
from unocclude.metrics.appearance import WHITE, on_backdrop
from unocclude.metrics.base import APPEARANCE, Metric
from unocclude.networks import device_for

DEFAULT = "i3d-kinetics-400"


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Fréchet distance of the normal distributions fitted to features (N, D) and (M, D); 0 upwards, NaN if N or M
    is below 2.

    |μx - μy|² + tr Σx + tr Σy - 2 tr (Σx Σy)^½ (Dowson, Landau 1982), covariances with N - 1. With X, Y the centred
    features over √(N - 1), Σx Σy and (X Yᵀ)(X Yᵀ)ᵀ have the same nonzero eigenvalues, so the last trace is the sum of
    the singular values of X Yᵀ. This avoids the matrix square root of a nearly singular D x D product, which can become
    complex in the usual code, and needs no epsilon for few samples.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(x) < 2 or len(y) < 2:
        return math.nan
    means = x.mean(0), y.mean(0)
    x, y = (x - means[0]) / math.sqrt(len(x) - 1), (y - means[1]) / math.sqrt(len(y) - 1)
    shared = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return max(0.0, float(np.square(means[0] - means[1]).sum() + (x * x).sum() + (y * y).sum() - 2 * shared))


class ClipPair(NamedTuple):
    """A completed clip and the true one, RGBA (T, H, W, 4) uint8, also as sequences of frames that are decoded on
    access; T at least 9, sizes may differ."""

    pred: np.ndarray | Sequence[np.ndarray]
    truth: np.ndarray | Sequence[np.ndarray]


class FVD(Metric[ClipPair]):
    """Fréchet video distance between the sets of completed and true clips, object on white (Unterthiner et al. 2018).

    `frechet_distance` of the 400 class scores of I3D trained on Kinetics, averaged over time; frames resized to
    224x224 whatever their shape (bilinear, not antialiased), -1 to 1: as in the original code and TATS's PyTorch port
    (commit 1aa93e1). Some implementations crop the centre instead, which may cut off the object; IC-Amodal does not say
    which it used. FVD depends strongly on the number and length of clips, so compare values on the same set only.

    Takes a `ClipPair`; a clip has no value of its own (NaN). `compute` is NaN with fewer than two.
    Raises InputError if the weights are missing or do not fit, or a clip has fewer than 9 frames.
    """

    name = "fvd"
    unit = "0 upwards"
    higher_is_better = False
    requires = (APPEARANCE, "package:torch", f"weights:{DEFAULT}")

    def __init__(self, weights: str | Path = DEFAULT, device: str = "auto"):
        self.device = device_for("FVD", device)
        self.model = _load(checkpoints.resolve_checkpoint(weights, DEFAULT), self.device)
        super().__init__()

    def reset(self) -> None:
        self._features: list[list[np.ndarray]] = [[], []]

    def update(self, clips: ClipPair, /) -> float:
        for features, clip in zip(self._features, clips, strict=True):
            features.append(self._score(clip))
        return math.nan

    def compute(self) -> float:
        if not self._features[0]:
            return math.nan
        return frechet_distance(*(np.stack(features) for features in self._features))

    def _score(self, clip: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        import torch

        from unocclude.networks.i3d import SIZE, SMALLEST_LENGTH

        if len(clip) < SMALLEST_LENGTH:
            raise InputError(f"FVD needs clips of at least {SMALLEST_LENGTH} frames; this one has {len(clip)}")
        frames = []
        for rgba in clip:
            image = torch.from_numpy(on_backdrop(rgba, WHITE)).permute(2, 0, 1)[None].float()
            frames.append(torch.nn.functional.interpolate(image, (SIZE, SIZE), mode="bilinear", align_corners=False))
        video = torch.stack(frames, 2) / 127.5 - 1
        with torch.inference_mode():
            return self.model(video.to(self.device))[0].double().cpu().numpy()


@lru_cache(maxsize=1)
def _load(folder: Path, device: str) -> Any:
    from unocclude.networks import i3d, loading

    model = i3d.I3D()
    loading.load(model, checkpoints.part_file(folder, checkpoints.CHECKPOINTS[DEFAULT].parts[0].files[0]))
    return model.to(device)


def fvd(clips: Iterable[tuple[np.ndarray, np.ndarray]], weights: str | Path = DEFAULT, device: str = "auto") -> float:
    """FVD over pairs of completed and true clips, RGBA (T, H, W, 4) uint8. Formula and errors: `FVD`."""
    metric = FVD(weights, device)
    for pred, truth in clips:
        metric.update(ClipPair(pred, truth))
    return metric.compute()
