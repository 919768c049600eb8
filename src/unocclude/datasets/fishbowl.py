"""FISHBOWL (Tangemann et al. 2021) as SaVos released it (commit e43135c, FishBowl/FishBowl_dataset/dataset.py):

    test_data/test_data.pkl  test_data/test_frames/VIDEO/*.png

The pickle holds {"VIDEO_OBJECT": {frame: {"FM": [RLE], "VM": [RLE], ...}}}: FM the whole mask, VM the visible one. An
object has consecutive frames.
"""

import pickle
from functools import partial
from pathlib import Path
from typing import Any

from unocclude.clip import Clip
from unocclude.datasets.base import Sample, Truth, frames, require, track_of_rles
from unocclude.errors import InputError
from unocclude.masks import MaskTrack
from unocclude.media.folder import image_files

FPS = 30.0
_HARMLESS = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("collections", "OrderedDict"),
}


class _Unpickler(pickle.Unpickler):
    """Plain data only: a pickle from elsewhere must not run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _HARMLESS:
            raise pickle.UnpicklingError(f"it holds {module}.{name}")
        return super().find_class(module, name)


def read(root: Path) -> list[Sample]:
    """Every object in a folder SPLIT_data, named VIDEO_OBJECT."""
    split = root.name.partition("_")[0]
    file = require(root / f"{split}_data.pkl", "the objects' masks")
    try:
        with file.open("rb") as stream:
            objects = _Unpickler(stream).load()
    except (pickle.UnpicklingError, EOFError, AttributeError) as error:
        raise InputError(f"{file} is not the pickle of FISHBOWL's masks: {error}") from None
    samples = []
    for name, by_frame in objects.items():
        times = sorted(by_frame)
        if times != list(range(times[0], times[-1] + 1)):
            raise InputError(f"{file}: the frames of {name} have gaps")
        entries = [by_frame[t] for t in times]
        samples.append(
            Sample(
                str(name),
                partial(_clip, root / f"{split}_frames" / str(name).split("_")[0], times),
                partial(_track, entries, "VM"),
                partial(_truth, file, str(name), entries),
            )
        )
    return samples


def _clip(folder: Path, times: list[int]) -> Clip:
    files = image_files(require(folder))
    if times[-1] >= len(files):
        raise InputError(f"{folder} holds {len(files)} frames, the masks go on to frame {times[-1]}")
    return frames([files[t] for t in times], FPS)


def _track(entries: list[dict[str, Any]], key: str) -> MaskTrack:
    return track_of_rles([entry[key][0] for entry in entries])


def _truth(file: Path, name: str, entries: list[dict[str, Any]]) -> Truth:
    return Truth(f"{file}, {name}", _track(entries, "VM"), _track(entries, "FM"))
