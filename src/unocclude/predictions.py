"""Predictions: the masks and RGBA that are compared with the ground truth, from a result or from other tools' files."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unocclude.completion import Completion, LazySequence
from unocclude.errors import InputError
from unocclude.layout import RESULT_FILE, RUN_FILE
from unocclude.mask_files import read_track
from unocclude.media.folder import image_files
from unocclude.media.images import read_png
from unocclude.types import Images


@dataclass(frozen=True)
class Predictions:
    """The predicted masks and RGBA of one object in T frames.

    where: the path, for messages. amodal_masks, visible_masks: (H, W) bool each. rgba: (H, W, 4) uint8 each. What a
    tool does not give is None. width, height: size of the frames. offset: x, y of the frame on a padded canvas. names:
    those of the files, in the order of the frames; empty for a result, which numbers its own.
    """

    where: str
    amodal_masks: Images
    visible_masks: Images | None
    rgba: Images | None
    width: int
    height: int
    offset: tuple[int, int] = (0, 0)
    names: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.amodal_masks)

    @property
    def frame(self) -> tuple[slice, slice]:
        """Rows and columns of the frame on the canvas."""
        x, y = self.offset
        return slice(y, y + self.height), slice(x, x + self.width)

    def matched(self, names: Sequence[str]) -> "Predictions":
        """The predictions of the frames that the ground truth calls `names`: by name if all occur, else all, by order.

        Raises InputError if the numbers in the names tell that the frames are others.
        """
        place = {name: i for i, name in enumerate(self.names)}
        if not names or not place.keys() >= set(names):
            _check_numbers(self.where, self.names, names)
            return self
        order = [place[name] for name in names]
        return replace(
            self, amodal_masks=_picked(self.amodal_masks, order), names=names,
            visible_masks=None if self.visible_masks is None else _picked(self.visible_masks, order),
            rgba=None if self.rgba is None else _picked(self.rgba, order),
        )  # fmt: skip


def read_predictions(path: str | Path) -> Predictions:
    """Read predictions from the OUT folder of `unocclude complete`, or from any other tool's folder.

    The latter holds `amodal_masks/` and, if they are known, `visible_masks/` and `rgba/` (PNG with alpha; without alpha
    the amodal masks cut the object out); or the amodal masks themselves, in any form that `--masks` takes.

    Raises InputError if there are none, if a run is unfinished, or if numbers or sizes differ.
    """
    path = Path(path)
    if (path / RESULT_FILE).exists() or (path / RUN_FILE).exists():
        return of_completion(Completion(path))
    if not path.is_dir():
        raise InputError(f"{path} is not a folder; give an OUT folder, or a folder with amodal_masks/")
    masks = path / "amodal_masks" if (path / "amodal_masks").is_dir() else path
    try:
        names = [file.stem for file in image_files(masks)]
    except InputError:
        raise InputError(
            f"{masks} holds neither {RESULT_FILE} nor masks; give the OUT folder of `unocclude complete`, or a folder "
            "with amodal_masks/"
        ) from None
    amodal = read_track(masks)
    visible = read_track(path / "visible_masks") if (path / "visible_masks").is_dir() else None
    rgba = image_files(path / "rgba") if (path / "rgba").is_dir() else None
    for kind, found in (("visible_masks", visible), ("rgba", rgba)):
        if found is not None and len(found) != len(amodal):
            raise InputError(f"{path}: {len(amodal)} amodal masks but {len(found)} in {kind}; give one for every frame")
    if visible is not None and (visible.height, visible.width) != (amodal.height, amodal.width):
        raise InputError(f"{path}: visible_masks and amodal_masks differ in size; they must be the same")
    pictures = None if rgba is None else LazySequence(len(amodal), lambda i: _read_rgba(rgba[i], amodal[i]))
    return Predictions(str(path), amodal, visible, pictures, amodal.width, amodal.height, names=names)


def _picked(images: Images, order: Sequence[int]) -> Images:
    return LazySequence(len(order), lambda k: images[order[k]])


def of_completion(result: Completion) -> Predictions:
    """The predictions of a finished result."""
    canvas = result.info["canvas"]
    x, y = canvas["offset"]
    return Predictions(
        str(result.folder), result.amodal_masks, result.visible_masks, result.rgba,
        canvas["width"] - 2 * x, canvas["height"] - 2 * y, (x, y),
    )  # fmt: skip


def _check_numbers(where: str, names: Sequence[str], of_truth: Sequence[str]) -> None:
    """Raise InputError if the numbers in the names of files tell that they are other frames than those of the truth.

    A tool may count from another number. where: the predictions, for the message.
    """
    numbers, true = _numbers(names), _numbers(of_truth)
    if not numbers or not true or len(numbers) != len(true):
        return
    for i, (number, expected) in enumerate(zip(numbers, true, strict=True)):
        if number - numbers[0] != expected - true[0]:
            raise InputError(
                f"{where} has {names[i]} in the place of {of_truth[i]}; give the same frames as the ground truth"
            )


def _numbers(names: Sequence[str]) -> list[int]:
    """The last number in each name; empty if one has none."""
    found = [re.findall(r"\d+", name, re.ASCII) for name in names]
    return [int(numbers[-1]) for numbers in found] if all(found) else []


def _read_rgba(file: Path, amodal: np.ndarray) -> np.ndarray:
    """An RGBA image; where it has no alpha, that of the mask. Raises InputError unless it is of the mask's size."""
    picture = read_png(file)
    if picture.dtype != np.uint8 or picture.ndim != 3:
        raise InputError(f"{file} is no 8-bit colour image; save RGBA")
    if picture.shape[:2] != amodal.shape:
        height, width = picture.shape[:2]
        raise InputError(
            f"{file} is {width}x{height}, the amodal masks are {amodal.shape[1]}x{amodal.shape[0]}; "
            "they must be the same size"
        )
    return picture if picture.shape[2] == 4 else np.dstack([picture, amodal.astype(np.uint8) * 255])
