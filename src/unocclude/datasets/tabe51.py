"""TABE-51 (Hudson and Smith 2024, commit 110ebd7 of finlay-hudson/TABE):

    data/VIDEO/frames/*.jpg  visible_masks/*.png  gt_masks/*.png  annos.json

gt_masks are amodal. annos.json: {"occlusion": [{"level": ..., "amount": ...} per frame]}. The level, a number or a
word, is severe (0), slight (1), no occlusion (2) or unknown (3).
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unocclude.clip import Clip
from unocclude.datasets.base import Entry, Many, Sample, Truth, image_clip, read_json, require, shorten, validate
from unocclude.errors import InputError
from unocclude.masks import MaskTrack
from unocclude.media import masks as mask_files
from unocclude.media.files import natural_key
from unocclude.media.folder import image_files

FPS = 30.0
UNOCCLUDED = 2
_LEVELS = {"0": 0, "severe": 0, "1": 1, "slight": 1, "2": UNOCCLUDED, "no": UNOCCLUDED, "3": 3, "none": 3}


class _Frame(Entry):
    level: int | float | str | None


class _File(Entry):
    occlusion: Many[_Frame]


def read(root: Path) -> list[Sample]:
    """Read every video in `root`, or in `root`/data."""
    root = root / "data" if (root / "data").is_dir() else root
    videos = sorted((p.parent for p in root.glob("*/gt_masks")), key=lambda path: natural_key(path.name))
    return [
        Sample(
            video.name,
            partial(_clip, video),
            partial(_track, video / "visible_masks"),
            partial(_truth, video),
        )
        for video in videos
    ]


def _clip(video: Path) -> Clip:
    return image_clip(image_files(require(video / "frames")), FPS)


def _track(folder: Path) -> MaskTrack:
    return MaskTrack.from_masks(mask_files.read_masks_of_one(require(folder)))


def _truth(video: Path) -> Truth:
    visible, amodal = _track(video / "visible_masks"), _track(video / "gt_masks")
    levels = read_levels(video / "annos.json")
    if not len(visible) == len(amodal) == len(levels):
        raise InputError(
            f"{video}: {len(visible)} visible masks, {len(amodal)} gt_masks, {len(levels)} levels of occlusion; "
            "there must be one of each per frame"
        )
    # `occluded` as in the released evaluation: every level other than "no occlusion"
    return Truth(str(video), visible, amodal, notes={"occluded": levels != UNOCCLUDED})


def read_levels(file: Path) -> np.ndarray:
    """Read the level of occlusion of each frame, (T,) int."""
    content = validate(_File, read_json(file, finite=False), file)
    return np.array([_level(file, frame.level) for frame in content.occlusion], int)


def _level(file: Path, given: Any) -> int:
    word = "none" if given is None else str(given).lower()
    for start, level in sorted(_LEVELS.items(), key=lambda pair: -len(pair[0])):  # "none" before "no"
        if word.startswith(start):
            return level
    raise InputError(f"{file}: unknown level of occlusion {shorten(str(given))!r}; download it again")
