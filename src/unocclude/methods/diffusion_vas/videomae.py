"""The baseline VideoMAE (section A.2): masking ratio 0, supervised, its decoder kept; visible to amodal masks."""

from pathlib import Path

import torch
from transformers import VideoMAEForPreTraining

from unocclude.networks.loading import load_pretrained


class MaskRegressor(torch.nn.Module):
    """(N, F, 3, H, W) in [-1, 1] to logits (N, F, H, W). No patch is masked, so the decoder predicts all of them."""

    def __init__(self, model: VideoMAEForPreTraining):
        super().__init__()
        self.model = model

    @classmethod
    def from_pretrained(cls, folder: Path) -> "MaskRegressor":
        """Load a VideoMAEForPreTraining of transformers; raises InputError if the folder holds none."""
        return cls(load_pretrained(VideoMAEForPreTraining, folder, "VideoMAE for pre-training"))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames that the network takes."""
        side = int(self.model.config.image_size)  # type: ignore[arg-type]
        return side, side

    @property
    def frames(self) -> int:
        """Number of frames that the network takes."""
        return int(self.model.config.num_frames)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        model, config = self.model, self.model.config
        tokens = model.encoder_to_decoder(model.videomae(clips).last_hidden_state)
        patches = model.decoder(tokens + model.position_embeddings.to(tokens), 0).logits
        count, frames, _, height, width = clips.shape
        deep, side = config.tubelet_size, int(config.patch_size)  # type: ignore[arg-type]
        shape = (count, frames // deep, height // side, width // side, deep, side, side, config.num_channels)
        video = patches.view(shape).mean(-1)  # all channels of a mask are equal
        return video.permute(0, 1, 4, 2, 5, 3, 6).reshape(count, frames, height, width)
