"""Read the masks of an object from all supported formats."""

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from unocclude.errors import InputError
from unocclude.media.arrays import read_frames
from unocclude.media.folder import image_files, is_animated
from unocclude.media.images import by_rows, open_image, orientation, to_rgb, upright
from unocclude.media.jsonfile import read_json
from unocclude.media.limits import BLOCK_PIXELS, check_path, check_regular, decoding
from unocclude.media.rle import to_compressed_rles
from unocclude.media.source import is_image, open_source

_LOSSY = ("JPEG", "WEBP", "AVIF", "JPEG2000")
MAX_BYTES = 128 << 20  # size of a JSON file with the masks of one clip
MAX_LISTED = 50  # number of ids in an error message
MAX_COLOURS = 256  # size of a palette; an image with more colours is not a mask
_HALF = 128  # minimum grey level of the object in a lossy mask


def read(path: str | Path, *, object_id: int | None = None) -> Iterator[np.ndarray]:
    """Yield the masks of one object, (H, W) bool, one per frame, from

    - a folder of mask images in natural order, or one mask image: non-zero is the object; in a palette PNG (DAVIS) or
      a grey image with ids, `object_id` selects one id, and without it all non-zero ids are used;
    - a video or animation: the object is where luma is at least 128;
    - a `.json` of COCO RLEs: a list with one per frame (null where the object is hidden), or that list under
      "segmentations", "masks" or "annotations"; or SA-V's `{"masklet": [[RLE per object] per frame]}`, where
      `object_id` selects the object and is required if there are several (SA-V annotates every fourth frame);
    - a `.npy` or `.npz` array, (T, H, W) or (H, W): non-zero is the object, or the id with `object_id`.

    In lossy images, the object is where the grey level is at least 128. An image with more than 256 colours is refused,
    because it is not a mask. The path and JSON files are checked at once, other files when they are read. Raises
    InputError if a file cannot be read, or if `object_id` does not occur (the message lists the ids that do).
    """
    path = Path(path)
    found = check_path(path)
    suffix = path.suffix.lower()
    if stat.S_ISDIR(found.st_mode):
        return _picked(path, (read_label_map(file) for file in image_files(path)), object_id)
    check_regular(path)
    if suffix == ".json":
        return (coco.decode(rle).astype(bool) for rle in read_rles(path, object_id))
    if suffix in (".npy", ".npz"):
        return _picked(path, read_frames(path), object_id)
    if path.stat().st_size and is_image(path) and not is_animated(path):
        return _picked(path, iter([read_label_map(path)]), object_id)
    if object_id is not None:
        raise InputError(f"{path}: a mask video holds one object; leave out the object id")
    source = open_source(path)
    return (_luma(source.read(i)) >= _HALF for i in range(len(source)))


# Images and arrays ------------------------------------------------------------------------------------------


def read_label_map(path: Path) -> np.ndarray:
    """Read a mask image as an array of ids (H, W): palette indices or grey levels; False and True if it has colours."""
    with open_image(path) as image:
        ids = image.mode in ("P", "L", "1", "I;16") and image.format not in (*_LOSSY, "GIF")
        with decoding(path, "the mask is damaged", "save it again"):
            array = np.array(image) if ids else to_rgb(image, path)
        array = upright(array, orientation(image))
        if ids:
            return array
        if image.format in _LOSSY:
            return _luma(array) >= _HALF
    if (array == array[..., :1]).all():
        return array[..., 0]
    colours = len(np.unique(by_rows(array, _as_number)))
    if colours > MAX_COLOURS:
        raise InputError(
            f"{path}: an image with {colours} colours, not a mask; give 0 or 255, or one colour per object"
        )
    return np.asarray(array.any(axis=2))


def _picked(path: Path, labels: Iterable[np.ndarray], object_id: int | None) -> Iterator[np.ndarray]:
    """Masks of one id, or of all ids except 0; raises InputError if the id occurs in no frame."""
    seen: set[int] = set()
    found = False
    for label in labels:
        mask = np.asarray(label != 0 if object_id is None else label == object_id)
        found |= object_id is None or bool(mask.any())
        if not found and len(seen) < MAX_LISTED:
            seen |= _ids(label)
        yield mask
    if not found and object_id is not None:
        known = ", ".join(str(int(i)) for i in sorted(seen - {0})[:MAX_LISTED]) or "none"
        raise InputError(f"{path}: object id {object_id} does not occur in these masks; the ids there are: {known}")


def _ids(label: np.ndarray) -> set[int]:
    """The ids in a label map (H, W); stops after `MAX_LISTED`."""
    rows = max(1, BLOCK_PIXELS // label.shape[1])
    ids: set[int] = set()
    for top in range(0, len(label), rows):
        ids.update(np.unique(label[top : top + rows])[: MAX_LISTED + 1].tolist())
        if len(ids) > MAX_LISTED:
            break
    return ids


def _as_number(rgb: np.ndarray) -> np.ndarray:
    """Encode each colour as one number, (H, W) uint32."""
    return rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)


def _luma(rgb: np.ndarray) -> np.ndarray:
    """BT.601 luma as integers, (H, W) uint16; grey levels are unchanged."""
    return by_rows(rgb, _weighted)


def _weighted(rgb: np.ndarray) -> np.ndarray:
    return ((rgb.astype(np.uint32) @ np.array([77, 150, 29], np.uint32)) >> 8).astype(np.uint16)


# Run lengths ------------------------------------------------------------------------------------------------


def read_rles(path: Path, object_id: int | None = None) -> list[dict[str, Any]]:
    """Read the masks of one object from JSON as valid COCO RLEs, one per frame, empty where it is hidden."""
    data = read_json(path, MAX_BYTES, "give COCO RLEs, one per frame")
    data, ids = _listed(data)
    if not isinstance(data, list) or not data:
        raise InputError(f"{path}: holds no list of masks; give COCO RLEs, one per frame, or SA-V's masklet")
    if any(isinstance(entry, list) for entry in data):
        data = _one_object(path, data, ids, object_id)
    elif object_id is not None:
        raise InputError(f"{path}: holds one object without an id; leave out the object id")
    data = [entry["segmentation"] if isinstance(entry, dict) and "segmentation" in entry else entry for entry in data]
    try:
        return to_compressed_rles(data)
    except ValueError as error:
        raise InputError(f"{path}: {error}; correct the file") from error


def _listed(data: Any) -> tuple[Any, Any]:
    """The list of masks in JSON, and the ids of the objects where it has them."""
    if isinstance(data, dict) and "counts" in data:  # one RLE alone
        data = [data]
    ids = data.get("masklet_id") if isinstance(data, dict) else None
    if isinstance(data, dict):
        names = ("masklet", "segmentations", "masks", "annotations")
        data = next((data[name] for name in names if name in data), None)
    return data, ids


def masks_by_frame(path: Path, data: Any) -> list[int] | None:
    """The ids of the objects in JSON with a list of RLEs for every frame, as in SA-V; None for one object alone."""
    frames, ids = _listed(data)
    if not isinstance(frames, list) or not any(isinstance(entry, list) for entry in frames):
        return None
    return _known_ids(_lists(path, frames), ids)


def _lists(path: Path, frames: list) -> list[list]:
    frames = [[frame] if isinstance(frame, dict) else frame or [] for frame in frames]
    wrong = next((i for i, frame in enumerate(frames) if not isinstance(frame, list)), None)
    if wrong is not None:
        raise InputError(f"{path}: frame {wrong} is no list of COCO RLEs, one per object; correct the file")
    return frames


def _known_ids(frames: list[list], ids: Any) -> list[int]:
    count = max(len(frame) for frame in frames)
    given = isinstance(ids, list) and len(ids) == count and all(type(i) is int for i in ids)
    return ids if given else list(range(count))


def _one_object(path: Path, frames: list, ids: Any, object_id: int | None) -> list:
    """Select one object from a list of frames with one RLE per object, as in SA-V, with or without ids."""
    frames = _lists(path, frames)
    known = _known_ids(frames, ids)
    count = len(known)
    listed = ", ".join(str(i) for i in known[:MAX_LISTED]) or "none"
    if object_id is None and count > 1:
        raise InputError(f"{path}: holds {count} objects; choose one with the object id: {listed}")
    if object_id is not None and object_id not in known:
        raise InputError(f"{path}: object id {object_id} does not occur in these masks; the ids there are: {listed}")
    at = 0 if object_id is None else known.index(object_id)
    return [frame[at] if at < len(frame) else None for frame in frames]
