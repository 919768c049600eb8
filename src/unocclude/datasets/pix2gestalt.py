"""Pairs of pix2gestalt (Ozguroglu et al. 2024, commit 1726a9d, ldm/data/simple.py):

    occlusion/  visible_object_mask/  whole/  whole_mask/

Images of the occluded scene, the object's visible mask, the whole object and its amodal mask. The n-th files of the
folders, sorted by name, belong together. Each clip has one frame.
"""

from functools import partial
from pathlib import Path

import numpy as np

from unocclude.datasets.base import Sample, Truth, image_clip, require
from unocclude.errors import InputError
from unocclude.masks import MaskTrack
from unocclude.media.folder import image_files
from unocclude.media.images import read_image
from unocclude.media.label_images import read_label_map

PARTS = ("occlusion", "visible_object_mask", "whole", "whole_mask")


def read(root: Path) -> list[Sample]:
    """Read every pair; samples are named after the occluded image."""
    found = [sorted(image_files(require(root / part))) for part in PARTS]
    if len({len(files) for files in found}) > 1:
        counts = ", ".join(f"{len(files)} in {part}" for part, files in zip(PARTS, found, strict=True))
        raise InputError(f"{root}: {counts}; there must be as many files in each folder")
    return [
        Sample(
            picture.stem,
            partial(image_clip, [picture], 1.0),
            partial(_track, visible),
            partial(_truth, visible, whole, mask),
        )
        for picture, visible, whole, mask in zip(*found, strict=True)
    ]


def _track(file: Path) -> MaskTrack:
    # anti-aliased masks: grey levels below one half are background
    return MaskTrack.from_masks([read_label_map(file) > 127])


def _truth(visible: Path, whole: Path, mask: Path) -> Truth:
    amodal = _track(mask)

    def rgb(i: int) -> np.ndarray:
        picture = read_image(whole)
        if picture.shape[:2] != (amodal.height, amodal.width):
            raise InputError(f"{whole} is not {amodal.width}x{amodal.height} like {mask}")
        return picture

    return Truth(str(mask), _track(visible), amodal, rgb=rgb)
