"""Physics worlds: falling objects and walking creatures, simulated and rendered by MuJoCo."""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from unocclude.errors import UnoccludeError
from unocclude.synthesis.offscreen import Offscreen, metres
from unocclude.synthesis.physics import FPS, PhysicsScene, build
from unocclude.synthesis.world import World

ATTEMPTS = 50


def physics_worlds(
    seed: int,
    frames: int = 24,
    width: int = 256,
    height: int = 256,
    *,
    every: bool = False,
    still: bool = False,
) -> list[World]:
    """Simulate one scene and return a world for each of its objects that is suitable for completion.

    every: return a world for each object that is visible, if at least one of them is suitable, with `background`.

    Suitable objects cover 0.6 % of the frame at some time, are visible in at least half of the frames, and are more
    than 10 % but not fully hidden in an eighth of them, with varying occlusion. All worlds share one list of frames. A
    scene without a suitable object is generated again from a derived seed. still: the objects stand still, as in frame
    0, and only the camera moves.

    Masks are counted over 2x2 samples per pixel: `amodal` where the object alone, above the ground, covers at least two
    of them, `visible` where more than half of these are visible (a pixel that two objects share equally is visible for
    both). `amodal_rgb` is the frame's colour on `visible`; elsewhere the object is rendered alone, without shadows of
    others. `occluders` is one layer: the hidden fraction of the object, and around it everything that hides part of it
    in that frame. `about` has seed and attempt, the object's index, body ("rigid" or "creature") and class (its shape),
    and the camera. Deterministic, bit for bit, on the same machine and OpenGL driver.

    Raises ValueError for sizes under 16 pixels or no frames, InputError if MuJoCo or EGL is missing, UnoccludeError if
    no suitable scene is found (with frames too small to tell objects apart).
    """
    if frames < 1 or min(width, height) < 16:
        raise ValueError(f"{frames} frames of {width}x{height}, expected 1 or more, 16x16 or larger")
    for attempt in range(ATTEMPTS):
        scene = build(frames, 2 * width, 2 * height, np.random.default_rng([seed, 2, attempt]))
        if still and scene.path.motion == "static":
            continue
        about = {"kind": "worlds", "seed": seed, "attempt": attempt, "width": width, "height": height}
        filmed = _film(scene, frames, width, height, about, background=every, still=still)
        if worlds := [world for world in filmed if _worthwhile(world)]:
            worlds = [world for world in filmed if np.any(world.visible)] if every else worlds
            for world in worlds:
                world.about["instance"] = f"{seed}/{world.about['object']}"
            return worlds
    raise UnoccludeError(f"seed {seed}: no scene of {frames} frames of {width}x{height} hides an object in part")


def _worthwhile(world: World) -> bool:
    area = np.array([mask.mean() for mask in world.amodal])
    seen = np.array([mask.mean() for mask in world.visible]) > 0.001
    rates = np.array(world.occlusion_rate)
    hidden = (rates > 0.1) & (rates < 1)
    if area.max() < 0.006 or seen.mean() < 0.5 or hidden.mean() < 1 / 8:
        return False
    return len(world) == 1 or bool(np.ptp(rates[area > 0]) > 0.05)


def _play(scene: PhysicsScene, frames: int, still: bool) -> Iterator[tuple[int, Any]]:
    """The state of the simulation in every frame; with `still`, that of frame 0 in all."""
    played = scene.play(frames)
    if not still:
        yield from played
        return
    for _, data in played:
        yield from ((i, data) for i in range(frames))
        return


def _film(
    scene: PhysicsScene,
    frames: int,
    width: int,
    height: int,
    about: dict[str, Any],
    *,
    background: bool,
    still: bool = False,
) -> list[World]:
    """Simulate and render a scene: a world for each of its objects; none if the simulation becomes unstable.

    background: whether to render it without its objects as well. still: as in `physics_worlds`.
    """
    model = scene.model
    roots = [model.body(thing.body).id for thing in scene.things]
    owner = np.full(model.ngeom + 1, -1)  # object of each geom; the last entry is for no geom
    for k, root in enumerate(roots):
        owner[:-1][model.body_rootid[model.geom_bodyid] == root] = k
    pictures: list[np.ndarray] = []
    depths: list[np.ndarray] = []
    empty: list[np.ndarray] = []
    camera = {**scene.path.about(), "fovy": scene.fovy}
    worlds = [
        World(pictures, [], [], [], [], FPS, depth=depths, background=empty,
              about={**about, "object": k, "body": thing.kind, "class": thing.shape, "camera": camera})
        for k, thing in enumerate(scene.things)
    ]  # fmt: skip
    with Offscreen(model, 2 * width, 2 * height) as screen:
        for i, data in _play(scene, frames, still):
            view = scene.path.at(i)
            screen.look(data, view)
            samples, _ = screen.colour()
            geom, nearest = screen.labels()
            seen = owner[geom]
            pictures.append(cv2.resize(np.ascontiguousarray(samples), (width, height), interpolation=cv2.INTER_AREA))
            if background:
                screen.look(data, view, owner[:-1] < 0)
                place_only = np.ascontiguousarray(screen.colour()[0])
                empty.append(cv2.resize(place_only, (width, height), interpolation=cv2.INTER_AREA))
            depths.append(metres(_second(nearest)))
            if i == 0 or scene.path.motion != "static":
                screen.look(data, view, owner[:-1] < 0, sky=False)
                place = screen.labels()[1]
            for k, world in enumerate(worlds):
                screen.look(data, view, owner[:-1] == k, sky=False)
                colour, alone = screen.colour()
                _add(world, colour, alone > place, seen, k)
    return worlds if len(pictures) == frames else []


def _add(world: World, colour: np.ndarray, whole: np.ndarray, seen: np.ndarray, index: int) -> None:
    """Append a frame's ground truth from samples (2 H, 2 W).

    colour: the object rendered alone. whole: where it is. seen: index of the visible object.
    """
    frame = world.frames[-1]
    own = whole & (seen == index)
    area, clear = _count(whole), _count(own)
    amodal = area >= 2
    # more than half of it is visible exactly if the opacity of its occluders is under 128
    visible = amodal & (2 * clear > area)
    total = sum(part.astype(np.uint16) for part in _four(colour * whole[..., None]))
    rgb = (total + area[..., None] // 2) // np.maximum(area, 1)[..., None]
    rgb = np.where(visible[..., None], frame, rgb * amodal[..., None]).astype(np.uint8)

    hides = np.zeros(seen.max() + 2, bool)  # the last entry is for -1: the static scene hides nothing
    hides[np.unique(seen[whole & ~own])] = True
    hides[-1] = False
    opacity = np.where(amodal, 1 - clear / np.maximum(area, 1), _count(hides[seen]) / 4)
    world.visible.append(visible)
    world.amodal.append(amodal)
    world.amodal_rgb.append(rgb)
    world.occluders.append(np.floor(255 * opacity + 0.5).astype(np.uint8)[None])


def _four(samples: np.ndarray) -> tuple[np.ndarray, ...]:
    """The four samples of each pixel, (H, W, ...) each."""
    return samples[::2, ::2], samples[::2, 1::2], samples[1::2, ::2], samples[1::2, 1::2]


def _count(samples: np.ndarray) -> np.ndarray:
    """Number of the four samples that are true, (H, W) uint8."""
    a, b, c, d = _four(samples.view(np.uint8))
    return a + b + c + d


def _second(buffer: np.ndarray) -> np.ndarray:
    """The second largest of the four samples, which is never a mixture of two depths."""
    a, b, c, d = _four(buffer)
    return np.maximum(np.minimum(np.maximum(a, b), np.maximum(c, d)), np.maximum(np.minimum(a, b), np.minimum(c, d)))
