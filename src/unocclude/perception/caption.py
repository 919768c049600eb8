"""A sentence that says what is in a picture: by BLIP-2 where its published weights are."""

from pathlib import Path

import numpy as np

from unocclude import weights as checkpoints
from unocclude.networks import device_for

DEFAULT = "blip2-opt-2.7b"
LONGEST = 30
"""Tokens of a caption at most."""


class Captioner:
    """BLIP-2 (Li et al. 2023), as TGVAC's data set is captioned with (its figure 2); greedy, so always the same.

    weights: the checkpoint's id, or a folder that holds any Blip2ForConditionalGeneration of transformers with its
    preprocessor_config.json and tokenizer. Raises InputError where it is absent.
    """

    def __init__(self, weights: str | Path = DEFAULT, device: str = "auto"):
        folder = checkpoints.resolve_checkpoint(weights, DEFAULT)
        self.device = device_for("captioning", device, transformers=True, extra="diffusion")
        from transformers import AutoTokenizer, Blip2ForConditionalGeneration, Blip2Processor, BlipImageProcessorPil

        from unocclude.networks.loading import load_pretrained, precision_on, reading

        half = precision_on(self.device)
        model = load_pretrained(Blip2ForConditionalGeneration, folder, "BLIP-2", dtype=half)
        with reading(folder, "BLIP-2"):
            # the processor read as a whole would ask for torchvision
            self.processor = Blip2Processor(
                BlipImageProcessorPil.from_pretrained(folder, local_files_only=True),
                AutoTokenizer.from_pretrained(folder, local_files_only=True),
                num_query_tokens=model.config.num_query_tokens,
            )
        self.model = model.to(self.device)

    def __call__(self, image: np.ndarray) -> str:
        """Caption of an image, (H, W, 3) uint8 RGB."""
        import torch

        inputs = self.processor(images=image, return_tensors="pt").to(self.device, self.model.dtype)
        with torch.inference_mode():
            tokens = self.model.generate(**inputs, max_new_tokens=LONGEST, do_sample=False)
        return str(self.processor.tokenizer.decode(tokens[0], skip_special_tokens=True)).strip()
