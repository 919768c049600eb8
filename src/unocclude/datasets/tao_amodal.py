"""TAO-Amodal (Hsieh et al. 2023) with the JSON file of Diffusion-VAS (bbea113, dataloader_tao_amodal.py):

    FILE.json: [{track_id, category_id, video_id, file_names, rles: [counts], height, width,
                 amodal_bboxes: [[x, y, w, h]]}]

The ground truth is amodal boxes, which may extend beyond the image. The padded protocol completes on a canvas that is
enlarged by a quarter of the frame on every side.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from unocclude.datasets.base import (
    Entry,
    FileName,
    Id,
    Many,
    Sample,
    Side,
    Truth,
    image_clip,
    path_inside,
    read_json,
    shorten,
    track_from_rles,
    validate,
)
from unocclude.errors import InputError
from unocclude.masks import MaskTrack

FPS = 2.0
PUBLISHED = {"diffusion-vas": {"framing": "squeeze", "fps": 2, "binarise": "after"}}
"""The released evaluation shows the whole frame, tells the network 2 frames per second, and cuts masks off after
resizing."""
PROTOCOLS = {"padded": 0.25, "plain": 0.0}
MAX_COORDINATE = 1e7
"""Maximum absolute coordinate of a box in pixels."""

_Number = Annotated[float, Field(ge=-MAX_COORDINATE, le=MAX_COORDINATE)]


class _Track(Entry):
    track_id: Id
    video_id: Id
    height: Side
    width: Side
    file_names: Annotated[Many[FileName], Field(min_length=1)]
    rles: Many[str]
    amodal_bboxes: Many[tuple[_Number, _Number, _Number, _Number]]


def read(root: Path, images: str | None = None, protocol: str = "padded") -> list[Sample]:
    """Read the tracks of a JSON file; samples are named VIDEO-TRACK. images: the folder of frames, by default that of
    the file."""
    if root.is_dir():
        raise InputError(f"{root} is a folder; give the JSON file of tracks: tao-amodal:FILE.json?images=FOLDER")
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol is {protocol}, expected {' or '.join(PROTOCOLS)}")
    base = Path(images) if images else root.parent
    return [
        Sample(
            f"{track.video_id}-{track.track_id}",
            partial(image_clip, [path_inside(base, name.lstrip("/"), root) for name in track.file_names], FPS),
            partial(_visible, root, track),
            partial(_truth, root, track),
            pad=PROTOCOLS[protocol],
            options=PUBLISHED,
        )
        for track in validate(Many[_Track], read_json(root), root)
    ]


def _visible(root: Path, track: _Track) -> MaskTrack:
    size = [track.height, track.width]
    return track_from_rles(_where(root, track), [{"size": size, "counts": counts} for counts in track.rles])


def _truth(root: Path, track: _Track) -> Truth:
    return Truth(_where(root, track), _visible(root, track), boxes=np.array(track.amodal_bboxes, float))


def _where(root: Path, track: _Track) -> str:
    return f"{root}, track {shorten(str(track.track_id))}"
