"""KINS (Qi et al. 2019): amodal instances in KITTI's images, in COCO's style:

    FILE.json: {images: [{id, file_name, height, width}], annotations: [{image_id, category_id, a_segm, i_segm}]}

`a_segm` is the whole object, `i_segm` what is visible. The release that de-occlusion work uses calls them
`segmentation` and `inmodal_seg`. Clips of one frame.
"""

from functools import partial
from pathlib import Path
from typing import Any

from unocclude.datasets.base import Sample, Truth, frames, read_json, track_of_rles
from unocclude.datasets.cocoa import any_outline
from unocclude.errors import InputError
from unocclude.masks import MaskTrack

WHOLE, VISIBLE = ("a_segm", "segmentation"), ("i_segm", "inmodal_seg")


def read(root: Path, images: str | None = None) -> list[Sample]:
    """Every instance, named IMAGE-ID; images: the folder of images, by default the one that the file lies in."""
    if root.is_dir():
        raise InputError(f"{root} is a folder; give the JSON file of instances: kins:FILE.json?images=FOLDER")
    content = read_json(root)
    base = Path(images) if images else root.parent
    pictures = {image["id"]: image for image in content["images"]}
    categories = {category["id"]: category["name"] for category in content.get("categories", ())}
    samples = []
    for k, instance in enumerate(content["annotations"]):
        image = pictures[instance["image_id"]]
        size = image["height"], image["width"]
        whole, visible = (_given(root, k, instance, keys) for keys in (WHOLE, VISIBLE))
        name = f"{Path(image['file_name']).stem}-{instance.get('id', k)}"
        samples.append(
            Sample(
                name,
                partial(frames, [base / image["file_name"]], 1.0),
                partial(_track, visible, size),
                partial(_truth, f"{root}, {name}", visible, whole, size),
                text=categories.get(instance.get("category_id")),
            )
        )
    return samples


def _given(root: Path, k: int, instance: dict[str, Any], keys: tuple[str, str]) -> Any:
    for key in keys:
        if key in instance:
            return instance[key]
    raise InputError(f"{root}: instance {k} has neither {keys[0]} nor {keys[1]}")


def _track(given: Any, size: tuple[int, int]) -> MaskTrack:
    return track_of_rles([any_outline(given, size)])


def _truth(where: str, visible: Any, whole: Any, size: tuple[int, int]) -> Truth:
    seen = _track(visible, size)
    return Truth(where, seen, MaskTrack.from_masks([_track(whole, size)[0] | seen[0]]))
