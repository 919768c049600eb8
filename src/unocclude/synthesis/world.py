"""World: a generated clip with its ground truth, and writing it as a GT folder."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from unocclude.media.files import write_bytes
from unocclude.media.images import write_png


@dataclass(frozen=True)
class World:
    """A clip of T frames with the ground truth of one object; every list has T entries. Generators append to them; a
    generator of long clips may give sequences that are computed on access instead.

    frames: (H, W, 3) uint8 RGB. amodal: (H, W) bool, the amodal mask. visible: (H, W) bool, the visible mask.
    amodal_rgb: (H, W, 3) uint8, the object's own colours on `amodal` (without sensor noise and without background in
    its anti-aliased edge), black elsewhere. occluders: (K, H, W) uint8, the opacity of each of K occluders; one hides a
    pixel from 128 on.

    The following are empty where a generator does not provide them. plate: (h, w, 4) uint8, the texture of a flat
    object, with colours also outside its silhouette. homographies: (3, 3) float64, plate to frame. camera: (3, 3)
    float64, scene (the view of a static camera) to frame. Pixel centres are at integers. depth: (H, W) float32, metres
    along the optical axis to the visible surface, inf where there is none. background: (H, W, 3) uint8 RGB, the scene
    without its objects and their shadows. about: metadata of the generator.
    """

    frames: list[np.ndarray]
    visible: list[np.ndarray]
    amodal: list[np.ndarray]
    amodal_rgb: list[np.ndarray]
    occluders: list[np.ndarray]
    fps: float
    plate: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 4), np.uint8))
    homographies: list[np.ndarray] = field(default_factory=list)
    camera: list[np.ndarray] = field(default_factory=list)
    depth: list[np.ndarray] = field(default_factory=list)
    background: list[np.ndarray] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frames)

    @cached_property
    def occlusion_rate(self) -> list[float]:
        """1 - |M| / |A| per frame; 0 without an object."""
        pairs = zip(self.visible, self.amodal, strict=True)
        return [1 - float(m.sum() / a.sum()) if a.any() else 0.0 for m, a in pairs]


def _grey(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.uint8) * np.uint8(255)


def _millimetres(depth: np.ndarray) -> np.ndarray:
    return np.where(depth < 65.535, np.rint(1000 * np.minimum(depth, 65.535)), 0).astype(np.uint16)


PARTS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "frames": ("frames", np.asarray),
    "visible_masks": ("visible", _grey),
    "amodal_masks": ("amodal", _grey),
    "amodal_rgb": ("amodal_rgb", np.asarray),
    "depth": ("depth", _millimetres),
}
"""Folder of a GT folder → the field of `World` that it shows, and how a frame of it is stored."""


def write_world(world: World, folder: str | Path) -> None:
    """Write a world in our GT layout: frames/, visible_masks/, amodal_masks/, amodal_rgb/ (object on black)
    as 00000.png and so on, and meta.json with fps, occlusion_rate, homographies and `about`. If the world has depth,
    depth/ is 16 bit, millimetres, 0 where there is nothing within 65 m.

    Files are written atomically, meta.json last. Frames of an earlier, longer world are removed. Raises OSError if the
    folder cannot be written.
    """
    folder = Path(folder)
    (folder / "meta.json").unlink(missing_ok=True)
    counts = {part: len(getattr(world, name)) for part, (name, _) in PARTS.items()}
    for part, count in counts.items():
        if count or (folder / part).exists():
            (folder / part).mkdir(parents=True, exist_ok=True)
    for i in range(len(world)):  # all parts of a frame at once, as a world may compute them on access
        for part, (name, stored) in PARTS.items():
            if counts[part]:
                write_png(folder / part / f"{i:05d}.png", stored(getattr(world, name)[i]))
    for part, count in counts.items():
        names = {folder / part / f"{i:05d}.png" for i in range(count)}
        for old in set((folder / part).glob("[0-9]" * 5 + ".png")) - names:
            old.unlink()
    write_meta(world, folder)


def write_meta(world: World, folder: Path) -> None:
    """Write a world's meta.json: `about`, fps, occlusion_rate and homographies."""
    meta = {
        **world.about,
        "fps": world.fps,
        "occlusion_rate": [round(rate, 4) for rate in world.occlusion_rate],
    }
    if world.homographies:
        meta["homographies"] = [matrix.tolist() for matrix in world.homographies]
        meta["camera"] = [matrix.tolist() for matrix in world.camera]
    write_bytes(folder / "meta.json", (json.dumps(meta, indent=1) + "\n").encode())
