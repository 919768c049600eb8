"""Source clips for pseudo-occluded data: clips with masks, and the frames in which their object is unoccluded."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unocclude import weights as checkpoints
from unocclude.datasets import DATASETS, open_dataset, root_of
from unocclude.datasets.base import Sample
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
        track = _masks(self.folder / ("amodal_masks" if has else "visible_masks"))
        read = {int(i): _sized(track[int(i)].astype(np.uint8) * 255, size) > 127 for i in np.unique(numbers)}
        return [read[int(i)] for i in numbers]


@dataclass(frozen=True)
class SampleClip(SourceClip):
    """A source that is an object of a data set. spec: the argument of `open_dataset`; key: the sample's name."""

    spec: str = ""
    key: str = ""

    def frames(self, numbers: Sequence[int] | np.ndarray, size: tuple[int, int] | None) -> list[np.ndarray]:
        clip = _opened(self.spec)[self.key].clip
        read = {int(i): _sized(clip[int(i)], size) for i in np.unique(numbers)}
        return [read[int(i)] for i in numbers]

    def masks(
        self, numbers: Sequence[int] | np.ndarray, size: tuple[int, int] | None, amodal: bool = False
    ) -> list[np.ndarray]:
        sample = _opened(self.spec)[self.key]
        whole = sample.truth.amodal if amodal and sample.has_truth else None
        track = sample.visible if whole is None else whole
        read = {int(i): _sized(track[int(i)].astype(np.uint8) * 255, size) > 127 for i in np.unique(numbers)}
        return [read[int(i)] for i in numbers]


@lru_cache(maxsize=8)
def _masks(folder: Path) -> MaskTrack:
    """The masks in a folder, read once in each process; run-length encoded they are small."""
    return read_masks(folder)


@lru_cache(maxsize=8)
def _opened(spec: str) -> dict[str, Sample]:
    """The samples of a data set by name, opened once in each process."""
    return {sample.name: sample for sample in open_dataset(spec)}


def _sized(image: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    if size is None or image.shape[1::-1] == size:
        return image
    smaller = image.shape[1] > size[0] or image.shape[0] > size[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def find_sources(specs: Sequence[str | Path]) -> tuple[list[SourceClip], dict[str, str]]:
    """The source clips of several places, and why other clips were left out, by name.

    specs: folders of clips (see `find_source_clips`), or data sets as KIND:PATH, every object of which is a source
    where it is unoccluded. Raises InputError if there is none.
    """
    sources: list[SourceClip] = []
    refused: dict[str, str] = {}
    for spec in map(str, specs):
        kind, colon, _ = spec.partition(":")
        found, others = find_sample_clips(spec) if colon and kind in DATASETS else find_source_clips(spec)
        sources += found
        refused |= others
    return sources, refused


def find_sample_clips(spec: str) -> tuple[list[SourceClip], dict[str, str]]:
    """The objects of a data set, each cut to its longest unoccluded run, and why others were left out, by name."""
    kind, root = spec.partition(":")[0], root_of(spec)
    sources: list[SourceClip] = []
    refused: dict[str, str] = {}
    for sample in _opened(spec).values():
        notes = sample.truth.notes if sample.has_truth else {}
        whole = sample.truth.amodal if sample.has_truth else None
        name = f"{kind}/{sample.name}"
        run = longest_run(is_unoccluded(sample.visible, whole, notes))
        if reason := _too_short(run, len(sample.visible)):
            refused[name] = reason
            continue
        label = str(notes.get("class") or sample.text or sample.name)
        sources.append(
            SampleClip(
                name, root if root.is_dir() else root.parent, kind, label, str(notes.get("caption") or label), *run,
                sample.clip.fps, spec, sample.name,
            )
        )  # fmt: skip
    return sources, refused


def _too_short(run: tuple[int, int], count: int) -> str:
    """Why a run of unoccluded frames cannot be used; "" if it can."""
    length = run[1] - run[0]
    return f"unoccluded for {length} frames in a row at most" if length < min(SHORTEST, count) else ""


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
    if reason := _too_short((first, last), len(track)):
        return reason
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

    By amodal_masks/ or the "occlusion_rate" in meta.json if present, else a guess (see `is_unoccluded`).
    """
    whole = read_masks(folder / "amodal_masks") if (folder / "amodal_masks").is_dir() else None
    if whole is not None and len(whole) != len(track):
        raise InputError(f"{folder} has {len(whole)} amodal and {len(track)} visible masks; give one a frame")
    return is_unoccluded(track, whole, meta)


def is_unoccluded(track: MaskTrack, whole: MaskTrack | None, meta: Mapping[str, Any]) -> np.ndarray:
    """In which frames an object is unoccluded, (T,) bool.

    track: its visible masks. whole: its amodal masks, if known; else the "occlusion_rate" in `meta` decides. Without
    either it is a guess from the visible mask: in one piece, hardly touching the frame's border, and not suddenly
    smaller than in neighbouring frames.
    """
    if whole is not None:
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
