"""Pairs of pix2gestalt (Ozguroglu et al. 2024, commit 1726a9d, ldm/data/simple.py):

    occlusion/  visible_object_mask/  whole/  whole_mask/

Images of the occluded scene, the object's visible mask, the whole object and its amodal mask. The n-th files of the
folders, sorted by name, belong together. Each clip has one frame.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from unocclude import weights as checkpoints
from unocclude.datasets.base import FileName, Sample, Text, Truth, image_clip, read_json, require, validate
from unocclude.errors import InputError
from unocclude.masks import MaskTrack
from unocclude.media.folder import image_files
from unocclude.media.images import read_image
from unocclude.media.label_images import read_label_map
from unocclude.perception.caption import DEFAULT

PARTS = ("occlusion", "visible_object_mask", "whole", "whole_mask")


BLIP2 = "blip2"
Captions = dict[FileName, Text]


def read(root: Path, captions: str = "") -> list[Sample]:
    """Read every pair; samples are named after the occluded image.

    captions: a JSON file of {image name without suffix: caption}, or "blip2" to caption the whole objects with BLIP-2,
    as TGVAC's training needs them; by default there are none.
    """
    known = validate(Captions, read_json(Path(captions)), captions) if captions not in ("", BLIP2) else {}
    if captions == BLIP2:
        checkpoints.resolve_checkpoint(DEFAULT)
    found = [sorted(image_files(require(root / part))) for part in PARTS]
    if len({len(files) for files in found}) > 1:
        counts = ", ".join(f"{len(files)} in {part}" for part, files in zip(PARTS, found, strict=True))
        raise InputError(f"{root}: {counts}; there must be as many files in each folder")
    return [
        Sample(
            picture.stem,
            partial(image_clip, [picture], 1.0),
            partial(_track, visible),
            partial(_truth, visible, whole, mask, _captioned if captions == BLIP2 else known.get(picture.stem, "")),
        )
        for picture, visible, whole, mask in zip(*found, strict=True)
    ]


def _track(file: Path) -> MaskTrack:
    # anti-aliased masks: grey levels below one half are background
    return MaskTrack.from_masks([read_label_map(file) > 127])


def _captioned(picture: np.ndarray) -> str:
    return str(_captioner()(picture))


@lru_cache(maxsize=1)
def _captioner() -> Any:
    from unocclude.perception.caption import Captioner

    return Captioner()


def _truth(visible: Path, whole: Path, mask: Path, caption: str | Callable[[np.ndarray], str]) -> Truth:
    amodal = _track(mask)

    def rgb(i: int) -> np.ndarray:
        picture = read_image(whole)
        if picture.shape[:2] != (amodal.height, amodal.width):
            raise InputError(f"{whole} is not {amodal.width}x{amodal.height} like {mask}")
        return picture

    said = caption(np.where(amodal[0][..., None], rgb(0), 255).astype(np.uint8)) if callable(caption) else caption
    return Truth(str(mask), _track(visible), amodal, rgb=rgb, notes={"caption": said} if said else {})
