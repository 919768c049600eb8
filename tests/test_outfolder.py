"""OUT folders: nothing of the user's is ever lost, whatever fails, is killed, planted or pointed at."""

import json
import os
import secrets
import shutil
import signal
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

import unocclude
from support import small_clip
from support.processes import RUN, python
from support.small_clip import COUNT, PIXELS, assert_one_line, contents, run
from unocclude import layout, outfolder
from unocclude.errors import InputError, UnoccludeError
from unocclude.lock import Lock
from unocclude.media import files
from unocclude.media.images import write_png


@pytest.fixture
def clip(tmp_path, monkeypatch):
    small_clip.register(monkeypatch)
    return small_clip.make(tmp_path / "clip")


@pytest.fixture
def complete(clip, tmp_path, capsys):
    def call(*args, method="modal", out=tmp_path / "out", masks=clip / "visible_masks"):
        return run(capsys, "complete", clip / "frames", "-o", out, "--masks", masks, "--method", method, *args)

    return call


def snapshot(folder):
    """Everything under a folder: kind, content or target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        elif path.is_file():
            found[name] = ("file", path.read_bytes())
        else:
            found[name] = ("other", path.is_dir())
    return found


# Deleting -----------------------------------------------------------------------------------------


def plant_git(out):
    (out / ".git").mkdir()
    (out / ".git" / "HEAD").write_text("ref: refs/heads/main")


def plant_note_in_a_folder_of_ours(out):
    (out / "rgba" / "notes.txt").write_text("dear")


def plant_dot_file(out):
    (out / ".00000.part.png").write_bytes(b"mine")


def plant_picture_by_another_name(out):
    (out / "rgba" / "7.png").write_bytes(b"mine")


def plant_link(out):
    (out / "rgba" / "00099.png").symlink_to(out.parent / "clip" / "frames" / "00000.png")


def plant_linked_folder(out):
    (out / "disagreement").symlink_to(out.parent / "clip" / "frames")


def plant_socket(out):
    server = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(out)  # the path of a socket must be short
    server.bind("preview.sock")
    os.chdir(here)


def plant_pipe_by_our_name(out):
    os.mkfifo(out / "rgba" / "00099.png")


def plant_empty_folder(out):
    (out / "mine").mkdir()


def plant_folder_by_our_name(out):
    (out / "rgba" / "00099.png").mkdir()


def plant_foreign_temporary(out):
    (out / f".00000.{'0' * 16}-{'1' * 8}.part.png").write_bytes(b"of nobody's run")


PLANTS = [value for name, value in sorted(globals().items()) if name.startswith("plant_")]


@pytest.mark.parametrize("plant", PLANTS)
def test_overwrite_refuses_a_folder_that_holds_anything_else(plant, complete, tmp_path):
    complete()
    plant(tmp_path / "out")
    before = snapshot(tmp_path)
    code, _, err = complete("--overwrite", method="convex")
    assert code == 2
    assert_one_line(err, "not made by this tool" if "link" not in plant.__name__ else "left alone")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    "marks",
    [
        '{"schema": 1, "identity": {}}',
        '{"schema": 1, "identity": {"verb": "complete"}}',
        '{"schema": 1, "identity": {"verb": "rm"}}',
        "",
        "null",
        "[" * 5000,
    ],
)
@pytest.mark.parametrize("name", ["result.json", "run.json", "track.json", "train.json", "synth.json", "bench.json"])
def test_a_file_that_claims_to_be_ours_gives_nothing_away(marks, name, complete, tmp_path):
    out = tmp_path / "out"
    (out / "src").mkdir(parents=True)
    (out / "src" / "main.py").write_text("precious")
    (out / ".git").mkdir()
    (out / name).write_text(marks)
    before = snapshot(tmp_path)
    code, _, err = complete("--overwrite")
    assert code == 2
    assert_one_line(err)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("flags", [(), ("--resume",), ("--overwrite",)])
@pytest.mark.parametrize("place", ["/", ".", "..", "~", "link", "inside", "./sub/.."])
def test_places_that_are_never_out(place, flags, complete, tmp_path, monkeypatch):
    home, work = tmp_path / "home", tmp_path / "work"
    for folder in (home, work / "sub" / "deep"):
        folder.mkdir(parents=True)
    (home / "letter").write_text("dear")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work / "sub" / "deep" if place == "inside" else work)
    (tmp_path / "to_work").symlink_to(work)
    out = {"~": home, "link": tmp_path / "to_work", "inside": work}.get(place, place)
    before = snapshot(tmp_path)
    code, _, err = complete(*flags, out=out)
    assert code == 2
    assert_one_line(err, "give a folder of its own")
    assert snapshot(tmp_path) == before


def linked_frames(clip, out):
    """A folder of frames one of which is a link into OUT."""
    folder = clip.parent / "linked"
    folder.mkdir()
    for path in sorted((clip / "visible_masks").iterdir()):
        (folder / path.name).symlink_to(out / "visible_masks" / path.name)
    return folder


@pytest.mark.parametrize("what", ["masks", "occluders", "linked", "chained", "input", "list"])
def test_inputs_may_not_lie_in_what_is_replaced(what, complete, clip, tmp_path, capsys):
    out = tmp_path / "out"
    complete()
    inside = out / "visible_masks"
    (tmp_path / "chain").symlink_to(out)
    arguments = {
        "masks": ("--masks", inside),
        "occluders": ("--occluders", inside, "--masks", clip / "visible_masks"),
        "linked": ("--masks", linked_frames(clip, out)),
        "chained": ("--masks", tmp_path / "chain" / "visible_masks"),
        "input": ("--masks", clip / "visible_masks"),
        "list": ("--masks", out / "visible_masks" / "00000.png"),
    }[what]
    source = out / "rgba" if what == "input" else clip / "frames"
    before = snapshot(tmp_path)
    code, _, err = run(capsys, "complete", source, "-o", out, *arguments, "--method", "modal", "--overwrite")
    assert code == 2
    assert_one_line(err, "inside")
    assert snapshot(tmp_path) == before


def test_the_same_in_python(complete, clip, tmp_path):
    complete()
    frames = unocclude.open(clip / "frames")
    inside = unocclude.read_masks(tmp_path / "out" / "visible_masks")
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match="inside"):
        unocclude.complete(frames, inside, method="modal", out=tmp_path / "out", overwrite=True)
    assert snapshot(tmp_path) == before


def test_a_link_as_out_is_followed_once(complete, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    assert complete("--resume")[0] == 0
    assert (tmp_path / "real" / "result.json").exists()
    assert complete("--overwrite", method="convex")[0] == 0
    assert (tmp_path / "out").is_symlink()
    info = json.loads((tmp_path / "real" / "result.json").read_text())
    assert info["method"]["name"] == "convex"
    (tmp_path / "real" / "mine").write_text("x")
    before = snapshot(tmp_path)
    assert complete("--overwrite")[0] == 2
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("kind", ["rgba", "provenance"])
def test_resume_does_not_write_through_a_link_in_out(kind, complete, tmp_path):
    out, mine = tmp_path / "out", tmp_path / "mine"
    complete(method="drawing")
    (out / "result.json").rename(out / "run.json")
    mine.mkdir()
    (mine / "00000.png").write_bytes(b"precious")
    for path in (out / kind).iterdir():
        path.unlink()
    (out / kind).rmdir()
    (out / kind).symlink_to(mine)
    code, _, err = complete("--resume", method="drawing")
    assert code == 2
    assert_one_line(err, "link")
    assert (mine / "00000.png").read_bytes() == b"precious"


def test_users_dot_files_survive_a_resumed_run(complete, tmp_path):
    out = tmp_path / "out"
    complete(method="drawing")
    (out / "result.json").rename(out / "run.json")
    (out / "rgba" / "00003.png").unlink()
    names = [".00003.part.png", ".notes.part", f".x.{'a' * 16}-{'b' * 8}.part.png", ".hidden"]
    for name in names:
        (out / "rgba" / name).write_bytes(b"mine")
    assert complete("--resume", method="drawing")[0] == 0
    assert all((out / "rgba" / name).read_bytes() == b"mine" for name in names)


def test_what_comes_to_out_during_the_run_is_left_alone(complete, tmp_path, monkeypatch):
    out = tmp_path / "out"
    complete()
    old = contents(out)
    write = unocclude.output.PictureFolder.write_frame

    def meanwhile(self, result):
        (out / "letter.txt").write_text("dear")
        write(self, result)

    with monkeypatch.context() as patched:
        patched.setattr("unocclude.output.PictureFolder.write_frame", meanwhile)
        code, _, err = complete("--overwrite", method="convex")
    assert code == 1
    assert_one_line(err, "letter.txt", ".out.unocclude-new", "--resume")
    assert contents(out) == old | {"letter.txt": b"dear"}
    (out / "letter.txt").unlink()
    assert complete("--resume", method="convex")[0] == 0
    assert unocclude.Completion(out).info["method"]["name"] == "convex"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip", "out"]


def test_what_is_in_the_place_of_the_new_result_is_left_alone(complete, tmp_path):
    complete()
    mine = tmp_path / ".out.unocclude-new"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    before = snapshot(tmp_path)
    code, _, err = complete("--overwrite")
    assert code == 2
    assert_one_line(err, "in the way")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("flag", ["--overwrite", "--resume"])
def test_a_link_in_the_place_of_the_new_result_is_not_followed(flag, complete, tmp_path):
    complete()
    complete("--seed", "1", out=tmp_path / "other")
    (tmp_path / "other" / "result.json").rename(tmp_path / "other" / "run.json")
    (tmp_path / ".out.unocclude-new").symlink_to(tmp_path / "other")
    before = snapshot(tmp_path)
    code, _, err = complete(flag, "--seed", "1")
    assert code == 2
    assert_one_line(err, "in the way" if flag == "--overwrite" else "other arguments")
    assert snapshot(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_out_in_a_folder_that_is_read_only(complete, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    complete(out=place / "out")
    place.chmod(0o555)
    try:
        assert complete("--overwrite", out=place / "out")[0] == 2
    finally:
        place.chmod(0o755)


# Writing ------------------------------------------------------------------------------------------


def test_a_link_under_the_temporary_name_is_not_followed(tmp_path, monkeypatch):
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    monkeypatch.setattr(secrets, "token_hex", lambda n: "0" * 2 * n)
    planted = files.temporary(tmp_path / "a.png")
    planted.symlink_to(target)
    for write in (
        lambda: files.write_bytes(tmp_path / "a.png", b"x"),
        lambda: add(files.FileBatch(), tmp_path / "a.png"),
    ):
        with pytest.raises(FileExistsError):
            write()
    assert target.read_bytes() == b"precious" and planted.is_symlink() and not (tmp_path / "a.png").exists()


def add(batch, path):
    with batch:
        batch.add(path, b"x")


def test_temporary_names_are_long_lasting_secrets(tmp_path):
    names = {files.temporary(tmp_path / ("ß" * 200 + ".png")).name for _ in range(100)}
    assert len(names) == 100 and all(files.is_temporary(name) and len(name.encode()) < 200 for name in names)
    assert not any(files.is_temporary(name, ["0" * 16]) for name in names)
    assert all(files.is_temporary(name, [files.token]) for name in names)


def test_data_is_on_the_disk_before_it_is_named(complete, tmp_path, monkeypatch):
    """Every rename within a run is of a file that was synced, and its folder is synced afterwards."""
    synced, unsynced_folders = set(), set()
    sync, replace = files.sync, Path.replace

    def synced_now(path):
        synced.add(path)
        unsynced_folders.discard(path)
        sync(path)

    def replaced(self, target):
        assert self in synced, f"{target} was named before it was on the disk"
        unsynced_folders.add(Path(target).parent)
        return replace(self, target)

    monkeypatch.setattr(files, "sync", synced_now)
    monkeypatch.setattr(Path, "replace", replaced)
    assert complete("--hypotheses", "2", method="drawing")[0] == 0
    assert len(synced) > 8 * COUNT and not unsynced_folders


class Faults:
    """Fails the n-th operation on the disk, as a disk that breaks does."""

    def __init__(self, patch, n):
        self.left = n
        for owner, name in (
            (Path, "write_bytes"), (Path, "replace"), (Path, "rename"), (Path, "mkdir"), (Path, "unlink"),
            (Path, "rmdir"), (files.os, "fsync"), (files.os, "link"), (files, "swap_folders"),
        ):  # fmt: skip
            patch.setattr(owner, name, self.wrapped(getattr(owner, name)))

    def wrapped(self, call):
        def maybe(*args, **more):
            self.left -= 1
            if self.left == 0:
                raise OSError(5, "Input/output error")
            return call(*args, **more)

        return maybe


@pytest.mark.parametrize("flag", ["--resume", "--overwrite"])
@pytest.mark.parametrize("every", [23, pytest.param(1, marks=pytest.mark.slow)])
def test_every_single_fault_is_survived(every, flag, clip, tmp_path, monkeypatch, capsys):
    """A fault at the n-th write, sync, rename ... of a short run, for every n: the old result or the new one is whole,
    --resume ends the run, and the same bytes come out."""
    short = tmp_path / "short"
    for kind in ("frames", "visible_masks"):
        (short / kind).mkdir(parents=True)
        for name in ("00000.png", "00001.png"):
            (short / kind / name).write_bytes((clip / kind / name).read_bytes())
    ask = ("complete", short / "frames", "--masks", short / "visible_masks", "--method", "drawing", "-o")
    new = ("--hypotheses", "2", "--seed", "1")
    kinds = (*PIXELS, "hypotheses", "disagreement")
    run(capsys, *ask, tmp_path / "straight", *new)
    expected, names = contents(tmp_path / "straight", *kinds), {p.name for p in (tmp_path / "straight").iterdir()}
    n = 0
    while True:
        n += every
        place = tmp_path / f"{n}"
        place.mkdir()
        out = place / "out"
        if flag == "--overwrite":
            run(capsys, *ask, out)
            old = contents(out)
        with monkeypatch.context() as patched:
            faults = Faults(patched, n)
            code, _, err = run(capsys, *ask, out, *new, flag)
        if faults.left > 0:
            break
        assert code in (0, 1), (n, err)
        if code:
            assert_one_line(err, "Input/output error" if "could not" in err else "")
        if flag == "--overwrite":
            assert {k: v for k, v in contents(out).items() if k != ".lock"} == old or contents(out, *kinds) == expected
        code, _, err = run(capsys, *ask, out, *new, "--resume")
        if code == 2 and flag == "--overwrite":  # it failed before it began anything: the old result is as it was
            assert contents(out) == old
            code, _, err = run(capsys, *ask, out, *new, flag)
        assert code == 0, (n, err)
        assert contents(out, *kinds) == expected, n
        assert {p.name for p in out.iterdir()} == names, n
        assert [p.name for p in place.iterdir()] == ["out"], n
    assert code == 0 and n > 60


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The arguments of a run and what it wrote, undisturbed."""
    folder = tmp_path_factory.mktemp("straight")
    clip, out = small_clip.make(folder / "clip"), folder / "out"
    ask = ("complete", clip / "frames", "--masks", clip / "visible_masks", "--method", "drawing", "--hypotheses", "2")
    with pytest.MonkeyPatch.context() as patched:
        small_clip.register(patched)
        assert small_clip.main([*map(str, ask), "-o", str(out)]) == 0
    return ask, out


def damage(path, how):
    data = path.read_bytes()
    path.write_bytes({"empty": b"", "zeros": bytes(len(data)), "half": data[: len(data) // 2]}[how])


@pytest.mark.parametrize("how", ["empty", "zeros", "half"])
@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(
    "name",
    ["run.json", "visible_masks/00001.png", "amodal_masks/00000.png", "rgba/00002.png", "provenance/00003.png",
     "hypotheses/2/rgba/00001.png", "disagreement/00004.png", "visible_masks/00005.png"],
)  # fmt: skip
def test_what_a_power_cut_leaves_is_redone(name, finished, how, straight, tmp_path, monkeypatch, capsys):
    small_clip.register(monkeypatch)
    ask, straight = straight
    out = tmp_path / "out"
    shutil.copytree(straight, out)
    if not finished:
        (out / "result.json").rename(out / "run.json")
    if (out / name).exists():
        damage(out / name, how)
    code, _, err = run(capsys, *ask, "-o", out, "--resume")
    assert code == 0, err
    kinds = (*PIXELS, "hypotheses", "disagreement")
    assert contents(out, *kinds) == contents(straight, *kinds)
    assert {p.name for p in out.iterdir()} == {p.name for p in straight.iterdir()}


@pytest.mark.parametrize("lost", ["everything", "a folder", "a frame", "the first frames"])
@pytest.mark.parametrize("pictures", [True, False])
def test_what_vanishes_in_mid_run_is_told(lost, pictures, clip, tmp_path, monkeypatch):
    out = tmp_path / "out"
    write = unocclude.output.PictureFolder.write_frame

    def meanwhile(self, result):
        if result.index == 4:
            if lost == "everything":
                shutil.rmtree(out)
            elif lost == "a folder":
                shutil.rmtree(out / "rgba")
            else:
                for i in range(1 if lost == "a frame" else 3):
                    (out / "rgba" / f"{i:05d}.png").unlink()
        write(self, result)

    monkeypatch.setattr("unocclude.output.PictureFolder.write_frame", meanwhile)
    track = unocclude.read_masks(clip / "visible_masks")
    with pytest.raises(UnoccludeError, match="out") as failure:
        unocclude.complete(unocclude.open(clip / "frames"), track, method="modal", out=out, pictures=pictures)
    assert failure.value.exit_code == 1 and "\n" not in str(failure.value)
    assert not (out / "result.json").exists()


# One process at a time ----------------------------------------------------------------------------


def test_a_folder_is_locked_while_a_run_is_at_work(complete, tmp_path, monkeypatch):
    out = tmp_path / "out"
    complete(method="drawing")
    (out / "result.json").rename(out / "run.json")
    lock = Lock.of_folder(out)
    lock.take()
    for flag in ("--resume", "--overwrite"):
        code, _, err = complete(flag, method="drawing")
        assert code == 2
        assert_one_line(err, "another run is writing")
    lock.release()
    assert not (out / ".lock").exists()
    (out / ".lock").write_text("")  # what a kill leaves
    assert complete("--resume", method="drawing")[0] == 0
    assert not (out / ".lock").exists()


def test_two_runs_do_not_replace_one_result_at_once(complete, tmp_path):
    complete()
    stage = outfolder.staging_folder(tmp_path / "out")
    complete(out=stage)
    lock = Lock.of_folder(stage)
    lock.take()
    code, _, err = complete("--overwrite", method="convex")
    assert code == 2
    assert_one_line(err, "another run is writing")
    lock.release()
    assert complete("--overwrite", method="convex")[0] == 0


@pytest.mark.parametrize("verb", ["synth", "bench"])
def test_other_verbs_lock_their_folders(verb, tmp_path, capsys, clip):
    ask = {
        "synth": ("synth", "rigid", "-o", tmp_path / "o", "--count", "1", "--frames", "2", "--size", "64x48"),
        "bench": ("bench", clip, "-o", tmp_path / "o", "--methods", "modal"),
    }[verb]
    (tmp_path / "o").mkdir()
    lock = Lock.of_folder(tmp_path / "o")
    lock.take()
    code, _, err = run(capsys, *ask, "--resume", "--quiet")
    assert code == 2
    assert_one_line(err, "another run is writing")
    lock.release()
    assert run(capsys, *ask, "--resume", "--quiet")[0] == 0
    (tmp_path / "o" / "mine").write_text("x")
    code, _, err = run(capsys, *ask, "--overwrite", "--quiet")
    assert code == 2
    assert_one_line(err, "mine")
    (tmp_path / "o" / "mine").unlink()
    assert run(capsys, *ask, "--overwrite", "--quiet")[0] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip", "o"]


# Exports ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mov", ".webm", ".mp4", ".gif", ".png", ".exr"])
def test_an_export_replaces_a_file_only_when_asked(suffix, complete, tmp_path, capsys):
    complete()
    file = tmp_path / f"layer{suffix}"
    first = tmp_path / "layer.00000.exr" if suffix == ".exr" else file
    first.write_bytes(b"precious")
    code, _, err = run(capsys, "export", tmp_path / "out", file, "--quiet")
    assert code == 2
    assert_one_line(err, "--overwrite")
    assert first.read_bytes() == b"precious"
    assert run(capsys, "export", tmp_path / "out", file, "--quiet", "--overwrite")[0] == 0
    assert first.read_bytes() != b"precious"
    lock = Lock.of_file(file)
    lock.take()
    code, _, err = run(capsys, "export", tmp_path / "out", file, "--quiet", "--overwrite")
    lock.release()
    assert code == 2
    assert_one_line(err, "another run is writing")


@pytest.mark.parametrize("name", ["rgba/00000.png", "preview.mp4"])
def test_an_export_does_not_replace_the_result_itself(name, complete, tmp_path, capsys):
    complete()
    before = snapshot(tmp_path)
    code, _, err = run(capsys, "export", tmp_path / "out", tmp_path / "out" / name, "--overwrite")
    assert code == 2
    assert_one_line(err, "the result itself")
    assert snapshot(tmp_path) == before


SLOWLY = """import sys, time, unocclude.media.layers as layers
checked = layers._checked
def slowly(frames, channels):
    for i, frame in enumerate(checked(frames, channels)):
        yield frame
        if i == 2:
            print("at work", flush=True)
            time.sleep(60)
layers._checked = slowly
from unocclude.cli import main
sys.exit(main())"""


@pytest.mark.skipif(sys.platform != "linux", reason="files without names")
@pytest.mark.parametrize("suffix", [".mov", ".webm", ".mp4", ".gif", ".png"])
def test_an_export_that_is_killed_leaves_nothing(suffix, complete, tmp_path):
    complete()
    place = tmp_path / "place"
    place.mkdir()
    process = python("-c", SLOWLY, "export", tmp_path / "out", place / f"layer{suffix}")
    assert process.stdout.readline() == "at work\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(place.iterdir())


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_sequence_that_is_killed_shows_no_frame(how, complete, tmp_path, capsys):
    complete()
    place = tmp_path / "place"
    place.mkdir()
    process = python("-c", SLOWLY, "export", tmp_path / "out", place / "layer.exr")
    assert process.stdout.readline() == "at work\n"
    process.send_signal(how)
    process.wait()
    left = [p.name for p in place.iterdir()]
    assert not left if how != signal.SIGKILL else [files.is_temporary(name) for name in left] == [True]
    assert run(capsys, "export", tmp_path / "out", place / "layer.exr", "--quiet")[0] == 0
    assert sorted(p.name for p in place.iterdir()) == [f"layer.{i:05d}.exr" for i in range(COUNT)]


# Names --------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there")
@pytest.mark.parametrize("place", ["input", "out", "masks"])
def test_names_that_are_no_text(place, clip, tmp_path, capsys):
    odd = os.fsdecode(b"cl\xffp \x1b[31m")
    names = {"input": clip / "frames", "out": tmp_path / "out", "masks": clip / "visible_masks"}
    if place == "out":
        names["out"] = tmp_path / odd
    else:
        names[place] = names[place].rename(tmp_path / odd)
    code, out, err = run(
        capsys, "complete", names["input"], "-o", names["out"], "--masks", names["masks"], "--method", "modal"
    )
    assert "\x1b" not in out + err
    assert code == 2 and not names["out"].exists()  # noticed before the work
    assert_one_line(err, "rename")


def test_every_verb_knows_what_it_writes():
    assert set(outfolder.VERBS.values()) == set(layout.LAYOUTS)


def test_layouts_name_files_and_their_folders(tmp_path):
    for name in ("runs/a/b/c/rgba/00000.png", "figures/a/b/c.json", "bench.json", "study/a/b/input.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert layout.foreign(tmp_path, layout.BENCH_FILE) == []
    assert layout.foreign(tmp_path, layout.RESULT_FILE) == ["bench.json", "figures", "runs", "study"]
    layout.remove(tmp_path, layout.BENCH_FILE)
    assert not list(tmp_path.iterdir())


def test_masks_that_come_as_one_picture_do_not_lie_in_out_either(tmp_path):
    write_png(tmp_path / "m.png", np.full((4, 4), 255, np.uint8))
    assert unocclude.read_masks(tmp_path / "m.png").path == tmp_path / "m.png"


def check_kills(waits, clip, out, tmp_path, capsys):
    """Kill -9 a run that replaces a result, after each wait: OUT is always the old result or the new one."""
    import time

    def ask(out, *more):
        return ("complete", clip / "frames", "-o", out, "--masks", clip / "visible_masks", "--method", "drawing", *more)

    for seed in (1, 2):
        run(capsys, *ask(tmp_path / f"straight{seed}", "--seed", seed))
    results = [contents(tmp_path / f"straight{seed}", *PIXELS) for seed in (1, 2)]
    run(capsys, *ask(out, "--seed", 1))
    kills, seed = 0, 2
    for wait in waits:
        process = python("-c", RUN, *ask(out, "--seed", seed, "--overwrite", "--quiet"))
        stage = outfolder.staging_folder(out)
        while not stage.exists() and process.poll() is None:
            time.sleep(0.002)
        time.sleep(wait)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=120)
        assert contents(out, *PIXELS) in results
        assert unocclude.Completion(out)
        code, _, err = run(capsys, *ask(out, "--seed", seed, "--resume"))
        if code == 2:  # killed before it said what it is
            assert "other arguments" in err
            code, _, err = run(capsys, *ask(out, "--seed", seed, "--overwrite"))
        assert code == 0, err
        assert contents(out, *PIXELS) == results[seed - 1]
        assert not list(out.glob(".*")) and not stage.exists()
        seed = 3 - seed
    return kills


def test_killed_while_replacing(clip, tmp_path, capsys):
    assert check_kills([0.0, 0.08], clip, tmp_path / "out", tmp_path, capsys)


@pytest.mark.slow
def test_killed_a_hundred_times_while_replacing(clip, tmp_path, capsys):
    moment = np.random.default_rng(0)
    assert check_kills(moment.uniform(0, 0.25, 100), clip, tmp_path / "out", tmp_path, capsys) > 50


def test_what_differs_from_an_earlier_run_is_told(complete, tmp_path):
    complete("--set", "reach=9", method="drawing")
    code, _, err = complete("--resume", "--seed", "3", method="drawing")
    assert code == 2
    assert_one_line(err, "(option reach was 9, seed was 0)")


@pytest.mark.parametrize(("indices", "told"), [((0, 1), "2 of 6 frames"), ((0, 2), "returned frame 2 where 1 was due")])
def test_a_method_that_leaves_out_frames_is_named(indices, told, complete, monkeypatch):
    draw = small_clip.Drawing.complete
    monkeypatch.setattr(
        small_clip.Drawing,
        "complete",
        lambda self, scene, start=0: (r for r in draw(self, scene) if r.index in indices),
    )
    code, _, err = complete(method="drawing")
    assert code == 1
    assert_one_line(err, "method drawing", told)
