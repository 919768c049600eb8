"""Masks in JSON: lists of COCO RLEs, SA-V, COCO data sets and YouTube-VIS."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unocclude.errors import InputError
from unocclude.media.files import natural_key
from unocclude.media.jsonfile import read_json
from unocclude.media.label_maps import MAX_LISTED, missing_id
from unocclude.media.rle import Rle, empty_like, segmentation_to_rle, to_compressed_rle, to_compressed_rles

MAX_BYTES = 128 << 20
"""Maximum size of a JSON file with the masks of one clip."""


@dataclass(frozen=True)
class JsonMasks:
    """The masks of the objects in a JSON file.

    objects: id → a COCO RLE for each entry, None where the file says nothing. names: of objects, by id. stems: the
    stem of the image of each entry, where the file names images. frames: number of frames of the video, where the file
    says it; SA-V has an entry for every fourth.
    """

    objects: dict[int, list[Rle | None]]
    names: dict[int, str]
    stems: list[str] | None = None
    frames: int | None = None


def read_json_masks(path: Path, object_id: int | None = None) -> JsonMasks:
    """Read the masks of all objects, or of the one with `object_id`; raises InputError if the file is invalid."""
    data = read_json(path, MAX_BYTES, "give COCO RLEs, one per frame")
    try:
        if isinstance(data, dict) and isinstance(data.get("annotations"), list) and _is_data_set(data):
            return _data_set(path, data, object_id)
        return _list(path, data, object_id)
    except ValueError as error:
        raise InputError(f"{path}: {error}; correct the file") from error


# Lists of run lengths ---------------------------------------------------------------------------------------


def _list(path: Path, data: Any, object_id: int | None) -> JsonMasks:
    if isinstance(data, dict) and "counts" in data:  # one RLE alone
        data = [data]
    about = data if isinstance(data, dict) else {}
    if isinstance(data, dict):
        names = ("masklet", "segmentations", "masks", "annotations")
        data = next((data[name] for name in names if name in data), None)
    if not isinstance(data, list) or not data:
        raise InputError(
            f"{path}: holds no list of masks; give COCO RLEs, one per frame, SA-V's masklet or a COCO data set"
        )
    frames = _frame_count(about.get("video_frame_count"), len(data))
    if not any(isinstance(entry, list) for entry in data):
        if object_id is not None:
            raise InputError(f"{path}: holds one object without an id; leave out the object id")
        return JsonMasks({1: list(to_compressed_rles(map(_segmentation, data)))}, {}, frames=frames)
    rows = [[entry] if isinstance(entry, dict) else entry or [] for entry in data]
    wrong = next((i for i, row in enumerate(rows) if not isinstance(row, list)), None)
    if wrong is not None:
        raise InputError(f"{path}: frame {wrong} is no list of COCO RLEs, one per object; correct the file")
    count, ids = max(len(row) for row in rows), about.get("masklet_id")
    given = isinstance(ids, list) and len(ids) == count and all(type(i) is int for i in ids) and len({*ids}) == count
    known: list[int] = list(ids or ()) if given else list(range(count))
    _check_known(path, object_id, known)
    return JsonMasks(
        {
            number: list(to_compressed_rles(_segmentation(row[k]) if k < len(row) else None for row in rows))
            for k, number in enumerate(known)
            if object_id in (None, number)
        },
        {},
        frames=frames,
    )


def _frame_count(given: Any, least: int) -> int | None:
    """The number of frames that a file says its video has; SA-V writes it as a float."""
    return int(given) if isinstance(given, int | float) and least <= given < 1e9 else None


def _segmentation(entry: Any) -> Any:
    return entry["segmentation"] if isinstance(entry, dict) and "segmentation" in entry else entry


def _check_known(path: Path, object_id: int | None, known: list[int]) -> None:
    if object_id is not None and object_id not in known:
        raise missing_id(path, object_id, known)


# Data sets with images or videos ------------------------------------------------------------------------------


def _is_data_set(data: dict[str, Any]) -> bool:
    return isinstance(data.get("images"), list) or isinstance(data.get("videos"), list)


def _data_set(path: Path, data: dict[str, Any], object_id: int | None) -> JsonMasks:
    annotations = [_entry(item, f"annotation {k}") for k, item in enumerate(data["annotations"])]
    names = {
        item["id"]: str(item.get("name", ""))
        for item in data.get("categories") or []
        if isinstance(item, dict) and type(item.get("id")) is int
    }
    if isinstance(data.get("videos"), list):
        return _of_video(path, data["videos"], annotations, names, object_id)
    return _of_images(path, data["images"], annotations, names, object_id)


def _entry(item: Any, what: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise ValueError(f"{what} is no object")
    return item


def _of_images(
    path: Path, images: list, annotations: list[dict], names: dict[int, str], object_id: int | None
) -> JsonMasks:
    """A COCO data set: every image is a frame, in the order of the file names."""
    images = [_entry(item, f"image {k}") for k, item in enumerate(images)]
    stems = {
        _integer(item, "id", f"image {k}"): Path(str(item.get("file_name", ""))).stem for k, item in enumerate(images)
    }
    if not images or len(stems) < len(images):
        raise ValueError("two images have the same id" if images else "there are no images")
    sizes = {item["id"]: (item.get("height"), item.get("width")) for item in images}
    named = all(stems.values()) and len({*stems.values()}) == len(stems)
    order = sorted(stems, key=lambda number: natural_key(stems[number])) if named else sorted(stems)
    place = {number: k for k, number in enumerate(order)}
    identify = _identity(annotations)
    objects: dict[int, list[Rle | None]] = {}
    annotated: set[int] = set()
    for k, item in enumerate(annotations):
        image, what = _integer(item, "image_id", f"annotation {k}"), f"annotation {k}"
        if image not in place:
            raise ValueError(f"{what} belongs to image {image}, which is not there")
        annotated.add(place[image])
        number = identify(item, what)
        if object_id in (None, number):
            masks = objects.setdefault(number, [None] * len(order))
            if masks[place[image]] is not None:
                raise _twice(path, item, image, object_id)
            masks[place[image]] = _mask(item, sizes[image], what)
    return _finished(
        path, objects, annotated, annotations, identify, names, object_id, [stems[i] for i in order] if named else None
    )


def _twice(path: Path, item: dict, image: int, object_id: int | None) -> InputError:
    return InputError(
        f"{path}: image {image} has several annotations of category {item.get('category_id')}, and nothing tells which "
        "belong together over the frames; give them a track_id, or keep those of one object"
    )


def _identity(annotations: list[dict]) -> Callable[[dict, str], int]:
    """What tells objects apart: the id of a track or an instance where annotations have one, else the category."""
    for key in ("track_id", "instance_id", "object_id"):
        if annotations and all(type(item.get(key)) is int for item in annotations):
            return lambda item, what, key=key: item[key]  # type: ignore[misc]
    return lambda item, what: _integer(item, "category_id", what) if "category_id" in item else 1


def _mask(item: dict, size: tuple[Any, Any], what: str) -> Rle:
    given = item.get("segmentation")
    if not given:
        raise ValueError(f"{what} has no segmentation")
    try:
        if isinstance(given, dict) and size == (None, None):
            return to_compressed_rle(given)
        return segmentation_to_rle(given, size)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None


def _finished(
    path: Path,
    objects: dict[int, list[Rle | None]],
    annotated: set[int],
    annotations: list[dict],
    identify: Callable[[dict, str], int],
    names: dict[int, str],
    object_id: int | None,
    stems: list[str] | None,
) -> JsonMasks:
    """An object is hidden in images that have annotations, but none of it; other images say nothing."""
    if not objects:
        known = sorted({identify(item, "an annotation") for item in annotations})[:MAX_LISTED]
        if object_id is None:
            raise ValueError("there are no annotations")
        raise missing_id(path, object_id, known)
    for masks in objects.values():
        empty = empty_like(next(mask for mask in masks if mask is not None))
        masks[:] = [empty if mask is None and k in annotated else mask for k, mask in enumerate(masks)]
    return JsonMasks(dict(sorted(objects.items())), names, stems)


def _of_video(
    path: Path, videos: list, annotations: list[dict], names: dict[int, str], object_id: int | None
) -> JsonMasks:
    """YouTube-VIS: an annotation has the masks of one object in all frames, null where it is hidden."""
    if len(videos) != 1:
        raise ValueError(f"it holds {len(videos)} videos; keep one")
    files = _entry(videos[0], "video 0").get("file_names")
    objects: dict[int, list[Rle | None]] = {}
    called = {}
    for k, item in enumerate(annotations):
        number, what = _integer(item, "id", f"annotation {k}"), f"annotation {k}"
        masks = item.get("segmentations")
        if not isinstance(masks, list) or not masks:
            raise ValueError(f"{what} has no list of segmentations")
        if object_id in (None, number):
            size = (item.get("height") or videos[0].get("height"), item.get("width") or videos[0].get("width"))
            found = [None if mask is None else _mask({"segmentation": mask}, size, what) for mask in masks]
            shown = next((mask for mask in found if mask is not None), None)
            if shown is not None:
                objects[number] = [empty_like(shown) if mask is None else mask for mask in found]
                called[number] = names.get(item.get("category_id"), "")  # type: ignore[arg-type]
    if not objects:
        _check_known(path, object_id, [item["id"] for item in annotations])
        raise ValueError("there are no annotations with masks")
    stems = [Path(file).stem for file in files if isinstance(file, str)] if isinstance(files, list) else None
    counts = {len(masks) for masks in objects.values()} | ({len(stems)} if stems is not None else set())
    if len(counts) > 1:
        raise ValueError(f"the annotations differ in their number of frames: {', '.join(map(str, sorted(counts)))}")
    return JsonMasks(objects, called, stems)


def _integer(item: dict, key: str, what: str) -> int:
    value = item.get(key)
    if type(value) is not int:
        raise ValueError(f"{what} has no {key}")
    return value
