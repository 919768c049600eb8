"""Generated clips of the tuning set: all generators, other seeds in each half."""

from pathlib import Path

from matrix import HALVES, HIDDEN

from unocclude.synthesis.dataset_spec import prepare_dataset_spec
from unocclude.synthesis.world import World

KINDS = {"footage": 30, "sprites": 14, "rigid": 8, "worlds": 8}
"""Clips of each generator in a half."""
SIZES = {"rigid": (256, 192), "footage": (224, 192)}
SIZE = (192, 192)
FRAMES = 18


def names(half: str) -> list[tuple[str, int]]:
    """Generator and number of each clip of a half, in turn, so that the first ones have all kinds."""
    every = [(k / count, kind, k) for kind, count in KINDS.items() for k in range(count)]
    return [(kind, k) for _, kind, k in sorted(every)]


def make(half: str, kind: str, number: int, photos: Path | None) -> World:
    """Clip `number` of a generator, with its cell in `about`; photos: a folder of photographs for `footage`."""
    sources = [photos] if kind == "footage" and photos is not None else []
    spec = prepare_dataset_spec(kind, 7000 + HALVES.index(half), FRAMES, SIZES.get(kind, SIZE), sources)
    world = spec.make(number)[0]
    cell = dict(world.about.get("cell", {}))
    hides = max(world.occlusion_rate) > 0.01
    world.about["cell"] = {"half": half, "kind": kind, "hidden": HIDDEN[not hides], **cell}
    return world
