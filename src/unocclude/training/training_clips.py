"""Training clips of the diffusion recipes: cropped and scaled like the methods' inputs, cached on disk."""

import io
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, Field

from unocclude.clip import Clip
from unocclude.datasets import captions
from unocclude.errors import InputError
from unocclude.geometry import round_out
from unocclude.masks import MaskTrack
from unocclude.methods.framing import Framing, whole_canvas
from unocclude.methods.network_inputs import WHITE, NetworkInputs, object_framings, tensor
from unocclude.scene import Scene
from unocclude.synthesis.world import World
from unocclude.training.cache import cached
from unocclude.training.recipe import Recipe
from unocclude.training.sources import ClipSource
from unocclude.types import Progress


@dataclass(frozen=True)
class TrainingClip:
    """T frames of one object, all uint8 and of one size.

    visible, amodal: masks (T, h, w), 0 to 255. depth: (T, h, w), 255 nearest. frames: (T, h, w, 3) RGB. objects: the
    visible object on white, (T, h, w, 3). wholes: the whole object on white, (T, h, w, 3). caption: a description of
    the object.
    """

    visible: np.ndarray
    amodal: np.ndarray
    depth: np.ndarray
    frames: np.ndarray
    objects: np.ndarray
    wholes: np.ndarray
    caption: str = ""

    def __len__(self) -> int:
        return len(self.visible)

    def select(self, frames: slice | np.ndarray) -> "TrainingClip":
        """The clip restricted to some of its frames."""
        return replace(self, **{name: getattr(self, name)[frames] for name in IMAGE_FIELDS})

    def mirrored(self) -> "TrainingClip":
        """The clip flipped horizontally."""
        return replace(self, **{name: getattr(self, name)[:, :, ::-1] for name in IMAGE_FIELDS})


IMAGE_FIELDS = tuple(field.name for field in fields(TrainingClip) if field.name != "caption")


@dataclass(frozen=True)
class ClipMaker:
    """Makes the training clips of scene i of a source.

    size: (width, height). crop: "object", one crop around the visible object in all frames, as the methods do;
    "follow", a crop that follows the object; "amodal", each frame cropped to its amodal box; "whole", the whole frame,
    aspect ratio not kept. depth_weights: folder of
    Depth Anything V2; without it the depth is the layers' order.
    """

    source: ClipSource
    size: tuple[int, int]
    crop: str = "object"
    depth_weights: str = ""

    def __call__(self, i: int) -> list[bytes]:
        clips = [self.of(world) for world in self.source.make(i)]
        return [serialise(clip) for clip in clips if clip is not None]

    def of(self, world: World) -> TrainingClip | None:
        """The training clip of one object; None if the object is never visible."""
        if not any(mask.any() for mask in world.visible):
            return None
        clip = Clip.from_frames(world.frames, shots=[range(len(world))])
        scene = Scene(clip, MaskTrack.from_masks(world.visible))
        inputs = NetworkInputs(scene, range(len(clip)), self._framings(scene, world))
        depth = scene.depth(inputs.shot, Path(self.depth_weights) if self.depth_weights else None)
        amodal = [m | v for m, v in zip(world.amodal, world.visible, strict=True)]
        on_white = [np.where(m[..., None], rgb, WHITE) for m, rgb in zip(amodal, world.amodal_rgb, strict=True)]
        framings, every = inputs.framings, range(len(clip))
        wholes = [f.crop(rgb.astype(np.uint8), WHITE) for f, rgb in zip(framings, on_white, strict=True)]
        return TrainingClip(
            visible=np.stack([inputs.visible_mask(k) for k in every]),
            amodal=np.stack([f.crop(m) for f, m in zip(framings, amodal, strict=True)]),
            depth=np.stack([inputs.depth(depth, k) for k in every]),
            frames=np.stack([inputs.frame(k) for k in every]),
            objects=np.stack([inputs.object_on_white(k) for k in every]),
            wholes=np.stack(wholes),
            caption=captions.caption(world.about, zip(world.amodal_rgb, world.amodal, strict=True)),
        )

    def _framings(self, scene: Scene, world: World) -> list[Framing]:
        canvas = (scene.width, scene.height)
        if self.crop == "whole":
            return [whole_canvas(canvas, self.size)] * len(world)
        if self.crop == "amodal":
            track = MaskTrack.from_masks(world.amodal)
            return [
                Framing(round_out(track.boxes[i] if track.areas[i] else (0, 0, *canvas)), self.size, canvas)
                for i in range(len(world))
            ]
        return object_framings(scene, range(len(world)), self.size, self.crop == "follow")


class ClipOptions(BaseModel):
    """[recipe] options that all recipes on clips share."""

    train: list[str] = Field(description="sources of training clips (see training.sources)")
    validation: list[str] = Field(description="sources of validation clips")
    without: list[str] = Field([], description="object classes left out of training")
    cache: str = Field("cache", description="folder for preprocessed clips")
    size: tuple[int, int] = Field((64, 64), description="width and height of the network input")
    frames: int = Field(8, ge=1, description="frames per training clip")
    crop: Literal["object", "follow", "amodal", "whole"] = Field(
        "object",
        description="object: one crop around it in all frames; follow: a crop that follows it; amodal: its amodal box; "
        "whole: the whole frame, aspect ratio not kept, as in Diffusion-VAS",
    )
    augment: bool = Field(
        True, description="mirror clips and speed them up at random; false: neither, as in the papers"
    )
    depth_weights: str = Field("", description="folder of Depth Anything V2; without it depth is the layers' order")
    held: int = Field(16, ge=1, description="number of validation clips, of `frames` frames each")


class ClipSet:
    """Training clips to sample from, and `held`, the validation clips.

    content: whether sources must have the objects' hidden content.
    """

    def __init__(self, options: ClipOptions, workers: int, progress: Progress, content: bool = False):
        self.options = options
        cache = Path(options.cache)
        depth = "-depth" if options.depth_weights else ""
        kind = f"by-frame-{options.crop}-{options.size[0]}x{options.size[1]}{depth}"

        def made(spec: str, without: tuple[str, ...]) -> list[Path]:
            source = ClipSource(spec, without, content)
            work = ClipMaker(source, options.size, options.crop, options.depth_weights)
            return cached(source, cache, kind, work, workers, progress)

        self.files = [path for spec in options.train for path in made(spec, tuple(options.without))]
        held = [path for spec in options.validation for path in made(spec, ())[: options.held]]
        self.held = [load(path, range(min(options.frames, _length(path)))) for path in held]
        if not self.files or not self.held:
            raise InputError("no clip of the sources shows its object; give other sources, or more clips")

    @property
    def captions(self) -> list[str]:
        """The distinct captions of all training clips, sorted."""
        captions = set()
        for path in self.files:
            with np.load(path, allow_pickle=False) as data:
                captions.add(str(data["caption"]))
        return sorted(captions)

    def draw(self, rng: np.random.Generator) -> TrainingClip:
        """A random part of a random training clip, sometimes mirrored or sped up."""
        return load_segment(self.draw_segment(rng))

    def draw_segment(self, rng: np.random.Generator) -> "ClipSegment":
        """The random choice behind `draw`."""
        file, count = self.files[int(rng.integers(len(self.files)))], self.options.frames
        length = _length(file)
        step = int(rng.integers(1, max(2, min(3, length // count + 1)))) if self.options.augment else 1
        start = int(rng.integers(max(1, length - step * (count - 1))))
        chosen = np.minimum(start + step * np.arange(count), length - 1)
        return ClipSegment(file, chosen, mirrored=self.options.augment and rng.uniform() < 0.5)


class ClipSegment(NamedTuple):
    """Frames of a file's clip, possibly mirrored."""

    file: Path
    frames: np.ndarray
    mirrored: bool


class ClipRecipe(Recipe):
    """A recipe that trains on `TrainingClip`s."""

    needs_content: ClassVar[bool] = True
    """Whether the object's hidden content is a target, so that a source without it is refused."""

    def prepare(self, workers: int, progress: Progress) -> None:
        self.clips = ClipSet(self.options, workers, progress, self.needs_content)


def to_tensor(clip: np.ndarray) -> torch.Tensor:
    """Convert (F, h, w) or (F, h, w, 3) uint8 to (F, 3, h, w) float32 in [-1, 1]."""
    return torch.stack([tensor(picture) for picture in clip])


def side_by_side(clip: torch.Tensor) -> np.ndarray:
    """The frames of (F, 3, h, w) in [-1, 1] side by side: (h, F w, 3) uint8."""
    frames = ((clip.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.hstack(list(frames.permute(0, 2, 3, 1).numpy()))


def serialise(clip: TrainingClip) -> bytes:
    """The clip as the content of an .npz file, with one array per field and frame, so that frames can be read alone."""
    buffer = io.BytesIO()
    arrays = {_member(name, i): getattr(clip, name)[i] for name in IMAGE_FIELDS for i in range(len(clip))}
    np.savez_compressed(buffer, **arrays, caption=np.array(clip.caption))
    return buffer.getvalue()


def _member(name: str, i: int) -> str:
    return f"{name}-{i:06d}"


def load_segment(segment: ClipSegment) -> TrainingClip:
    """Read the frames of a segment, and mirror them if it says so."""
    clip = load(segment.file, segment.frames)
    return clip.mirrored() if segment.mirrored else clip


@cache
def _length(path: Path) -> int:
    """Number of frames of a file, from its table of contents."""
    with np.load(path, allow_pickle=False) as data:
        return sum(name.startswith("visible-") for name in data.files)


def load(path: Path, frames: Iterable[int] | None = None) -> TrainingClip:
    """Read a file written with `serialise`; frames: their numbers, by default all. No other frame is decompressed."""
    chosen = [int(i) for i in (range(_length(path)) if frames is None else frames)]
    with np.load(path, allow_pickle=False) as data:
        read = {name: {i: data[_member(name, i)] for i in set(chosen)} for name in IMAGE_FIELDS}
        fields = {name: np.stack([by_number[i] for i in chosen]) for name, by_number in read.items()}
        return TrainingClip(**fields, caption=str(data["caption"]))
