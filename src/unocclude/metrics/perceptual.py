"""LPIPS: perceptual distance of images."""

import math
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unocclude import weights as checkpoints
from unocclude.errors import InputError
from unocclude.metrics.appearance import over_rgba, whole_images
from unocclude.metrics.base import APPEARANCE, MASKS, Frame, MeanMetric
from unocclude.networks import device_for


class LPIPS(MeanMetric[Frame]):
    """Mean over frames of LPIPS between whole images, object on white (Zhang et al., CVPR 2018; weights v0.1).

    d(x, y) = Σ_l mean over positions of Σ_c w_lc (x̂_lc - ŷ_lc)²: x̂_l the features of stage l of AlexNet (or VGG-16) at
    unit length over channels, w calibrated on human judgements. Reported by IC-Amodal and TGVAC, which do not say
    which network they used; AlexNet is the package's default. Frames in which both images are empty are left out.

    weights: a folder with torchvision's and the package's file, or None for the checkpoint `lpips-alex` or
    `lpips-vgg`. Raises InputError if they are missing or do not fit, or an image side is under 32 pixels.
    """

    name = "lpips"
    unit = "0 upwards"
    higher_is_better = False
    requires = (MASKS, APPEARANCE, "package:torch", "weights:lpips-alex")

    def __init__(self, net: Literal["alex", "vgg"] = "alex", weights: str | Path | None = None, device: str = "auto"):
        self.device = device_for("LPIPS", device)
        own = f"lpips-{net}"
        self.model = _load(checkpoints.resolve_checkpoint(weights or own, own), net, self.device)
        super().__init__()

    def value(self, frame: Frame, /) -> float:
        import torch

        from unocclude.networks.lpips import SMALLEST

        images = whole_images(frame)
        if images is None:
            return math.nan
        if min(images[0].shape[:2]) < SMALLEST:
            raise InputError(f"LPIPS needs images of at least {SMALLEST} pixels a side")
        x, y = (torch.from_numpy(i).permute(2, 0, 1)[None].float().to(self.device) / 127.5 - 1 for i in images)
        with torch.inference_mode():
            return float(self.model(x, y))


@lru_cache(maxsize=2)
def _load(folder: Path, net: Literal["alex", "vgg"], device: str) -> Any:
    """Load a model once for all metrics that use it."""
    from unocclude.networks import lpips

    features, linear = (part.files[0] for part in checkpoints.CHECKPOINTS[f"lpips-{net}"].parts)
    model = lpips.load(checkpoints.part_file(folder, features), checkpoints.part_file(folder, linear), net)
    return model.to(device)


def lpips(
    pred_rgba: np.ndarray,
    truth_rgba: np.ndarray,
    net: Literal["alex", "vgg"] = "alex",
    weights: str | Path | None = None,
    device: str = "auto",
) -> float:
    """LPIPS of whole images, RGBA (T, H, W, 4) uint8. Formula and errors: `LPIPS`."""
    return over_rgba(LPIPS(net, weights, device), pred_rgba, truth_rgba)
