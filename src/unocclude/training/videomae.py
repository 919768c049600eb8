"""VideoMAE as a regressor of amodal masks: masking ratio 0, supervised, its decoder kept (Diffusion-VAS, A.2)."""

from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional
from transformers import VideoMAEConfig, VideoMAEForPreTraining

from unocclude.errors import InputError
from unocclude.methods.checkpoint_kind import CheckpointKind
from unocclude.methods.diffusion_vas.stages import METHOD
from unocclude.methods.diffusion_vas.stages import VIDEOMAE as FOLDER
from unocclude.methods.diffusion_vas.videomae import MaskRegressor
from unocclude.training import clip_metrics, recipe, training_clips
from unocclude.training.recipe import Batch


class VideoMAEOptions(recipe.RecipeOptions, training_clips.ClipOptions):
    """[recipe] of `videomae`."""

    base: str = Field("", description="folder of a published VideoMAEForPreTraining; without it a small one is created")
    patch: int = Field(8, ge=1, description="without base: patch size in pixels")
    width: int = Field(128, ge=8, description="without base: channels of the encoder")
    layers: int = Field(4, ge=1, description="without base: layers of the encoder")


class VideoMAE(training_clips.ClipRecipe):
    name = "videomae"
    summary = "VideoMAE, supervised: visible masks to amodal masks in one step (baseline of Diffusion-VAS)"
    Options = VideoMAEOptions
    options: VideoMAEOptions
    needs_content = False

    def network(self) -> torch.nn.Module:
        options = self.options
        half = max(8, options.width // 2)
        if options.base:
            network = MaskRegressor.from_pretrained(Path(options.base))
            if (options.size, options.frames) != (network.size, network.frames):
                raise InputError(f"{options.base} takes size {list(network.size)} and frames {network.frames}")
            return network.train()
        if options.size[0] != options.size[1] or options.size[0] % options.patch or options.frames % 2:
            raise InputError(f"videomae: size must be square and divisible by patch ({options.patch}), frames even")
        config = VideoMAEConfig(
            image_size=options.size[0], patch_size=options.patch, num_frames=options.frames, tubelet_size=2,
            hidden_size=options.width, intermediate_size=4 * options.width, num_hidden_layers=options.layers,
            num_attention_heads=max(1, options.width // 32), decoder_hidden_size=half,
            decoder_intermediate_size=4 * half, decoder_num_hidden_layers=2,
            decoder_num_attention_heads=max(1, half // 32),
        )  # fmt: skip
        return MaskRegressor(VideoMAEForPreTraining(config))

    def batch(self, number: int, size: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        drawn = [self.clips.draw(rng) for _ in range(size)]
        stack = lambda field: torch.stack([training_clips.to_tensor(getattr(clip, field)) for clip in drawn])  # noqa: E731
        return {"visible": stack("visible"), "amodal": stack("amodal")}

    def loss(self, network: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """Binary cross entropy of the amodal masks."""
        logits = network(batch["visible"]).float()
        loss = functional.binary_cross_entropy_with_logits(logits, (batch["amodal"][:, :, 0] > 0).float())
        return loss, {"entropy": float(loss.detach())}

    @torch.no_grad()
    def _answer(self, network: torch.nn.Module, clip: training_clips.TrainingClip) -> np.ndarray:
        device = next(network.parameters()).device
        found: np.ndarray = (network(training_clips.to_tensor(clip.visible)[None].to(device))[0] > 0).cpu().numpy()
        return found

    def evaluate(self, network: torch.nn.Module) -> dict[str, float]:
        return clip_metrics.mean(
            [clip_metrics.mask_metrics(clip, self._answer(network, clip)) for clip in self.clips.held]
        )

    def picture(self, network: torch.nn.Module) -> np.ndarray:
        """Two rows per clip: the target and the network's output."""
        rows = []
        for clip in self.clips.held[:6]:
            answer = (255 * self._answer(network, clip)).astype(np.uint8)
            rows += [training_clips.side_by_side(training_clips.to_tensor(part)) for part in (clip.amodal, answer)]
        return np.vstack(rows)

    def export(self, network: torch.nn.Module, folder: Path) -> list[Path]:
        """Save as a VideoMAEForPreTraining in transformers' format."""
        assert isinstance(network, MaskRegressor)
        network.model.save_pretrained(folder / FOLDER)
        options = self.options
        CheckpointKind(
            recipe=self.name, methods=(METHOD,), conditions=("visible",), target="amodal", one_step=True,
            size=options.size, frames=options.frames, crop=options.crop,
        ).write(folder / FOLDER)  # fmt: skip
        return [folder / FOLDER]
