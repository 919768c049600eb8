"""Recipe of `recall`'s shape prior, which predicts amodal masks from masks over time and the image."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from pydantic import Field
from torch.nn import functional

from unocclude.methods.recall import prior_inputs
from unocclude.metrics import Frame, get_metric
from unocclude.metrics.area import added_area
from unocclude.metrics.iou import hidden_iou
from unocclude.networks.unet import UNet
from unocclude.training import evidence_clips, recipe
from unocclude.training.cache import cached
from unocclude.training.evidence_clips import EvidenceClip, EvidenceClipMaker
from unocclude.training.onnx import write_onnx
from unocclude.training.recipe import Batch
from unocclude.training.sources import ClipSource
from unocclude.types import Progress

FILE = "shape_prior.onnx"
RANK = 6
"""Rank of the covariance of the logits."""
DRAWS = 8
OCCLUDED = 0.03
"""A view counts as occluded if more than this fraction of the object is hidden. The figures of the model card are made
with it; `Frame.is_occluded` has 1 %."""
GROUP = 4
"""Samples taken from a clip each time it is loaded, because loading is the slow part."""


class ShapeOptions(recipe.RecipeOptions):
    """[recipe] of the shape prior."""

    train: list[str] = Field(description="sources of training clips (see training.sources)")
    validation: list[str] = Field(description="sources of validation clips: other seeds, other classes")
    without: list[str] = Field([], description="object classes left out of training")
    cache: str = Field("cache", description="folder for preprocessed clips")
    picture: bool = Field(True, description="false: the network sees masks only")
    limit: int = Field(160, ge=1, description="clips per validation source")


class ShapePrior(recipe.Recipe):
    """Inputs as in `methods.recall.prior_inputs`; outputs are logits of the amodal mask and a low-rank factor of their
    covariance (stochastic segmentation networks, Monteiro et al. 2020)."""

    name = "shape-prior"
    summary = "recall's shape prior: masks over time and the image to the amodal mask"
    Options = ShapeOptions
    options: ShapeOptions

    def prepare(self, workers: int, progress: Progress) -> None:
        cache = Path(self.options.cache)
        self._clips: list[Path] = []
        for spec in self.options.train:
            source = ClipSource(spec, tuple(self.options.without))
            self._clips += cached(source, cache, "evidence", EvidenceClipMaker(source), workers, progress)
        self._held = {
            spec: cached(ClipSource(spec), cache, "evidence", EvidenceClipMaker(ClipSource(spec)), workers, progress)[
                : self.options.limit
            ]
            for spec in self.options.validation
        }

    @property
    def planes(self) -> int:
        """Number of input planes; the image planes are the last ones."""
        return prior_inputs.PLANES if self.options.picture else prior_inputs.PLANES - prior_inputs.PICTURE

    def network(self) -> torch.nn.Module:
        return UNet(self.planes, 1 + RANK, prior_inputs.NUMBERS)

    def batch(self, number: int, size: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        samples: list[tuple[np.ndarray, ...]] = []
        while len(samples) < size:
            clip = evidence_clips.load(self._clips[int(rng.integers(len(self._clips)))])
            samples += [sample for _ in range(GROUP) if (sample := draw(clip, rng)) is not None]
        planes, numbers, target, weight = (np.stack(part) for part in zip(*samples[:size], strict=True))
        return {
            "planes": torch.from_numpy(planes[:, : self.planes]), "numbers": torch.from_numpy(numbers),
            "target": torch.from_numpy(target), "weight": torch.from_numpy(weight),
        }  # fmt: skip

    def loss(self, network: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """Cross entropy, Dice loss, Dice loss on hidden pixels, and negative log likelihood of the sampled logits."""
        answer = network(batch["planes"], batch["numbers"]).float()
        logits, factors = answer[:, :1], answer[:, 1:]
        target, weight = batch["target"], batch["weight"]
        entropy = (weight * functional.binary_cross_entropy_with_logits(logits, target, reduction="none")).mean()
        share = torch.sigmoid(logits) * (weight > 0)
        hidden = (batch["planes"][:, :1] < 0.5) & (weight > 0)
        dice = _dice(share, target * (weight > 0))
        has = (target * hidden).flatten(1).sum(1) > 12
        lost = _dice(share * hidden, target * hidden)
        dice_hidden = (lost * has).sum() / has.sum().clamp(min=1)
        spread = _likelihood(logits.detach(), factors, target, weight)
        total = 4 * entropy + dice.mean() + dice_hidden + 0.5 * spread
        parts = {"entropy": entropy, "dice": dice.mean(), "dice_hidden": dice_hidden, "spread": spread}
        return total, {name: float(part.detach()) for name, part in parts.items()}

    def evaluate(self, network: torch.nn.Module) -> dict[str, float]:
        """mIoU, mIoU_occ and false area on every third frame of the validation clips; visible pixels are kept."""
        figures: dict[str, float] = {}
        for spec, clips in self._held.items():
            found: dict[str, list[float]] = {"miou": [], "miou_occ": [], "false_area": []}
            for path in clips:
                for name, value in _judge(network, evidence_clips.load(path)):
                    found[name].append(value)
            kind = spec.partition("?")[0].rpartition(":")[2]
            figures |= {f"{kind}/{name}": round(float(np.mean(v)), 4) if v else 0.0 for name, v in found.items()}
        return figures

    def picture(self, network: torch.nn.Module) -> np.ndarray:
        """One row per clip: visible mask, evidence (red: possible occluder, blue: background), truth, output, two
        samples."""
        rows = []
        for path in [path for clips in self._held.values() for path in clips[:6]]:
            clip = evidence_clips.load(path)
            rates = 1 - clip.visible.sum((1, 2)) / np.maximum(clip.amodal.sum((1, 2)), 1)
            for i in np.argsort(np.abs(rates - 0.5))[:1]:
                if (sample := _at(clip, int(i))) is not None:
                    rows.append(_row(network, *sample))
        return np.vstack(rows) if rows else np.zeros((1, 1, 3), np.uint8)

    def export(self, network: torch.nn.Module, folder: Path) -> list[Path]:
        example = (
            torch.zeros(1, self.planes, prior_inputs.SIDE, prior_inputs.SIDE),
            torch.zeros(1, prior_inputs.NUMBERS),
        )
        return [write_onnx(network, example, ("planes", "numbers"), ("logits",), folder / FILE)]


PriorSample = tuple[np.ndarray, np.ndarray, np.ndarray]
"""planes and numbers as in `prior_inputs.look`; target (1, S, S) float32."""


def draw(clip: EvidenceClip, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """An augmented sample of a random frame; None if no object is expected in it.

    Returns planes and numbers as in `prior_inputs.look`, target and weight (1, S, S) float32.
    """
    step = int(rng.choice([1, 1, 1, 2, 3]))
    clip = clip.subsample(step, int(rng.integers(step))) if step > 1 else clip
    rates = 1 - clip.visible.sum((1, 2)) / np.maximum(clip.amodal.sum((1, 2)), 1)
    # two of three samples are occluded frames
    odds = np.where(rates > 0.01, 2.0 / max(1, (rates > 0.01).sum()), 1.0 / max(1, (rates <= 0.01).sum()))
    i = int(rng.choice(len(clip), p=odds / odds.sum()))
    sample = _at(clip, i, float(np.exp(rng.normal(0, 0.07))), (rng.normal(0, 0.04), rng.normal(0, 0.04)))
    if sample is None:
        return None
    planes, numbers, target = sample
    context = planes[5 : -prior_inputs.PICTURE]
    fate = rng.uniform(size=4)
    if fate[0] < 0.05:  # no context: a single image, or an object hidden in all other frames
        context[:], numbers[:] = 0, 0
    elif fate[0] < 0.3:
        away = rng.uniform(size=prior_inputs.CONTEXT) < rng.uniform(0.1, 0.8)
        context[away], numbers[np.concatenate([away, away])] = 0, 0
    if fate[1] < 0.1:  # nothing is known about occluders
        planes[1:4] = 0
        np.maximum(context, 0, out=context)
    if fate[2] < 0.3:
        planes[0] = _mistaken(planes[0], rng)
    planes[-prior_inputs.PICTURE :] = _recoloured(planes[-prior_inputs.PICTURE :], rng)
    if fate[3] < 0.5:
        planes, target = planes[..., ::-1].copy(), target[..., ::-1].copy()
    return planes, numbers, target, _weight(planes, target)


def _at(clip: EvidenceClip, i: int, zoom: float = 1.0, move: tuple[float, float] = (0.0, 0.0)) -> PriorSample | None:
    box = prior_inputs.object_box(clip.object_frames, i)
    if not np.isfinite(box).all():
        return None
    view = prior_inputs.view_matrix(box, zoom, move)
    planes, numbers = prior_inputs.make_inputs(clip.object_frames, i, view)
    side = (prior_inputs.SIDE, prior_inputs.SIDE)
    target = cv2.warpAffine(clip.amodal[i].astype(np.float32), view[:2], side, flags=cv2.INTER_LINEAR)[None]
    target = (target > 0.5).astype(np.float32)
    return planes, numbers, target


def _weight(planes: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Loss weights: low on the visible part and on a ring around it, where errors are mask noise."""
    seen = (planes[0] > 0.5).astype(np.uint8)
    ring = cv2.dilate(seen, np.ones((3, 3), np.uint8))
    weight = np.where(seen > 0, 0.1, np.where((ring > 0) & (target[0] > 0.5), 0.3, 1.0)) * (planes[4] > 0.99)
    return weight[None].astype(np.float32)


def _mistaken(seen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A visible mask with errors typical of trackers: dilated, eroded, or with a piece missing or added."""
    kind = rng.integers(4)
    if kind < 2:
        kernel = np.ones((3, 3), np.uint8)
        return np.asarray(cv2.dilate(seen, kernel) if kind else cv2.erode(seen, kernel))
    ys, xs = np.nonzero(seen > 0.5)
    if not len(ys):
        return seen
    k = int(rng.integers(len(ys)))
    out = seen.copy()
    cv2.ellipse(
        out, (int(xs[k]), int(ys[k])), (int(rng.integers(2, 9)), int(rng.integers(2, 9))),
        float(rng.uniform(0, 180)), 0, 360, 0.0 if kind == 2 else 1.0, -1,
    )  # fmt: skip
    return out


def _recoloured(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Augment an image (3, S, S) in -1..1: light, colours, noise; often removed altogether."""
    fate = rng.uniform(size=4)
    if fate[0] < 0.35:  # generated textures differ from real ones, so masks alone must suffice too
        return np.zeros_like(picture)
    if fate[1] < 0.15:
        picture = np.repeat(picture.mean(0, keepdims=True), 3, 0)
    if fate[2] < 0.3:
        picture = picture[rng.permutation(3)]
    gain, lift = np.exp(rng.normal(0, [0.25, 0.1, 0.1, 0.1])), rng.normal(0, 0.15)
    picture = np.clip(picture * gain[0] * gain[1:, None, None] + lift, -1, 1)
    if fate[3] < 0.3:
        picture = picture + rng.normal(0, rng.uniform(0, 0.12), picture.shape)
    return picture.astype(np.float32)


def _dice(share: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    both = (share * target).flatten(1).sum(1)
    return 1 - (2 * both + 1) / (share.flatten(1).sum(1) + target.flatten(1).sum(1) + 1)


def _likelihood(
    logits: torch.Tensor, factors: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Negative log likelihood per pixel under logits with covariance `factors factors^T`, by Monte Carlo with `DRAWS`
    samples (Monteiro et al. 2020, equation 7)."""
    count = len(logits)
    normal = torch.randn(count, DRAWS, factors.shape[1], device=factors.device)
    drawn = logits + torch.einsum("bkr,brhw->bkhw", normal, factors)
    wrong = functional.binary_cross_entropy_with_logits(drawn, target.expand_as(drawn), reduction="none")
    log = -(wrong * weight).flatten(2).sum(2)
    pixels = target[0].numel()
    return -(torch.logsumexp(log, 1) - float(np.log(DRAWS))).mean() / pixels


@torch.inference_mode()
def _answer(network: Any, planes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The network's output (N, 1 + RANK, S, S) float32 for a batch; it uses the first `network.inputs` planes."""
    device = next(network.parameters()).device
    answer = network(torch.from_numpy(planes[:, : network.inputs]).to(device), torch.from_numpy(numbers).to(device))
    return np.asarray(answer.float().cpu().numpy())


def _judge(network: torch.nn.Module, clip: EvidenceClip) -> list[tuple[str, float]]:
    samples = [sample for i in range(0, len(clip), 3) if (sample := _at(clip, i)) is not None]
    if not samples:
        return []
    planes, numbers, targets = (np.stack(part) for part in zip(*samples, strict=True))
    found = []
    miou = get_metric("miou")()
    for plane, truth, logits in zip(planes, targets[:, 0] > 0.5, _answer(network, planes, numbers)[:, 0], strict=True):
        inside = plane[4] > 0.99
        seen = (plane[0] > 0.5) & inside
        truth, pred = truth & inside, ((logits > 0) | seen) & inside
        if not truth.any():
            continue
        frame = Frame(pred, truth, seen)
        found.append(("miou", miou.update(frame)))
        if (truth & ~seen).sum() > OCCLUDED * truth.sum():
            found.append(("miou_occ", hidden_iou(frame)))
        else:
            found.append(("false_area", added_area(frame)))
    return found


def _row(network: torch.nn.Module, planes: np.ndarray, numbers: np.ndarray, target: np.ndarray) -> np.ndarray:
    answer = _answer(network, planes[None], numbers[None])[0]
    seen = np.repeat(planes[0][..., None], 3, axis=2)
    evidence = np.stack([planes[1], planes[0], np.maximum(planes[2], 0.5 * planes[3])], -1)
    draws = [answer[0] + np.tensordot(np.random.default_rng(k).normal(size=RANK), answer[1:], 1) for k in range(2)]
    masks = [target[0], *(1 / (1 + np.exp(-logits)) for logits in (answer[0], *draws))]
    tiles = [seen, evidence, *(np.stack([mask, np.maximum(mask, planes[0]), mask], -1) for mask in masks)]
    return np.hstack([np.pad((255 * tile).astype(np.uint8), ((1, 1), (1, 1), (0, 0))) for tile in tiles])
