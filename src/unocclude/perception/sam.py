"""SAM and SAM 2 on one image: masks from boxes, points and rough masks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from unocclude import weights as checkpoints
from unocclude.networks import device_for
from unocclude.perception.prepare import longest_side, normalised, resized
from unocclude.perception.prompt import Cue
from unocclude.perception.text_prompt import SAM, SAM2

TOGETHER = 16
"""Prompts decoded per batch."""


class _Prompted(ABC):
    """Common part of SAM and SAM 2: from cues to masks."""

    default: ClassVar[str]
    what: ClassVar[str]
    kind: ClassVar[str]

    def __init__(self, weights: str | Path | None = None, device: str = "auto"):
        folder = checkpoints.resolve_checkpoint(weights or self.default, self.default)
        self.device = device_for(self.what, device, transformers=True, extra="diffusion")
        import transformers

        from unocclude.networks.loading import load_pretrained

        self.model = load_pretrained(getattr(transformers, self.kind), folder, self.what).to(self.device)
        self.side = int(self.model.config.prompt_encoder_config.image_size)

    @abstractmethod
    def _size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the resized image inside the network's square input of `self.side` pixels."""

    @abstractmethod
    def _repeated(self, embedding: Any, count: int) -> Any:
        """Repeat the embedding of one image for `count` prompts."""

    def __call__(self, image: np.ndarray, cues: Sequence[Cue]) -> tuple[np.ndarray, np.ndarray]:
        """Masks (N, H, W) bool and the network's estimates of their IoU (N,) float32, one per cue.

        image: (H, W, 3) uint8 RGB. A single point is ambiguous, so the best-scored of three masks is used; for other
        cues the network predicts one mask.
        """
        import torch

        masks = np.zeros((len(cues), *image.shape[:2]), bool)
        scores = np.zeros(len(cues), np.float32)
        if not len(cues):
            return masks, scores
        size = self._size(*image.shape[:2])
        with torch.inference_mode():
            embedding = self.model.get_image_embeddings(self._pixels(image, size))
            order = sorted(range(len(cues)), key=lambda k: self._shape(cues[k]))
            for _, group in groupby(order, key=lambda k: self._shape(cues[k])):
                alike = list(group)
                for at in range(0, len(alike), TOGETHER):
                    chosen = alike[at : at + TOGETHER]
                    inputs = self._inputs([cues[k] for k in chosen], image.shape[:2], size)
                    out = self.model(image_embeddings=self._repeated(embedding, len(chosen)), **inputs)
                    best = out.iou_scores[:, 0].argmax(dim=-1)
                    for k, row, b in zip(chosen, range(len(chosen)), best.tolist(), strict=True):
                        masks[k] = self._on_image(out.pred_masks[row, 0, b], image.shape[:2], size)
                        scores[k] = float(out.iou_scores[row, 0, b])
        return masks, scores

    @staticmethod
    def _shape(cue: Cue) -> tuple[int, bool, bool]:
        """Cues in a batch must agree in this, because padding would change their masks."""
        return len(cue.points), cue.bounds is not None, cue.mask is not None

    def _pixels(self, image: np.ndarray, size: tuple[int, int]) -> Any:
        import torch

        pixels = np.zeros((1, 3, self.side, self.side), np.float32)
        pixels[0, :, : size[0], : size[1]] = normalised(resized(image, size))
        return torch.from_numpy(pixels).to(self.device)

    def _inputs(self, cues: list[Cue], frame: tuple[int, ...], size: tuple[int, int]) -> dict[str, Any]:
        import torch

        scale = np.array([size[1] / frame[1], size[0] / frame[0]], np.float32)
        points, boxed, masked = self._shape(cues[0])
        inputs: dict[str, Any] = {"multimask_output": points == 1 and not boxed}
        if points:
            coordinates = np.array([cue.points for cue in cues], np.float32)[:, None] * scale
            inputs["input_points"] = torch.from_numpy(coordinates).to(self.device)
            inputs["input_labels"] = torch.tensor([[cue.signs] for cue in cues], device=self.device)
        if boxed:
            corners = np.array([cue.bounds for cue in cues], np.float32)[:, None] * np.tile(scale, 2)
            inputs["input_boxes"] = torch.from_numpy(corners).to(self.device)
        if masked:
            inputs["input_masks"] = torch.stack([self._logits(cue.mask, size) for cue in cues]).to(self.device)
        return inputs

    def _logits(self, mask: Any, size: tuple[int, int]) -> Any:
        """A mask as input of the prompt encoder: logits (1, side / 4, side / 4), -10 outside, 10 inside."""
        import torch
        from torch.nn.functional import interpolate

        square = torch.zeros(1, 1, self.side, self.side)
        given = torch.from_numpy(np.asarray(mask) != 0).float()[None, None]
        square[..., : size[0], : size[1]] = interpolate(given, size, mode="bilinear", antialias=True)
        taken = 4 * self.model.prompt_encoder.image_embedding_size[0]
        return interpolate(square, (taken, taken), mode="bilinear", antialias=True)[0] * 20 - 10

    def _on_image(self, logits: Any, frame: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
        """Mask (H, W) bool of the image from logits (h, w) of the square input."""
        from torch.nn.functional import interpolate

        square = interpolate(logits[None, None].float(), (self.side, self.side), mode="bilinear", align_corners=False)
        part = square[..., : size[0], : size[1]]
        return np.asarray((interpolate(part, frame, mode="bilinear", align_corners=False)[0, 0] > 0).cpu().numpy())


class Sam(_Prompted):
    """SAM (Kirillov et al. 2023): longer side scaled to 1024, padded to a square at the right and bottom.

    weights: the checkpoint's id, or a folder that holds any SamModel of transformers. Raises InputError if it is
    missing.
    """

    default, what, kind = SAM, "SAM", "SamModel"

    def _size(self, height: int, width: int) -> tuple[int, int]:
        return longest_side(height, width, self.side)

    def _repeated(self, embedding: Any, count: int) -> Any:
        return embedding.expand(count, -1, -1, -1)


class Sam2(_Prompted):
    """SAM 2 (Ravi et al. 2024) on an image, resized to 1024 x 1024 without keeping the aspect ratio.

    weights: the checkpoint's id, or a folder that holds any Sam2Model or Sam2VideoModel of transformers. Raises
    InputError if it is missing.
    """

    default, what, kind = SAM2, "SAM 2", "Sam2Model"

    def _size(self, height: int, width: int) -> tuple[int, int]:
        return self.side, self.side

    def _repeated(self, embedding: Any, count: int) -> Any:
        return [level.expand(count, -1, -1, -1) for level in embedding]
