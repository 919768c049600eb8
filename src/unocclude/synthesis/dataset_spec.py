"""Specification of a generated data set: its kind and what determines its clips."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from unocclude.datasets import root_of
from unocclude.errors import InputError
from unocclude.synthesis.kubric_layout import PROTOCOLS
from unocclude.synthesis.source_clips import SourceClip, caption, find_sources
from unocclude.synthesis.world import World


def clip_seed(seed: int, index: int) -> int:
    """The seed of clip `index` of a data set: 53 bits, which every JSON reader represents exactly."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0]) >> 11


@dataclass(frozen=True)
class DatasetSpec:
    """Everything that determines a generated data set; picklable, for worker processes.

    frames, size (width, height): None for the kind's default. sources, refused: usable source clips, and why others are
    not. occluders: for `carve`, the clips whose masks are removed, if not those of the sources. protocol: for `worlds`,
    the layout and motion of another data set (`kubric_layout.PROTOCOLS`). photos: for `footage`, a folder of
    photographs. data, weights: for `pseudo`, a data set with amodal boxes, and the checkpoint.
    """

    kind: str
    seed: int = 0
    frames: int | None = None
    size: tuple[int, int] | None = None
    sources: list[SourceClip] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    occluders: list[SourceClip] = field(default_factory=list)
    protocol: str = ""
    photos: Path | None = None
    data: str = ""
    weights: str | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What must be equal for a run to be resumed."""
        sources = [[s.name, s.dataset, s.label, s.caption, s.first, s.last] for s in self.sources]
        same = {"kind": self.kind, "seed": self.seed, "frames": self.frames, "size": self.size, "sources": sources}
        if self.protocol:
            same["protocol"] = self.protocol
        if self.occluders:
            same["occluders"] = [[s.name, s.dataset, s.first, s.last] for s in self.occluders]
        same |= {"photos": str(self.photos)} if self.photos is not None else {}
        return same | ({"data": self.data, "weights": self.weights} if self.data else {})

    @property
    def inputs(self) -> list[Path]:
        """The folders that clips are made from."""
        made_from = [source.folder for source in (*self.sources, *self.occluders)]
        photos = [self.photos] if self.photos is not None else []
        return [*made_from, *photos, *([root_of(self.data)] if self.data else [])]

    def make(self, index: int) -> list[World]:
        """The worlds of clip `index`: one, or for `worlds` one per object of the scene."""
        return MAKERS[self.kind](self, index, clip_seed(self.seed, index))


def read_size(text: str) -> tuple[int, int]:
    """Parse "WIDTHxHEIGHT" in pixels; raises InputError if it is not valid."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match or min(map(int, match.groups())) < 16:
        raise InputError(f"size {text}: expected WIDTHxHEIGHT in pixels, 16x16 or more, as in 256x256")
    return int(match[1]), int(match[2])


def prepare_dataset_spec(
    kind: str,
    seed: int,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    sources: Sequence[str | Path] = (),
    weights: str | Path | None = None,
    occluders: Sequence[str | Path] = (),
    protocol: str = "",
) -> DatasetSpec:
    """A specification whose requirements are checked.

    sources: folders of source clips, or data sets as KIND:PATH (`find_sources`); for `pseudo` one data set with amodal
    boxes. occluders: for `carve`, the same for the clips whose masks are removed, such as the released list of complete
    objects of SAIL-VOS. weights: for `composite`, the BLIP-2 that captions the objects that have no caption (see
    `caption`); for `pseudo`, the Diffusion-VAS that completes the objects.

    Raises InputError for an unknown kind, sources that are missing, not used or too few, or a missing package or
    missing weights.
    """
    if kind not in MAKERS:
        raise InputError(f"unknown kind {kind}; known are {', '.join(MAKERS)}")
    if seed < 0:
        raise InputError(f"--seed {seed}: give 0 or more")
    if weights is not None and kind not in ("composite", "pseudo"):
        raise InputError(f"`synth {kind}` uses no weights; leave out --weights")
    if protocol and kind != "worlds":
        raise InputError(f"`synth {kind}` has no protocols; leave out --protocol")
    if protocol and protocol not in PROTOCOLS:
        raise InputError(f"unknown protocol {protocol}; known are {', '.join(PROTOCOLS)}")
    if occluders and kind != "carve":
        raise InputError(f"`synth {kind}` carves nothing; leave out --occluders")
    if kind == "pseudo":
        return _prepare_pseudo(seed, frames, size, sources, weights)
    if kind in FROM_SOURCES:
        if not sources:
            raise InputError(
                f"`synth {kind}` needs --sources: a folder of clips with frames/ and visible_masks/, or a data set as "
                "davis:PATH"
            )
        found, refused = find_sources(sources)
        carving, others = find_sources(occluders)
        refused |= others
        if len(found) < (1 if carving else 2):
            why = "; ".join(f"{name}: {reason}" for name, reason in refused.items()) or "there is only this one"
            places = ", ".join(map(str, sources))
            raise InputError(f"{places}: two unoccluded objects or more are needed, found {len(found)} ({why})")
        if kind == "composite":
            found = caption(found, weights)
        return DatasetSpec(kind, seed, frames, size, found, refused, carving)
    if size is not None and min(size) < 16:
        raise InputError(f"--size {size[0]}x{size[1]}: give 16x16 or more")
    if kind == "footage":
        return _prepare_footage(seed, frames, size, sources)
    if sources:
        raise InputError(f"`synth {kind}` makes everything itself; leave out --sources")
    if kind == "worlds" and find_spec("mujoco") is None:
        raise InputError("`synth worlds` needs MuJoCo; install it with: pip install 'unocclude[worlds]'")
    return DatasetSpec(kind, seed, frames, size, protocol=protocol)


def _prepare_footage(
    seed: int, frames: int | None, size: tuple[int, int] | None, photos: Sequence[str | Path]
) -> DatasetSpec:
    from unocclude.synthesis.footage import read_photographs

    if len(photos) > 1:
        raise InputError("`synth footage` takes one folder of photographs; give --sources once")
    folder = Path(photos[0]) if photos else None
    if folder is not None:
        read_photographs(folder)
    return DatasetSpec("footage", seed, frames, size, photos=folder)


def _prepare_pseudo(
    seed: int,
    frames: int | None,
    size: tuple[int, int] | None,
    sources: Sequence[str | Path],
    weights: str | Path | None,
) -> DatasetSpec:
    from unocclude.methods import create
    from unocclude.methods.base import RunSettings
    from unocclude.synthesis.pseudo import METHOD, box_samples

    if len(sources) != 1:
        raise InputError("`synth pseudo` needs --sources KIND:PATH, one data set with amodal boxes, as tao-amodal:PATH")
    data = str(sources[0])
    if frames is not None or size is not None:
        raise InputError("`synth pseudo` keeps the clips as they are; leave out --frames and --size")
    chosen = str(weights) if weights is not None else None
    create(METHOD, {}, RunSettings(weights=chosen))
    box_samples(data)
    return DatasetSpec("pseudo", seed, data=data, weights=chosen)


Maker = Callable[[DatasetSpec, int, int], list[World]]


def _sprites(spec: DatasetSpec, index: int, seed: int) -> list[World]:
    from unocclude.synthesis.sprites import sprite_world

    return [sprite_world(seed, spec.frames or 24, *(spec.size or (256, 256)))]


def _footage(spec: DatasetSpec, index: int, seed: int) -> list[World]:
    from unocclude.synthesis.footage import footage_world

    return [footage_world(seed, spec.frames or 24, *(spec.size or (256, 256)), photos=spec.photos)]


def _rigid(spec: DatasetSpec, index: int, seed: int) -> list[World]:
    from unocclude.synthesis.rigid import MOTIONS, rigid_world

    rng = np.random.default_rng([seed, 5])
    motion = MOTIONS[int(rng.integers(len(MOTIONS)))]
    world = rigid_world(
        seed, motion, spec.frames or 24, *(spec.size or (320, 240)),
        size=rng.uniform(0.4, 0.7), never_whole=rng.uniform() < 0.2, noise=float(rng.choice([0.0, 1.0, 2.0])),
    )  # fmt: skip
    # the truth has no noise and no soft edge; in data sets it equals the frame where the object is visible
    for frame, visible, rgb in zip(world.frames, world.visible, world.amodal_rgb, strict=True):
        rgb[visible] = frame[visible]
    return [world]


def _worlds(spec: DatasetSpec, index: int, seed: int) -> list[World]:
    from unocclude.synthesis.worlds import physics_worlds

    width, height = spec.size or (256, 256)
    return physics_worlds(seed, spec.frames or 24, width, height, still=PROTOCOLS.get(spec.protocol, False))


def _composite(spec: DatasetSpec, index: int, seed: int) -> list[World]:
    from unocclude.synthesis.composite import choose_pair, composite_world, split_sources

    object_, occluder = choose_pair(spec.sources, index, spec.seed)
    world = composite_world(object_, occluder, seed, spec.frames, spec.size)
    world.about["split"] = split_sources(spec.sources, spec.seed)[object_.name]
    return [world]


def _carve(spec: DatasetSpec, index: int, seed: int) -> list[World]:
    from unocclude.synthesis.carve import carve_world, choose_object

    object_ = choose_object(spec.sources, index, spec.seed)
    return [carve_world(object_, spec.occluders or spec.sources, seed, spec.frames or 25, spec.size or (256, 128))]


def _pseudo(spec: DatasetSpec, index: int, seed: int) -> list[World]:
    from unocclude.synthesis.pseudo import box_samples, pseudo_world

    samples = box_samples(spec.data)
    if index >= len(samples):
        raise InputError(f"{spec.data} has amodal boxes of {len(samples)} objects; give --count {len(samples)}")
    return [pseudo_world(samples[index], seed, spec.weights)]


FROM_SOURCES = ("composite", "carve")
MAKERS: dict[str, Maker] = {
    "sprites": _sprites,
    "footage": _footage,
    "rigid": _rigid,
    "worlds": _worlds,
    "composite": _composite,
    "carve": _carve,
    "pseudo": _pseudo,
}
