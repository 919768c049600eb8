"""Recipes whose network draws the whole object on white, its mask being where it is not white."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch

from unocclude.methods.network_inputs import foreground
from unocclude.training import judge, views
from unocclude.training.views import Views


class Wholes(views.OnClips):
    """Judged by masks and by colours."""

    @abstractmethod
    def answer(self, network: Any, clip: Views) -> torch.Tensor:
        """(F, H, W, 3) float32 in [0, 1] of the trained network for a clip."""

    def evaluate(self, network: Any) -> dict[str, float]:
        return judge.mean([figures(clip, self.answer(network, clip).numpy()) for clip in self.clips.held])

    def picture(self, network: Any) -> np.ndarray:
        """Three rows a clip: what is seen, what is to be learnt, and the answer."""
        rows = []
        for clip in self.clips.held[:6]:
            answer = self.answer(network, clip).permute(0, 3, 1, 2) * 2 - 1
            rows += [views.sheet(part) for part in (views.pictures(clip.objects), views.pictures(clip.wholes), answer)]
        return np.vstack(rows)


def figures(clip: Views, answer: np.ndarray) -> judge.Figures:
    """miou, miou_occ and psnr_hidden of every frame of an answer (F, H, W, 3)."""
    return judge.mask_figures(clip, foreground(answer)) | judge.content_figures(clip, answer)
