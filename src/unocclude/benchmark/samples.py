"""What a benchmark runs on: clips with the visible masks to start from and the truth to compare with."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import unocclude
from unocclude.clip import Clip
from unocclude.errors import InputError
from unocclude.masks import MaskTrack, read_masks
from unocclude.media.files import natural_key


@dataclass(frozen=True)
class Sample:
    """One clip with truth: a folder in our GT layout; frames and masks are read when asked for."""

    name: str
    truth: Path

    @cached_property
    def clip(self) -> Clip:
        return unocclude.open(self.truth / "frames")

    @cached_property
    def visible(self) -> MaskTrack:
        return read_masks(self.truth / "visible_masks")


def find_samples(path: str | Path, limit: int | None = None) -> list[Sample]:
    """The sample that a GT folder is, or the samples that lie in a folder of GT folders, in natural name order.

    Raises InputError where there is none.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"{path} is not a folder; give a GT folder or a folder of them")
    folders = [path] if _is_truth(path) else [p for p in path.iterdir() if _is_truth(p)]
    if not folders:
        raise InputError(f"{path} holds no GT folder (frames/, visible_masks/, amodal_masks/)")
    folders.sort(key=lambda p: natural_key(p.name))
    return [Sample(folder.name, folder) for folder in folders[:limit]]


def _is_truth(path: Path) -> bool:
    return all((path / part).is_dir() for part in ("frames", "visible_masks", "amodal_masks"))
