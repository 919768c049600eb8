"""SAIL-VOS (Hu et al. 2019) with the JSON file of Diffusion-VAS (commit bbea113, datasets/dataloader_sailvos.py):

    FILE.json: [{segmentation: [RLE x 25], visible_mask: [RLE x 25], image_file_names: [...], obj_id, category_id, ...}]

`segmentation` is the amodal mask. The paths of images are relative to the folder of images.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from unocclude.datasets.base import (
    Entry,
    FileName,
    Id,
    Many,
    Sample,
    Truth,
    image_clip,
    path_inside,
    read_json,
    track_from_rles,
    validate,
)
from unocclude.errors import InputError

FPS = 8.0
PUBLISHED = {"diffusion-vas": {"framing": "squeeze", "fps": 8, "binarise": "before"}}
"""The released evaluation shows the whole frame, tells the network 8 frames per second, and cuts masks off before
resizing."""


class _Clip(Entry):
    segmentation: list[Any]
    visible_mask: list[Any]
    image_file_names: Annotated[Many[FileName], Field(min_length=1)]
    obj_id: Id | None = 0


def read(root: Path, images: str | None = None) -> list[Sample]:
    """Read the clips of a JSON file. images: the folder of images, by default that of the file."""
    if root.is_dir():
        raise InputError(f"{root} is a folder; give the JSON file of clips: sail-vos:FILE.json?images=FOLDER")
    base = Path(images) if images else root.parent
    samples = []
    for k, clip in enumerate(validate(Many[_Clip], read_json(root), root)):
        pictures = [path_inside(base, name.lstrip("/"), root) for name in clip.image_file_names]
        samples.append(
            Sample(
                f"{k:05d}-{clip.obj_id}",
                partial(image_clip, pictures, FPS),
                partial(track_from_rles, f"{root}, clip {k}", clip.visible_mask),
                partial(_truth, f"{root}, clip {k}", clip),
                options=PUBLISHED,
            )
        )
    return samples


def _truth(where: str, clip: _Clip) -> Truth:
    return Truth(where, track_from_rles(where, clip.visible_mask), track_from_rles(where, clip.segmentation))
