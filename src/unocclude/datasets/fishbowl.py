"""FISHBOWL (Tangemann et al. 2021) as SaVos released it (commit e43135c, FishBowl/FishBowl_dataset/dataset.py):

    test_data/test_data.pkl  test_data/test_frames/VIDEO/*.png

The pickle contains {"VIDEO_OBJECT": {frame: {"FM": [RLE], "VM": [RLE], ...}}}, with FM the amodal and VM the visible
mask. The frames of an object are consecutive.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from unocclude.clip import Clip
from unocclude.datasets.base import (
    MAX_ENTRIES,
    Entry,
    FileName,
    Many,
    Sample,
    Truth,
    image_clip,
    path_inside,
    require,
    shorten,
    track_from_rles,
    validate,
)
from unocclude.errors import InputError
from unocclude.masks import MaskTrack
from unocclude.media.folder import image_files
from unocclude.media.plain_pickle import read_pickle

FPS = 30.0
CAPTION = "a fish"
"""All objects are fish; for zero-shot evaluation with a text (TGVAC, table 5)."""
MAX_FRAMES = 3_000_000
"""Maximum number of frames of all objects; a few bytes of a pickle can repeat the same dictionary many times."""


def _only(given: Any) -> Any:
    return given[0] if isinstance(given, list) and given else given


class _Masks(Entry):
    FM: Annotated[Any, BeforeValidator(_only)]
    VM: Annotated[Any, BeforeValidator(_only)]


_Time = Annotated[int, Field(ge=0, le=10_000_000)]
_Objects = dict[FileName, dict[_Time, Any]]


def read(root: Path) -> list[Sample]:
    """Read every object in a folder SPLIT_data; samples are named VIDEO_OBJECT."""
    split = root.name.partition("_")[0]
    file = require(root / f"{split}_data.pkl", "the objects' masks")
    samples = []
    for name, by_frame in _read_objects(file).items():
        times = sorted(by_frame)
        if not times or times[-1] - times[0] + 1 != len(times):
            raise InputError(f"{file}: the frames of {shorten(name)} have gaps; download it again")
        entries = [by_frame[t] for t in times]
        where = f"{file}, {shorten(name)}"
        samples.append(
            Sample(
                name,
                partial(_clip, path_inside(root / f"{split}_frames", name.split("_")[0], file), times),
                partial(_visible, where, entries),
                partial(_truth, where, entries),
            )
        )
    return samples


def _read_objects(file: Path) -> dict[str, dict[int, Any]]:
    content = read_pickle(file, "the pickle of FISHBOWL's masks")
    if not isinstance(content, dict) or not all(isinstance(by_frame, dict) for by_frame in content.values()):
        raise InputError(f"{file} is not the pickle of FISHBOWL's masks: no dictionary of objects; download it again")
    if len(content) > MAX_ENTRIES or sum(map(len, content.values())) > MAX_FRAMES:
        raise InputError(f"{file} holds over {MAX_ENTRIES} objects or {MAX_FRAMES} frames; split it")
    return validate(_Objects, content, file)


def _clip(folder: Path, times: list[int]) -> Clip:
    files = image_files(require(folder))
    if times[-1] >= len(files):
        raise InputError(
            f"{folder} has {len(files)} frames, but there are masks up to frame {times[-1]}; download it again"
        )
    return image_clip([files[t] for t in times], FPS)


def _visible(where: str, entries: list[Any]) -> MaskTrack:
    return track_from_rles(where, [entry.VM for entry in validate(Many[_Masks], entries, where)])


def _truth(where: str, entries: list[Any]) -> Truth:
    whole = track_from_rles(where, [entry.FM for entry in validate(Many[_Masks], entries, where)])
    return Truth(where, _visible(where, entries), whole, notes={"caption": CAPTION})
