"""The GT layout of this package, which `unocclude synth` writes:

    NAME/frames/00000.png  visible_masks/  amodal_masks/  [amodal_rgb/]  [meta.json]

The root is one such folder or contains several.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from unocclude import clip as clips
from unocclude.datasets.base import Entry, Sample, Text, Truth, read_json, validate
from unocclude.errors import InputError
from unocclude.mask_files import read_masks
from unocclude.masks import MaskTrack
from unocclude.media import masks as mask_files
from unocclude.media.files import natural_key
from unocclude.media.folder import image_files
from unocclude.media.images import image_size, read_image


class _Notes(Entry):
    """The fields of meta.json that are validated; all others are kept as well."""

    caption: Text | None = None
    name: Text | None = Field(None, alias="class")


SPLITS = ("all", "train", "val")


def read(root: Path, split: str = "all") -> list[Sample]:
    """Read the sample in `root`, or the samples in its sub-folders in natural order.

    split: "train" or "val" reads the clips whose meta.json names that split, as `synth composite` writes it (TGVAC's 80
    and 20 % of the objects).
    """
    if split not in SPLITS:
        raise InputError(f"split is {split}, expected one of {', '.join(SPLITS)}")
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; give a GT folder or a folder of them")
    folders = [root] if _is_truth(root) else [path for path in root.iterdir() if _is_truth(path)]
    if not folders:
        raise InputError(f"{root} holds no GT folder (frames/, visible_masks/, amodal_masks/)")
    if split != "all":
        splits = {folder: _read_notes(folder / "meta.json").get("split") for folder in folders}
        if None in splits.values():
            raise InputError(f"{root}: a clip's meta.json names no split; leave out ?split=, or make it with synth")
        folders = [folder for folder, own in splits.items() if own == split]
    return [
        Sample(
            folder.name,
            partial(clips.open, folder / "frames"),
            partial(read_masks, folder / "visible_masks"),
            partial(read_truth, folder),
        )
        for folder in sorted(folders, key=lambda path: natural_key(path.name))
    ]


def _is_truth(path: Path) -> bool:
    return all((path / part).is_dir() for part in ("frames", "visible_masks", "amodal_masks"))


def read_truth(folder: str | Path) -> Truth:
    """Read the ground truth in a GT folder: `visible_masks/`, `amodal_masks/`, and, if present, `amodal_rgb/` and
    meta.json (as `notes`).

    Raises InputError if a folder is missing, or if counts or sizes differ.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give one with visible_masks/ and amodal_masks/")
    visible, amodal = _masks(folder / "visible_masks"), _masks(folder / "amodal_masks")
    rgb = _images(folder / "amodal_rgb")
    count = len(amodal)
    for name, found in (
        ("visible_masks", len(visible)),
        ("amodal_rgb", len(rgb) or count),
        ("frames", len(_images(folder / "frames")) or count),
    ):
        if found != count:
            raise InputError(f"{folder}: {count} amodal_masks but {found} in {name}; give one for every frame")
    size = amodal.height, amodal.width
    sizes = {"visible_masks": (visible.height, visible.width), "amodal_rgb": image_size(rgb[0]) if rgb else size}
    for name, (height, width) in sizes.items():
        if (height, width) != size:
            raise InputError(
                f"{folder}: amodal_masks are {size[1]}x{size[0]}, {name} {width}x{height}; they must be the same size"
            )
    notes = _read_notes(folder / "meta.json")
    names = [file.stem for file in _images(folder / "amodal_masks")]
    appearance = partial(_read_rgb, rgb, size) if rgb else None
    return Truth(str(folder), visible, amodal, rgb=appearance, notes=notes, names=names)


def _read_notes(file: Path) -> dict[str, Any]:
    notes = read_json(file, finite=False) if file.exists() else {}
    validate(_Notes, notes, file, "write it again")
    return dict(notes)


def _masks(folder: Path) -> MaskTrack:
    if not folder.is_dir():
        raise InputError(f"{folder} is missing; a GT folder holds visible_masks/ and amodal_masks/")
    return MaskTrack.from_masks(mask_files.read_masks_of_one(folder))


def _images(folder: Path) -> Sequence[Path]:
    return image_files(folder) if folder.is_dir() else ()


def _read_rgb(files: Sequence[Path], size: tuple[int, int], i: int) -> np.ndarray:
    rgb = read_image(files[i])
    if rgb.shape[:2] != size:
        raise InputError(f"{files[i]} is not {size[1]}x{size[0]} like the masks; all must be")
    return rgb
