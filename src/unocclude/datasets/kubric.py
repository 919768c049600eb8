"""Exports of Kubric (Greff et al. 2022), a folder a scene, without TensorFlow:

    SCENE/rgba_00000.png  segmentation_00000.png  metadata.json  [segmentation_K_00000.png]

A pixel of instance K has the value K + 1 in the segmentation; `segmentation_K_*` is that instance rendered alone, and
where it is absent the whole object is unknown. The root is one scene or holds several.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from unocclude.datasets.base import Entry, Sample, Truth, image_clip, read_json, require, validate
from unocclude.masks import MaskTrack
from unocclude.media import masks as mask_files
from unocclude.media.files import natural_key

FPS = 12.0
MAX_INSTANCES = 65_535
"""What a 16-bit image of instances tells apart."""


class _Metadata(Entry):
    num_frames: Annotated[int, Field(ge=1, le=100_000)]


class _Scene(Entry):
    metadata: _Metadata
    instances: Annotated[list[Any], Field(max_length=MAX_INSTANCES)]


def read(root: Path) -> list[Sample]:
    """Every instance of every scene, named SCENE-K."""
    scenes = [root] if (root / "metadata.json").exists() else [p.parent for p in root.glob("*/metadata.json")]
    samples = []
    for scene in sorted(scenes, key=lambda path: natural_key(path.name)):
        count, instances = scene_size(scene)
        for k in range(instances):
            whole = scene / f"segmentation_{k}_{0:05d}.png"
            samples.append(sample_of(scene, k, count, "rgba", "segmentation", whole.exists()))
    return samples


def scene_size(scene: Path) -> tuple[int, int]:
    """How many frames and instances metadata.json announces."""
    file = scene / "metadata.json"
    about = validate(_Scene, read_json(file, finite=False), file)  # its cameras and bodies do not matter here
    return about.metadata.num_frames, len(about.instances)


def sample_of(scene: Path, k: int, count: int, picture: str, labels: str, whole: bool = True) -> Sample:
    """Instance k of a scene whose files are called `picture`_*.png and `labels`_*.png."""

    def files(prefix: str) -> Iterator[Path]:
        return (require(scene / f"{prefix}_{t:05d}.png") for t in range(count))

    def masks(prefix: str) -> MaskTrack:
        found = list(files(prefix))
        return MaskTrack.from_masks(mask_files.read_label_map(file) == k + 1 for file in found)

    def truth() -> Truth:
        return Truth(f"{scene}, instance {k}", masks(labels), masks(f"segmentation_{k}"))

    return Sample(
        f"{scene.name}-{k}",
        lambda: image_clip(list(files(picture)), FPS),
        partial(masks, labels),
        truth if whole else None,
    )


def is_seen(track: MaskTrack) -> np.ndarray:
    """(T,) bool: frames in which something of the object is visible."""
    return np.asarray(track.areas > 0)
