"""A finished benchmark of two methods on four small worlds."""

import pytest

from unocclude.cli import main
from unocclude.synthesis import rigid_world, write_world


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "worlds"
    for seed in range(3):
        write_world(rigid_world(seed, frames=6, width=64, height=48), folder / f"w{seed}")
    # one in which the object is wholly hidden half of the time
    write_world(rigid_world(5, frames=8, width=64, height=48, occluders=["wall"]), folder / "w10")
    return folder


@pytest.fixture(scope="module")
def done(worlds, tmp_path_factory):
    out = tmp_path_factory.mktemp("bench") / "out"
    assert main(["bench", f"toys={worlds}", "-o", str(out), "--methods", "modal,convex", "--quiet"]) == 0
    return out
