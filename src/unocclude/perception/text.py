"""Words to an object's mask in one picture."""

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
from unocclude.perception.text_prompt import SAM, SAM2, SAM3, SERVER, asks, check_text, check_weights

Finder = Callable[[np.ndarray, str], np.ndarray]
"""An image, (H, W, 3) uint8, and a text, to the mask of what the text names best, (H, W) bool; empty where nothing
fits."""


class GroundedSam:
    """Grounding DINO's best box, masked by SAM 2 where its weights are, else by SAM.

    Raises InputError where weights are absent.
    """

    def __init__(self, device: str = "auto"):
        self.ground = GroundingDino(device=device)
        self.segment = (
            Sam2(device=device) if checkpoints.have(SAM2) or not checkpoints.have(SAM) else Sam(device=device)
        )

    def __call__(self, image: np.ndarray, text: str) -> np.ndarray:
        """As `Finder` has it."""
        found = self.ground(image, [text])
        if not len(found.scores):
            return np.zeros(image.shape[:2], bool)
        box = found.boxes[found.scores.argmax()].tolist()
        return np.asarray(self.segment(image, [Cue(box=tuple(box))])[0][0])


class Sam3:
    """SAM 3 (Meta, 2025): all instances of a concept at once; the best-scored is taken.

    weights: the checkpoint's id, or a folder that holds any Sam3Model of transformers with its tokenizer. threshold:
    the least score (presence times query), as transformers' own post-processing has it. Raises InputError where
    weights are absent.
    """

    def __init__(self, weights: str | Path = SAM3, device: str = "auto", threshold: float = 0.3):
        folder = checkpoints.resolve_checkpoint(weights, SAM3)
        self.device, self.threshold = device_for("SAM 3", device, transformers=True, extra="diffusion"), threshold
        from transformers import AutoTokenizer, Sam3Model

        from unocclude.networks.loading import load_pretrained, reading

        self.model = load_pretrained(Sam3Model, folder, "SAM 3").to(self.device)
        with reading(folder, "SAM 3"):
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)

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


class Reasoned:
    """LISA's answer to a question: by the server at $UNOCCLUDE_LISA, else on its weights."""

    def __init__(self, device: str = "auto"):
        from unocclude.perception.reason import Lisa, LisaServer

        address = os.environ.get(SERVER)
        self.answer = LisaServer(address) if address else Lisa(device=device)

    def __call__(self, image: np.ndarray, text: str) -> np.ndarray:
        """See `Finder`."""
        return self.answer(image, text)[0]


class TextToMask:
    """The mask of what words name: by SAM 3 where its weights are, else by Grounding DINO and SAM; of what answers a
    question (a text that ends in a question mark), by LISA, where it is here or at $UNOCCLUDE_LISA.

    Raises InputError when called, with the line that fetches them, where no weights are.
    """

    def __init__(self, device: str = "auto"):
        self.device = device

    @cached_property
    def _reason(self) -> Finder:
        return Reasoned(self.device)

    @cached_property
    def _name(self) -> Finder:
        check_weights()
        return Sam3(device=self.device) if checkpoints.have(SAM3) else GroundedSam(self.device)

    def find(self, image: np.ndarray, text: str) -> np.ndarray:
        """The mask, empty where nothing fits."""
        return (self._reason if asks(text) else self._name)(image, text)

    def __call__(self, image: np.ndarray, text: str) -> np.ndarray:
        """(H, W) bool mask of the one object that fits best, in an image (H, W, 3) uint8 RGB.

        Raises InputError for a text that says nothing or is too long, and where nothing fits it.
        """
        check_text(text)
        mask = self.find(image, text)
        if not mask.any():
            raise InputError(f"nothing fits {text!r} there; try other words, another --frame, or --box or --point")
        return mask
