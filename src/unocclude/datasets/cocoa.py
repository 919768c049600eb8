"""COCOA (Zhu et al. 2017): images with manually drawn amodal outlines:

    FILE.json: {images: [{id, file_name}], annotations: [{image_id, regions: [{segmentation: [x, y, ...],
                visible_mask: RLE, name, order, isStuff, occlude_rate}]}]}

`segmentation` is the amodal outline; a region without `visible_mask` is fully visible. Each clip has one frame.
"""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from unocclude.datasets.base import (
    Entry,
    FileName,
    Id,
    Many,
    Sample,
    Segmentation,
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


class _Image(Entry):
    id: Id
    file_name: FileName


class _Region(Entry):
    segmentation: Segmentation
    visible_mask: Segmentation | None = None
    name: Text | None = None
    order: int | None = None
    isStuff: Any = None


class _Annotation(Entry):
    image_id: Id
    regions: Many[_Region]


class _File(Entry):
    images: Many[_Image]
    annotations: Many[_Annotation]


def read(root: Path, images: str | None = None, stuff: str = "no") -> list[Sample]:
    """Every region, named IMAGE-NUMBER; stuff: "yes" to have sky, grass and the like as well.

    images: the folder of images, by default the one that the file lies in.
    """
    if root.is_dir():
        raise InputError(f"{root} is a folder; give the JSON file of regions: cocoa:FILE.json?images=FOLDER")
    content = validate(_File, read_json(root), root)
    base = Path(images) if images else root.parent
    names = {image.id: image.file_name for image in content.images}
    samples: list[Sample] = []
    counts = Counter[str]()
    for at, annotation in enumerate(content.annotations):
        if annotation.image_id not in names:
            raise InputError(f"{root}: annotations.{at}.image_id: there is no such image; download it again")
        picture = path_inside(base, names[annotation.image_id], root)
        for region in annotation.regions:
            name = f"{picture.stem}-{counts[picture.stem]}"
            counts[picture.stem] += 1  # several people annotated the same image
            if not region.isStuff or stuff == "yes":
                samples.append(_sample(name, f"{root}, {shorten(name)}", picture, region))
    return samples


def _sample(name: str, where: str, picture: Path, region: _Region) -> Sample:
    def mask(given: Any) -> MaskTrack:
        clip = image_clip([picture], 1.0)
        return track_from_segmentation(where, given, (clip.height, clip.width))

    def visible() -> MaskTrack:
        return mask(region.segmentation if region.visible_mask is None else region.visible_mask)

    def truth() -> Truth:
        seen = visible()
        # outlines are drawn by hand, so the visible mask is added to the amodal mask
        amodal = MaskTrack.from_masks([mask(region.segmentation)[0] | seen[0]])
        return Truth(where, seen, amodal, notes={"name": region.name, "order": region.order})

    return Sample(name, partial(image_clip, [picture], 1.0), visible, truth, text=region.name)
