"""`unocclude synth`: the same bytes for any number of workers and after a kill, shards, figures, bad input."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
import types

import numpy as np
import psutil
import pytest

from unocclude.cli import main
from unocclude.media.images import read_png
from unocclude.synthesis import dataset, dataset_spec, rigid_world, sprite_world
from unocclude.synthesis.dataset import clip_metas, make_dataset
from unocclude.synthesis.dataset_spec import DatasetSpec, clip_seed
from unocclude.synthesis.shards import read_shard

SPRITES = ["synth", "sprites", "--count", "5", "--frames", "3", "--size", "32x24", "--quiet"]
RECIPE = DatasetSpec("sprites", 0, 3, (32, 24))


def contents(folder):
    """Everything in a folder, by path."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("synth") / "out"
    assert main([*SPRITES, "-o", str(out), "--workers", "1"]) == 0
    return out


def test_two_workers_make_the_same_bytes(made, tmp_path):
    assert main([*SPRITES, "-o", str(tmp_path / "two"), "--workers", "2"]) == 0
    assert contents(tmp_path / "two") == contents(made)
    assert main([*SPRITES, "-o", str(tmp_path / "other"), "--workers", "1", "--seed", "1"]) == 0
    assert contents(tmp_path / "other") != contents(made)


def test_layout_and_figures(made):
    assert sorted(p.name for p in made.iterdir()) == [*(f"{i:05d}" for i in range(5)), "synth.json"]
    info = json.loads((made / "synth.json").read_text())
    sizes, rates, coverages = [], [], []
    for i in range(5):
        folder = made / f"{i:05d}"
        amodal, visible, rgb, frames = (
            np.array([read_png(folder / part / f"{k:05d}.png") for k in range(3)])
            for part in ("amodal_masks", "visible_masks", "amodal_rgb", "frames")
        )
        assert set(np.unique(amodal)) <= {0, 255} and frames.shape == (3, 24, 32, 3)
        assert np.array_equal(rgb[visible > 0], frames[visible > 0]) and not (visible > amodal).any()
        sizes.append((amodal > 0).mean())
        areas = (amodal > 0).sum((1, 2))
        rates.append(np.mean(1 - (visible > 0).sum((1, 2))[areas > 0] / areas[areas > 0]))
        coverages.append((amodal > visible).any(0).sum() / amodal.any(0).sum())
        world = sprite_world(clip_seed(0, i), 3, 32, 24)
        assert np.array_equal(np.array(world.frames), frames)
    row = info["statistics"]["sprites"]
    assert row["object_size"] == pytest.approx(np.mean(sizes), abs=1e-4)
    assert row["occlusion_rate"] == pytest.approx(np.mean(rates), abs=1e-4)
    assert row["occlusion_coverage_rate"] == pytest.approx(np.mean(coverages), abs=1e-4)
    assert (row["clips"], row["mean_frames"], info["identity"]["count"]) == (5, 3, 5)


@pytest.mark.parametrize("shards", [0, 2])
def test_resume_after_a_kill(tmp_path, monkeypatch, shards):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    make_dataset(RECIPE, whole, 5, shards=shards)
    write, calls = dataset.write_world, []

    def dies(world, folder):
        calls.append(folder)
        if len(calls) == 4:  # half of a clip is there, as after kill -9
            folder.joinpath("frames").mkdir(parents=True)
            folder.joinpath("frames/00000.png").write_bytes(b"half")
            raise KeyboardInterrupt
        write(world, folder)

    monkeypatch.setattr(dataset, "write_world", dies)
    with pytest.raises(KeyboardInterrupt):
        make_dataset(RECIPE, broken, 5, shards=shards)
    assert not (broken / "synth.json").exists() and (broken / "run.json").exists()
    monkeypatch.setattr(dataset, "write_world", lambda world, folder: (calls.append(folder), write(world, folder)))
    make_dataset(RECIPE, broken, 5, shards=shards, resume=True)
    assert len(calls) == 4 + 2  # three were kept
    assert contents(broken) == contents(whole)
    assert not [p for p in broken.rglob("*") if p.name.startswith(".")]


def test_interrupted_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dataset, "write_world", lambda world, folder: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main([*SPRITES, "-o", str(tmp_path / "out"), "--workers", "1"]) == 130
    assert "continue with --resume" in capsys.readouterr().err


def test_finished_stays_and_other_arguments_are_refused(made, capsys):
    before = {p: p.stat().st_mtime_ns for p in made.rglob("*")}
    assert main([*SPRITES, "-o", str(made), "--resume"]) == 0
    assert main([*SPRITES, "-o", str(made)]) == 2
    assert main([*SPRITES, "-o", str(made), "--resume", "--seed", "7"]) == 2
    assert "seed" in capsys.readouterr().err
    assert {p: p.stat().st_mtime_ns for p in made.rglob("*")} == before


def test_workers_die_with_their_parent(tmp_path):
    # far more clips than can be made before the kill
    command = [
        sys.executable,
        "-m",
        "unocclude.cli",
        "synth",
        "sprites",
        "-o",
        str(tmp_path / "out"),
        "--count",
        "9999",
    ]
    parent = subprocess.Popen([*command, "--size", "32x32", "--frames", "2", "--workers", "2", "--quiet"])
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not list((tmp_path / "out").glob("0000[0-9]")):
            time.sleep(0.05)
        children = psutil.Process(parent.pid).children(recursive=True)
        assert len(children) >= 2
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        _, alive = psutil.wait_procs(children, timeout=20)
        assert not alive
    finally:
        parent.kill()


def test_shards_read_back(made, tmp_path):
    out = tmp_path / "shards"
    info = make_dataset(RECIPE, out, 5, shards=2)
    assert sorted(p.name for p in out.iterdir()) == ["00000.tar", "00001.tar", "00002.tar", "synth.json"]
    clips = {name: members for k in range(3) for name, members in read_shard(out / f"{k:05d}.tar")}
    assert sorted(clips) == [f"{i:05d}" for i in range(5)]
    for name, members in clips.items():
        files = {".".join(p.relative_to(made / name).parts): p.read_bytes() for p in (made / name).rglob("*.*")}
        assert members == files
    assert info["statistics"] == json.loads((made / "synth.json").read_text())["statistics"]
    assert [name for name, _ in clip_metas(out)] == [name for name, _ in clip_metas(made)]
    with tarfile.open(out / "00000.tar") as tar:
        infos = tar.getmembers()
    assert all((i.mtime, i.uid, i.gid, i.uname) == (0, 0, 0, "") for i in infos)
    # how WebDataset finds the samples: the key is what is before the first dot of the file's name
    keys = [re.fullmatch(r"((?:.*/|)[^.]+)[.]([^/]*)", i.name)[1] for i in infos]
    assert keys == sorted(keys) and set(keys) == {"00000", "00001"}


def test_sheet(made, tmp_path):
    again = [*SPRITES, "-o", str(made), "--resume"]
    assert main([*again, "--sheet", str(tmp_path / "a.png")]) == 0
    sheet = read_png(tmp_path / "a.png")
    assert sheet.shape == (5 * (2 * 112 + 4), 3 * (149 + 2), 3)
    assert main([*SPRITES, "-o", str(tmp_path / "s"), "--shards", "--sheet", str(tmp_path / "b.png")]) == 0
    assert np.array_equal(read_png(tmp_path / "b.png"), sheet)


def test_rigid_worlds(tmp_path, capsys):
    assert main(["synth", "rigid", "-o", str(tmp_path / "r"), "--count", "3", "--frames", "3", "--size", "48x32",
                 "--workers", "1"]) == 0  # fmt: skip
    said = capsys.readouterr()
    assert "occlusion-coverage rate" in said.out and "3 clips" in said.err
    for folder in sorted((tmp_path / "r").glob("0*")):
        for i in range(3):
            visible = read_png(folder / f"visible_masks/{i:05d}.png") > 0
            frame, rgb = (read_png(folder / part / f"{i:05d}.png") for part in ("frames", "amodal_rgb"))
            assert np.array_equal(frame[visible], rgb[visible])
    motions = {meta["motion"] for _, meta in clip_metas(tmp_path / "r")}
    assert len(motions) >= 2


def test_several_objects_of_a_scene(tmp_path, monkeypatch):
    def physics_worlds(seed, frames, width, height, still=False):
        return [rigid_world(seed + k, frames=frames, width=width, height=height) for k in range(2)]

    fake = types.SimpleNamespace(physics_worlds=physics_worlds)
    monkeypatch.setitem(sys.modules, "unocclude.synthesis.worlds", fake)
    monkeypatch.setattr(dataset_spec, "find_spec", lambda name: name)
    out = tmp_path / "w"
    command = ["synth", "worlds", "-o", str(out), "--count", "2", "--frames", "2", "--size", "32x32", "--quiet",
               "--workers", "1"]  # fmt: skip
    assert main(command) == 0
    assert sorted(p.name for p in out.glob("0*")) == ["00000_0", "00000_1", "00001_0", "00001_1"]
    # killed between the two objects of a scene: that scene is made again
    before = contents(out)
    (out / "00001_1").rename(tmp_path / "lost")
    (out / "run.json").write_text((out / "synth.json").read_text())
    (out / "synth.json").unlink()
    assert main([*command, "--resume"]) == 0
    assert contents(out) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "unknown kind nonsense"),
        (["composite"], "needs --sources"),
        (["carve", "--sources", "nowhere"], "not a folder"),
        (["sprites", "--sources", "."], "leave out --sources"),
        (["sprites", "--size", "64"], "WIDTHxHEIGHT"),
        (["sprites", "--size", "8x64"], "16x16 or more"),
        (["sprites", "--sheet", "a.jpg"], "ends in .png"),
        (["sprites", "--sheet", "nowhere/a.png"], "does not exist"),
        (["sprites", "--resume", "--overwrite"], "not both"),
        (["sprites", "--count", "0"], "count"),
        (["worlds"], "unocclude[worlds]"),
    ],
)
def test_bad_input_is_one_line_and_nothing_written(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dataset_spec, "find_spec", lambda name: None)
    assert main(["synth", *arguments, "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    assert main([*SPRITES, "-o", str(tmp_path), "--overwrite"]) == 2
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_overwrite_replaces(made, tmp_path):
    out = tmp_path / "out"
    assert main([*SPRITES, "-o", str(out), "--workers", "1", "--count", "7"]) == 0
    assert main([*SPRITES, "-o", str(out), "--workers", "1", "--overwrite"]) == 0
    assert contents(out) == contents(made)


def test_too_few_sources(tmp_path, capsys):
    assert main(["synth", "rigid", "-o", str(tmp_path / "s"), "--count", "1", "--frames", "4", "--quiet"]) == 0
    assert main(["synth", "carve", "--sources", str(tmp_path / "s"), "-o", str(tmp_path / "out")]) == 2
    assert "two unoccluded objects or more are needed" in capsys.readouterr().err
