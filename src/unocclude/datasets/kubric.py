"""Exports of Kubric (Greff et al. 2022), a folder a scene, without TensorFlow:

    SCENE/rgba_00000.png  segmentation_00000.png  metadata.json  [segmentation_K_00000.png]

A pixel of instance K has the value K + 1 in the segmentation; `segmentation_K_*` is that instance rendered alone, and
where it is absent the whole object is unknown. The root is one scene or holds several.
"""

from functools import partial
from pathlib import Path

import numpy as np

from unocclude.clip import Clip
from unocclude.datasets.base import Sample, Truth, frames, read_json, require
from unocclude.errors import InputError
from unocclude.masks import MaskTrack
from unocclude.media import masks as mask_files
from unocclude.media.files import natural_key

FPS = 12.0


def read(root: Path) -> list[Sample]:
    """Every instance of every scene, named SCENE-K."""
    scenes = [root] if (root / "metadata.json").exists() else [p.parent for p in root.glob("*/metadata.json")]
    samples = []
    for scene in sorted(scenes, key=lambda path: natural_key(path.name)):
        count, instances = scene_size(scene)
        for k in range(instances):
            whole = [scene / f"segmentation_{k}_{t:05d}.png" for t in range(count)]
            samples.append(sample_of(scene, k, count, "rgba", "segmentation", whole[0].exists()))
    return samples


def scene_size(scene: Path) -> tuple[int, int]:
    """How many frames and instances metadata.json announces."""
    about = read_json(require(scene / "metadata.json"))
    try:
        return int(about["metadata"]["num_frames"]), len(about["instances"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{scene / 'metadata.json'} lacks metadata.num_frames or instances") from None


def sample_of(scene: Path, k: int, count: int, picture: str, labels: str, whole: bool = True) -> Sample:
    """Instance k of a scene whose files are called `picture`_*.png and `labels`_*.png."""

    def masks(prefix: str) -> MaskTrack:
        files = [require(scene / f"{prefix}_{t:05d}.png") for t in range(count)]
        return MaskTrack.from_masks(mask_files.read_labels(file) == k + 1 for file in files)

    def truth() -> Truth:
        return Truth(f"{scene}, instance {k}", masks(labels), masks(f"segmentation_{k}"))

    pictures = [scene / f"{picture}_{t:05d}.png" for t in range(count)]
    return Sample(
        f"{scene.name}-{k}",
        partial(_clip, pictures),
        partial(masks, labels),
        truth if whole else None,
    )


def _clip(pictures: list[Path]) -> Clip:
    return frames(pictures, FPS)


def is_seen(track: MaskTrack) -> np.ndarray:
    """(T,) bool: frames in which something of the object is visible."""
    return np.asarray(track.areas > 0)
