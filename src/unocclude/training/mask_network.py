"""Recipe of the mask network: the visible mask of one object from a picture, boxes, points and a rough mask."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from pydantic import Field
from torch.nn import functional

from unocclude.geometry import bounding_box, mask_iou
from unocclude.networks.unet import UNet
from unocclude.perception.mask_network import FILE, PLANES, SIDE, Marks, View, make_planes
from unocclude.synthesis.crowds import Crowd, crowd
from unocclude.training import recipe
from unocclude.training.cache import cached
from unocclude.training.onnx import write_onnx
from unocclude.training.recipe import Batch
from unocclude.types import Box, Progress

GROUP = 4
"""Samples taken from a crowd each time it is loaded, because loading is slow."""
LEAST = 0.012
"""Smallest area of the object, relative to the view."""
PROMPTS = {"box": 0.5, "box and points": 0.12, "points": 0.2, "rough mask": 0.18}
"""Kinds of prompts, and their shares of the samples."""


class MaskNetworkOptions(recipe.RecipeOptions):
    """[recipe] of the mask network."""

    seed: int = Field(1, ge=0, description="seed of the training crowds")
    count: int = Field(3000, ge=1, description="number of training crowds")
    validation_seed: int = Field(99, ge=0, description="seed of the validation crowds")
    validation_count: int = Field(100, ge=1, description="number of validation crowds")
    side: int = Field(176, ge=32, description="side of a crowd in pixels")
    widths: tuple[int, ...] = Field((32, 64, 96, 128), description="channels of the U-Net's levels")
    cache: str = Field("cache", description="folder for crowds")


@dataclass(frozen=True)
class Crowds:
    """The crowds of one seed, for the cache."""

    seed: int
    count: int
    side: int
    without: tuple[str, ...] = ()

    @property
    def spec(self) -> str:
        return f"crowds?seed={self.seed}&side={self.side}"

    def __call__(self, i: int) -> list[bytes]:
        made = crowd(self.seed * 1_000_000 + i, self.side)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, picture=made.picture, labels=made.labels)
        return [buffer.getvalue()]


class Sample(NamedTuple):
    """planes as in `make_planes`; target, weight: (1, SIDE, SIDE) float32."""

    planes: np.ndarray
    target: np.ndarray
    weight: np.ndarray


class MaskNetwork(recipe.Recipe):
    """Inputs as in `perception.mask_network`; the output is the log-odds of the object's visible mask."""

    name = "mask-network"
    summary = "the visible mask of one object from a picture, boxes, points and a rough mask"
    Options = MaskNetworkOptions
    options: MaskNetworkOptions

    def prepare(self, workers: int, progress: Progress) -> None:
        o = self.options
        train, held = Crowds(o.seed, o.count, o.side), Crowds(o.validation_seed, o.validation_count, o.side)
        self._crowds = cached(train, Path(o.cache), "crowds", train, workers, progress)
        held_files = cached(held, Path(o.cache), "crowds", held, workers, progress)
        self._held = {kind: _held(held_files, kind) for kind in PROMPTS}

    def network(self) -> torch.nn.Module:
        network = UNet(PLANES, 1, widths=self.options.widths)
        # convolutions are a fifth faster on CPUs with the channels last
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def batch(self, number: int, size: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        samples: list[Sample] = []
        while len(samples) < size:
            made = load(self._crowds[int(rng.integers(len(self._crowds)))])
            samples += [sample for _ in range(GROUP) if (sample := draw(made, rng)) is not None]
        parts = (np.stack(part) for part in zip(*samples[:size], strict=True))
        return {name: torch.from_numpy(part) for name, part in zip(Sample._fields, parts, strict=True)}

    def loss(self, network: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """Cross entropy and Dice loss."""
        logits = network(batch["planes"]).float()
        target, weight = batch["target"], batch["weight"]
        entropy = (weight * functional.binary_cross_entropy_with_logits(logits, target, reduction="none")).mean()
        share = torch.sigmoid(logits) * (weight > 0)
        both = (share * target).flatten(1).sum(1)
        dice = (1 - (2 * both + 1) / (share.flatten(1).sum(1) + target.flatten(1).sum(1) + 1)).mean()
        return 2 * entropy + dice, {"entropy": float(entropy.detach()), "dice": float(dice.detach())}

    def evaluate(self, network: torch.nn.Module) -> dict[str, float]:
        """Mean IoU on validation samples by kind of prompt."""
        figures = {}
        for kind, samples in self._held.items():
            found = _predict(network, np.stack([sample.planes for sample in samples]))
            scores = [mask_iou(a > 0, sample.target[0] > 0.5) for a, sample in zip(found, samples, strict=True)]
            figures[f"iou/{kind}"] = round(float(np.mean(scores)), 4)
        return figures

    def picture(self, network: torch.nn.Module) -> np.ndarray:
        """Rows of pictures with their prompts, the truth and the output."""
        columns = min(8, *(len(samples) for samples in self._held.values()))
        rows = []
        for samples in self._held.values():
            found = _predict(network, np.stack([sample.planes for sample in samples[:columns]]))
            rows.append(np.hstack([np.vstack(_tiles(*pair)) for pair in zip(samples, found, strict=False)]))
        return np.vstack(rows)

    def export(self, network: torch.nn.Module, folder: Path) -> list[Path]:
        example = (torch.zeros(1, PLANES, SIDE, SIDE),)
        return [write_onnx(network, example, ("planes",), ("logits",), folder / FILE)]


def load(path: Path) -> Crowd:
    """Read a cached crowd."""
    with np.load(path, allow_pickle=False) as data:
        return Crowd(data["picture"], data["labels"])


def _held(files: list[Path], kind: str) -> list[Sample]:
    rng = np.random.default_rng(7)
    drawn = [draw(load(path), rng, kind) for path in files]
    return [sample for sample in drawn if sample is not None]


def _predict(network: torch.nn.Module, planes: np.ndarray) -> np.ndarray:
    """Log-odds (N, SIDE, SIDE)."""
    device = next(network.parameters()).device
    with torch.no_grad():
        parts = [network(part.to(device)).float().cpu() for part in torch.from_numpy(planes).split(32)]
    found: np.ndarray = torch.cat(parts)[:, 0].numpy()
    return found


def _tiles(sample: Sample, logit: np.ndarray) -> list[np.ndarray]:
    picture = np.clip((sample.planes[:3].transpose(1, 2, 0) + 1) * 127.5, 0, 255).astype(np.uint8)
    marked = picture.copy()
    marked[cv2.morphologyEx(sample.planes[4], cv2.MORPH_GRADIENT, np.ones((2, 2))) > 0] = (255, 255, 0)
    marked[sample.planes[5] > 0] = (0, 255, 0)
    marked[sample.planes[6] > 0] = (255, 0, 0)
    chance = 255 / (1 + np.exp(-logit))
    return [marked, *(np.repeat(m.astype(np.uint8)[..., None], 3, 2) for m in (sample.target[0] * 255, chance))]


# Samples ------------------------------------------------------------------------------------------------------


def draw(made: Crowd, rng: np.random.Generator, kind: str | None = None) -> Sample | None:
    """An augmented sample of a random object of a crowd; None if too little of it is visible in the view."""
    kind = str(rng.choice(list(PROMPTS), p=list(PROMPTS.values()))) if kind is None else kind
    numbers = np.unique(made.labels)[1:]
    if not len(numbers):
        return None
    mask = made.labels == rng.choice(numbers)
    if not _whole(mask):
        return None
    marks, view = _prompt(made, mask, kind, rng)
    target = (view.take(mask.astype(np.float32)) > 0.5).astype(np.float32)
    if target.mean() < LEAST:
        return None
    planes = make_planes(made.picture, marks, view)
    planes[:3] = _recoloured(planes[:3], rng) * planes[3]
    weight = (planes[3] > 0.5).astype(np.float32)
    if rng.uniform() < 0.5:
        planes, target, weight = planes[..., ::-1].copy(), target[..., ::-1].copy(), weight[..., ::-1].copy()
    return Sample(planes, target[None], weight[None])


def _whole(mask: np.ndarray) -> bool:
    """Whether a mask has at least 40 pixels, and half of them in one piece."""
    if mask.sum() < 40:
        return False
    stats = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)[2]
    return bool(2 * stats[1:, cv2.CC_STAT_AREA].max() >= mask.sum())


def _prompt(made: Crowd, mask: np.ndarray, kind: str, rng: np.random.Generator) -> tuple[Marks, View]:
    x0, y0, x1, y1 = (float(v) for v in bounding_box(mask))
    box = _shaken((x0, y0, x1, y1), mask.shape, rng)
    zoom, move = float(np.exp(rng.normal(0, 0.08))), (rng.normal(0, 0.03), rng.normal(0, 0.03))
    if kind == "box":
        return Marks([box]), View.around(box, zoom, move)
    if kind == "box and points":
        inside, outside = _points(mask, int(rng.integers(0, 4)), rng), _outside(mask, box, rng)
        return Marks([box], inside, outside), View.around(box, zoom, move)
    if kind == "points":
        inside = _points(mask, int(rng.choice([1, 1, 1, 2, 3, 5])), rng)
        size = max(x1 - x0, y1 - y0) * np.exp(rng.uniform(np.log(1.05), np.log(5)))
        centre = (np.min(inside, 0) + np.max(inside, 0)) / 2 + rng.normal(0, 0.06, 2) * size
        return Marks([], inside, _outside(mask, box, rng)), View.at(float(centre[0]), float(centre[1]), size)
    rough = _mistaken(made, mask, rng)
    boxes = [box] if rng.uniform() < 0.4 else []
    lost, added = mask & ~rough, rough & ~mask
    counts = rng.integers(0, 3, 2)
    inside = _points(lost, int(counts[0]), rng) if lost.sum() > 20 else []
    outside = _points(added, int(counts[1]), rng) if added.sum() > 20 else []
    around = bounding_box(rough | mask) if not boxes else box
    return Marks(boxes, inside, outside, rough), View.around(around, zoom, move)


def _shaken(box: Box, shape: tuple[int, ...], rng: np.random.Generator) -> Box:
    """A box as people draw it: exact in a third of cases, else with its sides moved by some percent."""
    spread = float(rng.choice([0.0, 0.03, 0.08], p=[0.35, 0.5, 0.15]))
    width, height = box[2] - box[0], box[3] - box[1]
    moved = np.array(box) + np.clip(rng.normal(0, spread, 4), -0.2, 0.2) * (width, height, width, height)
    moved = np.clip(moved, 0, (shape[1], shape[0], shape[1], shape[0]))
    left, top, right, bottom = moved.tolist()
    return left, top, right, bottom


def _points(mask: np.ndarray, count: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Random points in a mask, mostly away from its edge, as people click."""
    inner = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    found = []
    for _ in range(count):
        depth = rng.choice([0.0, 0.4, 0.8]) * inner.max()
        ys, xs = np.nonzero(mask & (inner >= depth))
        k = int(rng.integers(len(ys)))
        found.append((float(xs[k]), float(ys[k])))
    return found


def _outside(mask: np.ndarray, box: Box, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Up to three points near the object and not on it."""
    x0, y0, x1, y1 = (round(v) for v in box)
    near = np.zeros(mask.shape, bool)
    reach = int(0.15 * max(x1 - x0, y1 - y0))
    near[max(0, y0 - reach) : y1 + reach, max(0, x0 - reach) : x1 + reach] = True
    near &= ~cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    return _points(near, int(rng.choice([0, 0, 1, 2, 3])), rng) if near.sum() > 20 else []


def _mistaken(made: Crowd, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The object's mask with mistakes: pieces lost or added, also by colour, shifted, grown or shrunk."""
    x0, y0, x1, y1 = bounding_box(mask)
    size = max(x1 - x0, y1 - y0)
    rough = mask.copy()
    if rng.uniform() < 0.3:
        move = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
        move[:, 2] = rng.normal(0, 0.05, 2) * size
        rough = cv2.warpAffine(rough.astype(np.uint8), move, mask.shape[::-1]) > 0
    for _ in range(int(rng.integers(1, 4))):
        at = (int(rng.uniform(x0, x1)), int(rng.uniform(y0, y1)))
        piece = np.zeros(mask.shape, np.uint8)
        half = (max(1, int(size * rng.uniform(0.05, 0.35))), max(1, int(size * rng.uniform(0.05, 0.35))))
        cv2.ellipse(piece, at, half, rng.uniform(0, 180), 0, 360, 1, -1)
        fate = rng.uniform()
        if fate < 0.4:
            rough &= piece == 0
        elif fate < 0.7:
            rough |= piece > 0
        else:
            rough = _by_colour(made.picture, rough, at, size, rng)
    if len(others := np.setdiff1d(np.unique(made.labels[y0:y1, x0:x1]), [0])) and rng.uniform() < 0.25:
        rough |= made.labels == rng.choice(others)
    kernel = np.ones((3, 3), np.uint8)
    if (fate := rng.uniform()) < 0.3:
        rough = (cv2.dilate if fate < 0.15 else cv2.erode)(rough.astype(np.uint8), kernel) > 0
    return rough if rough.any() else mask


def _by_colour(
    picture: np.ndarray, rough: np.ndarray, at: tuple[int, int], size: int, rng: np.random.Generator
) -> np.ndarray:
    """`rough` with the pixels near x, y that have its colour added or removed."""
    x, y = min(at[0], rough.shape[1] - 1), min(at[1], rough.shape[0] - 1)
    soft = cv2.blur(picture, (3, 3)).astype(np.float32)
    alike = np.linalg.norm(soft - soft[y, x], axis=2) < rng.uniform(20, 60)
    near = np.zeros(rough.shape, bool)
    reach = max(2, int(size * 0.5))
    near[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach] = True
    return rough & ~(alike & near) if rough[y, x] else rough | (alike & near)


def _recoloured(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Augment an image (3, S, S) in -1..1: light, colours, contrast, noise."""
    fate = rng.uniform(size=4)
    if fate[0] < 0.08:
        picture = np.repeat(picture.mean(0, keepdims=True), 3, 0)
    if fate[1] < 0.15:
        picture = picture[rng.permutation(3)]
    gain, lift = np.exp(rng.normal(0, [0.25, 0.08, 0.08, 0.08])), rng.normal(0, 0.15)
    picture = np.clip(picture * gain[0] * gain[1:, None, None] + lift, -1, 1)
    if fate[2] < 0.2:
        picture = 2 * ((picture + 1) / 2) ** np.exp(rng.normal(0, 0.4)) - 1
    if fate[3] < 0.3:
        picture = picture + rng.normal(0, rng.uniform(0, 0.08), picture.shape)
    return picture.astype(np.float32)
