"""CLIP's choice among words: which of them names a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unocclude import weights as checkpoints
from unocclude.errors import InputError
from unocclude.networks import device_for
from unocclude.perception.prepare import CLIP, centre_crop, normalised

DEFAULT = "clip-vit-base-patch32"
PROMPT = "a photo of a {}"
SHARPNESS = 100.0
"""What the cosine is multiplied with before the softmax: CLIP's own temperature."""


class TagChoice:
    """CLIP ViT-B/32 (Radford et al. 2021) as a zero-shot classifier.

    weights: the checkpoint's id, or a folder that holds any CLIPModel of transformers with its tokenizer. Raises
    InputError where it is absent.
    """

    def __init__(self, weights: str | Path = DEFAULT, device: str = "auto"):
        folder = checkpoints.resolve_checkpoint(weights, DEFAULT)
        self.device = device_for("choosing tags", device, transformers=True, extra="diffusion")
        from transformers import AutoTokenizer, CLIPModel

        from unocclude.networks.loading import load_pretrained, reading

        self.model = load_pretrained(CLIPModel, folder, "CLIP model").to(self.device)
        with reading(folder, "CLIP model"):
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)

    def __call__(self, image: np.ndarray, tags: Sequence[str]) -> np.ndarray:
        """How likely each tag names the image, (N,) float64 that sum to 1.

        image: (H, W, 3) uint8 RGB; its middle square is looked at. softmax(100 cos(image, "a photo of a {tag}")).
        Raises InputError where there is no tag.
        """
        import torch

        if not len(tags):
            raise InputError("no tags to choose from; give at least one")
        side = self.model.config.vision_config.image_size
        pixels = torch.from_numpy(normalised(centre_crop(image, side), CLIP))[None].to(self.device)
        tokens = self.tokenizer(
            [PROMPT.format(tag) for tag in tags],
            padding=True,
            truncation=True,
            max_length=self.model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        ).to(self.device)
        with torch.inference_mode():
            seen = self.model.get_image_features(pixel_values=pixels).pooler_output.double()
            said = self.model.get_text_features(**tokens).pooler_output.double()
            cosines = torch.nn.functional.cosine_similarity(seen, said)
            return np.asarray(torch.softmax(SHARPNESS * cosines, dim=0).cpu().numpy())
