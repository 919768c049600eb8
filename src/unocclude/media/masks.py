"""Read the masks of objects from all supported formats."""

import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from unocclude.errors import InputError
from unocclude.media.arrays import read_frames
from unocclude.media.files import natural_key
from unocclude.media.folder import image_files, is_animated
from unocclude.media.in_memory import HALF
from unocclude.media.label_images import LabelImage, frame_levels, number_image, read_label_image
from unocclude.media.label_maps import MAX_LISTED, MAX_OBJECTS, LabelCollector, missing_id
from unocclude.media.limits import check_path, check_regular
from unocclude.media.mask_json import read_json_masks
from unocclude.media.rle import Rle, encode
from unocclude.media.source import is_image, open_source
from unocclude.types import TransparentSource


@dataclass(frozen=True)
class ObjectMasks:
    """The masks of the objects at a path.

    objects: id → a COCO RLE for each entry (image, frame, ...), None where the files say nothing. names: of objects, by
    id. stems: the names of the entries without suffix, where they have some. frames: number of frames of the video,
    where the file says it. notes: what a user should know of how they were read, as plain sentences. mattes: reads the
    opacity of an entry, (H, W) uint8, if they are soft images. soft: whether they are soft.
    """

    objects: dict[int, list[Rle | None]]
    names: dict[int, str] = field(default_factory=dict)
    stems: list[str] | None = None
    frames: int | None = None
    notes: tuple[str, ...] = ()
    mattes: Callable[[int], np.ndarray] | None = None
    soft: bool = False

    def one(self, path: Path) -> list[Rle | None]:
        """The masks of the only object; raises InputError, listing the ids, if there are several."""
        if len(self.objects) == 1:
            return next(iter(self.objects.values()))
        ids = ", ".join(
            f"{i} ({self.names[i]})" if self.names.get(i) else str(i) for i in list(self.objects)[:MAX_LISTED]
        )
        raise InputError(f"{path}: holds {len(self.objects)} objects; choose one with the object id: {ids}")


def read_object_masks(path: str | Path, object_id: int | None = None) -> ObjectMasks:
    """Read the masks of all objects at a path, or of one, from

    - a folder of mask images in natural order, or one mask image. A mask of two values is 0 / non-zero. One of many
      grey levels is a matte, cut at 128. Palette images (DAVIS) and integers hold ids, of which 0 is the background
      and, beside others, 255 is void; colours stand for one object each. Where images have transparency, alpha is the
      mask;
    - a folder of folders, one per object, whose name is the id if it is a number;
    - a video or animation: the object is where its alpha, or else its luma, is at least 128;
    - a `.json`: a list of COCO RLEs with one per frame (null where the object is hidden), or with a list per frame;
      SA-V; a COCO data set; YouTube-VIS;
    - a `.npy` or `.npz` array, (T, H, W) or (H, W), of ids, or of probabilities, cut at 0.5.

    Raises InputError if a file cannot be read or is no mask, or if `object_id` does not occur.
    """
    path = Path(path)
    found = check_path(path)
    if object_id == 0 and path.suffix.lower() != ".json":
        raise InputError(f"{path}: object id 0 is the background; give the id of an object")
    if stat.S_ISDIR(found.st_mode):
        folders = _folders(path)
        return _of_folders(path, folders, object_id) if folders else _of_images(path, image_files(path), object_id)
    check_regular(path)
    suffix = path.suffix.lower()
    if suffix == ".json":
        read = read_json_masks(path, object_id)
        return ObjectMasks(read.objects, read.names, read.stems, read.frames)
    if suffix in (".npy", ".npz"):
        return _collected(path, (number_image(frame, path) for frame in read_frames(path)), object_id)
    if path.stat().st_size and is_image(path) and not is_animated(path):
        return _of_images(path, [path], object_id)
    if object_id is not None:
        raise InputError(f"{path}: a mask video holds one object; leave out the object id")
    return _of_video(path)


def _of_images(path: Path, files: list[Path], object_id: int | None) -> ObjectMasks:
    masks = _collected(path, map(read_label_image, files), object_id, [file.stem for file in files])
    return replace(masks, mattes=partial(_opacity_of, files)) if masks.soft else masks


def _opacity_of(files: Sequence[Path], i: int) -> np.ndarray:
    """The opacity of a soft mask image, (H, W) uint8."""
    image = read_label_image(files[i])
    return (image.values * (255 if image.kind == "chances" else 1)).astype(np.uint8)


def _collected(
    path: Path, images: Iterable[LabelImage], object_id: int | None, stems: list[str] | None = None
) -> ObjectMasks:
    labels = LabelCollector(path, object_id)
    for image in images:
        labels.add(image)
    objects: dict[int, list[Rle | None]] = {number: [*masks] for number, masks in labels.objects().items()}
    if len(objects) > MAX_OBJECTS:
        raise InputError(f"{path}: holds {len(objects)} objects; give at most {MAX_OBJECTS}, or choose one")
    return ObjectMasks(objects, labels.colours, stems, notes=tuple(labels.notes), soft=labels.soft)


def _of_video(path: Path) -> ObjectMasks:
    source = open_source(path)
    if isinstance(source, TransparentSource) and source.read_alpha(0).min() < 255:
        levels = (source.read_alpha(i) for i in range(len(source)))
    else:
        levels = (frame_levels(source.read(i), path) for i in range(len(source)))
    return ObjectMasks({1: [encode(level >= HALF) for level in levels]})


# Folders of folders -----------------------------------------------------------------------------------------


def _folders(path: Path) -> dict[int, Path]:
    """The sub-folders that hold one object each, by id; empty if the folder has images itself."""
    if any(entry.is_file() and not entry.name.startswith(".") for entry in path.iterdir()):
        return {}
    inside = sorted((entry for entry in path.iterdir() if entry.is_dir()), key=lambda entry: natural_key(entry.name))
    inside = [folder for folder in inside if not folder.name.startswith(".")]
    if len(inside) > MAX_OBJECTS:
        raise InputError(f"{path}: holds {len(inside)} objects; give at most {MAX_OBJECTS}")
    numbers = [int(folder.name) if folder.name.isdecimal() else 0 for folder in inside]
    if not all(0 < number < 1 << 16 for number in numbers) or len(set(numbers)) < len(numbers):
        numbers = list(range(1, len(inside) + 1))
    return dict(zip(numbers, inside, strict=True))


def _of_folders(path: Path, folders: dict[int, Path], object_id: int | None) -> ObjectMasks:
    if object_id is not None and object_id not in folders:
        raise missing_id(path, object_id, folders)
    chosen = {i: folder for i, folder in folders.items() if object_id in (None, i)}
    read = {i: _of_images(folder, image_files(folder), None) for i, folder in chosen.items()}
    stems = {tuple(masks.stems or ()) for masks in read.values()}
    counts = {len(masks.stems or ()) for masks in read.values()}
    if len(counts) > 1:
        raise InputError(f"{path}: its folders hold different numbers of masks ({sorted(counts)}); give one per frame")
    return ObjectMasks(
        {i: masks.one(folders[i]) for i, masks in read.items()},
        {i: folders[i].name for i in read if folders[i].name != str(i)},
        list(stems.pop()) if len(stems) == 1 else None,
        notes=tuple(dict.fromkeys(note for masks in read.values() for note in masks.notes)),
    )


def read_masks_of_one(path: str | Path, object_id: int | None = None) -> Iterator[np.ndarray]:
    """Yield the masks of one object, (H, W) bool, one per entry; where the files say nothing the mask is empty."""
    from pycocotools import mask as coco

    path = Path(path)
    rles = read_object_masks(path, object_id).one(path)
    shown = next(rle for rle in rles if rle is not None)
    empty = np.zeros(shown["size"], bool)
    return (empty if rle is None else coco.decode(rle).astype(bool) for rle in rles)
