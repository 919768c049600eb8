"""Grounding DINO: boxes of objects named in a text."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unocclude import weights as checkpoints
from unocclude.errors import InputError
from unocclude.networks import device_for
from unocclude.perception.prepare import normalised, resized, shortest_side
from unocclude.perception.text_prompt import GROUNDING_DINO as DEFAULT

SHORTEST, LONGEST = 800, 1333
BOX_THRESHOLD = TEXT_THRESHOLD = 0.35
"""As Open-World Amodal Appearance Completion uses it."""


class Detections(NamedTuple):
    """Detections in an image.

    boxes: (N, 4) float32, x0, y0, x1, y1 in pixels, unordered. phrases: the words of the caption that each box matches,
    possibly "". scores: (N,) float32 in 0..1.
    """

    boxes: np.ndarray
    phrases: list[str]
    scores: np.ndarray


def caption(words: str | Sequence[str]) -> str:
    """Format names as a caption for the network: lower-case, separated by dots, with a dot at the end.

    words: a sequence of names, or one string that is already joined.
    """
    text = ". ".join(word.strip() for word in ([words] if isinstance(words, str) else words)).lower().strip()
    return text if text.endswith(".") else text + "."


class GroundingDino:
    """Grounding DINO (Liu et al. 2023), SwinT-OGC by default, with the resizing of its own repository.

    weights: the checkpoint's id, or a folder that holds any GroundingDinoForObjectDetection of transformers with its
    tokenizer. Raises InputError if it is missing.
    """

    def __init__(self, weights: str | Path = DEFAULT, device: str = "auto"):
        folder = checkpoints.resolve_checkpoint(weights, DEFAULT)
        self.device = device_for("Grounding DINO", device, transformers=True, extra="diffusion")
        from transformers import AutoTokenizer, GroundingDinoForObjectDetection

        from unocclude.networks.loading import checked_loading, load_pretrained

        self.model = load_pretrained(GroundingDinoForObjectDetection, folder, "Grounding DINO").to(self.device)
        with checked_loading(folder, "Grounding DINO"):
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)

    def __call__(
        self,
        image: np.ndarray,
        words: str | Sequence[str],
        box_threshold: float = BOX_THRESHOLD,
        text_threshold: float = TEXT_THRESHOLD,
    ) -> Detections:
        """Detect everything in an image, (H, W, 3) uint8 RGB, that the words name.

        A box is kept if its most probable token exceeds `box_threshold`; its phrase is all tokens above
        `text_threshold`. There is no non-maximum suppression. Raises InputError if there are no words.
        """
        import torch

        if not any(word.strip() for word in words):
            raise InputError("the text is empty; name the object in words")
        height, width = image.shape[:2]
        small = normalised(resized(image, shortest_side(height, width, SHORTEST, LONGEST)))
        tokens = self.tokenizer(
            caption(words), return_tensors="pt", truncation=True, max_length=self.model.config.max_text_len
        )
        with torch.inference_mode():
            out = self.model(pixel_values=torch.from_numpy(small)[None].to(self.device), **tokens.to(self.device))
        chances = out.logits[0].float().sigmoid().cpu().numpy()  # (queries, tokens)
        scores = chances.max(axis=1)
        kept = scores > box_threshold
        x, y, w, h = (out.pred_boxes[0].float().cpu().numpy()[kept] * [width, height, width, height]).T
        boxes = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1).astype(np.float32)
        named = chances[kept, 1:] > text_threshold  # without the start token
        ids = tokens["input_ids"][0].tolist()[1:]
        phrases = (
            self.tokenizer.decode([ids[k] for k in np.flatnonzero(row[: len(ids)])], skip_special_tokens=True)
            for row in named
        )
        words_only = [" ".join(str(phrase).replace(".", " ").split()) for phrase in phrases]
        return Detections(boxes, words_only, scores[kept])
