"""Exports of Kubric (Greff et al. 2022) with one folder per scene; TensorFlow is not needed:

    SCENE/rgba_00000.png  segmentation_00000.png  metadata.json  [segmentation_K_00000.png  [rgba_K_00000.png]]

Pixels of instance K have the value K + 1 in the segmentation. `segmentation_K_*` and `rgba_K_*` are instance K rendered
alone; without the former there is no ground truth, without the latter none of its appearance. metadata.json describes
the instances: size, colour, material and shape (MOVi-A, B), or a category (MOVi-C to F). The root is one scene or
contains several.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from unocclude.datasets.base import Entry, Sample, Truth, image_clip, read_json, require, validate
from unocclude.masks import MaskTrack
from unocclude.media.files import natural_key
from unocclude.media.images import read_image
from unocclude.media.label_images import read_label_map

FPS = 12.0
MAX_WORD = 100
"""Maximum length of a word of a description."""
MAX_INSTANCES = 65_535
"""Maximum number of instances in a 16-bit label map."""


class _Metadata(Entry):
    num_frames: Annotated[int, Field(ge=1, le=100_000)]


class _Scene(Entry):
    metadata: _Metadata
    instances: Annotated[list[Any], Field(max_length=MAX_INSTANCES)]


def read(root: Path) -> list[Sample]:
    """Read every instance of every scene; samples are named SCENE-K."""
    scenes = [root] if (root / "metadata.json").exists() else [p.parent for p in root.glob("*/metadata.json")]
    samples = []
    for scene in sorted(scenes, key=lambda path: natural_key(path.name)):
        count, instances = scene_size(scene)
        for k in range(instances):
            whole = scene / f"segmentation_{k}_{0:05d}.png"
            samples.append(sample_of(scene, k, count, "rgba", "segmentation", whole.exists()))
    return samples


DESCRIBED = (("size_label", "size"), ("color_label", "color"), ("material_name", "material"), ("shape", "category"))
"""Fields of an instance that describe it, in the order of an English phrase; the second where the first is absent."""


def describe(scene: Path, k: int) -> str:
    """A description of instance k, as "a small red metal cube"; "" if the metadata have none."""
    file = scene / "metadata.json"
    instance = validate(_Scene, read_json(file, finite=False), file).instances[k]
    if not isinstance(instance, dict):
        return ""
    told = [next((v for v in map(instance.get, names) if isinstance(v, str) and v), "") for names in DESCRIBED]
    if not told[-1]:
        return ""
    phrase = " ".join(word.replace("_", " ")[:MAX_WORD] for word in told if word)
    return f"{'an' if phrase[0].lower() in 'aeiou' else 'a'} {phrase}"


def scene_size(scene: Path) -> tuple[int, int]:
    """Number of frames and instances according to metadata.json."""
    file = scene / "metadata.json"
    about = validate(_Scene, read_json(file, finite=False), file)  # cameras and bodies are not used
    return about.metadata.num_frames, len(about.instances)


def sample_of(scene: Path, k: int, count: int, picture: str, labels: str, whole: bool = True) -> Sample:
    """Instance k of a scene with files `picture`_*.png and `labels`_*.png. whole: whether its ground truth exists."""

    def files(prefix: str) -> Iterator[Path]:
        return (require(scene / f"{prefix}_{t:05d}.png") for t in range(count))

    def masks(prefix: str) -> MaskTrack:
        found = list(files(prefix))
        return MaskTrack.from_masks(read_label_map(file) == k + 1 for file in found)

    def truth() -> Truth:
        own = list(files(f"rgba_{k}")) if (scene / f"rgba_{k}_{0:05d}.png").exists() else []
        said = describe(scene, k)
        return Truth(
            f"{scene}, instance {k}", masks(labels), masks(f"segmentation_{k}"),
            rgb=(lambda i: read_image(own[i])) if own else None, notes={"caption": said} if said else {},
        )  # fmt: skip

    return Sample(
        f"{scene.name}-{k}",
        lambda: image_clip(list(files(picture)), FPS),
        partial(masks, labels),
        truth if whole else None,
    )


def is_seen(track: MaskTrack) -> np.ndarray:
    """Frames in which the object is at least partly visible, (T,) bool."""
    return np.asarray(track.areas > 0)
