"""Small VAEs of images and masks, whose latents the diffusion methods work in."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderKLTemporalDecoder
from pydantic import Field
from torch.nn import functional

from unocclude.errors import InputError
from unocclude.metrics.appearance import psnr
from unocclude.networks.configuration import read_json
from unocclude.networks.files import read_weights
from unocclude.networks.group_norm import SMALL_GROUPS, set_num_groups
from unocclude.networks.loading import check_names
from unocclude.training import recipe, training_clips
from unocclude.training.recipe import Batch
from unocclude.training.training_clips import TrainingClip

FOLDER = "vae"
Kind = Literal["frames", "objects", "wholes", "visible", "amodal", "depth"]


class VAEOptions(recipe.RecipeOptions, training_clips.ClipOptions):
    """[recipe] of `vae`."""

    widths: list[int] = Field(
        [32, 64, 96], description="channels per level; each level but the last halves the resolution"
    )
    temporal: bool = Field(
        True, description="temporal decoder for clips (Diffusion-VAS); false: frame by frame (TGVAC, FLUX)"
    )
    layers: int = Field(1, ge=1, description="residual blocks per level")
    encoder: str = Field("", description="folder of a VAE whose encoder is reused, frozen; only the decoder is trained")
    kinds: list[Kind] = Field(
        ["frames", "objects", "wholes", "amodal", "depth"], min_length=1, description="kinds of images to train on"
    )
    patch: int = Field(0, ge=0, description="side of random training crops in pixels; 0: whole images")
    divergence: float = Field(1e-6, ge=0, description="weight of the KL divergence of the latents")


class VAE(training_clips.ClipRecipe):
    """A VAE that encodes frames and decodes clips (Stable Video Diffusion's temporal decoder) or frames.

    Trained on frames, objects on white, masks and depth, because the methods encode all of these; `kinds` selects.
    """

    name = "vae"
    summary = "a small VAE, with a temporal decoder or without, for the diffusion recipes"
    Options = VAEOptions
    options: VAEOptions

    def network(self) -> torch.nn.Module:
        levels = len(self.options.widths)
        form = {
            "down_block_types": ("DownEncoderBlock2D",) * levels, "block_out_channels": tuple(self.options.widths),
            "layers_per_block": self.options.layers, "latent_channels": 4, "force_upcast": False,
        }  # fmt: skip
        if self.options.temporal:
            network = AutoencoderKLTemporalDecoder(**form)
        else:
            network = AutoencoderKL(up_block_types=("UpDecoderBlock2D",) * levels, shift_factor=0.0, **form)
        set_num_groups(network)
        with torch.no_grad():  # little noise at first speeds up training
            network.quant_conv.weight[4:] = 0
            network.quant_conv.bias[4:] = -6
        if self.options.encoder:
            self._take_over(network, Path(self.options.encoder))
        whole: torch.nn.Module = network
        return whole

    def _take_over(self, network: Any, folder: Path) -> None:
        state = read_weights(folder, "diffusion_pytorch_model")
        groups = read_json(folder / "config.json").get("norm_num_groups")
        if groups != SMALL_GROUPS:
            raise InputError(f"{folder}: its norms have {groups} groups; give a VAE trained with recipe {self.name}")
        for name in ("encoder", "quant_conv"):
            part, prefix = getattr(network, name), f"{name}."
            own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            check_names(folder, own, {key: value.shape for key, value in part.state_dict().items()})
            part.load_state_dict(own)
            part.requires_grad_(False)

    def batch(self, number: int, size: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        return {
            "clips": torch.stack([training_clips.to_tensor(self._any(self.clips.draw(rng), rng)) for _ in range(size)])
        }

    def _any(self, clip: TrainingClip, rng: np.random.Generator) -> np.ndarray:
        chosen: np.ndarray = getattr(clip, self.options.kinds[int(rng.integers(len(self.options.kinds)))])
        if chosen.ndim == 4 and rng.uniform() < 0.5:
            chosen = recoloured(chosen, rng)
        if self.options.patch:
            height, width = (min(self.options.patch, side) for side in chosen.shape[1:3])
            y, x = rng.integers(chosen.shape[1] - height + 1), rng.integers(chosen.shape[2] - width + 1)
            chosen = chosen[:, y : y + height, x : x + width]
        return chosen

    def through(self, network: Any, clips: torch.Tensor, sample: bool) -> tuple[Any, torch.Tensor]:
        """Encode and decode (N, F, 3, h, w): the posterior of the latents and the reconstruction."""
        posterior = network.encode(clips.flatten(0, 1)).latent_dist
        latents = posterior.sample() if sample else posterior.mode()
        length = {"num_frames": clips.shape[1]} if self.options.temporal else {}
        return posterior, network.decode(latents, **length).sample.view(clips.shape)

    def loss(self, network: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """L1 errors of pixels, spatial gradients and chroma (relative to the chroma present), and KL divergence."""
        clips = batch["clips"]
        posterior, decoded = self.through(network, clips, sample=True)
        wrong = decoded - clips
        error = wrong.abs().mean()
        edges = sum(wrong.diff(dim=dim).abs().mean() for dim in (-1, -2))
        colour = chroma(wrong).abs().mean() / (chroma(clips).abs().mean() + 0.02)
        divergence = posterior.kl().mean()
        total = error + 0.5 * edges + 0.3 * colour + self.options.divergence * divergence
        parts = {"error": error, "edges": edges, "colour": colour, "divergence": divergence}
        return total, {name: float(part.detach()) for name, part in parts.items()}

    @torch.no_grad()
    def evaluate(self, network: torch.nn.Module) -> dict[str, float]:
        """Reconstruction PSNR (dB) of each kind of image."""
        figures = {}
        for kind in self.options.kinds:
            errors = []
            for clip in self.clips.held[:24]:
                pictures = training_clips.to_tensor(getattr(clip, kind))[None].to(next(network.parameters()).device)
                decoded = self.through(network, pictures, sample=False)[1].clamp(-1, 1)
                errors.append(float(functional.mse_loss(decoded, pictures)) / 4)
            figures[f"{kind}/psnr"] = round(psnr(sum(errors), len(errors), peak=1.0), 2)
        return figures

    @torch.no_grad()
    def picture(self, network: torch.nn.Module) -> np.ndarray:
        rows = []
        for clip in self.clips.held[:4]:
            for kind in self.options.kinds:
                pictures = training_clips.to_tensor(getattr(clip, kind))[None, :6].to(next(network.parameters()).device)
                decoded = self.through(network, pictures, sample=False)[1]
                rows += [training_clips.side_by_side(pictures[0]), training_clips.side_by_side(decoded[0])]
        return np.vstack(rows)

    def export(self, network: torch.nn.Module, folder: Path) -> list[Path]:
        """Save in diffusers' format; `scaling_factor` is 1 / standard deviation of the latents."""
        vae: Any = network
        with torch.no_grad():
            device = next(network.parameters()).device
            latents = [
                vae.encode(training_clips.to_tensor(getattr(clip, kind)).to(device)).latent_dist.mode()
                for clip in self.clips.held[:16]
                for kind in self.options.kinds
            ]
        vae.register_to_config(scaling_factor=round(1 / float(torch.cat(latents).std()), 5))
        vae.save_pretrained(folder / FOLDER)
        return [folder / FOLDER]


def recoloured(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colour augmentation of (F, h, w, 3) uint8: shuffle channels, raise saturation up to 4 times, invert some.

    Without it a small VAE learns brightness but not colour, because most objects are small and dull on white.
    """
    shuffled = pictures[..., rng.permutation(3)].astype(np.float32)
    grey = shuffled.mean(-1, keepdims=True)
    vivid: np.ndarray = (grey + rng.uniform(1, 4) * (shuffled - grey)).clip(0, 255).round().astype(np.uint8)
    return vivid ^ (rng.integers(0, 2, 3) * 255).astype(np.uint8)


def chroma(clips: torch.Tensor) -> torch.Tensor:
    """Difference of each channel of (N, F, 3, h, w) from the pixel's grey level."""
    return clips - clips.mean(2, keepdim=True)
