"""recall as a run: killed and resumed, in any number of threads, from any frame, on odd clips and single images."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

import unocclude
from support.development_data import DATA, needs_development_data
from unocclude.clip import Clip
from unocclude.executor.cores import THREADS
from unocclude.masks import MaskTrack
from unocclude.methods import get_method
from unocclude.methods.base import RunSettings
from unocclude.scene import Scene
from unocclude.synthesis import rigid_world, write_world


def results(frames, masks, start=0, occluders=None, pad=0.0):
    """Recall's frames, (T, H, W, 5): RGBA and provenance."""
    recall = get_method("recall")
    scene = Scene(Clip.from_frames(list(frames)), MaskTrack.from_masks(list(masks)), occluders, pad)
    done = recall(recall.Options(), RunSettings(0, 1, "auto", None)).complete(scene, start)
    return [np.dstack([r.rgba, r.provenance]) for r in done]


@pytest.fixture(scope="module")
def world():
    return rigid_world(4, "affine", 14, 96, 72, occluders=["pole"])


@pytest.fixture(scope="module")
def whole_run(world):
    return results(world.frames, world.visible)


@pytest.mark.parametrize("start", [1, 7, 13])
def test_starting_later_gives_the_same_tail(world, whole_run, start):
    assert np.array_equal(results(world.frames, world.visible, start), whole_run[start:])


def test_threads_do_not_matter(world, whole_run, monkeypatch):
    for count in (1, 5):
        monkeypatch.setenv(THREADS, str(count))
        assert np.array_equal(results(world.frames, world.visible), whole_run)


def test_killed_and_resumed_it_writes_the_same_bytes(world, tmp_path):
    write_world(world, tmp_path / "gt")

    def command(out):
        return [
            sys.executable, "-m", "unocclude.cli", "complete", str(tmp_path / "gt" / "frames"), "-o", str(out),
            "--masks", str(tmp_path / "gt" / "visible_masks"), "--resume", "--quiet",
        ]  # fmt: skip

    environment = {**os.environ, "PYTHONPATH": str(Path(unocclude.__file__).parents[1])}
    killed = 0
    for wanted in (1, 4, 9):  # frames that are there when it is killed
        process = subprocess.Popen(command(tmp_path / "out"), env=environment)
        while process.poll() is None and len(list((tmp_path / "out" / "provenance").glob("0*.png"))) < wanted:
            time.sleep(0.005)
        killed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert killed
    for out in ("out", "straight"):
        assert subprocess.run(command(tmp_path / out), env=environment).returncode == 0
    for kind in ("visible_masks", "amodal_masks", "rgba", "provenance"):
        resumed, straight = (
            {p.name: p.read_bytes() for p in (tmp_path / o / kind).iterdir()} for o in ("out", "straight")
        )
        assert resumed == straight, kind


def keeps_what_is_seen(frames, masks, done):
    for frame, mask, result in zip(frames, masks, done, strict=True):
        inner = binary_erosion(mask, np.ones((5, 5)), border_value=1)
        assert not ((result[..., 4] == 1) & ~mask).any() and (result[..., 4][inner] == 1).all()
        assert np.array_equal(result[..., :3][inner], frame[inner])
        assert (result[..., 3][mask] >= 128).all()  # soft at the edge only
        assert (result[..., 3][inner] == 255).all()
        assert not result[..., :3][result[..., 3] == 0].any()


ODD = {
    "two frames": (2, 64, 48),
    "tiny": (5, 3, 2),
    "one row": (4, 9, 1),
    "odd": (4, 33, 17),
}


@pytest.mark.parametrize("size", ODD.values(), ids=ODD)
def test_odd_clips(size):
    count, width, height = size
    rng = np.random.default_rng(width)
    frames = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    masks = rng.random((count, height, width)) < 0.3
    masks[0, 0, 0] = True
    keeps_what_is_seen(frames, masks, results(frames, masks))


MASKS = {
    "one pixel": lambda m: m[2].__setitem__((5, 5), True),
    "one frame only": lambda m: m[3].__setitem__(np.s_[10:20, 10:20], True),
    "all of every frame": lambda m: m.__setitem__(np.s_[:], True),
    "along the border": lambda m: m.__setitem__(np.s_[:, :, :4], True),
    "hidden at both ends": lambda m: m[2:4].__setitem__(np.s_[:, 5:25, 5:25], True),
}


@pytest.mark.parametrize("draw", MASKS.values(), ids=MASKS)
def test_odd_masks(draw):
    frames = np.random.default_rng(1).integers(0, 256, (6, 40, 48, 3), dtype=np.uint8)
    masks = np.zeros((6, 40, 48), bool)
    draw(masks)
    done = results(frames, masks)
    keeps_what_is_seen(frames, masks, done)


def test_a_padded_canvas(world):
    """An object that leaves the frame is completed beyond it; nothing else changes where it is seen."""
    half = world.frames[0].shape[1] // 2
    frames, masks = [f[:, half:] for f in world.frames], [m[:, half:] for m in world.visible]
    if not any(m.any() for m in masks):
        pytest.skip("the object never enters this half")
    done = results(frames, masks, pad=0.5)
    y, x = (round(0.5 * s) for s in masks[0].shape)
    assert done[0].shape[:2] == (masks[0].shape[0] + 2 * y, masks[0].shape[1] + 2 * x)
    inner = [d[y : y + m.shape[0], x : x + m.shape[1]] for d, m in zip(done, masks, strict=True)]
    keeps_what_is_seen(frames, masks, inner)


def test_nothing_is_recalled_across_a_cut(world):
    """Two shots: the second one never shows the object's other half, so it cannot be taken from the first."""
    other = np.full_like(world.frames[0], 90)
    mask = np.zeros_like(world.visible[0])
    mask[20:40, 30:60] = True
    frames = [*world.frames, *[other] * 8]
    done = results(frames, [*world.visible, *[mask] * 8])
    assert np.array_equal(done[: len(world)], results(world.frames, world.visible))
    for d in done[len(world) :]:
        assert np.array_equal(d[..., 4] == 1, mask) and not (d[..., 4] == 2).any()


@needs_development_data
@pytest.mark.parametrize("name", ["dish", "doughnut", "dresser", "phone", "toilet"])
def test_single_images_come_nearer_to_the_truth(name):
    """Measured: IoU with the truth .979 .819 .844 .826 .720; of the visible part .447 .738 .827 .659 .645."""
    from unocclude.media.images import read_image, read_png

    folder = DATA / "images" / f"cocoa_{name}"
    image = read_image(folder / "image.jpg")
    visible, amodal = (read_png(folder / f"{kind}_mask.png") > 0 for kind in ("visible", "amodal"))
    (done,) = results([image], [visible])
    keeps_what_is_seen([image], [visible], [done])
    whole = done[..., 3] > 127
    ious = [(m & amodal).sum() / (m | amodal).sum() for m in (whole, visible)]
    assert ious[0] > ious[1] + 0.01
