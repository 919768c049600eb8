"""Base of recipes whose network generates the whole object on white; its mask is where the output is not white."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch

from unocclude.methods.network_inputs import foreground
from unocclude.training import clip_metrics, training_clips
from unocclude.training.training_clips import TrainingClip


class ObjectOnWhiteRecipe(training_clips.ClipRecipe):
    """Evaluates both the masks and the colours of the generated object."""

    @abstractmethod
    def answer(self, network: Any, clip: TrainingClip) -> torch.Tensor:
        """The network's output for a clip, (F, H, W, 3) float32 in [0, 1]."""

    def evaluate(self, network: Any) -> dict[str, float]:
        return clip_metrics.mean(
            [clip_metrics_of(clip, self.answer(network, clip).numpy()) for clip in self.clips.held]
        )

    def picture(self, network: Any) -> np.ndarray:
        """Three rows per clip: the visible object, the truth and the network's output."""
        rows = []
        for clip in self.clips.held[:6]:
            answer = self.answer(network, clip).permute(0, 3, 1, 2) * 2 - 1
            rows += [
                training_clips.side_by_side(part)
                for part in (training_clips.to_tensor(clip.objects), training_clips.to_tensor(clip.wholes), answer)
            ]
        return np.vstack(rows)


def clip_metrics_of(clip: TrainingClip, answer: np.ndarray) -> clip_metrics.FrameMetrics:
    """miou, miou_occ and psnr_hidden per frame of an output (F, H, W, 3) in [0, 1]."""
    return clip_metrics.mask_metrics(clip, foreground(answer)) | clip_metrics.content_metrics(clip, answer)
