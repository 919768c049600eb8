"""MOVi-B and MOVi-D with amodal masks, as exported by EoRaS (Fan et al. 2023, commit cb56baf, dataset_movi.py):

    SPLIT/instance_list.npy  SPLIT/VIDEO/metadata.json  rgba_full_00000.png  segmentation_full_00000.png
    SPLIT/VIDEO/segmentation_K_00000.png

instance_list.npy contains "VIDEO-K". Pixels of instance K have the value K + 1.
"""

import re
import sys
from pathlib import Path

import cv2
import numpy as np

from unocclude.datasets.base import MAX_ENTRIES, Sample, Truth, path_inside, require, shorten
from unocclude.datasets.kubric import MAX_INSTANCES, is_seen, sample_of, scene_size
from unocclude.datasets.view import view_clip, view_track
from unocclude.errors import InputError

ENLARGED = 2.0
PROTOCOLS = ("full", "crop2x")
MAX_BYTES = 64 << 20
MAX_SIDE = 4096
"""Maximum side length of a cropped frame in pixels."""


def read(root: Path, split: str = "test", protocol: str = "full", size: str = "256") -> list[Sample]:
    """Read the instances in the list of a split.

    protocol: "full" uses whole images (Diffusion-VAS, Table 5). "crop2x" is the setting of Table 2 and of EoRaS: each
    frame is cropped to the box of the visible mask, enlarged by a factor of 2 about its centre and clipped to the
    image, and scaled to `size` x `size`; frames without visible pixels are left out.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol is {protocol}, expected {' or '.join(PROTOCOLS)}")
    if not (size.isascii() and size.isdigit() and 0 < int(size[:9]) <= MAX_SIDE):
        raise InputError(f"size is {size}, expected a whole number of pixels up to {MAX_SIDE}")
    folder = require(root / split, "a split of MOVi")
    file = folder / "instance_list.npy"
    samples = []
    counts: dict[str, int] = {}
    for entry in _read_names(file):
        video, _, k = entry.rpartition("-")
        if not re.fullmatch("[0-9]{1,5}", k) or int(k) >= MAX_INSTANCES:
            raise InputError(f"{file}: {shorten(entry)} is not VIDEO-K, K a number; download it again")
        scene = path_inside(folder, video, file)
        if video not in counts:
            counts[video] = scene_size(scene)[0]
        sample = sample_of(scene, int(k), counts[video], "rgba_full", "segmentation_full")
        samples.append(_cropped(sample, int(size)) if protocol == "crop2x" else sample)
    return samples


def _read_names(file: Path) -> list[str]:
    """Read a list of names in NumPy's format."""
    if not require(file, "the list of instances").is_file() or file.stat().st_size > MAX_BYTES:
        raise InputError(f"{file} is no file of at most {MAX_BYTES >> 20} MB; download it again")
    try:
        # memory-mapped, so that the header cannot claim more data than the file has
        listing = np.load(file, mmap_mode="r", allow_pickle=False)
        if not isinstance(listing, np.ndarray) or listing.dtype.kind != "U" or not 0 < listing.size <= MAX_ENTRIES:
            raise ValueError(f"expected up to {MAX_ENTRIES} names")
        names = listing.ravel()
        if not names.itemsize or names.view(f"{names.dtype.byteorder}u4").max() > sys.maxunicode:
            raise ValueError("invalid characters")
        return [str(name) for name in names]
    except Exception as error:  # a damaged file can raise anything
        raise InputError(f"{file} is no list of names ({shorten(str(error))}); download it again") from None


def enlarged_box(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of a mask's box, enlarged by 2 about its centre and clipped to the image (dataset_movi.py)."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    spans = []
    for low, extent, limit in ((y, h, mask.shape[0]), (x, w, mask.shape[1])):
        middle, reach = (2 * low + extent) // 2, int(extent * ENLARGED) // 2
        spans.append(slice(max(0, middle - reach), min(limit, middle + reach) + 1))
    return spans[0], spans[1]


def _cropped(sample: Sample, size: int) -> Sample:
    def seen() -> list[int]:
        return np.flatnonzero(is_seen(sample.visible)).tolist()

    def cut(image: np.ndarray, i: int) -> np.ndarray:
        part = image[enlarged_box(sample.visible[i])]
        if part.dtype == bool:
            return cv2.resize(part.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST) > 0
        return cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR)

    def truth() -> Truth:
        whole = sample.truth
        assert whole.amodal is not None
        visible, amodal = (view_track(track, seen(), cut) for track in (whole.visible, whole.amodal))
        return Truth(f"{whole.where}, cropped", visible, amodal, notes=whole.notes)

    return Sample(
        sample.name,
        lambda: view_clip(sample.clip, seen(), cut),
        lambda: view_track(sample.visible, seen(), cut),
        truth,
    )
