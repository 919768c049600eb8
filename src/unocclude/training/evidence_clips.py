"""Training clips of the shape prior: frames, masks and occlusion labels at working resolution.

Occlusion evidence is slow to compute, so it is computed once per clip and cached on disk.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np

from unocclude.clip import Clip
from unocclude.geometry import bounding_box
from unocclude.masks import MaskTrack
from unocclude.methods.recall.prior_inputs import ObjectFrames
from unocclude.motion.evidence import MARGIN
from unocclude.motion.trajectory import Trajectory
from unocclude.scene import Scene
from unocclude.synthesis.world import World
from unocclude.training.sources import ClipSource

PAD = 0.25
"""Canvas margin of a cut clip, as a fraction of its frame; the truth is known there."""


@dataclass(frozen=True)
class EvidenceClip:
    """One object's clip with its occlusion evidence, all at working resolution.

    pictures: T JPEG files, decoded by `picture`. visible, amodal: (T, H, W) bool. labels: (T, H, W) uint8, occlusion
    labels (see `motion.evidence`), 0 (unknown) outside each frame's window. offset: (x, y) of the frame on the canvas.
    """

    pictures: list[bytes]
    visible: np.ndarray
    amodal: np.ndarray
    labels: np.ndarray
    offset: tuple[int, int]

    def __len__(self) -> int:
        return len(self.visible)

    def subsample(self, step: int, start: int = 0) -> "EvidenceClip":
        """Every `step`-th frame from `start` on: the same object at a higher speed."""
        part = slice(start, None, step)
        return EvidenceClip(self.pictures[part], self.visible[part], self.amodal[part], self.labels[part], self.offset)

    def picture(self, i: int) -> np.ndarray:
        """Frame i, (H, W, 3) uint8 RGB."""
        read = cv2.imdecode(np.frombuffer(self.pictures[i], np.uint8), cv2.IMREAD_COLOR)
        return cv2.cvtColor(cast(np.ndarray, read), cv2.COLOR_BGR2RGB)

    @cached_property
    def object_frames(self) -> ObjectFrames:
        count, height, width = self.visible.shape
        shot = range(count)
        scene = SimpleNamespace(shots=[shot], offset=self.offset, width=width, height=height)
        work: Any = SimpleNamespace(
            scene=scene, scale=1.0, width=width, height=height, areas=self.visible.sum((1, 2), dtype=float),
            boxes=np.array([bounding_box(mask) for mask in self.visible], float),
            whole_shot=lambda i: shot, shot=lambda i: shot,
        )  # fmt: skip
        trajectory = Trajectory(cast(Any, work))
        windows = [trajectory.window(i, MARGIN) for i in shot]
        return ObjectFrames(
            trajectory,
            self.picture,
            lambda i: cast(np.ndarray, self.visible[i]),
            lambda i: cast(np.ndarray, self.labels[i][windows[i]]),
            lambda i: windows[i],
        )


def make_evidence_clip(
    frames: Sequence[np.ndarray], visible: Sequence[np.ndarray], amodal: Sequence[np.ndarray], cut: bool = False
) -> EvidenceClip | None:
    """Compute the evidence of a clip. Returns None if the object is never visible.

    frames: (H, W, 3) uint8 each. visible, amodal: (H, W) bool each. cut: crop the frames but keep the canvas, so that
    the object extends beyond the frame's border.
    """
    pad = 0.0
    if cut:
        height, width = (int(side / (1 + 2 * PAD)) for side in frames[0].shape[:2])
        y, x = round(height * PAD), round(width * PAD)
        inner = np.s_[y : y + height, x : x + width]
        canvas = np.s_[: height + 2 * y, : width + 2 * x]
        frames, visible = [frame[inner] for frame in frames], [mask[inner] for mask in visible]
        amodal, pad = [mask[canvas] for mask in amodal], PAD
    if not any(mask.any() for mask in visible):
        return None
    clip = Clip.from_frames(frames, shots=[range(len(frames))])
    scene = Scene(clip, MaskTrack.from_masks(visible), pad=pad)
    evidence = scene.evidence
    work = evidence.work
    labels = np.zeros((len(frames), work.height, work.width), np.uint8)
    for i in range(len(frames)):
        labels[i][evidence.window(i)] = evidence.labels[i]
    offset = (round(scene.offset[0] * work.scale), round(scene.offset[1] * work.scale))
    seen = np.array([work.visible[i] for i in range(len(frames))])
    whole = np.array([work.shrink(np.asarray(mask)) for mask in amodal]) | seen
    pictures = [_jpeg(evidence.picture(i)) for i in range(len(frames))]
    return EvidenceClip(pictures, seen, whole, labels, offset)


def _jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def from_world(world: World, cut: bool = False) -> EvidenceClip | None:
    """`make_evidence_clip` for a generated world."""
    return make_evidence_clip(world.frames, world.visible, world.amodal, cut)


def serialise(clip: EvidenceClip) -> bytes:
    """The clip as the content of an .npz file."""
    buffer = io.BytesIO()
    visible, amodal = np.packbits(clip.visible), np.packbits(clip.amodal)
    labels = np.packbits(np.unpackbits(clip.labels[..., None], axis=-1, bitorder="little", count=2))
    np.savez(
        buffer, shape=clip.visible.shape, offset=clip.offset, visible=visible, amodal=amodal, labels=labels,
        pictures=np.frombuffer(b"".join(clip.pictures), np.uint8),
        ends=np.cumsum([len(picture) for picture in clip.pictures]),
    )  # fmt: skip
    return buffer.getvalue()


def load(path: Path) -> EvidenceClip:
    """Read a file written with `serialise`."""
    with np.load(path, allow_pickle=False) as data:
        shape = tuple(data["shape"])
        count = int(np.prod(shape))
        visible, amodal = (np.unpackbits(data[name], count=count).reshape(shape) > 0 for name in ("visible", "amodal"))
        labels = np.unpackbits(data["labels"], count=2 * count).reshape(*shape, 2)
        x, y = data["offset"].tolist()
        content, ends = data["pictures"].tobytes(), data["ends"].tolist()
        pictures = [content[a:b] for a, b in zip([0, *ends], ends, strict=False)]
        return EvidenceClip(pictures, visible, amodal, labels[..., 0] + 2 * labels[..., 1], (x, y))


@dataclass(frozen=True)
class EvidenceClipMaker:
    """Makes the evidence clips of scene i of a source; every fourth one is cut (see `make_evidence_clip`)."""

    source: ClipSource

    def __call__(self, i: int) -> list[bytes]:
        clips = [from_world(world, cut=(i + k) % 4 == 3) for k, world in enumerate(self.source.make(i))]
        return [serialise(clip) for clip in clips if clip is not None]
