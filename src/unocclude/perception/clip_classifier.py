"""Zero-shot classification of images with CLIP."""

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
"""Scale of cosine similarities before the softmax, as learned by CLIP (its inverse temperature)."""


class ClipClassifier:
    """CLIP ViT-B/32 (Radford et al. 2021) as a zero-shot classifier.

    weights: the checkpoint's id, or a folder that holds any CLIPModel of transformers with its tokenizer. Raises
    InputError if it is missing.
    """

    def __init__(self, weights: str | Path = DEFAULT, device: str = "auto"):
        folder = checkpoints.resolve_checkpoint(weights, DEFAULT)
        self.device = device_for("CLIP", device, transformers=True, extra="diffusion")
        from transformers import AutoTokenizer, CLIPModel

        from unocclude.networks.loading import checked_loading, load_pretrained

        self.model = load_pretrained(CLIPModel, folder, "CLIP model").to(self.device)
        with checked_loading(folder, "CLIP model"):
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)

    def __call__(self, image: np.ndarray, tags: Sequence[str]) -> np.ndarray:
        """Probability of each tag, (N,) float64, summing to 1: softmax(100 cos(image, "a photo of a {tag}")).

        image: (H, W, 3) uint8 RGB; only its central square is used. Raises InputError if there are no tags.
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
            image_features = self.model.get_image_features(pixel_values=pixels).pooler_output.double()
            text_features = self.model.get_text_features(**tokens).pooler_output.double()
            cosines = torch.nn.functional.cosine_similarity(image_features, text_features)
            return np.asarray(torch.softmax(SHARPNESS * cosines, dim=0).cpu().numpy())
