"""Sources of clips with ground truth: generated on the fly, any supported data set, or WebDataset shards."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np

from unocclude.datasets import open_dataset
from unocclude.datasets.base import Sample
from unocclude.errors import InputError
from unocclude.media.images import png_pixels
from unocclude.media.limits import MAX_DECODED, decoding
from unocclude.synthesis.dataset_spec import prepare_dataset_spec, read_size
from unocclude.synthesis.shards import Member, list_shard, read_clip, read_picture
from unocclude.synthesis.world import World

SYNTH, SHARDS = "synth:", "shards:"
_PARTS = ("frames", "visible_masks", "amodal_masks", "amodal_rgb")


@dataclass(frozen=True)
class ClipSource:
    """`count` scenes for training; `make(i)` returns the worlds of scene i, one per object.

    spec: `synth:KIND?count=N&seed=S&frames=T&size=WxH` for clips generated as by `unocclude synth`; `shards:FOLDER` for
    the output of `unocclude synth --shards`; else a data set as in `unocclude.datasets.open_dataset`. without: classes
    to exclude, for example to hold them out for evaluation. content: whether the objects' hidden content is needed; a
    data set that does not have it is then refused.
    """

    spec: str
    without: tuple[str, ...] = ()
    content: bool = False

    @property
    def count(self) -> int:
        """The number of scenes; raises InputError if the source cannot be used."""
        if self.spec.startswith(SYNTH):
            return _recipe(self.spec)[1]
        if self.spec.startswith(SHARDS):
            return len(_shard_clips(self.spec))
        return len(self._known_samples())

    def make(self, i: int) -> list[World]:
        """The worlds of scene i, except those of a class in `without`."""
        if self.spec.startswith(SYNTH):
            worlds = _recipe(self.spec)[0].make(i)
        elif self.spec.startswith(SHARDS):
            worlds = [_from_shard(*_shard_clips(self.spec)[i])]
        else:
            worlds = [_from_sample(self._known_samples()[i], self.content)]
        return [world for world in worlds if world.about.get("class") not in self.without]

    def _known_samples(self) -> list[Sample]:
        samples = _samples(self.spec)
        if self.content and samples[0].truth.rgb is None:
            raise InputError(
                f"{self.spec}: {samples[0].name} has no hidden content to train on; use a data set with amodal RGB, as "
                "`unocclude synth carve` makes from this one"
            )
        return samples


@lru_cache(maxsize=16)
def _recipe(spec: str) -> tuple[Any, int]:
    kind, _, query = spec.removeprefix(SYNTH).partition("?")
    options = dict(parse_qsl(query))
    known = {"count", "seed", "frames", "size", "sources"}
    if unknown := options.keys() - known:
        raise InputError(f"{spec}: no option {min(unknown)}; there are {', '.join(sorted(known))}")
    try:
        count, seed, frames = (int(options.get(name, 0)) for name in ("count", "seed", "frames"))
    except ValueError:
        raise InputError(f"{spec}: count, seed and frames must be numbers") from None
    if count < 1:
        raise InputError(f"{spec}: give count=N, 1 or more")
    size = read_size(options["size"]) if "size" in options else None
    sources = [options["sources"]] if "sources" in options else []
    return prepare_dataset_spec(kind, seed, frames or None, size, sources), count


@lru_cache(maxsize=16)
def _samples(spec: str) -> list[Sample]:
    samples = open_dataset(spec)
    for sample in samples:
        if not sample.has_truth:
            raise InputError(f"{spec}: {sample.name} has no ground truth, which training needs; use another data set")
    return samples


def _from_sample(sample: Sample, content: bool) -> World:
    truth, clip = sample.truth, sample.clip
    if content and truth.rgb is None:
        raise InputError(f"{sample.origin}: {sample.name} has no hidden content to train on; leave it out")
    if truth.amodal is None:
        raise InputError(f"{sample.name} has only boxes as ground truth; training needs masks")
    numbers = range(len(clip))
    frames, visible = [clip[i] for i in numbers], [truth.visible[i] for i in numbers]
    amodal = [truth.amodal[i] for i in numbers]
    rgb = [truth.rgb(i) if truth.rgb is not None else np.zeros_like(frames[i]) for i in numbers]
    return World(frames, visible, amodal, rgb, [], clip.fps, about=dict(truth.notes))


@lru_cache(maxsize=16)
def _shard_clips(spec: str) -> list[tuple[Path, str, dict[str, Member]]]:
    folder = Path(spec.removeprefix(SHARDS))
    found = [(path, *clip) for path in sorted(folder.glob("*.tar")) for clip in list_shard(path).items()]
    if not found:
        raise InputError(f"{folder} holds no shard; make some with `unocclude synth KIND -o {folder} --shards`")
    return found


def _from_shard(path: Path, name: str, where: dict[str, Member]) -> World:
    members = read_clip(path, name, where)
    pixels = sum(png_pixels(data) for key, data in members.items() if key.startswith(_PARTS))
    if pixels * 3 > MAX_DECODED:
        raise InputError(f"{path}: the pictures of clip {name} are over {MAX_DECODED >> 30} GB; make shorter clips")

    def part(kind: str) -> Iterator[np.ndarray]:
        for member in sorted(m for m in members if m.startswith(f"{kind}.")):
            picture = read_picture(members[member])
            yield picture > 127 if picture.ndim == 2 else picture

    with decoding(path, f"clip {name} is damaged", "make the shard again"):
        frames, visible, amodal, rgb = (list(part(kind)) for kind in _PARTS)
        about = json.loads(members.get("meta.json", b"{}"))
        _check_clip(frames, visible, amodal, rgb, about)
    return World(frames, visible, amodal, rgb, [], 24.0, about=about)


def _check_clip(
    frames: list[np.ndarray], visible: list[np.ndarray], amodal: list[np.ndarray], rgb: list[np.ndarray], about: Any
) -> None:
    if not frames or not len(frames) == len(visible) == len(amodal) == len(rgb):
        counts = [len(part) for part in (frames, visible, amodal, rgb)]
        raise ValueError(f"it has {counts} pictures of {', '.join(_PARTS)}")
    size = frames[0].shape[:2]
    in_colour = all(picture.shape == (*size, 3) and picture.dtype == np.uint8 for picture in (*frames, *rgb))
    if not in_colour or any(mask.shape != size for mask in (*visible, *amodal)):
        raise ValueError("its pictures differ in size or kind")
    if not isinstance(about, dict):
        raise ValueError("its meta.json is no object")
