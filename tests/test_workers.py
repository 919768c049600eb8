"""`--workers`: the same bytes as one process, also after a kill and a resume, and where a worker dies."""

import json
import pickle
import signal
import time

import av
import numpy as np
import psutil
import pytest

import unocclude
from support import small_clip
from support.processes import python
from support.small_clip import contents, run
from unocclude import mask_files
from unocclude.executor.processes import Processes
from unocclude.executor.ranges import ranges_of, run_ranges, short_ranges
from unocclude.media.images import read_png, write_png
from unocclude.media.video import VideoFrames
from unocclude.scene import Scene
from unocclude.synthesis import rigid_world


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return small_clip.make(tmp_path_factory.mktemp("clip"), count=22)


@pytest.fixture(scope="module")
def pool():
    with Processes(3, threads=1) as executor:
        yield executor


def pixels(folder):
    return contents(folder, *small_clip.PIXELS)


def figures(folder):
    info = json.loads((folder / "result.json").read_text())
    return {name: value for name, value in info.items() if name != "timings"}


def test_the_same_bytes(clip, pool, tmp_path):
    frames, masks = unocclude.open(clip / "frames"), unocclude.read_masks(clip / "visible_masks")
    for name, workers in (("one", 1), ("threads", None), ("three", pool)):
        unocclude.complete(frames, masks, out=tmp_path / name, workers=workers, hypotheses=2)
    one = contents(tmp_path / "one", *small_clip.PIXELS, "hypotheses", "disagreement")
    assert len(one) == 22 * 11
    for name in ("threads", "three"):
        assert contents(tmp_path / name, *small_clip.PIXELS, "hypotheses", "disagreement") == one
        assert figures(tmp_path / name) == figures(tmp_path / "one")


def test_islands_of_finished_frames_are_kept(clip, pool, tmp_path):
    args = unocclude.open(clip / "frames"), unocclude.read_masks(clip / "visible_masks")
    unocclude.complete(*args, out=tmp_path / "out", pictures=False)
    whole = pixels(tmp_path / "out")
    (tmp_path / "out" / "result.json").rename(tmp_path / "out" / "run.json")
    for i in (0, 7, 8, 21):
        (tmp_path / "out" / "provenance" / f"{i:05d}.png").unlink()
    (tmp_path / "out" / "rgba" / "00013.png").write_bytes(b"half")
    kept = (tmp_path / "out" / "rgba" / "00012.png").stat().st_mtime_ns
    result = unocclude.complete(*args, out=tmp_path / "out", pictures=False, resume=True, workers=pool)
    assert pixels(tmp_path / "out") == whole and result.info["resumed_at"] == 0
    assert (tmp_path / "out" / "rgba" / "00012.png").stat().st_mtime_ns == kept
    assert len(result.info["frames"]) == 22


@pytest.mark.parametrize("victim", ["parent", pytest.param("worker", marks=pytest.mark.slow)])
def test_after_a_kill(clip, tmp_path, victim):
    arguments = [clip / "frames", "--masks", clip / "visible_masks", "--method", "drawing", "--quiet"]
    program = ["-c", RUN, "complete", *arguments]
    assert python(*program, "-o", tmp_path / "whole").wait() == 0
    slow = ["--set", "dawdle=0.15", "--workers", "2"]
    process = python(*program, "-o", tmp_path / "out", *slow)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "out" / "provenance").glob("*.png"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    workers = psutil.Process(process.pid).children()
    assert len(workers) >= 2
    (process if victim == "parent" else workers[-1]).send_signal(signal.SIGKILL)
    code = process.wait(60)
    if victim == "parent":
        assert not psutil.wait_procs(workers, timeout=20)[1]
        assert not (tmp_path / "out" / "result.json").exists()
        process = python(*program, "-o", tmp_path / "out", *slow, "--resume")
        code = process.wait(60)
    assert code == 0, process.stderr.read()
    assert pixels(tmp_path / "out") == pixels(tmp_path / "whole")
    assert not [path for path in (tmp_path / "out").rglob("*") if ".part" in path.name]


RUN = """import sys, unocclude.methods; from support import small_clip
if __name__ == "__main__":
    unocclude.methods.METHODS.table["drawing"] = "support.small_clip:Drawing"
    sys.exit(small_clip.main(sys.argv[1:]))"""


def test_a_method_that_fails_in_a_worker_says_where(clip, pool, tmp_path):
    method = small_clip.Failing(small_clip.Failing.Options(), unocclude.methods.base.RunSettings())
    args = unocclude.open(clip / "frames"), unocclude.read_masks(clip / "visible_masks")
    with pytest.raises(RuntimeError, match="a bug") as caught:
        unocclude.complete(*args, method=method, out=tmp_path / "out", workers=pool)
    assert caught.value.__notes__ == ["in method failing, frame 2"]


def test_objects_in_workers(clip, pool, tmp_path):
    frames, masks = unocclude.open(clip / "frames")[:6], unocclude.read_masks(clip / "visible_masks")[:6]
    bar = np.zeros((6, small_clip.HEIGHT, small_clip.WIDTH), bool)
    bar[:, :, 26:32] = True
    objects = [masks, bar, bar & (np.arange(small_clip.HEIGHT) < 5)[:, None]]
    for name, workers in (("one", None), ("three", pool)):
        unocclude.layers(frames, objects, out=tmp_path / name, workers=workers, pictures=False)
    kinds = ("objects", "background")
    one, three = (
        {name: data for name, data in contents(tmp_path / folder, *kinds).items() if not name.endswith(".json")}
        for folder in ("one", "three")
    )
    assert one == three and len(one) == 6 * (3 * 4 + 3)


def test_tracked_objects_in_workers(tmp_path, capsys):
    clip = small_clip.make(tmp_path / "clip", count=4)
    objects = [{"id": k, "name": "x", "cues": [{"frame": 0, "box": [2, 10, 16 + k, 24]}]} for k in (1, 2)]
    (tmp_path / "objects.json").write_text(json.dumps({"objects": objects}))
    ask = ("track", clip / "frames", "--objects", tmp_path / "objects.json", "--quiet")
    for workers in (1, 2):
        assert run(capsys, *ask, "-o", tmp_path / str(workers), "--workers", workers)[0] == 0
    assert contents(tmp_path / "1", "objects") == contents(tmp_path / "2", "objects")


def test_bench_in_workers(tmp_path, capsys):
    for name in ("a", "b"):
        small_clip.make(tmp_path / "data" / name, seed=ord(name))
    ask = ("bench", tmp_path / "data", "--methods", "modal,convex", "--quiet")
    for workers in (1, 2):
        assert run(capsys, *ask, "-o", tmp_path / str(workers), "--workers", workers)[0] == 0
    one, two = (contents(tmp_path / name, "figures") for name in ("1", "2"))
    assert one == two and len(one) == 4
    assert (tmp_path / "1" / "table.md").read_bytes() == (tmp_path / "2" / "table.md").read_bytes()


@pytest.mark.parametrize("frames", [[], [4], [0, 1, 2], [0, 2, 3, 7], range(30), [*range(9), *range(20, 50)]])
@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_ranges_are_the_frames(frames, count):
    class Here:
        def run(self, call, *queues):
            assert len(queues) <= count
            return (unocclude.executor.attempt(call, part) for queue in queues for part in queue)

    Here.count = count
    assert [i for part in ranges_of(frames) for i in part] == list(frames)
    assert [i for part in short_ranges(frames) for i in part] == list(frames)
    assert all(0 < len(part) <= 8 for part in short_ranges(frames))
    assert [i for found in run_ranges(Here(), list, frames) for i in found] == list(frames)


def test_what_workers_get_is_equal(clip, tmp_path):
    """Clips, masks with mattes and scenes come out of a pickle as they went in."""
    (tmp_path / "mattes").mkdir()
    for i in range(22):
        mask = read_png(clip / "visible_masks" / f"{i:05d}.png")
        soft = np.where(mask > 0, 255 - np.arange(small_clip.WIDTH), 0).astype(np.uint8)
        write_png(tmp_path / "mattes" / f"{i:05d}.png", soft)
    frames = unocclude.open(clip / "frames")
    track = mask_files.read_for(frames, tmp_path / "mattes")
    for given in (frames, unocclude.open(clip / "frames", start=3, end=9), frames[2:5]):
        other = pickle.loads(pickle.dumps(given))
        assert all(np.array_equal(a, b) for a, b in zip(other, given, strict=True))
        assert other.shots == given.shots and other.times == given.times
    scene = Scene(frames, track, pad=0.2)
    other = pickle.loads(pickle.dumps(scene))
    assert np.array_equal(other.visible(3), scene.visible(3)) and np.array_equal(other.matte(3), scene.matte(3))
    assert scene.matte(3) is not None and len({*scene.matte(3).ravel()}) > 9
    assert other.offset == scene.offset


def test_videos_are_opened_again(tmp_path):
    world = rigid_world(3, "camera", 5, 64, 48)
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=24)
        stream.width, stream.height = 64, 48
        for frame in world.frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")))
        file.mux(stream.encode())
    video = VideoFrames(path)
    other = pickle.loads(pickle.dumps(video))
    assert all(np.array_equal(other.read(i), video.read(i)) for i in range(len(video)))
