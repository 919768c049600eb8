"""DAVIS 2016 and 2017 (Perazzi et al. 2016, Pont-Tuset et al. 2017); visible masks only:

    JPEGImages/480p/bear/00000.jpg  Annotations/480p/bear/00000.png  ImageSets/2017/val.txt

Annotations are palette images with one index per object (2017), or 0 and 255 (2016, one object).
"""

from functools import partial
from pathlib import Path

import numpy as np

from unocclude.clip import Clip
from unocclude.datasets.base import Sample, image_clip, path_inside, read_lines, require
from unocclude.masks import MaskTrack
from unocclude.media.folder import image_files
from unocclude.media.label_images import read_label_map

FPS = 24.0


def read(root: Path, split: str = "val", year: str = "2017", resolution: str = "480p") -> list[Sample]:
    """Read every object of every sequence of a split; samples are named SEQUENCE-INDEX."""
    listing = root / "ImageSets" / year / f"{split}.txt"
    first = [line.split()[0] for line in read_lines(listing, "the list of sequences")]
    names = [Path(name).parent.name or name for name in first]
    samples = []
    for name in dict.fromkeys(names):
        pictures = require(path_inside(root / "JPEGImages" / resolution, name, listing))
        annotations = require(path_inside(root / "Annotations" / resolution, name, listing))
        for index in indices(image_files(annotations)[0]):
            samples.append(
                Sample(
                    f"{name}-{index}",
                    partial(_clip, pictures),
                    partial(read_object, image_files(annotations), index),
                )
            )
    return samples


def _clip(folder: Path) -> Clip:
    return image_clip(image_files(folder), FPS)


def indices(annotation: Path) -> list[int]:
    """The object ids in a label map: all values except 0, and except 255 (void) if there are others."""
    values = np.unique(read_label_map(annotation)).tolist()
    found = [value for value in values if value not in (0, 255)]
    return found or [value for value in values if value]


def read_object(files: list[Path], index: int) -> MaskTrack:
    """Read the masks of one object from label maps; they may be empty in some frames."""
    return MaskTrack.from_masks(read_label_map(file) == index for file in files)
