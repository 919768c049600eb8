"""MaskTrack: one object's masks over time."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from pycocotools import mask as coco

from unocclude.errors import InputError
from unocclude.media.in_memory import to_masks
from unocclude.media.rle import encode as encode_rle
from unocclude.media.rle import to_compressed_rles
from unocclude.types import ArrayLike

DOUBTFUL = 0.6
"""A mask is doubtful if its confidence, the expected IoU, is lower."""


class MaskTrack:
    """One object's masks over T frames, run-length encoded (COCO RLE), so that 10,000 frames need little memory.

    track[i]: mask of frame i, (H, W) bool. track[a:b]: the track of these frames. areas: (T,) int64, in pixels. boxes:
    (T, 4) int64, x0, y0, x1, y1 with exclusive ends; all zero for an empty mask. origin: source of the masks: "given",
    or the name of the tracker. path: the file or folder that the masks were read from, if any. confidence: (T,)
    float32, 0 to 1, the expected IoU of each mask where the object was tracked; None for given masks. notes:
    what a user should know of how they were read.
    cleaned: how many pixels were changed in how many masks, where specks were looked for.

    Raises InputError, with the number of the mask, if `counts` are not COCO RLEs of this size, and if there is not one
    confidence from 0 to 1 for each.
    """

    path: Path | None = None
    confidence: np.ndarray | None = None
    cleaned: tuple[int, int] | None = None
    _mattes: "Callable[[int], np.ndarray] | None" = None
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        counts: Sequence[bytes],
        height: int,
        width: int,
        origin: str = "given",
        confidence: np.ndarray | Sequence[float] | None = None,
    ):
        checked = _checked({"size": [height, width], "counts": given} for given in counts)
        self._fill([rle["counts"] for rle in checked], height, width, origin, confidence)

    def _fill(
        self,
        counts: list[bytes],
        height: int,
        width: int,
        origin: str,
        confidence: np.ndarray | Sequence[float] | None,
    ) -> None:
        self._counts = counts
        self.height, self.width = int(height), int(width)
        self.origin = origin
        self.confidence = None if confidence is None else _checked_confidence(confidence, len(counts))
        rles = [self.rle(i) for i in range(len(self._counts))]
        # one by one, because pycocotools 2.0.11 stores the length of a list in 8 bits, so 256 masks overflow
        self.areas = np.array([coco.area(rle) for rle in rles], dtype=np.int64)
        xywh = np.asarray(coco.toBbox(rles) if rles else [], dtype=np.int64).reshape(-1, 4)
        self.boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)

    @classmethod
    def from_masks(
        cls,
        masks: ArrayLike | Iterable[ArrayLike],
        origin: str = "given",
        *,
        confidence: np.ndarray | Sequence[float] | None = None,
    ) -> "MaskTrack":
        """Build a track from masks in memory.

        masks: (T, H, W), or a list or iterator of (H, W); or one mask (H, W). NumPy arrays, PIL images or tensors. The
        object is where a bool is True, where a value is not 0 if all others are, where a probability (floats from 0 to
        1) is above 0.5, or where the grey level of a soft mask (more than 32 levels up to 255) is at least 128.
        confidence: (T,), 0 to 1.

        Raises InputError if there are no masks or sizes differ, and for maps of several ids, logits and other shapes.
        """
        counts: list[bytes] = []
        shape: tuple[int, ...] | None = None
        for i, mask in enumerate(to_masks(masks)):
            if shape is not None and mask.shape != shape:
                raise InputError(f"mask {i} has shape {mask.shape}, expected {shape}; all must be the same size")
            shape = mask.shape
            counts.append(encode(mask))
        if shape is None:
            raise InputError("no masks given")
        return cls._of(counts, shape[0], shape[1], origin, confidence)

    @classmethod
    def from_rles(
        cls,
        rles: Iterable[Any],
        origin: str = "given",
        *,
        confidence: np.ndarray | Sequence[float] | None = None,
    ) -> "MaskTrack":
        """Build a track from COCO RLEs, {size: [h, w], counts: text, bytes or a list} each, without decoding them.

        confidence: (T,), 0 to 1. Raises InputError if there are none, sizes differ, or one is invalid.
        """
        return cls.from_valid_rles(_checked(rles), origin, confidence)

    @classmethod
    def from_valid_rles(
        cls,
        checked: list[dict[str, Any]],
        origin: str = "given",
        confidence: np.ndarray | Sequence[float] | None = None,
    ) -> "MaskTrack":
        """As `from_rles`, for RLEs that are known to be valid."""
        if not checked:
            raise InputError("no masks given")
        sizes: set[tuple[int, int]] = {tuple(rle["size"]) for rle in checked}
        if len(sizes) > 1:
            found = ", ".join(f"{width}x{height}" for height, width in sorted(sizes)[:5])
            raise InputError(f"masks of sizes {found} in one clip; all must be the same")
        return cls._of([rle["counts"] for rle in checked], *sizes.pop(), origin, confidence)

    @classmethod
    def _of(
        cls,
        counts: list[bytes],
        height: int,
        width: int,
        origin: str,
        confidence: np.ndarray | Sequence[float] | None = None,
    ) -> "MaskTrack":
        """Build a track from counts that are known to be valid."""
        track = cls.__new__(cls)
        track._fill(counts, height, width, origin, confidence)
        return track

    def for_all_frames(self, count: int) -> "MaskTrack":
        """This track; or, if it is a single still mask, that mask in each of `count` frames."""
        if len(self) != 1 or count == 1:
            return self
        track = self._of(self._counts * count, self.height, self.width, self.origin)
        track.path, track.notes = self.path, self.notes
        return track

    def matte(self, i: int) -> np.ndarray | None:
        """Opacity of mask i, (H, W) uint8, read from its file again; None unless the masks are soft images."""
        return None if self._mattes is None else self._mattes(i)

    def replaced(self, counts: Mapping[int, bytes]) -> "MaskTrack":
        """This track with other masks in some frames. counts: what `encode` returns, by frame number."""
        merged = [counts.get(i, given) for i, given in enumerate(self._counts)]
        track = self._of(merged, self.height, self.width, self.origin, self.confidence)
        track.path, track.notes, track.cleaned, track._mattes = self.path, self.notes, self.cleaned, self._mattes
        return track

    def rle(self, i: int) -> dict:
        """Mask i as a COCO RLE."""
        return {"size": [self.height, self.width], "counts": self._counts[i]}

    def __len__(self) -> int:
        return len(self._counts)

    @overload
    def __getitem__(self, i: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, i: slice) -> "MaskTrack": ...
    def __getitem__(self, i: int | slice) -> "np.ndarray | MaskTrack":
        if isinstance(i, slice):
            return self._part(range(len(self))[i])
        if not -len(self) <= i < len(self):
            raise IndexError(f"frame {i} of a track of {len(self)} frames")
        return coco.decode(self.rle(i % len(self))).astype(bool)

    def _part(self, numbers: range) -> "MaskTrack":
        if not numbers or numbers.step < 1:
            raise InputError("a part of a track needs at least one frame, in the track's order")
        confidence = None if self.confidence is None else self.confidence[numbers]
        part = self._of([self._counts[i] for i in numbers], self.height, self.width, self.origin, confidence)
        part.path, part.notes = self.path, self.notes
        return part

    def __repr__(self) -> str:
        source = self.origin if self.origin == "given" else f"tracked by {self.origin}"
        visible = np.count_nonzero(self.areas)
        return f"MaskTrack({len(self)} masks, {self.width}x{self.height}, visible in {visible}, {source})"

    def _repr_html_(self) -> str:
        """Some masks, for notebooks."""
        from unocclude.media.contact_sheet import contact_sheet

        return contact_sheet(self, repr(self))

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    @property
    def fingerprint(self) -> str:
        """A hash of all masks; equal for equal masks, whatever file they were read from."""
        digest = hashlib.sha256(f"{self.height}x{self.width}".encode())
        for counts in self._counts:
            digest.update(counts + b"\0")
        return digest.hexdigest()[:16]


def _checked_confidence(given: np.ndarray | Sequence[float], count: int) -> np.ndarray:
    confidence = np.asarray(given, np.float32)
    if confidence.shape != (count,) or not ((confidence >= 0) & (confidence <= 1)).all():
        raise InputError(f"a track of {count} masks has {confidence.shape} confidences; give one from 0 to 1 for each")
    return confidence


def _checked(rles: Iterable[Any]) -> list[dict[str, Any]]:
    try:
        return to_compressed_rles(rles)
    except ValueError as error:
        raise InputError(str(error)) from None


def encode(mask: np.ndarray) -> bytes:
    """Encode an (H, W) mask, in which non-zero is the object, as COCO RLE counts."""
    return encode_rle(mask)["counts"]
