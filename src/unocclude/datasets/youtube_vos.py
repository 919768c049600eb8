"""YouTube-VOS (Xu et al. 2018); visible masks only:

    valid/JPEGImages/VIDEO/00000.jpg  valid/Annotations/VIDEO/00000.png  valid/meta.json

meta.json: {"videos": {VIDEO: {"objects": {"1": {"category": "cat", "frames": ["00000", ...]}}}}}. A clip consists of
the annotated frames (every fifth of the video).
"""

from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from unocclude.clip import Clip
from unocclude.datasets.base import Entry, FileName, Sample, Text, image_clip, path_inside, read_json, require, validate
from unocclude.datasets.davis import read_object
from unocclude.masks import MaskTrack
from unocclude.media.folder import image_files

FPS = 6.0


class _Object(Entry):
    category: Text | None = None


class _Video(Entry):
    objects: dict[Annotated[str, Field(pattern=r"^[0-9]{1,5}$")], _Object]


class _File(Entry):
    videos: dict[FileName, _Video]


def read(root: Path, split: str = "train") -> list[Sample]:
    """Read every object of every video of a split; samples are named VIDEO-INDEX, and their text is the category."""
    folder = require(root / split, "a split of YouTube-VOS")
    file = folder / "meta.json"
    videos = validate(_File, read_json(file, "what is in each video"), file).videos
    for video in videos:
        path_inside(folder, video, file)
    return [
        Sample(
            f"{video}-{index}",
            partial(_clip, folder, video),
            partial(_visible, folder, video, int(index)),
            text=entry.category,
        )
        for video, content in sorted(videos.items())
        for index, entry in sorted(content.objects.items(), key=lambda pair: int(pair[0]))
    ]


def _annotated(folder: Path, video: str) -> list[Path]:
    return image_files(require(folder / "Annotations" / video))


def _clip(folder: Path, video: str) -> Clip:
    return image_clip([folder / "JPEGImages" / video / f"{a.stem}.jpg" for a in _annotated(folder, video)], FPS)


def _visible(folder: Path, video: str, index: int) -> MaskTrack:
    return read_object(_annotated(folder, video), index)
