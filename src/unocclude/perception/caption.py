"""Image captions by BLIP-2."""

from pathlib import Path

import numpy as np

from unocclude import weights as checkpoints
from unocclude.networks import device_for

DEFAULT = "blip2-opt-2.7b"
LONGEST = 30
"""Maximum number of tokens in a caption."""


class Captioner:
    """BLIP-2 (Li et al. 2023), which captions TGVAC's data set (its figure 2). Greedy decoding, so deterministic.

    weights: the checkpoint's id, or a folder that holds any Blip2ForConditionalGeneration of transformers with its
    preprocessor_config.json and tokenizer. Raises InputError if it is missing.
    """

    def __init__(self, weights: str | Path = DEFAULT, device: str = "auto"):
        folder = checkpoints.resolve_checkpoint(weights, DEFAULT)
        self.device = device_for("captioning", device, transformers=True, extra="diffusion")
        from transformers import AutoTokenizer, Blip2ForConditionalGeneration, Blip2Processor, BlipImageProcessorPil

        from unocclude.networks.loading import checked_loading, dtype_for, load_pretrained

        half = dtype_for(self.device)
        model = load_pretrained(Blip2ForConditionalGeneration, folder, "BLIP-2", dtype=half)
        with checked_loading(folder, "BLIP-2"):
            # loading the whole processor would require torchvision
            self.processor = Blip2Processor(
                BlipImageProcessorPil.from_pretrained(folder, local_files_only=True),
                AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False),
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
