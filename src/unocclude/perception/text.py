"""From a text to the mask of the object it names in one image."""

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from unocclude import weights as checkpoints
from unocclude.errors import InputError
from unocclude.networks import device_for
from unocclude.perception.grounding_dino import GroundingDino
from unocclude.perception.prepare import HALF, normalised, resized
from unocclude.perception.sam import Cue, Sam, Sam2
from unocclude.perception.text_prompt import SAM, SAM2, SAM3, SERVER, check_text, check_weights, has_lisa

Finder = Callable[[np.ndarray, str], np.ndarray]
"""A function of an image, (H, W, 3) uint8, and a text: the mask of the best match, (H, W) bool, empty if there is
none."""


class GroundedSam:
    """Grounding DINO's best box, segmented by SAM 2 if its weights are present, else by SAM.

    Raises InputError if weights are missing.
    """

    def __init__(self, device: str = "auto"):
        self.ground = GroundingDino(device=device)
        self.segment = (
            Sam2(device=device)
            if checkpoints.is_present(SAM2) or not checkpoints.is_present(SAM)
            else Sam(device=device)
        )

    def __call__(self, image: np.ndarray, text: str) -> np.ndarray:
        """As `Finder` has it."""
        found = self.ground(image, [text])
        if not len(found.scores):
            return np.zeros(image.shape[:2], bool)
        box = found.boxes[found.scores.argmax()].tolist()
        return np.asarray(self.segment(image, [Cue(boxes=[tuple(box)])])[0][0])


class Sam3:
    """SAM 3 (Meta, 2025), which finds all instances of a concept; the one with the highest score is used.

    weights: the checkpoint's id, or a folder that holds any Sam3Model of transformers with its tokenizer. threshold:
    minimum score (presence times query), as in transformers' post-processing. Raises InputError if weights are missing.
    """

    def __init__(self, weights: str | Path = SAM3, device: str = "auto", threshold: float = 0.3):
        folder = checkpoints.resolve_checkpoint(weights, SAM3)
        self.device, self.threshold = device_for("SAM 3", device, transformers=True, extra="diffusion"), threshold
        from transformers import AutoTokenizer, Sam3Model

        from unocclude.networks.loading import checked_loading, load_pretrained

        self.model = load_pretrained(Sam3Model, folder, "SAM 3").to(self.device)
        with checked_loading(folder, "SAM 3"):
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)

    def __call__(self, image: np.ndarray, text: str) -> np.ndarray:
        """As `Finder` has it."""
        import torch

        side = int(self.model.config.image_size)
        pixels = torch.from_numpy(normalised(resized(image, (side, side)), HALF))[None].to(self.device)
        longest = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(text, padding="max_length", truncation=True, max_length=longest, return_tensors="pt")
        with torch.inference_mode():
            out = self.model(
                pixel_values=pixels,
                input_ids=tokens["input_ids"].to(self.device),
                attention_mask=tokens["attention_mask"].to(self.device),
            )
            scores = out.pred_logits[0].sigmoid() * out.presence_logits[0].sigmoid()
            best = int(scores.argmax())
            if scores[best] <= self.threshold:
                return np.zeros(image.shape[:2], bool)
            chance = out.pred_masks[0, best].sigmoid()[None, None].float()
            wide = torch.nn.functional.interpolate(chance, image.shape[:2], mode="bilinear", align_corners=False)
        return np.asarray((wide[0, 0] > 0.5).cpu().numpy())


class ReasoningSegmenter:
    """Reasoning segmentation by LISA: the server at $UNOCCLUDE_LISA if set, else local weights."""

    def __init__(self, device: str = "auto"):
        from unocclude.perception.reason import Lisa, LisaServer

        address = os.environ.get(SERVER)
        self.answer = LisaServer(address) if address else Lisa(device=device)

    def __call__(self, image: np.ndarray, text: str) -> np.ndarray:
        """See `Finder`."""
        return self.answer(image, text)[0]


class TextToMask:
    """Segments the object that a text names.

    Every text goes to LISA if its weights or a server at $UNOCCLUDE_LISA are at hand, as in Open-World Amodal
    Appearance Completion; else to SAM 3 if its weights are present, else to Grounding DINO and SAM.

    Calling it raises InputError, with the command that fetches them, if weights are missing.
    """

    def __init__(self, device: str = "auto"):
        self.device = device

    @cached_property
    def _reason(self) -> Finder:
        return ReasoningSegmenter(self.device)

    @cached_property
    def _name(self) -> Finder:
        check_weights()
        return Sam3(device=self.device) if checkpoints.is_present(SAM3) else GroundedSam(self.device)

    def find(self, image: np.ndarray, text: str) -> np.ndarray:
        """The mask of the best match, (H, W) bool; empty if nothing matches."""
        return (self._reason if has_lisa() else self._name)(image, text)

    def __call__(self, image: np.ndarray, text: str) -> np.ndarray:
        """Mask (H, W) bool of the best-matching object in an image (H, W, 3) uint8 RGB.

        Raises InputError if the text is empty or too long, or if nothing matches it.
        """
        check_text(text)
        mask = self.find(image, text)
        if not mask.any():
            raise InputError(f"nothing fits {text!r} there; try other words, another --frame, or --box or --point")
        return mask
