"""Prompts on the command line: which cues arrive, and what is said of masks that the tracker doubts."""

import json

import numpy as np
import pytest

from support import small_clip
from support.small_clip import COUNT, HEIGHT, WIDTH, assert_one_line, contents, run
from unocclude.masks import MaskTrack
from unocclude.media.images import read_png, write_png

CONFIDENCE = np.array([0.9, 0.9, 0.3, 0.5, 0.95, 0.2], np.float32)
DOUBT = "3 of 6 frames are doubtful (2-3, 5); mark the object in frame 3 too, such as with --box X0,Y0,X1,Y1@FRAME"


@pytest.fixture
def clip(tmp_path, monkeypatch):
    small_clip.register(monkeypatch)
    return small_clip.make(tmp_path / "clip")


@pytest.fixture
def asked(clip, monkeypatch):
    """A stand-in for the trackers: it notes the prompts and returns a square and a known confidence for each."""
    prompts = []

    def locate(_, given, *__):
        prompts.extend(given)
        masks = np.zeros((COUNT, HEIGHT, WIDTH), bool)
        masks[:, 4:20, 4:24] = True
        return [MaskTrack([*MaskTrack.from_masks(masks)._counts], HEIGHT, WIDTH, "ours", CONFIDENCE) for _ in given]

    for module in ("run", "tracking"):
        monkeypatch.setattr(f"unocclude.{module}.locate", locate)
    return prompts


def test_all_cues_arrive_with_their_frames(clip, asked, tmp_path, capsys):
    mask, empty = clip / "visible_masks" / "00001.png", tmp_path / "empty@1.png"
    write_png(empty, np.zeros((HEIGHT, WIDTH), np.uint8))
    code, _, err = run(
        capsys, "track", clip / "frames", "-o", tmp_path / "out", "--frame", "3", "--box", "1,2,10,12@0",
        "--point", "5,6", "--point", "7,8@4", "--not-point", "9,9", "--mask", f"{mask}@1", "--hidden", "2",
        "--mask", f"{empty}@5", "--quiet",
    )  # fmt: skip
    assert code == 0, err
    cues = asked[0].cues
    assert sorted(cues) == [0, 1, 2, 3, 4, 5]
    assert cues[0].bounds == (1, 2, 10, 12) and cues[2].hidden and cues[5].hidden
    assert cues[3].inside == [(5, 6)] and cues[3].outside == [(9, 9)] and cues[4].inside == [(7, 8)]
    assert np.array_equal(cues[1].mask, read_png(mask) > 0)


def test_a_file_whose_name_has_an_at_sign(clip, asked, tmp_path, capsys):
    file = tmp_path / "mask@2"
    file.write_bytes((clip / "visible_masks" / "00001.png").read_bytes())
    args = ("track", clip / "frames", "-o", tmp_path / "out", "--quiet", "--mask")
    assert run(capsys, *args, file)[0] == 0
    assert list(asked[0].cues) == [0]
    assert run(capsys, *args, f"{file}@4", "--overwrite")[0] == 0
    assert list(asked[1].cues) == [4]


def test_doubtful_frames_are_said(clip, asked, tmp_path, capsys):
    out = tmp_path / "out"
    args = ("complete", clip / "frames", "-o", out, "--box", "1,9,17,25", "--method", "modal")
    code, said, err = run(capsys, *args)
    assert code == 0 and "weights fetch sam2.1-hiera-large` (0.9 GB" in err
    assert said.splitlines()[:2] == [str(out), str(out / "report.html")]
    assert said.splitlines()[2].startswith(DOUBT)
    frames = json.loads((out / "result.json").read_text())["frames"]
    assert [frame["confidence"] for frame in frames] == [round(float(c), 4) for c in CONFIDENCE]
    page = (out / "report.html").read_text()
    assert page.count("doubtful mask</title>") == 2 and "frames 2 to 3" in page and "frame 5" in page
    assert run(capsys, *args, "--resume")[1].splitlines()[2].startswith(DOUBT)
    assert run(capsys, *args, "--overwrite", "--quiet")[1] == ""


def test_nothing_is_doubtful_where_masks_are_given(clip, tmp_path, capsys):
    out = tmp_path / "out"
    masks = ("--masks", clip / "visible_masks", "--method", "modal")
    code, said, err = run(capsys, "complete", clip / "frames", "-o", out, *masks)
    assert code == 0 and len(said.splitlines()) == 2 and "fetch" not in err
    assert "confidence" not in json.loads((out / "result.json").read_text())["frames"][0]
    assert "doubtful mask" not in (out / "report.html").read_text()


def test_a_resumed_run_keeps_the_confidence(clip, asked, tmp_path, capsys):
    out = tmp_path / "out"
    args = ("complete", clip / "frames", "-o", out, "--box", "1,9,17,25", "--quiet", "--method")
    assert run(capsys, *args, "failing")[0] == 1
    assert len(asked) == 1
    assert run(capsys, *args, "failing", "--resume")[0] == 1
    assert len(asked) == 1  # the masks are on disk
    recorded = json.loads((out / "run.json").read_text())["tracked"]
    expected = [round(float(c), 4) for c in CONFIDENCE]
    assert recorded == {"tracker": "ours", "confidence": expected, "notes": [], "cleaned": [0, 0]}


def objects_file(folder):
    file = folder / "objects.json"
    box = {"cues": [{"box": [1, 9, 17, 25]}]}
    file.write_text(json.dumps({"objects": [{"id": 3, "name": "ball", **box}, {"id": 12, **box}]}))
    return file


def test_track_writes_all_objects(clip, asked, tmp_path, capsys):
    out = tmp_path / "out"
    args = ("track", clip / "frames", "-o", out, "--objects", objects_file(tmp_path))
    code, said, _ = run(capsys, *args)
    assert code == 0 and len(asked) == 2
    assert said.splitlines()[1].startswith(f"ball: {DOUBT}") and said.splitlines()[2].startswith("object 12: 3 of 6")
    info = json.loads((out / "track.json").read_text())
    assert [(item["id"], item["name"], item["folder"]) for item in info["objects"]] == [
        (3, "ball", "objects/3"), (12, "object 12", "objects/12"),
    ]  # fmt: skip
    for item in info["objects"]:
        files = sorted((out / item["folder"] / "visible_masks").iterdir())
        assert len(files) == COUNT == len(item["frames"])
        assert (read_png(files[2]) > 0).sum() == item["frames"][2]["visible_area"] == 320
        assert item["frames"][2]["confidence"] == 0.3
    before = contents(out)
    assert run(capsys, *args, "--resume")[0] == 0 and contents(out) == before
    assert run(capsys, *args, "--object-id", "12", "--overwrite", "--quiet")[0] == 0
    assert [p.name for p in (out / "objects").iterdir()] == ["12"]


def test_complete_takes_one_of_several_objects(clip, asked, tmp_path, capsys):
    args = ("complete", clip / "frames", "-o", tmp_path / "out", "--objects", objects_file(tmp_path), "--quiet")
    code, _, err = run(capsys, *args)
    assert code == 2
    assert_one_line(err, "2 objects", "--object-id", "3, 12")
    code, _, err = run(capsys, *args, "--object-id", "4")
    assert code == 2
    assert_one_line(err, "no object 4", "3, 12")
    assert run(capsys, *args, "--object-id", "12", "--method", "modal")[0] == 0


@pytest.mark.parametrize("verb", ["track", "complete"])
def test_ctrl_c_while_tracking_does_not_promise_anything(clip, tmp_path, capsys, monkeypatch, verb):
    def interrupted(_, given, progress, *__):
        progress(2, COUNT)
        raise KeyboardInterrupt

    for module in ("run", "tracking"):
        monkeypatch.setattr(f"unocclude.{module}.locate", interrupted)
    code, _, err = run(capsys, verb, clip / "frames", "-o", tmp_path / "out", "--box", "1,9,17,25")
    assert code == 130
    assert_one_line(err, "while tracking", "nothing was kept")
    assert not (tmp_path / "out").exists()
