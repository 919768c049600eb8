"""Image tagging by RAM++."""

from pathlib import Path

import numpy as np

from unocclude import weights as checkpoints
from unocclude.errors import InputError
from unocclude.networks import device_for
from unocclude.perception.prepare import normalised, resized

DEFAULT = "ram-plus"
TAGS, THRESHOLDS = "ram_tag_list.txt", "ram_tag_list_threshold.txt"
OPEN_WORLD = 0.6
"""Threshold that Open-World Amodal Appearance Completion uses for all tags."""


class Tagger:
    """RAM++ (Huang et al. 2023) on Swin-L at 384 x 384; its English tags.

    weights: the checkpoint's id, or a folder that holds its files. threshold: minimum probability for all tags, such as
    `OPEN_WORLD`; by default each tag has its own, as published. Raises InputError if the files are missing or do not
    fit.
    """

    def __init__(self, weights: str | Path = DEFAULT, device: str = "auto", threshold: float | None = None):
        folder = checkpoints.resolve_checkpoint(weights, DEFAULT)
        self.device = device_for("tagging", device, extra="diffusion")
        from unocclude.networks.ram_plus import load

        self.tags = _lines(folder / TAGS)
        if threshold is None:
            try:
                self.thresholds = np.array([float(line) for line in _lines(folder / THRESHOLDS)])
            except ValueError as error:
                raise InputError(f"{folder / THRESHOLDS} is no list of numbers; fetch it again") from error
            if len(self.thresholds) != len(self.tags):
                raise InputError(f"{folder} holds {len(self.tags)} tags and {len(self.thresholds)} thresholds")
        else:
            self.thresholds = np.full(len(self.tags), float(threshold))
        file = checkpoints.CHECKPOINTS[DEFAULT].parts[0].files[0]
        self.network = load(checkpoints.part_file(folder, file), len(self.tags)).to(self.device)

    def __call__(self, image: np.ndarray) -> list[str]:
        """Tags of an image, (H, W, 3) uint8 RGB, whose probability exceeds their threshold, in the list's order."""
        return [
            tag for tag, passed in zip(self.tags, self.probabilities(image) > self.thresholds, strict=True) if passed
        ]

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        """Probability of each of `tags`, (tags,) float64 in 0..1. The image's aspect ratio is not kept."""
        import torch

        from unocclude.networks.ram_plus import SIDE

        pixels = normalised(resized(np.ascontiguousarray(image), (SIDE, SIDE), "BICUBIC"))
        with torch.inference_mode():
            logits = self.network(torch.from_numpy(pixels)[None].to(self.device))
        return np.asarray(logits[0].double().sigmoid().cpu().numpy())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no list of lines that can be read; fetch it again") from error
