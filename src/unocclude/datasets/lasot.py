"""LaSOT (Fan et al. 2019), boxes of visible objects. TGVAC takes its objects from it (boxes → segmentation → masks):

    CLASS/CLASS-N/img/00000001.jpg  groundtruth.txt  full_occlusion.txt  out_of_view.txt

groundtruth.txt has a line x,y,w,h per frame, 1-based; the other two have 0 or 1 per frame, separated by commas.
"""

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from unocclude import weights as checkpoints
from unocclude.clip import Clip
from unocclude.datasets.base import Sample, image_clip, read_lines, require, shorten
from unocclude.errors import InputError
from unocclude.masks import MaskTrack
from unocclude.media.folder import image_files
from unocclude.perception.prompt import Cue
from unocclude.perception.segment import segment

FPS = 30.0
SAM = "sam-vit-huge"
MAX_COORDINATE = 1e6
"""Maximum absolute coordinate of a box in pixels."""


def read(root: Path) -> list[Sample]:
    """Read every sequence; the text of a sample is its class."""
    samples = []
    for listing in sorted(root.rglob("groundtruth.txt")):
        folder = listing.parent
        clip = partial(_clip, folder)
        samples.append(Sample(folder.name, clip, partial(_visible, folder, clip), text=folder.name.rpartition("-")[0]))
    return samples


def _clip(folder: Path) -> Clip:
    return image_clip(image_files(require(folder / "img", "the frames")), FPS)


def read_boxes(folder: Path) -> np.ndarray:
    """Boxes (T, 4) float of a sequence: x0, y0, x1, y1, 0-based, ends exclusive; NaN where the object is invisible."""
    file = folder / "groundtruth.txt"
    xywh = _read_numbers(file)
    if xywh.ndim != 2 or xywh.shape[1] != 4:
        raise InputError(f"{file}: expected lines of x,y,w,h; download it again")
    boxes = np.concatenate([xywh[:, :2] - 1, xywh[:, :2] - 1 + xywh[:, 2:]], axis=1)
    boxes[(xywh[:, 2:] <= 0).any(1)] = np.nan
    for name in ("full_occlusion.txt", "out_of_view.txt"):
        if (folder / name).exists():
            hidden = _read_numbers(folder / name).ravel()
            if len(hidden) != len(boxes):
                raise InputError(f"{folder / name}: {len(hidden)} numbers for {len(boxes)} frames; download it again")
            boxes[hidden.astype(bool)] = np.nan
    return boxes


def _read_numbers(file: Path) -> np.ndarray:
    """Read numbers, (n, m) float. A box with NaN, as some trackers write, means that there is none."""
    lines = read_lines(file)
    try:
        numbers = np.loadtxt(lines, delimiter=",", ndmin=2) if lines else np.zeros((0, 0))
    except ValueError as error:
        raise InputError(
            f"{file} contains something other than numbers ({shorten(str(error))}); download it again"
        ) from None
    if (np.abs(numbers) > MAX_COORDINATE).any():
        raise InputError(f"{file}: a box has a coordinate beyond {MAX_COORDINATE:.0f} pixels; download it again")
    return numbers


def _visible(folder: Path, clip: partial[Clip]) -> MaskTrack:
    """Segment the object in the box of each frame, by SAM where its weights are present, as TGVAC does, else as for a
    box prompt without weights (`perception.segment`)."""
    opened, boxes = clip(), read_boxes(folder)
    if len(boxes) != len(opened):
        raise InputError(f"{folder}: {len(boxes)} boxes for {len(opened)} frames; download it again")

    def mask(i: int) -> np.ndarray:
        if np.isnan(boxes[i]).any():
            return np.zeros((opened.height, opened.width), bool)
        cue = Cue(boxes=[tuple(boxes[i].tolist())])
        return segment(opened, i, cue).mask if sam is None else np.asarray(sam(opened[i], [cue])[0][0])

    sam = _sam()
    how = "by SAM" if sam else "without weights"
    return MaskTrack.from_masks((mask(i) for i in range(len(opened))), origin=f"segmented in LaSOT's boxes {how}")


@lru_cache(maxsize=1)
def _sam() -> Any:
    """SAM, if its weights are present."""
    if not checkpoints.is_present(SAM):
        return None
    from unocclude.perception.sam import Sam

    return Sam()
