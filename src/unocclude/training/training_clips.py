"""Clips with truth as the networks of the diffusion methods see them: made once, kept on disk."""

import io
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, Field

from unocclude.clip import Clip
from unocclude.datasets import captions
from unocclude.errors import InputError
from unocclude.masks import MaskTrack
from unocclude.methods.framing import Framing
from unocclude.methods.network_inputs import WHITE, NetworkInputs, object_framings, tensor, whole_box
from unocclude.scene import Scene
from unocclude.synthesis.world import World
from unocclude.training.cache import cached
from unocclude.training.recipe import Progress, Recipe
from unocclude.training.sources import Source


@dataclass(frozen=True)
class TrainingClip:
    """T pictures each, uint8: visible, amodal masks and depth (T, h, w), 0 to 255; frames, objects (the visible object
    on white) and wholes (the whole object on white) (T, h, w, 3). caption: what the object is, in words."""

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
        """Some of its frames."""
        return replace(self, **{name: getattr(self, name)[frames] for name in IMAGE_FIELDS})

    def mirrored(self) -> "TrainingClip":
        """Left is right."""
        return replace(self, **{name: getattr(self, name)[:, :, ::-1] for name in IMAGE_FIELDS})


IMAGE_FIELDS = tuple(field.name for field in fields(TrainingClip) if field.name != "caption")


@dataclass(frozen=True)
class ClipMaker:
    """TrainingClip of the clips of scene i of a source, at `size` (width, height). crop: "object", around all that is visible
    of it in the clip, as methods frame it; "follow", going along with it; "amodal", every frame to its amodal box.
    depth_weights: a folder of Depth Anything V2, else the layers' order is the depth."""

    source: Source
    size: tuple[int, int]
    crop: str = "object"
    depth_weights: str = ""

    def __call__(self, i: int) -> list[bytes]:
        views = [self.of(world) for world in self.source.make(i)]
        return [serialise(view) for view in views if view is not None]

    def of(self, world: World) -> TrainingClip | None:
        """None where nothing of the object is ever visible."""
        if not any(mask.any() for mask in world.visible):
            return None
        clip = Clip.from_frames(world.frames)
        clip.__dict__["shots"] = [range(len(clip))]
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
        if self.crop == "amodal":
            canvas, track = (scene.width, scene.height), MaskTrack.from_masks(world.amodal)
            return [
                Framing(whole_box(track.boxes[i] if track.areas[i] else (0, 0, *canvas)), self.size, canvas)
                for i in range(len(world))
            ]
        return object_framings(scene, range(len(world)), self.size, self.crop == "follow")


class ClipOptions(BaseModel):
    """What every recipe on clips has in [recipe]."""

    train: list[str] = Field(description="sources of clips with truth (see training.sources)")
    validation: list[str] = Field(description="the same, for evaluation")
    without: list[str] = Field([], description="classes that training never sees")
    cache: str = Field("cache", description="folder of the clips as networks see them")
    size: tuple[int, int] = Field((64, 64), description="width and height of a picture")
    frames: int = Field(8, ge=1, description="frames of a training clip")
    crop: Literal["object", "follow", "amodal"] = Field(
        "object", description="follow: going along with the object; amodal: every frame cropped to its amodal box"
    )
    depth_weights: str = Field("", description="folder of Depth Anything V2; without it what lies in front is nearer")
    held: int = Field(16, ge=1, description="validation clips, of `frames` frames, that are looked at")


class ClipSet:
    """Training clips, drawn, and `held`, the validation clips."""

    def __init__(self, options: ClipOptions, workers: int, progress: Progress):
        self.options = options
        cache = Path(options.cache)
        depth = "-depth" if options.depth_weights else ""
        kind = f"captioned-{options.crop}-{options.size[0]}x{options.size[1]}{depth}"

        def made(spec: str, without: tuple[str, ...]) -> list[Path]:
            source = Source(spec, without)
            work = ClipMaker(source, options.size, options.crop, options.depth_weights)
            return cached(source, cache, kind, work, workers, progress)

        self.files = [path for spec in options.train for path in made(spec, tuple(options.without))]
        held = [load(path) for spec in options.validation for path in made(spec, ())[: options.held]]
        self.held = [clip.select(slice(0, options.frames)) for clip in held]
        if not self.files or not self.held:
            raise InputError("no clip of the sources shows its object; give others, or more of them")

    @property
    def captions(self) -> list[str]:
        """What is said of the objects of all training clips, each once, sorted."""
        said = set()
        for path in self.files:
            with np.load(path) as data:
                said.add(str(data["caption"]))
        return sorted(said)

    def draw(self, rng: np.random.Generator) -> TrainingClip:
        """A part of a training clip, now and then mirrored, or faster than it was."""
        drawn = self.draw_segment(rng)
        return load_maybe_mirrored(drawn.file, drawn.mirrored).select(drawn.frames)

    def draw_segment(self, rng: np.random.Generator) -> "ClipSegment":
        """Which part `draw` gives."""
        file, count = self.files[int(rng.integers(len(self.files)))], self.options.frames
        length = _length(file)
        step = int(rng.integers(1, max(2, min(3, length // count + 1))))
        start = int(rng.integers(max(1, length - step * (count - 1))))
        chosen = np.minimum(start + step * np.arange(count), length - 1)
        return ClipSegment(file, chosen, mirrored=rng.uniform() < 0.5)


class ClipSegment(NamedTuple):
    """Some frames of a file's clip, or of its mirror image."""

    file: Path
    frames: np.ndarray
    mirrored: bool


class ClipRecipe(Recipe):
    """A recipe whose data is clips with truth."""

    def prepare(self, workers: int, progress: Progress) -> None:
        self.clips = ClipSet(self.options, workers, progress)


def to_tensor(clip: np.ndarray) -> torch.Tensor:
    """(F, 3, h, w) float32 in [-1, 1] of (F, h, w[, 3]) uint8."""
    return torch.stack([tensor(picture) for picture in clip])


def side_by_side(clip: torch.Tensor) -> np.ndarray:
    """(F, 3, h, w) in [-1, 1] side by side, (h, F w, 3) uint8."""
    frames = ((clip.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.hstack(list(frames.permute(0, 2, 3, 1).numpy()))


def serialise(views: TrainingClip) -> bytes:
    """Them as the content of a file."""
    buffer = io.BytesIO()
    arrays = {name: getattr(views, name) for name in IMAGE_FIELDS}
    np.savez_compressed(buffer, **arrays, caption=np.array(views.caption))
    return buffer.getvalue()


def load_maybe_mirrored(path: Path, mirrored: bool) -> TrainingClip:
    """All of a file's clip, or of its mirror image."""
    clip = load(path)
    return clip.mirrored() if mirrored else clip


@cache
def _length(path: Path) -> int:
    with np.load(path) as data:
        return len(data["visible"])


def load(path: Path) -> TrainingClip:
    """What `packed` made of them."""
    with np.load(path) as data:
        return TrainingClip(**{name: data[name] for name in IMAGE_FIELDS}, caption=str(data["caption"]))
