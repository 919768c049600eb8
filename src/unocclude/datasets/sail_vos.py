"""SAIL-VOS (Hu et al. 2019) with the JSON of Diffusion-VAS (commit bbea113, datasets/dataloader_sailvos.py):

    FILE.json: [{segmentation: [RLE x 25], visible_mask: [RLE x 25], image_file_names: [...], obj_id, category_id, ...}]

`segmentation` is amodal; an image's path is the folder of images and its file name, joined.
"""

from functools import partial
from pathlib import Path
from typing import Any

from unocclude.datasets.base import Sample, Truth, frames, read_json, track_of_rles
from unocclude.errors import InputError

FPS = 8.0


def read(root: Path, images: str | None = None) -> list[Sample]:
    """The clips of a JSON file; images: the folder of images, by default the one that the file lies in."""
    if root.is_dir():
        raise InputError(f"{root} is a folder; give the JSON file of clips: sail-vos:FILE.json?images=FOLDER")
    base = Path(images) if images else root.parent
    samples = []
    for k, clip in enumerate(read_json(root)):
        missing = {"segmentation", "visible_mask", "image_file_names"} - set(clip)
        if missing:
            raise InputError(f"{root}: clip {k} lacks {', '.join(sorted(missing))}")
        samples.append(
            Sample(
                f"{k:05d}-{clip.get('obj_id', 0)}",
                partial(frames, [base / name.lstrip("/") for name in clip["image_file_names"]], FPS),
                partial(track_of_rles, clip["visible_mask"]),
                partial(_truth, root, k, clip),
            )
        )
    return samples


def _truth(root: Path, k: int, clip: dict[str, Any]) -> Truth:
    return Truth(f"{root}, clip {k}", track_of_rles(clip["visible_mask"]), track_of_rles(clip["segmentation"]))
