"""The command line: what it writes, what it refuses and how it says so, and that it survives being killed."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import unocclude
from support import small_clip
from support.processes import RUN, SOURCE, python
from support.small_clip import COUNT, HEIGHT, PIXELS, WIDTH, assert_one_line, contents, run
from unocclude import methods
from unocclude.media import files as media_files
from unocclude.media.images import read_png, write_png
from unocclude.media.layers import write_layers


@pytest.fixture
def clip(tmp_path, monkeypatch):
    small_clip.register(monkeypatch)
    return small_clip.make(tmp_path / "clip")


@pytest.fixture
def complete(clip, tmp_path, capsys):
    """Run `complete` on the clip with its masks, into tmp_path/out."""

    def call(*args, masks=clip / "visible_masks", method="modal", out=tmp_path / "out"):
        prompt = ("--masks", masks) if masks else ()
        return run(capsys, "complete", clip / "frames", "-o", out, *prompt, "--method", method, *args)

    return call


# What it writes -----------------------------------------------------------------------------------


def test_complete_writes_every_documented_file(complete, clip, tmp_path):
    code, out, err = complete("--method", "convex", "--seed", "3")
    folder = tmp_path / "out"
    assert code == 0
    assert out.split() == [str(folder), str(folder / "report.html")]
    assert "\x1b" not in err
    names = {f"{i:05d}.png" for i in range(COUNT)}
    assert {p.name for p in folder.iterdir()} == {*PIXELS, "result.json", "preview.mp4", "report.html"}
    for kind in PIXELS:
        assert {p.name for p in (folder / kind).iterdir()} == names
    info = json.loads((folder / "result.json").read_text())
    assert info["seed"] == 3 and info["frame_count"] == COUNT and info["method"]["name"] == "convex"
    assert info["canvas"] == {"width": WIDTH, "height": HEIGHT, "offset": [0, 0]}
    for i, frame in enumerate(info["frames"]):
        visible = read_png(folder / "visible_masks" / f"{i:05d}.png") > 0
        amodal = read_png(folder / "amodal_masks" / f"{i:05d}.png") > 0
        assert np.array_equal(visible, read_png(clip / "visible_masks" / f"{i:05d}.png") > 0)
        assert (frame["visible_area"], frame["amodal_area"]) == (visible.sum(), amodal.sum())
        assert frame["occlusion_rate"] == pytest.approx(1 - visible.sum() / amodal.sum(), abs=1e-6)
    preview = unocclude.open(folder / "preview.mp4")
    assert (len(preview), preview.height, preview.width) == (COUNT, HEIGHT, 2 * WIDTH)


def test_quiet_says_nothing(complete, tmp_path):
    assert complete("--quiet") == (0, "", "")


def test_hypotheses(complete, tmp_path):
    code, _, err = complete("--hypotheses", "3", "--set", "reach=9", method="drawing")
    assert code == 0, err
    folder = tmp_path / "out"
    assert sorted(p.name for p in (folder / "hypotheses").iterdir()) == ["1", "2", "3"]
    kinds = ("amodal_masks", "rgba", "provenance")
    assert contents(folder / "hypotheses" / "1") == contents(folder, *kinds)
    assert contents(folder / "hypotheses" / "2") != contents(folder / "hypotheses" / "1")
    result = unocclude.Completion(folder)
    seen = 0
    for i in range(COUNT):
        votes = np.mean([h.amodal_masks[i] for h in result.hypotheses], axis=0)
        disagreement = read_png(folder / "disagreement" / f"{i:05d}.png")
        assert np.array_equal(disagreement == 0, np.isin(votes, (0, 1)))
        assert np.array_equal(disagreement, np.round(255 * 4 * votes * (1 - votes)))
        seen += (disagreement > 0).sum()
    assert seen
    page = (folder / "report.html").read_text()
    assert "hypothesis-3" in page and "disagreement" in page


def test_box_point_and_one_mask_are_tracked(complete, clip, tmp_path, capsys):
    one = clip / "visible_masks" / "00000.png"
    for k, prompt in enumerate((("--box", "1,9,17,25"), ("--point", "8,15"), ("--masks", one))):
        code, _, err = complete(*prompt, masks=None, out=tmp_path / f"out{k}")
        assert code == 0, err
        found = read_png(tmp_path / f"out{k}" / "visible_masks" / "00000.png") > 0
        truth = read_png(one) > 0
        assert (found & truth).sum() > 0.5 * (found | truth).sum()
        info = json.loads((tmp_path / f"out{k}" / "result.json").read_text())
        assert info["tracker"] != "given"


def test_one_image_with_its_mask(clip, tmp_path, capsys):
    image, mask = clip / "frames" / "00003.png", clip / "visible_masks" / "00003.png"
    code, _, err = run(capsys, "complete", image, "-o", tmp_path / "o", "--masks", mask, "--method", "convex")
    assert code == 0, err
    info = json.loads((tmp_path / "o" / "result.json").read_text())
    assert info["frame_count"] == 1 and info["tracker"] == "given"


def test_track(clip, tmp_path, capsys):
    out = tmp_path / "tracked"
    arguments = ("track", clip / "frames", "-o", out, "--masks", clip / "visible_masks")
    assert run(capsys, *arguments, "--quiet") == (0, "", "")
    assert {p.name for p in out.iterdir()} == {"visible_masks", "track.json"}
    given = [read_png(p) for p in sorted((clip / "visible_masks").iterdir())]
    assert all(np.array_equal(a, read_png(out / "visible_masks" / f"{i:05d}.png")) for i, a in enumerate(given))
    assert json.loads((out / "track.json").read_text())["frame_count"] == COUNT
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert_one_line(err, "--resume", "--overwrite")
    before = stamps(out)
    assert run(capsys, *arguments, "--resume")[0] == 0
    assert stamps(out) == before
    code, _, err = run(capsys, "evaluate", out, clip)
    assert code == 2
    assert_one_line(err, "result.json")
    code, _, err = run(capsys, "track", clip / "frames", "-o", out, "--box", "1,9,17,25", "--resume")
    assert code == 2
    assert_one_line(err, "other arguments", "prompt")


def test_export(complete, tmp_path, capsys):
    complete("--method", "convex")
    target = tmp_path / "layer.png"
    code, out, err = run(capsys, "export", tmp_path / "out", target)
    assert (code, out) == (0, f"{target}\n"), err
    assert len(unocclude.open(target)) == COUNT
    code, _, err = run(capsys, "export", tmp_path / "out", tmp_path / "layer.tiff")
    assert code == 2
    assert_one_line(err, ".tiff", ".mov")
    code, _, err = run(capsys, "export", tmp_path / "nowhere", target)
    assert code == 2
    assert_one_line(err, "nowhere")


def test_methods(capsys, monkeypatch):
    small_clip.register(monkeypatch)
    monkeypatch.setitem(methods.METHODS.table, "absent", "absent_package:Absent")
    code, out, _ = run(capsys, "methods", "--json")
    found = {method["name"]: method for method in json.loads(out)}
    assert code == 0 and found["modal"]["runs_here"] and found["modal"]["options"] == []
    assert found["drawing"]["options"][0] == {
        "name": "reach",
        "type": "int",
        "default": 6,
        "description": "how far it may grow, in pixels",
    }
    assert not found["absent"]["runs_here"] and "absent_package" in found["absent"]["missing"]
    code, out, _ = run(capsys, "methods")
    assert code == 0 and "\x1b" not in out
    for words in (
        "modal: the visible mask",
        "reach=6",
        "how far it may grow",
        "shout=false",
        "runs here: no",
    ):
        assert words in out


def test_version_and_help(capsys):
    assert run(capsys, "--version") == (0, f"unocclude {unocclude.__version__}\n", "")
    for arguments in (
        ["--help"],
        *([verb, "--help"] for verb in ("complete", "track", "evaluate", "export", "methods")),
    ):
        code, out, err = run(capsys, *arguments)
        assert code == 0 and "Usage: unocclude" in out and not err
    flags = {
        "--masks",
        "--box",
        "--point",
        "--text",
        "--frame",
        "--object-id",
        "--occluders",
        "--method",
        "--set",
    }
    flags |= {
        "--hypotheses",
        "--pad",
        "--seed",
        "--device",
        "--weights",
        "--resume",
        "--overwrite",
        "--quiet",
    }
    flags |= {"--debug", "-o"}
    out = run(capsys, "complete", "--help")[1]
    assert [flag for flag in flags if flag not in out] == []


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from unocclude.cli import main; main(['--help']); main(['complete', '--help']);"
        "print([m for m in ('torch', 'cv2', 'av', 'numpy', 'rich', 'PIL') if m in sys.modules])"
    )
    process = python("-c", code)
    out, err = process.communicate(timeout=60)
    assert out.splitlines()[-1] == "[]", err


def test_shell_completion_of_methods():
    environment = {
        "_UNOCCLUDE_COMPLETE": "complete_bash",
        "COMP_WORDS": "unocclude complete --method con",
        "COMP_CWORD": "3",
    }
    path = os.pathsep.join([SOURCE, os.environ.get("PYTHONPATH", "")])
    process = subprocess.run(
        [sys.executable, "-m", "unocclude.cli"],
        env={**os.environ, **environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert process.stdout.split() == ["convex", "convex-r"], process.stderr


# What it refuses ----------------------------------------------------------------------------------


def other_masks(folder, count=COUNT, height=HEIGHT, width=WIDTH, value=255):
    folder.mkdir()
    for i in range(count):
        write_png(folder / f"{i:05d}.png", np.full((height, width), value, np.uint8))
    return folder


REFUSED = {
    "no prompt": (["--quiet"], ["--masks, --box, --point, --mask, --objects or --text"]),
    "two kinds": (["--masks", "visible_masks", "--point", "3,3"], ["--masks and --point", "two kinds"]),
    "text and a cue": (["--text", "a square", "--hidden", "3"], ["--text and --hidden", "two kinds"]),
    "no object": (["--not-point", "3,3@2"], ["marks no object"]),
    "box without frame": (["--box", "1,1,9,9@"], ["1,1,9,9@", "after @"]),
    "box in no frame": (["--box", "1,1,9,9@6"], ["frame 6", "0 to 5"]),
    "box in frame -1": (["--box", "1,1,9,9@-1"], ["after @"]),
    "hidden and marked": (["--box", "1,1,9,9", "--hidden", "0"], ["hidden", "marks it"]),
    "mask missing": (["--box", "1,1,9,9", "--mask", "nowhere.png@2"], ["nowhere.png"]),
    "several masks": (["--mask", "visible_masks"], ["6 masks", "one frame"]),
    "no objects file": (["--objects", "nowhere"], ["nowhere"]),
    "text": (["--text", "a square"], ["weights", "--box"]),
    "box outside": (["--box", "100,100,120,120"], ["box", "outside"]),
    "box without area": (["--box", "9,9,9,20"], ["x1 > x0"]),
    "box of three": (["--box", "1,2,3"], ["X0,Y0,X1,Y1"]),
    "box of words": (["--box", "a,b,c,d"], ["X0,Y0,X1,Y1"]),
    "box of nan": (["--box", "nan,1,5,5"], ["X0,Y0,X1,Y1"]),
    "point outside": (["--point", "-1,5"], ["point", "outside"]),
    "frame out of range": (["--box", "1,1,9,9", "--frame", "6"], ["frame 6", "0 to 5"]),
    "frame negative": (["--box", "1,1,9,9", "--frame", "-1"], ["frame -1"]),
    "object without masks": (["--box", "1,1,9,9", "--object-id", "1"], ["--object-id", "--masks"]),
    "frame with masks": (["--masks", "visible_masks", "--frame", "2"], ["--frame 2", "masks of their own frames"]),
    "masks missing": (["--masks", "nowhere"], ["nowhere"]),
    "unknown method": (["--masks", "visible_masks", "--method", "magic"], ["magic", "recall"]),
    "unknown option": (["--masks", "visible_masks", "--set", "a=1"], ["'a'", "modal"]),
    "set without value": (["--masks", "visible_masks", "--set", "a"], ["KEY=VALUE"]),
    "option out of range": (
        ["--masks", "visible_masks", "--method", "drawing", "--set", "reach=99"],
        ["reach", "20"],
    ),
    "no samples": (["--masks", "visible_masks", "--hypotheses", "2"], ["modal", "--hypotheses"]),
    "no hypotheses": (["--masks", "visible_masks", "--hypotheses", "0"], ["hypotheses", "1 or more"]),
    "no weights taken": (["--masks", "visible_masks", "--weights", "x"], ["modal", "weights"]),
    "unknown device": (["--masks", "visible_masks", "--device", "tpu"], ["tpu", "auto, cpu, cuda"]),
    "pad too large": (["--masks", "visible_masks", "--pad", "3"], ["pad", "0 to 2"]),
    "pad nan": (["--masks", "visible_masks", "--pad", "nan"], ["pad"]),
    "resume and overwrite": (["--masks", "visible_masks", "--resume", "--overwrite"], ["not both"]),
    "unknown flag": (
        ["--masks", "visible_masks", "--colour", "red"],
        ["--colour", "unocclude complete --help"],
    ),
    "bad number": (["--masks", "visible_masks", "--seed", "x"], ["--seed", "integer"]),
    "surplus argument": (["--masks", "visible_masks", "more"], ["more"]),
    "flag without value": (["--masks"], ["--masks"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_usage_is_one_line_and_leaves_no_folder(case, clip, tmp_path, capsys):
    arguments, words = REFUSED[case]
    arguments = [clip / a if a in ("visible_masks", "nowhere") else a for a in arguments]
    if "--method" not in arguments:
        arguments += ["--method", "modal"] if arguments[-1] != "--masks" else []
    code, out, err = run(capsys, "complete", clip / "frames", "-o", tmp_path / "out", *arguments)
    assert (code, out) == (2, "")
    assert_one_line(err, *words)
    assert not (tmp_path / "out").exists()


def test_cuda_where_there_is_none(complete, tmp_path, monkeypatch):
    monkeypatch.setattr("unocclude.methods._has_cuda", lambda: False)
    code, _, err = complete("--device", "cuda")
    assert code == 2
    assert_one_line(err, "cuda", "--device auto")
    assert complete("--device", "cpu")[0] == 0


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        ({"count": COUNT + 1}, ["7 masks", "6 frames"]),
        ({"width": WIDTH + 1}, ["49x36", "48x36"]),
        ({"value": 0}, ["empty"]),
    ],
)
def test_masks_that_do_not_fit(masks, words, complete, tmp_path):
    code, _, err = complete(masks=other_masks(tmp_path / "masks", **masks))
    assert code == 2
    assert_one_line(err, *words)
    assert not (tmp_path / "out").exists()


def test_the_rate_of_a_folder_and_a_part_of_it(complete, clip, tmp_path, capsys):
    code, _, err = complete("--fps", "30", "--start", "2", "--end", "5", "--quiet")  # the masks are of all frames
    info = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (code, err) == (0, "")
    assert (info["fps"], info["frame_count"], info["source_range"], info["notes"]) == (30, 3, [2, 5], [])
    for i in range(3):
        visible = read_png(tmp_path / "out" / "visible_masks" / f"{i:05d}.png")
        assert np.array_equal(visible, read_png(clip / "visible_masks" / f"{i + 2:05d}.png"))
    again = ("--start", "2", "--end", "5", "--resume")
    for other in ("--fps", "25", *again), ("--fps", "30", "--start", "2", "--resume"):
        code, _, err = complete(*other)
        assert code == 2 and err.startswith("error: ")  # another clip, or masks that do not fit
    assert complete("--fps", "30", *again, "--quiet") == (0, "", "")
    box = ("--box", "14,10,26,24", "--fps", "30", "--start", "2", "-o", tmp_path / "tracked", "--quiet")
    assert run(capsys, "track", clip / "frames", *box) == (0, "", "")
    assert json.loads((tmp_path / "tracked" / "track.json").read_text())["frame_count"] == COUNT - 2


def test_notes_are_printed_once_and_kept(complete, clip, tmp_path, capsys):
    code, _, err = complete()
    notes = [line for line in err.splitlines() if line.startswith("note: ")]
    assert code == 0 and len(notes) == 1 and "24 frames a second" in notes[0] and "--fps" in notes[0]
    assert json.loads((tmp_path / "out" / "result.json").read_text())["notes"] == [notes[0].removeprefix("note: ")]
    assert "24 frames a second" in (tmp_path / "out" / "report.html").read_text()
    code, _, err = run(capsys, "track", clip / "frames", "--box", "2,10,16,24", "-o", tmp_path / "tracked")
    assert code == 0 and err.count("note: ") == 1
    assert len(json.loads((tmp_path / "tracked" / "track.json").read_text())["notes"]) == 1
    code, _, err = complete(masks=other_masks(tmp_path / "more", COUNT + 1), out=tmp_path / "refused")
    assert code == 2 and len(err.splitlines()) == 1  # nothing but the error


@pytest.mark.parametrize(
    ("count", "words"), [(15, ["15 masks fit", "25 a second", "-fps_mode passthrough"]), (9, ["variable rate"])]
)
def test_masks_of_a_constant_rate_for_a_variable_one(count, words, clip, tmp_path, capsys):
    times = [0, 0.04, 0.2, 0.24, 0.5, 0.56]
    layer = np.full((HEIGHT, WIDTH, 4), 200, np.uint8)
    write_layers(tmp_path / "clip.mp4", [layer] * COUNT, COUNT / 0.6, times)
    masks = other_masks(tmp_path / "masks", count)
    code, _, err = run(capsys, "complete", tmp_path / "clip.mp4", "--masks", masks, "-o", tmp_path / "out")
    assert code == 2
    assert_one_line(err, f"{count} masks for {COUNT} frames", *words)


def test_an_empty_prompt_mask(complete, clip, tmp_path):
    code, _, err = complete(masks=other_masks(tmp_path / "m", 1, value=0) / "00000.png")
    assert code == 2
    assert_one_line(err, "empty")


def test_occluders_must_fit_and_may_be_empty(complete, tmp_path):
    code, _, err = complete("--occluders", other_masks(tmp_path / "more", COUNT + 1))
    assert code == 2
    assert_one_line(err, "occluder")
    assert complete("--occluders", other_masks(tmp_path / "none", value=0))[0] == 0


@pytest.mark.parametrize("content", [None, b"", b"not a video at all"])
def test_input_that_is_no_clip(content, tmp_path, capsys):
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    arguments = ("complete", path, "-o", tmp_path / "out", "--box", "1,1,5,5", "--method", "modal")
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert_one_line(err, "clip.mp4")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["command", "unocclude --help"]),
        (["paint"], ["paint", "unocclude --help"]),
        (["complete"], ["unocclude complete --help"]),
        (["complete", "x"], ["--out", "unocclude complete --help"]),
        (["--nonsense"], ["--nonsense", "unocclude --help"]),
        (["evaluate", "only"], ["GT", "unocclude evaluate --help"]),
    ],
)
def test_errors_of_the_argument_parser_are_one_line(arguments, words, capsys):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert_one_line(err, *words)


def test_a_failing_run_is_one_line_unless_debug(complete, tmp_path):
    code, _, err = complete(method="failing")
    assert code == 1
    assert_one_line(err, "RuntimeError: a bug, over two lines (in method failing, frame 2)", "--debug")
    code, _, err = complete("--resume", "--debug", method="failing")
    assert code == 1
    assert "Traceback" in err and err.splitlines()[-1].startswith("error: RuntimeError")


def test_interrupted(complete, tmp_path, monkeypatch):
    def stop(self, result):
        raise KeyboardInterrupt

    monkeypatch.setattr("unocclude.output.PictureFolder.write_frame", stop)
    code, _, err = complete()
    assert code == 130
    assert_one_line(err, "interrupted", "--resume")


# The OUT folder -----------------------------------------------------------------------------------


def stamps(folder):
    return {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in [folder, *folder.rglob("*")]}


def test_out_exists(complete, tmp_path):
    (tmp_path / "out").mkdir()
    code, _, err = complete()
    assert code == 2
    assert_one_line(err, "--resume", "--overwrite")
    assert complete("--resume")[0] == 0
    code, _, err = complete()
    assert code == 2
    assert_one_line(err, "--resume", "--overwrite")


def test_resume_of_a_finished_run_changes_nothing(complete, tmp_path):
    complete()
    before = stamps(tmp_path / "out")
    code, out, _ = complete("--resume")
    assert code == 0 and str(tmp_path / "out") in out
    assert stamps(tmp_path / "out") == before


def test_resume_of_another_run(complete, clip, tmp_path, capsys):
    complete()
    before = stamps(tmp_path / "out")
    code, _, err = complete("--resume", "--seed", "1")
    assert code == 2
    assert_one_line(err, "seed")
    other = small_clip.make(tmp_path / "other", seed=5)
    arguments = ("complete", other / "frames", "-o", tmp_path / "out", "--masks", clip / "visible_masks")
    code, _, err = run(capsys, *arguments, "--method", "modal", "--resume")
    assert code == 2
    assert_one_line(err, "input")
    assert stamps(tmp_path / "out") == before


def test_overwrite_replaces_only_ours(complete, tmp_path):
    mine = tmp_path / "out"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    (mine / "result.json").write_text('{"schema": 1}')
    for flag in ("--overwrite", "--resume"):
        code, _, err = complete(flag)
        assert code == 2
        assert_one_line(err, "not made by this tool")
    assert (mine / "letter.txt").read_text() == "dear"
    shutil.rmtree(mine)
    complete()
    (mine / "rgba" / "00099.png").write_bytes(b"old")
    assert complete("--overwrite", method="convex")[0] == 0
    assert not (mine / "rgba" / "00099.png").exists()
    assert json.loads((mine / "result.json").read_text())["method"]["name"] == "convex"


def test_overwrite_does_not_empty_the_folder_it_reads_from(complete, tmp_path, capsys):
    complete()
    source = tmp_path / "out" / "preview.mp4"
    arguments = (
        "complete",
        source,
        "-o",
        tmp_path / "out",
        "--box",
        "3,9,17,25",
        "--method",
        "modal",
        "--overwrite",
    )
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert_one_line(err, "inside")
    assert source.exists()


def test_out_where_no_folder_can_be_made(complete, tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        code, _, err = complete(out=out)
        assert code == 2
        assert_one_line(err, out)


@pytest.mark.parametrize(
    "at",
    [
        "output.PictureFolder.write_frame",
        "outfolder.OutFolder.finish",
        "media.files.swap_folders",
        "layout.remove",
        "outfolder.OutFolder._forget_run",
    ],
)
def test_killed_overwrite_keeps_the_old_result_until_the_new_one_is_there(at, complete, tmp_path, monkeypatch):
    """Whatever an overwriting run does last: OUT holds one of the two results whole, and --resume ends the new one."""
    out = tmp_path / "out"
    complete("--method", "convex")
    old = contents(out)
    complete(out=tmp_path / "straight")
    new = contents(tmp_path / "straight", *PIXELS)

    def killed(*args, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(f"unocclude.{at}", killed)
        assert complete("--overwrite")[0] == 130
    assert contents(out) == old or contents(out, *PIXELS) == new
    assert unocclude.Completion(out)
    code, _, err = complete("--resume")
    assert code == 0, err
    assert contents(out, *PIXELS) == new
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip", "out", "straight"]
    assert {p.name for p in out.iterdir()} == {p.name for p in (tmp_path / "straight").iterdir()}


class Full:
    """A disk that takes so many files."""

    def __init__(self, monkeypatch, room):
        self.room, self.write = room, Path.write_bytes
        monkeypatch.setattr(Path, "write_bytes", lambda path, data: self(path, data))

    def __call__(self, path, data):
        self.room -= 1
        if self.room < 0:
            self.write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.write(path, data)


@pytest.mark.parametrize("room", [0, 3, 8, 15, 24])
def test_disk_full_then_resumed(room, complete, tmp_path, monkeypatch):
    arguments = ("--hypotheses", "2")
    with monkeypatch.context() as full:
        Full(full, room)
        code, _, err = complete(*arguments, method="drawing")
    assert code == 1
    assert_one_line(err, "No space left", "--resume")
    out = tmp_path / "out"
    assert not (out / "result.json").exists()
    assert not [p for p in out.rglob("*") if media_files.is_temporary(p.name)]
    assert complete("--resume", *arguments, method="drawing")[0] == 0
    complete(*arguments, method="drawing", out=tmp_path / "straight")
    kinds = (*PIXELS, "hypotheses", "disagreement")
    assert contents(out, *kinds) == contents(tmp_path / "straight", *kinds)


def killed_and_resumed(clip, out, waits):
    """Kill -9 the same command after each wait, then let it finish; how often it was killed at work."""
    command = [
        "complete",
        clip / "frames",
        "-o",
        out,
        "--masks",
        clip / "visible_masks",
        "--method",
        "drawing",
    ]
    command += ["--hypotheses", "2", "--resume", "--quiet"]
    kills = 0
    for wait in waits:
        process = python("-c", RUN, *command)
        if wait is not None:
            # from the folder's birth on, so that the wait is spent at work and not on imports
            while not out.exists() and process.poll() is None:
                time.sleep(0.005)
            time.sleep(wait)
            kills += process.poll() is None
            process.send_signal(signal.SIGKILL)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return kills


def check_killed(tmp_path, monkeypatch, capsys, count, waits):
    small_clip.register(monkeypatch)
    clip = small_clip.make(tmp_path / "clip", count)
    kills = killed_and_resumed(clip, tmp_path / "out", [*waits, None])
    assert kills
    prompt = ("--masks", clip / "visible_masks", "--method", "drawing", "--hypotheses", "2")
    assert run(capsys, "complete", clip / "frames", "-o", tmp_path / "straight", *prompt)[0] == 0
    kinds = (*PIXELS, "hypotheses", "disagreement")
    assert contents(tmp_path / "out", *kinds) == contents(tmp_path / "straight", *kinds)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {p.name for p in (tmp_path / "straight").iterdir()}
    assert not [p for p in (tmp_path / "out").rglob("*") if media_files.is_temporary(p.name)]


def test_killed_then_resumed(tmp_path, monkeypatch, capsys):
    check_killed(tmp_path, monkeypatch, capsys, 60, [0.0, 0.05])


def test_ctrl_c_in_a_real_process(tmp_path):
    clip, out = small_clip.make(tmp_path / "clip", 100), tmp_path / "out"
    command = [
        "complete",
        clip / "frames",
        "-o",
        out,
        "--masks",
        clip / "visible_masks",
        "--method",
        "drawing",
    ]
    process = python("-c", RUN, *command, "--set", "dawdle=0.3")
    while not (out / "rgba").exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    stdout, err = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    assert_one_line(err, "interrupted")


@pytest.mark.slow
def test_killed_again_and_again(tmp_path, monkeypatch, capsys):
    moment = random.Random(0)
    check_killed(tmp_path, monkeypatch, capsys, 150, [moment.uniform(0, 0.4) for _ in range(12)])


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
@pytest.mark.slow
def test_a_real_full_disk(clip, tmp_path, capsys):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a tmpfs")
    try:
        arguments = ("complete", clip / "frames", "-o", disk / "out", "--masks", clip / "visible_masks")
        code, _, err = run(capsys, *arguments, "--method", "convex")
        assert code == 1
        assert_one_line(err, "No space left")
        subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
        assert run(capsys, *arguments, "--method", "convex", "--resume")[0] == 0
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
def test_ten_thousand_frames(tmp_path):
    """All frames are there; memory grows by a fifth at most from 1,000 frames on (5 kB a frame would show)."""
    import av

    square = np.zeros((24, 32), np.uint8)
    square[8:16, 8:16] = 255
    peaks = []
    for count in (1000, 10_000):
        with av.open(tmp_path / f"{count}.mp4", "w") as file:
            stream = file.add_stream("libx264", rate=25, width=32, height=24, pix_fmt="yuv420p")
            for i in range(count):
                frame = np.full((24, 32, 3), 60 + i % 100, np.uint8)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
            file.mux(stream.encode())
        np.save(tmp_path / f"{count}.npy", np.broadcast_to(square, (count, 24, 32)))
        code = (
            "import resource, sys; from unocclude.cli import main; code = main(sys.argv[1:]);"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)"
        )
        out = tmp_path / f"out{count}"
        arguments = ["complete", tmp_path / f"{count}.mp4", "--masks", tmp_path / f"{count}.npy", "-o", out]
        process = python("-c", code, *arguments, "--method", "modal", "--quiet")
        said, error = process.communicate()
        assert process.returncode == 0, error
        peaks.append(int(said))
        assert len(list((out / "rgba").iterdir())) == count
        assert len(json.loads((out / "result.json").read_text())["frames"]) == count
        assert (out / "report.html").stat().st_size < 20e6
    assert peaks[1] < 1.4 * peaks[0], peaks
