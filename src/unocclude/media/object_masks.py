"""Read the masks of several objects from one path: id images, arrays, a folder of folders, or JSON."""

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from unocclude.errors import InputError
from unocclude.media.arrays import read_frames
from unocclude.media.files import natural_key
from unocclude.media.folder import image_files, is_animated
from unocclude.media.images import open_image, orientation, to_rgb, upright
from unocclude.media.jsonfile import read_json
from unocclude.media.limits import check_path, check_regular, decoding
from unocclude.media.masks import MAX_BYTES, MAX_COLOURS, masks_by_frame, read_label_map, read_rles
from unocclude.media.source import is_image

MAX_OBJECTS = 255
"""Maximum number of objects in one clip: the ids of a palette image."""
ALL_SET = 255
"""The value of the object in a mask of two values."""


def read_object_rles(path: Path) -> dict[int, tuple[str, list[dict[str, Any]]]]:
    """The masks of all objects at `path`: id → (name, COCO RLEs, one per frame).

    - a folder of images, one image, or a `.npy` or `.npz` array: every value but 0 is an id (DAVIS palette, grey
      levels); masks of 0 and 255 alone are object 1; of colour images, colours of the DAVIS palette have their ids
      there, and other colours are numbered;
    - a folder of folders: each is an object, in natural order, with masks in any format; a name that is a number is
      the id;
    - a `.json` as SA-V's `masklet`, or a list with a list of COCO RLEs for every frame; ids from 1 in that order.

    Raises InputError if a file cannot be read, if there are no objects, or over 255.
    """
    found = check_path(path)
    if path.suffix.lower() == ".json" and not stat.S_ISDIR(found.st_mode):
        objects = _from_json(path)
    elif stat.S_ISDIR(found.st_mode) and (folders := _folders(path)):
        objects = {number: (folder.name, _encoded(_one(folder))) for number, folder in folders.items()}
    else:
        objects = {number: ("", rles) for number, rles in _from_labels(path, _label_maps(path)).items()}
    if not objects:
        raise InputError(f"{path}: holds no object; give masks in which objects have ids from 1")
    return objects


def _from_json(path: Path) -> dict[int, tuple[str, list[dict[str, Any]]]]:
    ids = masks_by_frame(path, read_json(path, MAX_BYTES, "give COCO RLEs, a list of them for every frame"))
    if ids is None:
        return {1: ("", read_rles(path))}
    # SA-V counts from 0, which is the background everywhere else
    return {number: (f"object {known}", read_rles(path, known)) for number, known in enumerate(ids, start=1)}


def _folders(path: Path) -> dict[int, Path]:
    """The sub-folders that hold one object each, by id."""
    inside = sorted((entry for entry in path.iterdir() if entry.is_dir()), key=lambda entry: natural_key(entry.name))
    inside = [folder for folder in inside if not folder.name.startswith(".")]
    numbers = [int(folder.name) if folder.name.isdecimal() else 0 for folder in inside]
    if not all(0 < number < 1 << 16 for number in numbers) or len(set(numbers)) < len(numbers):
        numbers = list(range(1, len(inside) + 1))
    if len(inside) > MAX_OBJECTS:
        raise InputError(f"{path}: holds {len(inside)} objects; give at most {MAX_OBJECTS}")
    return dict(zip(numbers, inside, strict=True))


def _one(folder: Path) -> Iterator[np.ndarray]:
    """The masks of a folder with one object, (H, W) bool each."""
    return (np.asarray(read_label_map(file) != 0) for file in image_files(folder))


def _encoded(masks: Iterable[np.ndarray]) -> list[dict[str, Any]]:
    return [coco.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks]


# Label maps -------------------------------------------------------------------------------------------------


def _label_maps(path: Path) -> Iterator[np.ndarray]:
    """Ids, (H, W) of integers or bool, for every frame."""
    colours = _Colours(path)
    if path.is_dir():
        return map(colours.read, image_files(path))
    check_regular(path)
    if path.suffix.lower() in (".npy", ".npz"):
        return iter(read_frames(path))
    if is_image(path) and not is_animated(path):
        return iter([colours.read(path)])
    raise InputError(f"{path}: a mask video holds one object; give images in which objects have ids")


def _from_labels(path: Path, labels: Iterable[np.ndarray]) -> dict[int, list[dict[str, Any]]]:
    objects: dict[int, list[dict[str, Any]]] = {}
    hidden: dict[str, Any] = {}
    for i, label in enumerate(labels):
        hidden = hidden or _encoded([np.zeros(label.shape)])[0]
        for number in (int(n) for n in np.unique(label) if n):
            if number not in objects:
                objects[number] = [hidden] * i
                if len(objects) > MAX_OBJECTS or not 0 < number < 1 << 16:
                    raise InputError(f"{path}: frame {i}: not an image of ids (1 to 65535, at most {MAX_OBJECTS})")
            objects[number].append(_encoded([label == number])[0])
        for rles in objects.values():
            rles += [hidden] * (i + 1 - len(rles))
    return {1: objects[ALL_SET]} if list(objects) == [ALL_SET] else dict(sorted(objects.items()))


class _Colours:
    """Reads images of ids; colours become ids, the same ones in all images of a clip."""

    def __init__(self, path: Path):
        self._path = path
        palette = davis_palette()
        self._davis = {tuple(colour): k for k, colour in enumerate(palette.tolist())}
        self._ids: dict[tuple[int, ...], int] = {}

    def read(self, file: Path) -> np.ndarray:
        with open_image(file) as image:
            if image.mode not in ("RGB", "RGBA") or image.format == "JPEG":
                return read_label_map(file)
            with decoding(file, "the mask is damaged", "save it again"):
                rgb = upright(to_rgb(image, file), orientation(image))
        colours, places = np.unique(rgb.reshape(-1, 3), axis=0, return_inverse=True)
        if len(colours) > MAX_COLOURS:
            raise InputError(f"{file}: an image with {len(colours)} colours, not a mask; give one colour per object")
        numbers = np.array([self._number(tuple(colour)) for colour in colours.tolist()], np.uint16)
        return numbers[places.reshape(rgb.shape[:2])]

    def _number(self, colour: tuple[int, ...]) -> int:
        if not any(colour):
            return 0
        if colour not in self._ids:
            taken = set(self._ids.values())
            known = self._davis.get(colour, 0)
            free = next(n for n in range(1, len(taken) + 2) if n not in taken)
            self._ids[colour] = known if known and known not in taken else free
        return self._ids[colour]


def davis_palette() -> np.ndarray:
    """The palette of DAVIS and PASCAL VOC, (256, 3) uint8: an id's bits are dealt out to red, green and blue."""
    ids = np.arange(256, dtype=np.uint32)
    palette = np.zeros((256, 3), np.uint32)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= ((ids >> (3 * bit + channel)) & 1) << (7 - bit)
    return palette.astype(np.uint8)
