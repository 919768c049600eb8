"""Relative depth, larger is nearer: by Depth Anything V2 or, without weights, from occlusion evidence."""

import math
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from unocclude import weights as checkpoints
from unocclude.clip import Clip
from unocclude.errors import InputError
from unocclude.motion.evidence import BACKGROUND, FOREIGN, STILL, UNKNOWN, Evidence
from unocclude.networks import device_for
from unocclude.perception.prepare import normalised

DEFAULT = "depth-anything-v2-large"
SHORTER, PATCH = 518, 14
THINNEST = 16
"""Maximum aspect ratio of an image; the network's memory grows with its square."""


def input_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) of the network input as in Depth Anything V2's own code.

    The shorter side is scaled to SHORTER, aspect ratio kept; both sides are multiples of PATCH and at least SHORTER.
    transformers' DPTImageProcessor differs: it scales as little as possible (256x512 to 252x518, not 518x1036). Raises
    InputError if the aspect ratio exceeds THINNEST.
    """
    if max(height, width) > THINNEST * min(height, width):
        raise InputError(
            f"depth of a {width}x{height} image: one side may be at most {THINNEST} times the other; crop it"
        )

    def fit(side: int) -> int:
        wanted = side * SHORTER / min(height, width)
        nearest = round(wanted / PATCH) * PATCH
        return nearest if nearest >= SHORTER else math.ceil(wanted / PATCH) * PATCH

    return fit(height), fit(width)


def published_positions(embeddings: Any, tokens: Any, height: int, width: int) -> Any:
    """DINOv2's position embeddings (1, 1 + patches, D) for an image size, as in Depth Anything V2's own code.

    That code resamples them with a scale a tenth of a patch too large; transformers does not.
    """
    import torch

    known = embeddings.position_embeddings
    side, rows, columns = math.isqrt(known.shape[1] - 1), height // PATCH, width // PATCH
    if rows == columns == side:
        return known
    grid = known[:, 1:].float().unflatten(1, (side, side)).permute(0, 3, 1, 2)
    scale = ((rows + 0.1) / side, (columns + 0.1) / side)
    grid = torch.nn.functional.interpolate(grid, scale_factor=scale, mode="bicubic")
    return torch.cat([known[:, :1], grid.flatten(2).transpose(1, 2).to(known.dtype)], dim=1)


class DepthAnything:
    """Depth Anything V2 (Yang et al. 2024), relative, with the resizing of its own repository.

    weights: the checkpoint's id, or a folder that holds any DepthAnythingForDepthEstimation of transformers. Raises
    InputError if it is missing.
    """

    def __init__(self, weights: str | Path = DEFAULT, device: str = "auto"):
        folder = checkpoints.resolve_checkpoint(weights, DEFAULT)
        self.device = device_for("depth", device, transformers=True, extra="diffusion")
        from transformers import DepthAnythingForDepthEstimation

        from unocclude.networks.loading import load_pretrained

        self.model = load_pretrained(DepthAnythingForDepthEstimation, folder, "Depth Anything").to(self.device)
        embeddings = self.model.backbone.embeddings
        embeddings.interpolate_pos_encoding = partial(published_positions, embeddings)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Inverse depth up to scale and shift, (H, W) float32 >= 0, of an image (H, W, 3) uint8 RGB."""
        import torch

        height, width = image.shape[:2]
        new_height, new_width = input_size(height, width)
        resized = cv2.resize(
            image.astype(np.float32) / 255, (new_width, new_height), interpolation=cv2.INTER_CUBIC
        )  # on floats, which keeps the overshoot of cubic interpolation
        pixels = torch.from_numpy(normalised(resized))[None].to(self.device)
        with torch.inference_mode():
            depth = self.model(pixel_values=pixels).predicted_depth[:, None].float()
            depth = torch.nn.functional.interpolate(depth, (height, width), mode="bilinear", align_corners=True)
        return np.asarray(depth[0, 0].cpu().numpy())


OBJECT = 0.5
NEARNESS = {BACKGROUND: 0.0, STILL: 0.6, UNKNOWN: 0.75, FOREIGN: 1.0}
"""Depth of each occlusion label. Possible occluders are nearer than the object, the nearer the more certain they
are."""


class Layered(Protocol):
    """The part of `Scene` that depth needs; `Scene` itself is in a higher layer."""

    clip: Clip
    width: int
    height: int

    @property
    def inside(self) -> np.ndarray: ...
    @property
    def evidence(self) -> Evidence: ...
    def visible(self, i: int) -> np.ndarray: ...
    def occluder(self, i: int) -> np.ndarray: ...


class LayerDepth:
    """Layers by occlusion evidence, a substitute for depth that needs no weights.

    0: background; `OBJECT`: visible pixels of the object; 1: given occluders and pixels that are surely in front;
    values in between (`NEARNESS`): possible occluders. Outside the window in which the object is searched everything
    counts as background, and outside the frame as in front.
    """

    def __init__(self, scene: Layered):
        self.scene = scene

    def __call__(self, i: int) -> np.ndarray:
        """Layers of frame i on the canvas, (H, W) float32 in 0..1, larger is nearer."""
        scene, evidence = self.scene, self.scene.evidence
        layers: np.ndarray = np.full((evidence.work.height, evidence.work.width), BACKGROUND, np.uint8)
        layers[evidence.window(i)] = evidence.labels[i]
        layers = cv2.resize(layers, (scene.width, scene.height), interpolation=cv2.INTER_NEAREST)
        depth = np.array([NEARNESS[label] for label in sorted(NEARNESS)], np.float32)[layers]
        depth[scene.occluder(i) | ~scene.inside] = NEARNESS[FOREIGN]
        depth[scene.visible(i)] = OBJECT
        return depth


def of_layers(scene: Layered, shot: range) -> Callable[[int], np.ndarray]:
    """Depth of a shot's frames by `LayerDepth`, in the format of `of_network`."""
    depth = LayerDepth(scene)
    return lambda i: np.rint(255 * depth(i)).astype(np.uint8)


def of_network(scene: Layered, shot: range, network: Callable[[np.ndarray], np.ndarray]) -> Callable[[int], np.ndarray]:
    """Depth of a shot's frames by a network, normalised to the range of the whole shot, as Diffusion-VAS does.

    Returns a function of the frame number that gives (H, W) uint8 on the canvas, 255 nearest; 255 outside the frame.
    """
    clip = scene.clip
    with tempfile.TemporaryFile() as file:  # the file lives as long as the memory map
        kept = np.memmap(file, np.float16, "w+", shape=(len(shot), clip.height, clip.width))
    low, high = np.inf, -np.inf
    for k, i in enumerate(shot):
        depth = network(clip[i])
        low, high = min(low, float(depth.min())), max(high, float(depth.max()))
        kept[k] = depth
    span = max(high - low, 1e-6)

    def of(i: int) -> np.ndarray:
        depth = np.clip((kept[i - shot.start].astype(np.float32) - low) / span, 0, 1)
        out: np.ndarray = np.full((scene.height, scene.width), 255, np.uint8)
        out[scene.inside] = np.rint(255 * depth).astype(np.uint8).ravel()
        return out

    return of
