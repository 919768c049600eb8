"""Worlds of things that fall and creatures that walk: physics, with the exact truth of every object."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from unocclude.synthesis.offscreen import Offscreen, metres
from unocclude.synthesis.physics import FPS, Scene, build
from unocclude.synthesis.world import World

SAMPLES = 2
"""Each pixel is the mean of this many samples squared."""
ATTEMPTS = 50


def physics_worlds(seed: int, frames: int = 24, width: int = 256, height: int = 256) -> list[World]:
    """Simulate one scene, and give a world for each of its objects that is worth completing.

    Those are the objects that cover enough of the frame at some time, are seen in at least half of the
    frames, and are more than 5 % hidden in some; all share one list of frames. A scene without any is drawn
    again from a derived seed. Masks are counted over the same 2x2 samples of every pixel: `amodal` where the
    object alone, above the ground, covers at least two of them, `visible` where also more than half of
    these are seen. `amodal_rgb` is the frame's colour on `visible`; elsewhere it is the object drawn alone,
    which lacks the others' shadows. `occluders` is one layer: how much of the object is hidden there, and around
    it whatever hides some of it in that frame. `about` has the generator's name, seed, attempt, the object's index,
    kind ("rigid" or "creature") and shape, and the camera. The same arguments give the same worlds, bit for bit,
    on the same machine and OpenGL driver.

    Raises ValueError for sizes under 16 pixels or no frames; InputError when MuJoCo or EGL is absent.
    """
    if frames < 1 or min(width, height) < 16:
        raise ValueError(f"{frames} frames of {width}x{height}, expected 1 or more, 16x16 or larger")
    for attempt in range(ATTEMPTS):
        scene = build(frames, SAMPLES * width, SAMPLES * height, np.random.default_rng([seed, 2, attempt]))
        about = {"generator": "worlds", "seed": seed, "attempt": attempt, "width": width, "height": height}
        if worlds := [world for world in _film(scene, frames, width, height, about) if _worthwhile(world)]:
            return worlds
    raise RuntimeError(f"seed {seed}: no scene of {frames} frames of {width}x{height} hides an object in part")


def _worthwhile(world: World) -> bool:
    area = np.array([mask.mean() for mask in world.amodal])
    seen = np.array([mask.any() for mask in world.visible])
    rates = np.array(world.occlusion_rate)
    return bool(area.max() >= 0.006 and seen.mean() >= 0.5 and ((rates > 0.05) & (rates < 1)).any())


def _film(scene: Scene, frames: int, width: int, height: int, about: dict[str, Any]) -> list[World]:
    """Play a scene and draw it: a world for every object in it; none if its physics got out of hand."""
    model = scene.model
    roots = [model.body(thing.body).id for thing in scene.things]
    owner = np.full(model.ngeom + 1, -1)  # of each geom the object that it belongs to; the last is for no geom
    for k, root in enumerate(roots):
        owner[:-1][model.body_rootid[model.geom_bodyid] == root] = k
    pictures: list[np.ndarray] = []
    depths: list[np.ndarray] = []
    camera = {**scene.path.about(), "fovy": scene.fovy}
    worlds = [
        World(pictures, [], [], [], [], FPS, depth=depths,
              about={**about, "object": k, "kind": thing.kind, "shape": thing.shape, "camera": camera})
        for k, thing in enumerate(scene.things)
    ]  # fmt: skip
    with Offscreen(model, SAMPLES * width, SAMPLES * height) as screen:
        for i, data in scene.play(frames):
            view = scene.path.at(i)
            screen.look(data, view)
            fine, _ = screen.colour()
            geom, nearest = screen.labels()
            seen = owner[geom]
            frame = _mean(fine)
            pictures.append(frame)
            depths.append(_depth(metres(nearest)))
            screen.look(data, view, owner[:-1] < 0, sky=False)
            _, place = screen.labels()
            for k, world in enumerate(worlds):
                screen.look(data, view, owner[:-1] == k, sky=False)
                colour, alone = screen.colour()
                _add(world, frame, _Samples(colour, alone > place, seen, k))
    return worlds if len(pictures) == frames else []


@dataclass
class _Samples:
    """One object in one frame, (H, W) samples: its colour when alone, where it is, and who is seen."""

    colour: np.ndarray
    whole: np.ndarray
    seen: np.ndarray
    index: int


def _add(world: World, frame: np.ndarray, samples: _Samples) -> None:
    own = samples.whole & (samples.seen == samples.index)
    whole_count, own_count = _count(samples.whole), _count(own)
    amodal = whole_count >= SAMPLES**2 / 2
    # that more than half of it is seen is the same as that its occluders' opacity is under 128
    visible = amodal & (2 * own_count > whole_count)
    total = _blocks(np.where(samples.whole[..., None], samples.colour, 0).astype(np.uint16)).sum((1, 3))
    rgb = np.rint(total / np.maximum(whole_count, 1)[..., None]).astype(np.uint8)
    rgb = np.where(visible[..., None], frame, np.where(amodal[..., None], rgb, 0)).astype(np.uint8)

    hiders = np.setdiff1d(samples.seen[samples.whole & ~own], [-1, samples.index])
    around = _count(np.isin(samples.seen, hiders)) / SAMPLES**2
    opacity = np.where(amodal, 1 - own_count / np.maximum(whole_count, 1), around)
    world.visible.append(visible)
    world.amodal.append(amodal)
    world.amodal_rgb.append(rgb)
    world.occluders.append(np.floor(255 * opacity + 0.5).astype(np.uint8)[None])


def _blocks(samples: np.ndarray) -> np.ndarray:
    h, w, *rest = samples.shape
    return samples.reshape(h // SAMPLES, SAMPLES, w // SAMPLES, SAMPLES, *rest)


def _mean(samples: np.ndarray) -> np.ndarray:
    total = _blocks(samples.astype(np.uint16)).sum((1, 3))
    return ((total + SAMPLES**2 // 2) // SAMPLES**2).astype(np.uint8)


def _count(samples: np.ndarray) -> np.ndarray:
    return _blocks(samples.astype(np.uint8)).sum((1, 3))


def _depth(samples: np.ndarray) -> np.ndarray:
    """The second nearest of each pixel's samples: never a depth between two things, where nothing is."""
    flat = _blocks(samples).swapaxes(1, 2).reshape(samples.shape[0] // SAMPLES, samples.shape[1] // SAMPLES, -1)
    return np.sort(flat, axis=-1)[..., SAMPLES**2 // 2 - 1]
