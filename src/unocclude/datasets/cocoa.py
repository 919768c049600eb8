"""COCOA (Zhu et al. 2017): images with amodal outlines drawn by people:

    FILE.json: {images: [{id, file_name}], annotations: [{image_id, regions: [{segmentation: [x, y, ...],
                visible_mask: RLE, name, order, isStuff, occlude_rate}]}]}

`segmentation` is the whole outline; a region without `visible_mask` is wholly visible. Clips of one frame.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from unocclude.datasets.base import Sample, Truth, frames, read_json, track_of_rles
from unocclude.errors import InputError
from unocclude.masks import MaskTrack


def read(root: Path, images: str | None = None, stuff: str = "no") -> list[Sample]:
    """Every region, named IMAGE-NUMBER; stuff: "yes" to have sky, grass and the like as well.

    images: the folder of images, by default the one that the file lies in.
    """
    if root.is_dir():
        raise InputError(f"{root} is a folder; give the JSON file of regions: cocoa:FILE.json?images=FOLDER")
    content = read_json(root)
    base = Path(images) if images else root.parent
    names = {image["id"]: image["file_name"] for image in content["images"]}
    samples = []
    for annotation in content["annotations"]:
        picture = base / names[annotation["image_id"]]
        for k, region in enumerate(annotation["regions"]):
            if region.get("isStuff") and stuff != "yes":
                continue
            name = f"{picture.stem}-{k}"
            size = partial(_size, picture)
            samples.append(
                Sample(
                    name,
                    partial(frames, [picture], 1.0),
                    partial(_visible, region, size),
                    partial(_truth, f"{root}, {name}", region, size),
                    text=region.get("name"),
                )
            )
    return samples


def _size(picture: Path) -> tuple[int, int]:
    clip = frames([picture], 1.0)
    return clip.height, clip.width


def outline(polygons: list[list[float]], size: tuple[int, int]) -> dict[str, Any]:
    """Polygons, x, y, ... each, as one COCO RLE of an (H, W) image."""
    return dict(coco.merge(coco.frPyObjects(polygons, *size)))


def any_outline(given: Any, size: tuple[int, int]) -> dict[str, Any]:
    """What COCO's "segmentation" may be, as a compressed RLE: polygons, plain counts, or an RLE already."""
    if isinstance(given, list):
        return outline([given] if given and np.isscalar(given[0]) else given, size)
    if isinstance(given["counts"], list):
        return dict(coco.frPyObjects(given, *size))
    return dict(given)


def _amodal(region: dict[str, Any], size: tuple[int, int]) -> MaskTrack:
    return track_of_rles([any_outline(region["segmentation"], size)])


def _visible(region: dict[str, Any], size: partial[tuple[int, int]]) -> MaskTrack:
    given = region.get("visible_mask")
    return _amodal(region, size()) if given is None else track_of_rles([any_outline(given, size())])


def _truth(where: str, region: dict[str, Any], size: partial[tuple[int, int]]) -> Truth:
    visible = _visible(region, size)
    # outlines are drawn by hand: the whole object has what is visible of it
    amodal = MaskTrack.from_masks([_amodal(region, size())[0] | visible[0]])
    return Truth(where, visible, amodal, notes={"name": region.get("name"), "order": region.get("order")})
