"""What every data set gives: samples, that is clips with one object each, what is seen of it and what is true of it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from unocclude.clip import Clip
from unocclude.errors import InputError
from unocclude.masks import MaskTrack
from unocclude.media.folder import FolderFrames


@dataclass(frozen=True)
class Truth:
    """What is true of the object in all T frames: `visible` and `amodal` masks, or only amodal `boxes` (T, 4) float,
    x, y, width, height in pixels, which may leave the image.

    rgb: frame number → (H, W, 3) uint8, the object's appearance, valid on its amodal mask; None where unknown.
    notes: what the data set tells besides. where: the path, for messages.
    """

    where: str
    visible: MaskTrack
    amodal: MaskTrack | None = None
    boxes: np.ndarray | None = None
    rgb: Callable[[int], np.ndarray] | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.visible)

    def rgba(self, i: int) -> np.ndarray:
        """The object's true appearance in frame i, (H, W, 4) uint8, alpha its amodal mask."""
        if self.rgb is None or self.amodal is None:
            raise InputError(f"{self.where} does not tell how the whole object looks")
        return np.dstack([self.rgb(i), self.amodal[i].astype(np.uint8) * 255])


class Sample:
    """One object of one clip. `clip`, `visible` and `truth` are read when first asked for.

    name: unique within its data set, may be used as a file name. text: the object in words, where that is the prompt.
    pad: how far the object may reach beyond the frame, as `--pad` takes it. origin: what `open_dataset` was given.
    """

    def __init__(
        self,
        name: str,
        clip: Callable[[], Clip],
        visible: Callable[[], MaskTrack] | None = None,
        truth: Callable[[], Truth] | None = None,
        *,
        text: str | None = None,
        pad: float = 0.0,
    ):
        self.name, self.text, self.pad, self.origin = name, text, pad, ""
        self._clip, self._visible, self._truth = clip, visible, truth

    def __repr__(self) -> str:
        return f"Sample({self.name!r} of {self.origin!r})"

    @property
    def has_truth(self) -> bool:
        """Whether the data set tells the whole object, or its box."""
        return self._truth is not None

    @property
    def has_masks(self) -> bool:
        """Whether it comes with visible masks, not with words alone."""
        return self._visible is not None

    @cached_property
    def clip(self) -> Clip:
        return self._clip()

    @cached_property
    def visible(self) -> MaskTrack:
        if self._visible is None:
            raise InputError(f"{self.name} comes with words ({self.text!r}), not with masks")
        return self._visible()

    @cached_property
    def truth(self) -> Truth:
        if self._truth is None:
            raise InputError(
                f"{self.name}: this data set does not tell the whole object; nothing can be measured on it"
            )
        return self._truth()


def frames(paths: Sequence[Path], fps: float) -> Clip:
    """A clip of image files. Raises InputError, naming it, where one is missing or has another size."""
    for path in paths:
        require(path)
    return Clip(FolderFrames(paths, fps))


def require(path: Path, what: str = "") -> Path:
    """`path`, which has to be there; raises InputError naming it, and what it should be."""
    if not path.exists():
        raise InputError(f"{path} is missing{f': {what}' if what else ''}; check that the data set is whole")
    return path


def read_json(path: Path, what: str = "") -> Any:
    """A JSON file's content; raises InputError where it is missing or damaged."""
    try:
        return json.loads(require(path, what).read_text())
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error}); download it again") from None


def track_of_rles(rles: Sequence[dict[str, Any]]) -> MaskTrack:
    """A track of COCO run-length encodings, {size: [h, w], counts: compressed string or bytes} each, one size."""
    sizes = {tuple(rle["size"]) for rle in rles}
    if len(sizes) != 1:
        raise InputError(f"masks of sizes {sorted(sizes)} in one clip; all must be the same")
    height, width = sizes.pop()
    counts = [rle["counts"].encode() if isinstance(rle["counts"], str) else rle["counts"] for rle in rles]
    return MaskTrack(counts, height, width)
