"""KINS (Qi et al. 2019): amodal instances in KITTI images, in COCO format:

    FILE.json: {images: [{id, file_name, height, width}], annotations: [{image_id, category_id, a_segm, i_segm}]}

`a_segm` is the amodal, `i_segm` the visible mask. In the release used by work on de-occlusion they are called
`segmentation` and `inmodal_seg`. Each clip has one frame.
"""

from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from unocclude.datasets.base import (
    Entry,
    FileName,
    Id,
    Many,
    Sample,
    Segmentation,
    Side,
    Text,
    Truth,
    image_clip,
    path_inside,
    read_json,
    shorten,
    track_from_segmentation,
    validate,
)
from unocclude.errors import InputError
from unocclude.masks import MaskTrack

WHOLE, VISIBLE = ("a_segm", "segmentation"), ("i_segm", "inmodal_seg")


class _Image(Entry):
    id: Id
    file_name: FileName
    height: Side
    width: Side


class _Instance(Entry):
    image_id: Id
    id: Id | None = None
    category_id: Id | None = None
    a_segm: Segmentation | None = None
    segmentation: Segmentation | None = None
    i_segm: Segmentation | None = None
    inmodal_seg: Segmentation | None = None


class _Category(Entry):
    id: Id
    name: Text


class _File(Entry):
    images: Many[_Image]
    annotations: Many[_Instance]
    categories: Many[_Category] = Field(default_factory=list)


def read(root: Path, images: str | None = None) -> list[Sample]:
    """Read every instance; samples are named IMAGE-ID. images: the folder of images, by default that of the file."""
    if root.is_dir():
        raise InputError(f"{root} is a folder; give the JSON file of instances: kins:FILE.json?images=FOLDER")
    content = validate(_File, read_json(root), root)
    base = Path(images) if images else root.parent
    pictures = {image.id: image for image in content.images}
    categories = {category.id: category.name for category in content.categories}
    samples = []
    for k, instance in enumerate(content.annotations):
        if instance.image_id not in pictures:
            raise InputError(f"{root}: annotations.{k}.image_id: there is no such image; download it again")
        image = pictures[instance.image_id]
        picture = path_inside(base, image.file_name, root)
        name = f"{picture.stem}-{k if instance.id is None else instance.id}"
        where, size = f"{root}, {shorten(name)}", (image.height, image.width)
        whole, visible = (_given(root, k, instance, keys) for keys in (WHOLE, VISIBLE))
        samples.append(
            Sample(
                name,
                partial(image_clip, [picture], 1.0),
                partial(track_from_segmentation, where, visible, size),
                partial(_truth, where, visible, whole, size),
                text=None if instance.category_id is None else categories.get(instance.category_id),
            )
        )
    return samples


def _given(root: Path, k: int, instance: _Instance, keys: tuple[str, str]) -> Any:
    for key in keys:
        if (given := getattr(instance, key)) is not None:
            return given
    raise InputError(f"{root}: instance {k} has neither {keys[0]} nor {keys[1]}; download it again")


def _truth(where: str, visible: Any, whole: Any, size: tuple[int, int]) -> Truth:
    seen = track_from_segmentation(where, visible, size)
    amodal = track_from_segmentation(where, whole, size)
    return Truth(where, seen, MaskTrack.from_masks([amodal[0] | seen[0]]))
