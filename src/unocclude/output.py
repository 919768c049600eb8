"""Images in the OUT folders of `complete`, `track` and `layers`: written frame by frame, checked to resume a run."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unocclude.completion import PROVENANCE_NAMES, PROVENANCE_PALETTE, FrameResult
from unocclude.errors import InputError
from unocclude.layout import RESULT_FILE, remove_below
from unocclude.media import files
from unocclude.media.images import is_complete_png, png_bytes, read_png
from unocclude.outfolder import OutFolder

# provenance is written last, so a frame with provenance is complete
KINDS = ("amodal_masks", "rgba", "provenance")
PLATE_KINDS = ("rgb", "edges", "provenance")
AT_ONCE = 64
"""Number of visible masks that are written together."""


class _ImageFolder(OutFolder, ABC):
    """An OUT folder with images of `count` frames. size: (height, width) of the images."""

    def __init__(self, *args: Any, count: int, size: tuple[int, int], **more: Any):
        self.count, self.size = count, size
        self._made: set[Path] = set()
        super().__init__(*args, **more)

    @abstractmethod
    def kinds(self) -> tuple[str, ...]:
        """The folders of images."""

    def is_complete(self) -> bool:
        """Whether every image exists, has the right size and is not truncated."""
        folders = [self.path / kind for kind in self.kinds()]
        return all(is_complete_png(folder / _name(i), self.size) for folder in folders for i in range(self.count))

    def _write_masks(self, kind: str, masks: Iterable[np.ndarray]) -> None:
        folder, masks = self._folder(kind), iter(masks)
        for numbers in _chunks(range(self.count), AT_ONCE):
            with files.FileBatch() as batch:
                for i, mask in zip(numbers, masks, strict=False):
                    batch.add(folder / _name(i), png_bytes(_grey(mask)))

    def _is_good(self, kind: str, i: int) -> bool:
        file = self.path / kind / _name(i)
        try:
            return file.is_file() and read_png(file).shape[:2] == self.size
        except InputError:
            return False

    def _folder(self, kind: str) -> Path:
        """The folder of a kind of image, created once. If it is removed during the run, it is not created again."""
        folder = self.path
        for part in kind.split("/"):
            folder = folder / part
            if folder not in self._made:
                folder.mkdir(exist_ok=True)
                files.sync(folder.parent)
                self._made.add(folder)
        return folder


class TrackFolder(_ImageFolder):
    """An OUT folder of `track`. objects: the sub-folder of each object, or "" for one object alone."""

    def __init__(self, *args: Any, objects: Sequence[str], **more: Any):
        self._objects = objects
        super().__init__(*args, **more)

    def kinds(self) -> tuple[str, ...]:
        return tuple(f"{folder}/visible_masks".lstrip("/") for folder in self._objects)

    def write(self, tracks: Sequence[Iterable[np.ndarray]]) -> None:
        """Write the visible masks of each object, (H, W) bool, in order."""
        for kind, masks in zip(self.kinds(), tracks, strict=True):
            self._write_masks(kind, masks)


class LayersFolder(_ImageFolder):
    """An OUT folder of `layers`. ids: of the objects; each has an OUT folder of `complete` of its own."""

    def __init__(self, *args: Any, ids: Sequence[int], **more: Any):
        self.ids = ids
        super().__init__(*args, **more)

    def kinds(self) -> tuple[str, ...]:
        return tuple(f"background/{kind}" for kind in PLATE_KINDS)

    def object(self, number: int) -> Path:
        """The OUT folder of an object."""
        return self.path / "objects" / str(number)

    def is_complete(self) -> bool:
        return super().is_complete() and all((self.object(number) / RESULT_FILE).is_file() for number in self.ids)

    def masks_done(self, number: int) -> bool:
        """Whether all visible masks of an object are there."""
        return all(
            is_complete_png(self.object(number) / "visible_masks" / _name(i), self.size) for i in range(self.count)
        )

    def visible(self, number: int, i: int) -> np.ndarray:
        """Visible mask i of an object, (H, W) bool, of the size of the canvas."""
        return read_png(self.object(number) / "visible_masks" / _name(i)) > 127

    def start_objects(self) -> None:
        """Make the folder of the objects' folders, without what an earlier run left there."""
        if (self.path / "objects").is_dir():
            remove_below(self.path, "objects", self.result)
        self._folder("objects")

    def plates_done(self) -> int:
        """Number of consecutive frames, from the first, whose clean plate a resumed run has already written."""
        if not self.resumed:
            return 0
        kinds = self.kinds()
        return next((i for i in range(self.count) if not all(self._is_good(kind, i) for kind in kinds)), self.count)

    def write_plate(self, i: int, images: dict[str, bytes]) -> None:
        """Write the clean plate of frame i, as `encode_plate` returns it."""
        with files.FileBatch() as batch:
            for kind, data in images.items():
                batch.add(self._folder(f"background/{kind}") / _name(i), data)


def encode_plate(rgb: np.ndarray, edges: np.ndarray, provenance: np.ndarray) -> dict[str, bytes]:
    """A clean plate, (H, W, 3) and (H, W, 4) uint8, as PNG files, with its provenance (H, W) uint8 last."""
    palettes = (None, None, PROVENANCE_PALETTE)
    pictures = zip(PLATE_KINDS, (rgb, edges, provenance), palettes, strict=True)
    return {kind: png_bytes(image, palette) for kind, image, palette in pictures}


class PictureFolder(_ImageFolder):
    """An OUT folder of `complete`. hypotheses: number of samples of each frame."""

    def __init__(self, *args: Any, hypotheses: int = 1, **more: Any):
        self.hypotheses = hypotheses
        # a separate thread, so that the method can compute while files are written
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="unocclude-writer")
        self._writing: Future[None] | None = None
        super().__init__(*args, **more)

    def kinds(self) -> tuple[str, ...]:
        return (*self._frame_kinds(), "visible_masks")

    def _frame_kinds(self) -> tuple[str, ...]:
        samples = range(1, self.hypotheses + 1) if self.hypotheses > 1 else ()
        sampled = [f"hypotheses/{k}/{kind}" for k in samples for kind in KINDS]
        return (*sampled, *(["disagreement"] if sampled else []), *KINDS)

    # Visible masks ----------------------------------------------------------------------------------------------

    def masks_done(self) -> bool:
        """Whether a resumed run has all visible masks and they can be read."""
        return self.resumed and all(self._is_good("visible_masks", i) for i in range(self.count))

    def visible(self, i: int) -> np.ndarray:
        """Visible mask i of a resumed run, (H, W) bool, of the size of the canvas."""
        return read_png(self.path / "visible_masks" / _name(i)) > 127

    def write_visible(self, masks: Iterable[np.ndarray]) -> None:
        """Write all visible masks, (H, W) bool of the size of the canvas, in order."""
        self._write_masks("visible_masks", masks)

    # Frames -----------------------------------------------------------------------------------------------------

    def missing_frames(self) -> list[int]:
        """The frames that are still to be written; of a resumed run, those that are not complete."""
        if not self.resumed:
            return list(range(self.count))
        kinds = self._frame_kinds()
        return [i for i in range(self.count) if not all(self._is_good(kind, i) for kind in kinds)]

    def write_frame(self, frame: "FrameResult | EncodedFrame") -> None:
        """Write the images of one frame together in the background, provenance last.

        They exist when the next call of this function or of `finish` returns; these also raise exceptions of the write.
        """
        self._wait()
        self._writing = self._writer.submit(self._write_frame, frame)

    def _wait(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def finish(self, *args: Any, **more: Any) -> None:
        self._wait()
        super().finish(*args, **more)

    def release(self) -> None:
        self._writer.shutdown()
        super().release()

    def _write_frame(self, frame: "FrameResult | EncodedFrame") -> None:
        encoded = frame if isinstance(frame, EncodedFrame) else encode_frame(frame, self.hypotheses)
        with files.FileBatch() as batch:
            for kind, data in encoded.images.items():
                batch.add(self._folder(kind) / _name(encoded.index), data)

    def figures(self, i: int, visible_area: int) -> dict[str, Any]:
        """`frame_figures` of a frame that is already on disk."""
        return frame_figures(count_provenance(read_png(self.path / "provenance" / _name(i))), visible_area)


@dataclass(frozen=True)
class EncodedFrame:
    """The images of a frame as PNG files.

    images: kind → content, in the order of writing. provenance: (4,), as `count_provenance` returns it.
    """

    index: int
    images: dict[str, bytes]
    provenance: np.ndarray


def encode_frame(result: FrameResult, hypotheses: int) -> EncodedFrame:
    """Encode all images of a frame."""
    images: dict[str, bytes] = {}
    # a frame in which nothing was sampled is the same in all hypotheses
    sampled = (result.hypotheses or (result,) * hypotheses) if hypotheses > 1 else ()
    for k, hypothesis in enumerate(sampled, start=1):
        _encode(images, f"hypotheses/{k}/", hypothesis)
    if sampled:
        images["disagreement"] = png_bytes(result.disagreement)
    _encode(images, "", result)
    return EncodedFrame(result.index, images, count_provenance(result.provenance))


def _encode(images: dict[str, bytes], prefix: str, result: FrameResult) -> None:
    images[prefix + KINDS[0]] = png_bytes(_grey(result.amodal))
    images[prefix + KINDS[1]] = png_bytes(result.rgba)
    images[prefix + KINDS[2]] = png_bytes(result.provenance, PROVENANCE_PALETTE)


def _name(i: int) -> str:
    return f"{i:05d}.png"


def _chunks(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (numbers[k : k + size] for k in range(0, len(numbers), size))


def count_provenance(provenance: np.ndarray) -> np.ndarray:
    """Number of pixels of each provenance, (4,)."""
    return np.bincount(provenance.ravel(), minlength=len(PROVENANCE_NAMES))


def frame_figures(counts: np.ndarray, visible_area: int) -> dict[str, Any]:
    """visible_area and amodal_area in pixels, occlusion_rate = 1 - |M| / |A|, and provenance fractions.

    counts: as `count_provenance` returns them.
    """
    area = int(counts[1:].sum())
    return {
        "visible_area": int(visible_area),
        "amodal_area": area,
        "occlusion_rate": round(1 - visible_area / area, 6) if area else 0.0,
        "provenance": {
            name: round(int(count) / area, 6) if area else 0.0
            for name, count in zip(PROVENANCE_NAMES[1:], counts[1:], strict=False)
        },
    }


def _grey(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.uint8) * 255
