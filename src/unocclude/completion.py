"""The results of a method: a single frame (FrameResult) and a finished folder (Completion)."""

import json
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import numpy as np

from unocclude.errors import InputError
from unocclude.layout import RESULT_FILE, RUN_FILE
from unocclude.masks import DOUBTFUL

SCHEMA = 1
NOTHING, SEEN, RECALLED, GENERATED = range(4)
"""Provenance of an output pixel: no object, seen in this frame, recalled from another frame, generated."""
PROVENANCE_NAMES = ("nothing", "seen", "recalled", "generated")
PROVENANCE_PALETTE = np.array([(0, 0, 0), (64, 160, 80), (60, 120, 220), (240, 140, 40)], np.uint8)

OCCLUDED = 0.01
"""A frame counts as occluded if its occlusion rate is higher than this."""


def provenance_shares(frames: Sequence[dict[str, Any]]) -> dict[str, float]:
    """By name, which fraction of an object's pixels has which provenance, from the `frames` of result.json."""
    area = max(sum(frame["amodal_area"] for frame in frames), 1)
    return {
        name: sum(frame["amodal_area"] * frame["provenance"][name] for frame in frames) / area
        for name in PROVENANCE_NAMES[1:]
    }


def doubtful_spans(frames: Sequence[dict[str, Any]]) -> list[range]:
    """The ranges of frames whose visible masks are doubtful, from the `frames` of result.json or track.json."""
    doubtful = [i for i, frame in enumerate(frames) if frame.get("confidence", 1.0) < DOUBTFUL]
    breaks = [0, *(k for k in range(1, len(doubtful)) if doubtful[k] > doubtful[k - 1] + 1), len(doubtful)]
    return [range(doubtful[a], doubtful[b - 1] + 1) for a, b in pairwise(breaks) if b > a]


@dataclass(frozen=True)
class FrameResult:
    """One completed frame of the size of the canvas.

    amodal: (H, W) bool, the amodal mask. rgba: (H, W, 4) uint8, straight alpha, colour 0 where alpha is 0.
    provenance: (H, W) uint8, indices of `PROVENANCE_NAMES`. hypotheses: all K samples, of which the first is this
    frame; empty for K = 1.
    """

    index: int
    amodal: np.ndarray
    rgba: np.ndarray
    provenance: np.ndarray
    hypotheses: Sequence["FrameResult"] = field(default=())

    @property
    def disagreement(self) -> np.ndarray:
        """Disagreement of the hypotheses on the amodal mask, (H, W) uint8: 0 if all agree, 255 if half of them do.

        It is 4 p (1 - p), with p the fraction of hypotheses in which a pixel belongs to the object.
        """
        votes = np.mean([h.amodal for h in self.hypotheses or (self,)], axis=0)
        return np.round(255 * 4 * votes * (1 - votes)).astype(np.uint8)


T = TypeVar("T")


class LazySequence(Sequence, Generic[T]):
    """A sequence of `count` items that are computed by `read` on each access and not cached."""

    def __init__(self, count: int, read: Callable[[int], T]):
        self._count, self._read = count, read

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, i: int) -> T: ...
    @overload
    def __getitem__(self, i: slice) -> "LazySequence[T]": ...
    def __getitem__(self, i: int | slice) -> "T | LazySequence[T]":
        if isinstance(i, slice):
            picked = range(self._count)[i]
            return LazySequence(len(picked), lambda k: self._read(picked[k]))
        if not -self._count <= i < self._count:
            raise IndexError(f"frame {i} of {self._count}")
        return self._read(i % self._count)

    def __iter__(self) -> Iterator[T]:
        return (self._read(i) for i in range(self._count))


class TemporaryFolder:
    """A temporary folder that is removed with this object, or when Python ends."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="unocclude-")
        # not tempfile.TemporaryDirectory, which warns when it is removed with its object
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class _Pictures:
    """The images of one kind in a folder. keep: a temporary folder that must outlive them."""

    def __init__(self, folder: Path, kind: str, keep: TemporaryFolder | None):
        self._folder, self._keep = folder / kind, keep

    def __call__(self, i: int) -> np.ndarray:
        from unocclude.media.images import read_png

        return read_png(self._folder / f"{i:05d}.png")

    def mask(self, i: int) -> np.ndarray:
        return self(i) > 127


class Completion:
    """A finished OUT folder, read on access.

    visible_masks[i], amodal_masks[i]: (H, W) bool. rgba[i]: (H, W, 4) uint8. provenance[i]: (H, W) uint8, indices of
    `PROVENANCE_NAMES`. info: the content of result.json. folder: its path; without `out`, `complete` returns a result
    in a temporary folder, which is removed when nothing refers to the result any more. Raises InputError if the folder
    is not a finished result.
    """

    def __init__(self, folder: str | Path, keep: TemporaryFolder | None = None):
        self.folder = Path(folder)
        self._keep = keep
        self.info = read_result(self.folder)
        self.visible_masks: LazySequence[np.ndarray] = self._pictures(self.folder, "visible_masks", is_mask=True)
        self._read_own(self.folder)

    def _read_own(self, folder: Path) -> None:
        """Read the images that differ between hypotheses from `folder`."""
        self.amodal_masks: LazySequence[np.ndarray] = self._pictures(folder, "amodal_masks", is_mask=True)
        self.rgba: LazySequence[np.ndarray] = self._pictures(folder, "rgba")
        self.provenance: LazySequence[np.ndarray] = self._pictures(folder, "provenance")

    def _pictures(self, folder: Path, kind: str, *, is_mask: bool = False) -> LazySequence[np.ndarray]:
        # these do not refer to the completion: a cycle would keep its temporary folder until Python looks for cycles
        pictures = _Pictures(folder, kind, self._keep)
        return LazySequence(len(self), pictures.mask if is_mask else pictures)

    def __len__(self) -> int:
        return self.info["frame_count"]

    def __repr__(self) -> str:
        canvas, method = self.info["canvas"], self.info["method"]["name"]
        size = f"{canvas['width']}x{canvas['height']}"
        return f"Completion({self.folder.name!r}, {len(self)} frames, {size}, by {method})"

    def _repr_html_(self) -> str:
        """Some frames of the RGBA, for notebooks."""
        from unocclude.media.contact_sheet import contact_sheet

        return contact_sheet(self.rgba, repr(self))

    @property
    def frames(self) -> list[dict[str, Any]]:
        """For each frame: visible_area and amodal_area in pixels, occlusion_rate, provenance fractions; confidence
        where the object was tracked."""
        return self.info["frames"]

    @property
    def hypotheses(self) -> list["Completion"]:
        """The K hypotheses as completions; only this one for K = 1."""
        folders = sorted((self.folder / "hypotheses").glob("[0-9]*"), key=lambda p: int(p.name))
        return [_Hypothesis(self, folder) for folder in folders] or [self]


class _Hypothesis(Completion):
    """One hypothesis: the result.json and visible masks of the whole result, with its own images."""

    def __init__(self, whole: Completion, folder: Path):
        super().__init__(whole.folder, whole._keep)
        self.folder = folder
        self._read_own(folder)


def read_result(folder: Path) -> dict[str, Any]:
    """Read the result.json of an OUT folder; raises InputError if the folder is not a finished result."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give the OUT folder of a finished `unocclude complete`")
    try:
        info = json.loads((folder / RESULT_FILE).read_text())
        if info["schema"] == SCHEMA:
            return info
    except FileNotFoundError:
        if (folder / RUN_FILE).exists():
            raise InputError(f"{folder} holds an unfinished run; finish it with --resume") from None
        raise InputError(
            f"{folder} holds no {RESULT_FILE}; give the OUT folder of `unocclude complete`, or finish it with --resume"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{folder / RESULT_FILE} was not written by this tool; give another folder") from None
    raise InputError(
        f"{folder / RESULT_FILE} has schema {info['schema']}, this version reads {SCHEMA}; "
        "run `unocclude complete` again"
    )
