"""Source clips for pseudo-occluded data: clips with masks, and the frames in which their object is unoccluded."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unocclude import weights as checkpoints
from unocclude.errors import InputError
from unocclude.mask_files import read_masks
from unocclude.masks import MaskTrack
from unocclude.media.files import natural_key
from unocclude.media.folder import image_files
from unocclude.media.images import image_size, read_image
from unocclude.perception.caption import DEFAULT, Captioner

VISIBILITY = 0.95
"""An object counts as unoccluded from this visible fraction on (Diffusion-VAS section 3.4, "above 95%")."""
SHORTEST = 4
"""Minimum length of a run of unoccluded frames; longer clips play it back and forth."""


@dataclass(frozen=True)
class SourceClip:
    """A clip of one object, unoccluded in frames first to last - 1.

    dataset: its origin, for statistics. caption: a description of the object, by default its class name.
    """

    name: str
    folder: Path
    dataset: str
    label: str
    caption: str
    first: int
    last: int
    fps: float

    def window(self, frames: int | None, rng: np.random.Generator) -> np.ndarray:
        """Frame numbers (T,): the whole run if `frames` is None, else a random part of it; back and forth if it is
        shorter."""
        length = self.last - self.first
        if frames is None:
            return np.arange(self.first, self.last)
        if length >= frames:
            return np.arange(frames) + self.first + int(rng.integers(length - frames + 1))
        turn = np.arange(frames) % max(1, 2 * length - 2)
        return self.first + np.where(turn < length, turn, 2 * length - 2 - turn)

    def frames(self, numbers: Sequence[int] | np.ndarray, size: tuple[int, int] | None) -> list[np.ndarray]:
        """Frames (H, W, 3) uint8 RGB, resized to `size` (width, height); the aspect ratio is not kept."""
        files = image_files(self.folder / "frames")
        read = {int(i): _sized(read_image(files[i]), size) for i in np.unique(numbers)}
        return [read[int(i)] for i in numbers]

    def masks(
        self, numbers: Sequence[int] | np.ndarray, size: tuple[int, int] | None, amodal: bool = False
    ) -> list[np.ndarray]:
        """Masks (H, W) bool: the visible ones or, with `amodal`, the amodal ones if the source has any."""
        has = amodal and (self.folder / "amodal_masks").is_dir()
        track = read_masks(self.folder / ("amodal_masks" if has else "visible_masks"))
        read = {int(i): _sized(track[int(i)].astype(np.uint8) * 255, size) > 127 for i in np.unique(numbers)}
        return [read[int(i)] for i in numbers]


def _sized(image: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    if size is None or image.shape[1::-1] == size:
        return image
    smaller = image.shape[1] > size[0] or image.shape[0] > size[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def find_source_clips(folder: str | Path) -> tuple[list[SourceClip], dict[str, str]]:
    """Find source clips whose object is unoccluded for at least `SHORTEST` frames in a row (or in its only frame).

    Each is cut to its longest such run. Also returns why the other clips were left out, by name.

    A source is a folder with frames/ and visible_masks/, `folder`/CLIP or `folder`/DATASET/CLIP; its meta.json may
    give "class", "caption", "dataset", "fps" and "occlusion_rate" (one a frame).
    Raises InputError if there is no source at all, or one cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give a folder of sources (each with frames/ and visible_masks/)")
    found = [(p, folder.absolute().name) for p in _below(folder) if _is_source(p)]
    found += [(q, p.name) for p in _below(folder) if not _is_source(p) for q in _below(p) if _is_source(q)]
    if not found:
        raise InputError(f"{folder} holds no source; one is a folder with frames/ and visible_masks/")
    sources, refused = [], {}
    for path, dataset in found:
        source = _inspect(path, str(path.relative_to(folder)), dataset)
        if isinstance(source, str):
            refused[str(path.relative_to(folder))] = source
        else:
            sources.append(source)
    return sources, refused


def caption(sources: Sequence[SourceClip], weights: str | Path | None = None) -> list[SourceClip]:
    """Caption sources that have no caption with BLIP-2, from the object on white in its first unoccluded frame (TGVAC,
    figure 2).

    weights: see `perception.caption`; None for the published checkpoint. Without it captions stay the class names.
    """
    if weights is None:
        try:
            checkpoints.resolve_checkpoint(DEFAULT)
        except InputError:
            return list(sources)
    captioner, captioned = Captioner(weights or DEFAULT), []
    for source in sources:
        if source.caption == source.label:
            [picture], [mask] = source.frames([source.first], None), source.masks([source.first], None)
            ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            alone = np.where(mask[..., None], picture, 255).astype(np.uint8)
            source = replace(source, caption=captioner(alone[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]) or source.label)
        captioned.append(source)
    return captioned


def _below(folder: Path) -> list[Path]:
    return sorted((p for p in folder.iterdir() if p.is_dir()), key=lambda p: natural_key(p.name))


def _is_source(folder: Path) -> bool:
    return (folder / "frames").is_dir() and (folder / "visible_masks").is_dir()


def _inspect(folder: Path, name: str, dataset: str) -> SourceClip | str:
    """The source cut to its longest unoccluded run, or the reason why it cannot be used."""
    meta = _meta(folder)
    files, track = image_files(folder / "frames"), read_masks(folder / "visible_masks")
    if len(files) != len(track):
        raise InputError(f"{folder} has {len(files)} frames and {len(track)} visible masks; give one a frame")
    if image_size(files[0]) != (track.height, track.width):
        raise InputError(f"{folder}: the masks are {track.width}x{track.height}, the frames are not")
    first, last = longest_run(unoccluded(folder, track, meta))
    if last - first < min(SHORTEST, len(track)):
        return f"unoccluded for {last - first} frames in a row at most"
    label = str(meta.get("class") or meta.get("object") or folder.name)
    source = SourceClip(name, folder.absolute(), str(meta.get("dataset") or dataset), label, label, first, last,
                    float(meta.get("fps") or 24))  # fmt: skip
    return replace(source, caption=str(meta.get("caption") or label))


def _meta(folder: Path) -> dict[str, Any]:
    try:
        meta = json.loads((folder / "meta.json").read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / 'meta.json'} cannot be read ({error}); fix or remove it") from None
    return meta if isinstance(meta, dict) else {}


def unoccluded(folder: Path, track: MaskTrack, meta: dict[str, Any]) -> np.ndarray:
    """In which frames the object is unoccluded, (T,) bool.

    By amodal_masks/ or the "occlusion_rate" in meta.json if present. Otherwise a guess from the visible mask: in one
    piece, hardly touching the frame's border, and not suddenly smaller than in neighbouring frames.
    """
    if (folder / "amodal_masks").is_dir():
        whole = read_masks(folder / "amodal_masks")
        if len(whole) != len(track):
            raise InputError(f"{folder} has {len(whole)} amodal and {len(track)} visible masks; give one a frame")
        return (track.areas > 0) & (track.areas >= VISIBILITY * whole.areas)
    rates = meta.get("occlusion_rate")
    if isinstance(rates, list) and len(rates) == len(track):
        return (track.areas > 0) & (np.array(rates, float) <= 1 - VISIBILITY)
    usual = np.array([np.median(track.areas[max(0, i - 12) : i + 13]) for i in range(len(track))])
    clear = (track.areas >= 0.7 * usual) & (track.areas > 0.002 * track.height * track.width)
    for i in np.flatnonzero(clear):
        mask = track[int(i)].astype(np.uint8)
        border = sum(int(edge.sum()) for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
        pieces = cv2.connectedComponentsWithStats(mask, connectivity=8)[2][1:, cv2.CC_STAT_AREA]
        clear[i] = border <= 0.1 * np.sqrt(track.areas[i]) and pieces.max() >= 0.9 * track.areas[i]
    return clear


def longest_run(flags: np.ndarray) -> tuple[int, int]:
    """Start and exclusive end of the longest run of True, the first one of several; (0, 0) if there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return 0, 0
    k = int((ends - starts).argmax())
    return int(starts[k]), int(ends[k])
