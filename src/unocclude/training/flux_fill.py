"""A small FLUX-Fill model for IC-Amodal: it learns to fill sub-images of a grid that shows one object.

Trained by flow matching (Lipman et al. 2023) as in FLUX: z_t = (1 - t) z + t e; the network predicts e - z.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from pydantic import Field

from unocclude.errors import InputError
from unocclude.methods.checkpoint_kind import CheckpointKind
from unocclude.methods.ic_amodal.completer import ALONE, BESIDE
from unocclude.methods.ic_amodal.grid import Grid, SubImage
from unocclude.methods.ic_amodal.inputs import BACKGROUNDS, silhouette
from unocclude.methods.ic_amodal.options import ICAmodalOptions
from unocclude.methods.ic_amodal.pipeline import FillJob, GridFiller, encode, read_pipeline
from unocclude.methods.ic_amodal.small_pipeline import pack_tokens, small_pipeline
from unocclude.methods.network_inputs import WHITE, tensor
from unocclude.training import clip_metrics, recipe, training_clips
from unocclude.training.recipe import Batch
from unocclude.training.training_clips import TrainingClip

FOLDER = "pipeline"
KINDS = {"beside": 0.6, "pair": 0.2, "alone": 0.2}
"""Probabilities of a batch's kind: completion beside an exemplar, two frames completed at once, single images."""
HELD_SEED = 1
UNSURE = 0.4
"""Probability that the hole surrounds the object, as occlusion evidence from few frames leaves it."""


class FluxFillOptions(recipe.RecipeOptions, training_clips.ClipOptions):
    """[recipe] of `flux-fill`."""

    base: str = Field("", description="pipeline folder in FLUX.1-Fill's format to continue from")
    vae: str = Field("", description="without base: folder of a VAE trained with recipe vae, temporal = false")
    heads: int = Field(4, ge=1, description="without base: attention heads, of 32 channels each")
    double: int = Field(4, ge=1, description="without base: double-stream blocks")
    single: int = Field(8, ge=0, description="without base: single-stream blocks")
    weight: float = Field(4.0, ge=0, description="additional weight of the loss inside holes")
    sampled: int = Field(12, ge=1, description="denoising steps in evaluation")


class FluxFill(training_clips.ClipRecipe):
    """Trains on the grids that IC-Amodal gives to its generator, made from clips with truth, on all backgrounds."""

    name = "flux-fill"
    summary = "a small FLUX-Fill model for IC-Amodal: in-context completion of small images"
    Options = FluxFillOptions
    options: FluxFillOptions

    def network(self) -> torch.nn.Module:
        options = self.options
        if options.base:
            self.pipeline = read_pipeline(Path(options.base), torch.float32)
            for part in (self.pipeline.vae, self.pipeline.text_encoder, self.pipeline.text_encoder_2):
                part.requires_grad_(False)
        elif options.vae:
            self.pipeline = small_pipeline(Path(options.vae), options.heads, options.double, options.single)
        else:
            raise InputError(
                "recipe flux-fill needs base, a pipeline to continue from, or vae (recipe vae with temporal = false)"
            )
        sentences = {"alone": ALONE, "beside": BESIDE}
        self.texts = {kind: encode(self.pipeline, sentence.format("object")) for kind, sentence in sentences.items()}
        network: torch.nn.Module = self.pipeline.transformer
        return network

    def batch(self, number: int, size: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        pairs = [random_grid_pair(self.clips.draw(rng), kind, rng) for _ in range(size)]
        return {
            "incomplete": torch.stack([tensor(grid.picture) for grid, _ in pairs]),
            "holes": torch.from_numpy(np.stack([grid.hole for grid, _ in pairs])),
            "wholes": torch.stack([tensor(whole.picture) for _, whole in pairs]),
        }

    def loss(self, network: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        pipeline, holes = self.pipeline, batch["holes"][:, None].float()
        device = holes.device
        pipeline.vae.to(device)
        with torch.no_grad():
            z = pack_tokens(pipeline, self._encode(batch["wholes"]))
            known = self._encode(batch["incomplete"] * (1 - holes))
            factor = pipeline.vae_scale_factor
            mask = pack_tokens(pipeline, torch.nn.functional.pixel_unshuffle(holes, factor))
            text = self._text("alone" if holes.shape[-1] == self.options.size[0] else "beside", len(z), device)
            inputs = torch.cat([pack_tokens(pipeline, known), mask], 2)
        height, width = (side // (2 * factor) for side in holes.shape[-2:])
        ids = pipeline._prepare_latent_image_ids(len(z), height, width, device, z.dtype)
        t = torch.sigmoid(torch.randn(len(z), 1, 1, device=device))
        noise = torch.randn_like(z)
        answer = network(
            hidden_states=torch.cat([(1 - t) * z + t * noise, inputs], 2), timestep=t[:, 0, 0], img_ids=ids,
            encoder_hidden_states=text[0], pooled_projections=text[1], txt_ids=text[2], return_dict=False,
        )[0]  # fmt: skip
        error = (answer.float() - (noise - z)) ** 2
        hole = mask.amax(2, keepdim=True)
        weight = 1 + self.options.weight * hole
        loss = (weight * error).sum() / (weight.sum() * error.shape[2])
        inside = (hole * error).sum() / (hole.sum() * error.shape[2]).clamp(min=1)
        return loss, {"inside": float(inside.detach())}

    def _encode(self, pictures: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        latents: torch.Tensor = vae.encode(pictures).latent_dist.sample()
        return (latents - vae.config.shift_factor) * vae.config.scaling_factor

    def _text(self, kind: str, count: int, device: torch.device) -> tuple[torch.Tensor, ...]:
        """Prompt embeddings (count, L, D) and (count, P), and text positions (L, 3)."""
        rows, pooled, ids = (part.to(device) for part in self.texts[kind])
        return rows.expand(count, -1, -1), pooled.expand(count, -1), ids

    def _answers(
        self, network: torch.nn.Module, clip: TrainingClip, number: int
    ) -> tuple[Grid, np.ndarray, TrainingClip]:
        """Grid of a validation clip, its filled last sub-image (h, w, 3) uint8, and the truth of that frame."""
        rng = np.random.default_rng([HELD_SEED, number])
        chosen, other = choose_frames(clip, rng)
        grid, _ = make_grid_pair(clip, chosen, other, "beside", rng, "white", carve=False)
        pipeline = self.pipeline
        pipeline.register_modules(transformer=network)
        pipeline.to(next(network.parameters()).device)
        transformer: Any = network
        stock = transformer.attn_processors
        settings = ICAmodalOptions.model_validate({"steps": self.options.sampled})
        filled = GridFiller(pipeline, settings).fill([FillJob(grid, number)], BESIDE.format("object"))[0]
        transformer.set_attn_processor(stock)
        return grid, grid.sub_image(filled, 4), clip.select(np.array([other]))

    def evaluate(self, network: torch.nn.Module) -> dict[str, float]:
        """Metrics of frames filled beside a complete exemplar; visible pixels are kept."""
        found = []
        for number, clip in enumerate(self.clips.held):
            grid, filled, truth = self._answers(network, clip, number)
            cell = grid.rows[1][1]
            assert cell.hole is not None
            mask = silhouette(filled, truth.visible[0] > 127, cell.hole, BACKGROUNDS["white"])
            found.append(
                clip_metrics.mask_metrics(truth, mask[None]) | clip_metrics.content_metrics(truth, filled[None] / 255.0)
            )
        return clip_metrics.mean(found)

    def picture(self, network: torch.nn.Module) -> np.ndarray:
        """One row per clip: the grid, the filled sub-image and the truth."""
        rows = []
        for number, clip in enumerate(self.clips.held[:6]):
            grid, filled, truth = self._answers(network, clip, number)
            lower = np.hstack([filled, truth.wholes[0]])
            rows.append(np.hstack([grid.picture, np.vstack([np.full_like(lower, WHITE), lower])]))
        return np.vstack(rows)

    def export(self, network: torch.nn.Module, folder: Path) -> list[Path]:
        self.pipeline.register_modules(transformer=network)
        self.pipeline.save_pretrained(folder / FOLDER)
        options = self.options
        CheckpointKind(
            recipe=self.name, methods=("ic-amodal", "ic-amodal-plus", "open-world"), conditions=("objects",),
            target="wholes", size=options.size, frames=options.frames, crop=options.crop,
        ).write(folder / FOLDER)  # fmt: skip
        return [folder / FOLDER]


def random_grid_pair(clip: TrainingClip, kind: str, rng: np.random.Generator) -> tuple[Grid, Grid]:
    """A random grid with holes, and the same grid complete, on a random background."""
    chosen, other = choose_frames(clip, rng)
    return make_grid_pair(
        clip, chosen, other, kind, rng, str(rng.choice(list(BACKGROUNDS))), carve=bool(rng.uniform() < 0.5)
    )


def choose_frames(clip: TrainingClip, rng: np.random.Generator) -> tuple[int, int]:
    """The frame with the largest visible area, and a random other one (the same if there is no other)."""
    chosen = int((clip.visible > 127).sum((1, 2)).argmax())
    others = [k for k in range(len(clip)) if k != chosen and (clip.amodal[k] > 127).any()]
    return chosen, int(rng.choice(others)) if others else chosen


def make_grid_pair(
    clip: TrainingClip, chosen: int, other: int, kind: str, rng: np.random.Generator, ground: str, carve: bool
) -> tuple[Grid, Grid]:
    """A grid with holes, and the same grid complete.

    kind: "beside", frame `other` beside the complete frame `chosen`; "pair", both with holes; "alone", `other` only.
    carve: hide some of the visible part behind a bar of one colour.
    """
    exemplar, target = (_sub_images(clip, k, rng, BACKGROUNDS[ground], carve) for k in (chosen, other))
    if kind == "alone":
        return Grid([[target[1]]]), Grid([[target[2]]])
    left = exemplar[1] if kind == "pair" else exemplar[2]
    whole = Grid([[exemplar[0], exemplar[2]], [target[0], target[2]]])
    return Grid([[exemplar[0], left], [target[0], target[1]]]), whole


def _sub_images(
    clip: TrainingClip, k: int, rng: np.random.Generator, ground: int, carve: bool
) -> tuple[SubImage, SubImage, SubImage]:
    """The frame X, the visible part I with its hole, and the complete object A of frame k."""
    frame, visible, amodal = clip.frames[k], clip.visible[k] > 127, clip.amodal[k] > 127
    bar = np.zeros_like(visible)
    if carve:
        bar = _bar(amodal, rng)
        frame = np.where(bar[..., None], rng.integers(0, 256, 3), frame).astype(np.uint8)
    share = clip.amodal[k][..., None] / 255.0
    whole = np.clip(np.rint(clip.wholes[k] + (1 - share) * (ground - WHITE)), 0, 255).astype(np.uint8)
    seen = visible & ~bar
    shown = np.where(seen[..., None], frame, ground).astype(np.uint8)
    return SubImage(frame), SubImage(shown, random_hole(seen, amodal, bar, rng)), SubImage(whole)


def random_hole(visible: np.ndarray, amodal: np.ndarray, bar: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A completion mask like those of occlusion evidence: the hidden part and its occluder, dilated; sometimes the
    whole surroundings of the object, as when little is known."""
    reach = int(rng.integers(1, max(3, visible.shape[0] // 4)))
    hidden = (amodal & ~visible).astype(np.uint8)
    around = cv2.dilate(hidden, np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
    if hidden.any() and rng.uniform() < UNSURE:
        x, y, w, h = cv2.boundingRect(amodal.astype(np.uint8))
        around[max(0, y - reach) : y + h + reach, max(0, x - reach) : x + w + reach] = True
    hole: np.ndarray = (around | bar) & ~visible
    return hole


def _bar(amodal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A bar across the object, in a random direction."""
    rows, columns = np.nonzero(amodal)
    if not len(rows):
        return np.zeros_like(amodal)
    middle = int(rng.integers(len(rows)))
    turn = rng.uniform(0, np.pi)
    y, x = np.mgrid[: amodal.shape[0], : amodal.shape[1]]
    away = np.abs((y - rows[middle]) * np.cos(turn) + (x - columns[middle]) * np.sin(turn))
    bar: np.ndarray = away < rng.uniform(0.08, 0.25) * np.sqrt(amodal.sum())
    return bar
