"""MaskTrack: one object's masks over time."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from unocclude.errors import InputError
from unocclude.media.rle import to_compressed_rles

DOUBTFUL = 0.6
"""A mask is doubtful if its confidence, the expected IoU, is lower."""


class MaskTrack:
    """One object's masks over T frames, run-length encoded (COCO RLE), so that 10,000 frames need little memory.

    track[i]: mask of frame i, (H, W) bool. areas: (T,) int64, in pixels. boxes: (T, 4) int64, x0, y0, x1, y1 with
    exclusive ends; all zero for an empty mask. origin: source of the masks: "given", or the name of the tracker. path:
    the file or folder that the masks were read from, if any. confidence: (T,) float32, 0 to 1, the expected IoU of each
    mask where the object was tracked; None for given masks.

    Raises InputError, with the number of the mask, if `counts` are not COCO RLEs of this size.
    """

    path: Path | None = None
    confidence: np.ndarray | None = None

    def __init__(
        self,
        counts: Sequence[bytes],
        height: int,
        width: int,
        origin: str = "given",
        confidence: np.ndarray | None = None,
    ):
        checked = _checked({"size": [height, width], "counts": given} for given in counts)
        self._fill([rle["counts"] for rle in checked], height, width, origin)
        self.confidence = confidence

    def _fill(self, counts: list[bytes], height: int, width: int, origin: str) -> None:
        self._counts = counts
        self.height, self.width = int(height), int(width)
        self.origin = origin
        rles = [self._rle(i) for i in range(len(self._counts))]
        # one by one, because pycocotools 2.0.11 stores the length of a list in 8 bits, so 256 masks overflow
        self.areas = np.array([coco.area(rle) for rle in rles], dtype=np.int64)
        xywh = np.asarray(coco.toBbox(rles) if rles else [], dtype=np.int64).reshape(-1, 4)
        self.boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)

    @classmethod
    def from_masks(cls, masks: Iterable[np.ndarray], origin: str = "given") -> "MaskTrack":
        """Build a track from (H, W) arrays of any dtype; non-zero pixels are the object.

        Raises InputError if there are no masks or sizes differ.
        """
        counts: list[bytes] = []
        shape: tuple[int, ...] | None = None
        for i, mask in enumerate(masks):
            if mask.ndim != 2 or (shape is not None and mask.shape != shape):
                raise InputError(f"mask {i} has shape {mask.shape}, expected {shape or '(H, W)'}")
            shape = mask.shape
            counts.append(encode(mask))
        if shape is None:
            raise InputError("no masks given")
        return cls._of(counts, shape[0], shape[1], origin)

    @classmethod
    def from_rles(cls, rles: Iterable[Any], origin: str = "given") -> "MaskTrack":
        """Build a track from COCO RLEs, {size: [h, w], counts: text, bytes or a list} each, without decoding them.

        Raises InputError if there are none, sizes differ, or one is invalid.
        """
        return cls._joined(_checked(rles), origin)

    @classmethod
    def _joined(cls, checked: list[dict[str, Any]], origin: str = "given") -> "MaskTrack":
        if not checked:
            raise InputError("no masks given")
        sizes: set[tuple[int, int]] = {tuple(rle["size"]) for rle in checked}
        if len(sizes) > 1:
            found = ", ".join(f"{width}x{height}" for height, width in sorted(sizes)[:5])
            raise InputError(f"masks of sizes {found} in one clip; all must be the same")
        return cls._of([rle["counts"] for rle in checked], *sizes.pop(), origin)

    @classmethod
    def _of(cls, counts: list[bytes], height: int, width: int, origin: str) -> "MaskTrack":
        """Build a track from counts that are known to be valid."""
        track = cls.__new__(cls)
        track._fill(counts, height, width, origin)
        return track

    def _rle(self, i: int) -> dict:
        return {"size": [self.height, self.width], "counts": self._counts[i]}

    def __len__(self) -> int:
        return len(self._counts)

    def __getitem__(self, i: int) -> np.ndarray:
        if not -len(self) <= i < len(self):
            raise IndexError(f"frame {i} of a track of {len(self)} frames")
        return coco.decode(self._rle(i % len(self))).astype(bool)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    @property
    def fingerprint(self) -> str:
        """A hash of all masks; equal for equal masks, whatever file they were read from."""
        digest = hashlib.sha256(f"{self.height}x{self.width}".encode())
        for counts in self._counts:
            digest.update(counts + b"\0")
        return digest.hexdigest()[:16]


def _checked(rles: Iterable[Any]) -> list[dict[str, Any]]:
    try:
        return to_compressed_rles(rles)
    except ValueError as error:
        raise InputError(str(error)) from None


def encode(mask: np.ndarray) -> bytes:
    """Encode an (H, W) mask, in which non-zero is the object, as COCO RLE counts."""
    return coco.encode(np.asfortranarray(mask != 0, dtype=np.uint8))["counts"]


def read_masks(path: str | Path, *, object_id: int | None = None) -> MaskTrack:
    """Read a track from any supported mask format (see `unocclude.media.masks.read`).

    Raises InputError if files cannot be read, sizes differ, or the masks are empty in all frames.
    """
    track = read_track(Path(path), object_id)
    if not track.areas.any():
        raise InputError(f"{path}: the masks are empty in all {len(track)} frames; the object must be visible in one")
    return track


def read_track(path: Path, object_id: int | None = None) -> MaskTrack:
    """As `read_masks`, but the masks may be empty in all frames."""
    track = _read(path, object_id)
    track.path = path
    return track


def read_object_tracks(path: str | Path) -> dict[int, tuple[str, MaskTrack]]:
    """Read the masks of all objects at a path, id → (name, track); the name is "" where the files have none.

    Formats as `unocclude.media.object_masks.read_object_rles` lists them. Objects that are empty in all frames are left
    out. Raises InputError if files cannot be read, sizes differ, or no object is left.
    """
    from unocclude.media.object_masks import read_object_rles

    path = Path(path)
    tracks: dict[int, tuple[str, MaskTrack]] = {}
    for number, (name, rles) in read_object_rles(path).items():
        try:
            track = MaskTrack.from_rles(rles)
        except InputError as error:
            raise InputError(f"{path}: object {number}: {error}") from None
        track.path = path
        if track.areas.any():
            tracks[number] = (name, track)
    if not tracks:
        raise InputError(f"{path}: the masks are empty in all frames; an object must be visible in at least one")
    return tracks


def _read(path: Path, object_id: int | None) -> MaskTrack:
    from unocclude.media import masks as files

    if path.suffix.lower() != ".json" or not path.exists() or path.is_dir():
        return MaskTrack.from_masks(files.read(path, object_id=object_id))
    rles = files.read_rles(path, object_id)
    try:  # not decoded, because a few bytes can encode gigabytes of empty frames
        return MaskTrack._joined(rles)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
