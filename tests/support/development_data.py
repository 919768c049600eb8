"""Where the development data lies: real clips, composites with exact truth, and images.

`UNOCCLUDE_TEST_DATA` names the folder; without it, it is `../shared/data` beside the repository. Where it is absent,
tests that need only some clip or image are given one made on the spot, and those that measure on it are skipped.
"""

import os
from pathlib import Path

import pytest

from unocclude.media.images import write_png
from unocclude.synthesis import rigid_world, write_world

VARIABLE = "UNOCCLUDE_TEST_DATA"
SIBLING = Path(__file__).parents[3] / "shared" / "data"
DATA = Path(os.environ.get(VARIABLE) or SIBLING)
GENERATED = "generated"

needs_development_data = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"measures on the development data, which is not at {DATA}; {VARIABLE} says where it is"
)


def clip_names(*kinds):
    """`kind/name` of every clip of these kinds ("real", "composites"); `generated` alone where there is no data."""
    found = [f"{kind}/{folder.name}" for kind in kinds for folder in sorted((DATA / kind).glob("*"))]
    return found or [GENERATED]


def clip_folder(name, folder):
    """The clip of this name: frames/ and visible_masks/. A generated one is written to `folder`."""
    if name != GENERATED:
        return DATA / name
    write_world(rigid_world(7, "camera", 24, 160, 120, occluders=["pole"]), folder)
    return folder


def image_file(folder):
    """A photograph, or a generated picture written to `folder`."""
    photographs = sorted((DATA / "images").glob("*/image.*"))
    if photographs:
        return photographs[0]
    folder.mkdir(parents=True, exist_ok=True)
    write_png(folder / "image.png", rigid_world(7, "camera", 1, 320, 240, occluders=["pole"]).frames[0])
    return folder / "image.png"
