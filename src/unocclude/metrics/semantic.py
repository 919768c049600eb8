"""Similarity of CLIP image features: to the truth, and between consecutive frames."""

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from unocclude import weights as checkpoints
from unocclude.metrics.appearance import WHITE, on_backdrop, over_rgba, whole_images
from unocclude.metrics.base import APPEARANCE, MASKS, Frame, MeanMetric
from unocclude.networks import device_for

DEFAULT = "clip-vit-base-patch32"
"""The papers do not say which CLIP model they used."""


class _ClipMetric(MeanMetric[Frame]):
    requires = (MASKS, APPEARANCE, "package:torch", "package:transformers", f"weights:{DEFAULT}")

    def __init__(self, weights: str | Path = DEFAULT, device: str = "auto"):
        device = device_for("CLIP similarity", device, transformers=True)
        self._clip = _load(checkpoints.resolve_checkpoint(weights, DEFAULT), device)
        super().__init__()


class CLIPSimilarity(_ClipMetric):
    """Mean over frames of the cosine of CLIP's image features of prediction and truth, whole images, object on white.

    "CLIP" of TGVAC's tables 2 to 4, after Xu et al. 2024 (Radford et al. 2021 for CLIP). Frames in which
    both images are empty are left out.

    weights: the checkpoint's id, or a folder that holds any CLIPModel of transformers with its
    preprocessor_config.json. Raises InputError if it is missing.
    """

    name = "clip"
    unit = "-1 to 1"

    def value(self, frame: Frame, /) -> float:
        images = whole_images(frame)
        if images is None:
            return math.nan
        pred, truth = self._clip(*images)
        return float(pred @ truth)


class TemporalConsistency(_ClipMetric):
    """TC: mean over pairs of consecutive frames of the cosine of CLIP's image features of the prediction, object on
    white (TGVAC section 4.2, after Esser et al. 2023, "frame consistency").

    It does not use the truth: a clip that never changes gets 1, even an empty one. T = 1 gives NaN.
    weights: see `CLIPSimilarity`.
    """

    name = "tc"
    unit = "-1 to 1"

    def reset(self) -> None:
        super().reset()
        self._before: np.ndarray | None = None

    def gap(self) -> None:
        self._before = None

    def value(self, frame: Frame, /) -> float:
        before = self._before
        self._before = self._clip(on_backdrop(frame.pred_rgba, WHITE))[0]
        return math.nan if before is None else float(before @ self._before)


class _Clip:
    """Image features of unit length of a CLIPModel in transformers' format."""

    def __init__(self, folder: Path, device: str):
        from transformers import CLIPImageProcessorPil, CLIPModel

        from unocclude.networks.loading import checked_loading, load_pretrained

        with checked_loading(folder, "CLIP model"):
            # resizes with Pillow, as in CLIP's training, whether or not torchvision is installed
            self.prepare = CLIPImageProcessorPil.from_pretrained(folder, local_files_only=True)
        model = load_pretrained(CLIPModel, folder, "CLIP model")
        self.model, self.device = model.to(device), device

    def __call__(self, *images: np.ndarray) -> np.ndarray:
        """Features (N, D) of (H, W, 3) float images, 0 to 255."""
        import torch

        pixels = self.prepare([np.round(i).astype(np.uint8) for i in images], return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            features = self.model.get_image_features(pixel_values=pixels.to(self.device)).pooler_output
        return torch.nn.functional.normalize(features.double(), dim=-1).cpu().numpy()


@lru_cache(maxsize=2)
def _load(folder: Path, device: str) -> Any:
    """Load a model once for all metrics that use it."""
    return _Clip(folder, device)


def clip_similarity(
    pred_rgba: np.ndarray, truth_rgba: np.ndarray, weights: str | Path = DEFAULT, device: str = "auto"
) -> float:
    """Cosine of CLIP's image features, RGBA (T, H, W, 4) uint8. Formula and errors: `CLIPSimilarity`."""
    return over_rgba(CLIPSimilarity(weights, device), pred_rgba, truth_rgba)


def temporal_consistency(pred_rgba: np.ndarray, weights: str | Path = DEFAULT, device: str = "auto") -> float:
    """TC of a completed clip, RGBA (T, H, W, 4) uint8. Formula and errors: `TemporalConsistency`."""
    return over_rgba(TemporalConsistency(weights, device), pred_rgba, pred_rgba)
