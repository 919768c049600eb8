"""TAO-Amodal (Hsieh et al. 2023), its frames with the JSON of Diffusion-VAS (bbea113, dataloader_tao_amodal.py):

    FILE.json: [{track_id, category_id, video_id, file_names, rles: [counts], height, width,
                 amodal_bboxes: [[x, y, w, h]]}]

The truth is boxes, which may leave the image. The padded protocol completes on a canvas that is a quarter of the frame
larger on every side.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unocclude.datasets.base import Sample, Truth, frames, read_json, track_of_rles
from unocclude.errors import InputError
from unocclude.masks import MaskTrack

FPS = 2.0
PROTOCOLS = {"padded": 0.25, "plain": 0.0}


def read(root: Path, images: str | None = None, protocol: str = "padded") -> list[Sample]:
    """The tracks of a JSON file, named VIDEO-TRACK; images: the folder of frames, by default the one that the file lies
    in."""
    if root.is_dir():
        raise InputError(f"{root} is a folder; give the JSON file of tracks: tao-amodal:FILE.json?images=FOLDER")
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol is {protocol}, expected {' or '.join(PROTOCOLS)}")
    base = Path(images) if images else root.parent
    return [
        Sample(
            f"{track['video_id']}-{track['track_id']}",
            partial(frames, [base / name.lstrip("/") for name in track["file_names"]], FPS),
            partial(_visible, track),
            partial(_truth, root, track),
            pad=PROTOCOLS[protocol],
        )
        for track in read_json(root)
    ]


def _visible(track: dict[str, Any]) -> MaskTrack:
    size = [track["height"], track["width"]]
    return track_of_rles([{"size": size, "counts": counts} for counts in track["rles"]])


def _truth(root: Path, track: dict[str, Any]) -> Truth:
    boxes = np.array(track["amodal_bboxes"], float).reshape(-1, 4)
    return Truth(f"{root}, track {track['track_id']}", _visible(track), boxes=boxes)
