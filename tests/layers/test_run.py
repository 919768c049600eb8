import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import unocclude
from support.small_clip import assert_one_line, contents, run
from support.small_layers import COUNT, clip_and_tracks, frames_and_masks, write_ids
from unocclude import InputError
from unocclude.layers.result import Layers
from unocclude.media.images import read_png

EXACT = ("background", "layers.json", "objects/1/rgba", "objects/2/rgba", "objects/2/amodal_masks", "preview.mp4")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The input and OUT of a whole run of the command line."""
    folder = write_ids(tmp_path_factory.mktemp("layers"))
    assert main(folder, folder / "out") == 0
    return folder


def main(folder, out, *more):
    from unocclude.cli import main as command

    return command(
        [str(a) for a in ("layers", folder / "frames", "--masks", folder / "ids", "-o", out, "--quiet", *more)]
    )


def files_of(out):
    return {name: data for name, data in contents(out).items() if name.startswith(EXACT)}


def test_out_is_as_documented(finished):
    info = json.loads((finished / "out" / "layers.json").read_text())
    assert info["frame_count"] == COUNT and info["canvas"] == {"width": 97, "height": 64, "offset": [0, 0]}
    assert [(o["id"], o["folder"]) for o in info["objects"]] == [(1, "objects/1"), (2, "objects/2")]
    assert [(r["start"], r["end"], r["ids"]) for r in info["order"]] == [(0, COUNT, [2, 1])]
    assert info["source"]["names"][3] == "shot_003"
    for name in ("background/rgb", "background/provenance", "objects/1/rgba", "objects/2/visible_masks"):
        assert len(list((finished / "out" / name).glob("*.png"))) == COUNT
    assert set(np.unique(read_png(finished / "out/background/provenance/00004.png"))) <= {1, 2, 3}
    assert not list((finished / "out").rglob(".*")) and not list((finished / "out").rglob("run.json"))


def test_each_object_is_an_ordinary_result(finished):
    one = unocclude.Completion(finished / "out/objects/2")
    _, visible, amodal, _ = frames_and_masks()
    assert all(np.array_equal(one.visible_masks[i], visible[1][i]) for i in range(COUNT))
    hidden = [(amodal[1][i] & ~visible[1][i]).sum() for i in range(COUNT)]
    found = [(one.amodal_masks[i] & amodal[1][i] & ~visible[1][i]).sum() for i in range(COUNT)]
    assert sum(found) > 0.8 * sum(hidden)


def test_the_background_behind_objects_is_recalled(finished):
    _, visible, _, ground = frames_and_masks()
    layers = Layers(finished / "out")
    for i in (0, COUNT - 1):
        behind = visible[0][i] & (layers.background_provenance[i] == 2)
        assert behind.sum() > 0.9 * visible[0][i].sum() and np.array_equal(layers.background[i][behind], ground[behind])


@pytest.mark.parametrize("seconds", [1.5, 4.0])
def test_a_killed_run_is_resumed_to_the_same_bytes(finished, tmp_path, seconds):
    out = tmp_path / "out"
    args = ["layers", finished / "frames", "--masks", finished / "ids", "-o", out, "--quiet"]
    process = subprocess.Popen([sys.executable, "-m", "unocclude.cli", *map(str, args)])
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert main(finished, out, "--resume") == 0
    assert files_of(out) == files_of(finished / "out")
    assert not list(out.rglob(".*")) and not list(out.rglob("run.json"))


def test_a_finished_run_is_left_alone(finished, capsys):
    before = contents(finished / "out")
    assert main(finished, finished / "out", "--resume") == 0
    assert contents(finished / "out") == before
    code, _, err = run(capsys, "layers", finished / "frames", "--masks", finished / "ids", "-o", finished / "out")
    assert code == 2
    assert_one_line(err, "exists")
    code, _, err = run(
        capsys, "layers", finished / "frames", "--masks", finished / "ids", "-o", finished / "out", "--resume",
        "--seed", 3,
    )  # fmt: skip
    assert code == 2
    assert_one_line(err, "seed was 0")


def test_overwrite_replaces_only_its_own(finished, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(finished, out, "--method", "modal") == 0
    (out / "objects" / "note.txt").write_text("mine")
    code, _, err = run(
        capsys,
        "layers",
        finished / "frames",
        "--masks",
        finished / "ids",
        "-o",
        out,
        "--overwrite",
        "--method",
        "modal",
    )
    assert code == 2
    assert_one_line(err, "note.txt")
    (out / "objects" / "note.txt").unlink()
    assert main(finished, out, "--overwrite", "--method", "convex") == 0
    assert json.loads((out / "objects/1/result.json").read_text())["method"]["name"] == "convex"
    assert not list(tmp_path.glob(".*"))


def test_arrays_in_python():
    clip, tracks = clip_and_tracks(4)
    scene = unocclude.layers([clip[i] for i in range(4)], [np.array(list(t)) for t in tracks], method="modal")
    assert [layer.id for layer in scene.objects] == [1, 2] and len(scene) == 4
    assert np.array_equal(scene.compose()[2], clip[2])
    assert callable(unocclude.layers) and not scene.info.source["names"]


def test_a_single_photo_and_a_wider_canvas():
    clip, tracks = clip_and_tracks(7)
    photo = unocclude.layers(clip[4:5], [MaskOf(track, 4) for track in tracks], pad=0.25)
    assert photo.size == (64 + 2 * 16, 97 + 2 * 24)
    picture = photo.compose()[0]
    assert np.array_equal(picture[16:-16, 24:-24], clip[4])
    assert (photo.background_provenance[0][:16] == 3).all()


def MaskOf(track, i):
    return unocclude.MaskTrack.from_masks([track[i]])


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([], "no object"),
        ({0: np.ones((4, 64, 97))}, "object id 0"),
        ([np.ones((3, 64, 97))], "3 masks"),
        ([np.zeros((4, 64, 97))], "empty in all frames"),
    ],
)
def test_bad_objects_are_told(objects, words):
    clip, _ = clip_and_tracks(4)
    with pytest.raises(InputError, match=words):
        unocclude.layers(clip, objects, method="modal")


def test_bad_usage_is_one_line(finished, tmp_path, capsys):
    for more, words in (
        ([], "one of --masks"),
        (["--masks", finished / "ids", "--text", "a dog"], "one of"),
        (["--masks", tmp_path / "none"], "no such file"),
        (["--text", " . "], "names no object"),
    ):
        code, _, err = run(capsys, "layers", finished / "frames", "-o", tmp_path / "out", *more)
        assert code == 2 and not (tmp_path / "out").exists()
        assert_one_line(err, words)


def test_objects_file_with_the_users_order(finished, tmp_path):
    for number in (1, 2):
        path = tmp_path / f"{number}.png"
        label = read_png(finished / "ids" / "shot_000.png")
        from unocclude.media.images import write_png

        write_png(path, (label == number).astype(np.uint8) * 255)
    cues = {k: [{"frame": 0, "mask": f"{k}.png"}] for k in (1, 2)}
    file = tmp_path / "objects.json"
    file.write_text(
        json.dumps({"objects": [{"id": 1, "name": "a", "cues": cues[1]},
                                {"id": 2, "name": "b", "cues": cues[2], "in_front_of": [1]}]})
    )  # fmt: skip
    out = tmp_path / "out"
    from unocclude.cli import main as command

    args = ["layers", finished / "frames", "--objects", file, "-o", out, "--quiet", "--method", "modal"]
    assert command([str(a) for a in args]) == 0
    layers = Layers(out)
    assert {r.ids for r in layers.order} == {(1, 2)} and [o.name for o in layers.objects] == ["a", "b"]
    assert layers.objects[0].completion.info["tracker"] != "given"


def test_masks_that_are_cleaned_are_those_that_are_written_and_completed(tmp_path, monkeypatch):
    from unocclude import run as single
    from unocclude.masks import encode

    def narrower(clip, track, progress):
        calls.append(track)
        return track.replaced({i: encode(track[i] & np.roll(track[i], 2, 1)) for i in range(len(track))})

    calls: list = []
    monkeypatch.setattr(single, "steady", narrower)
    clip, tracks = clip_and_tracks()
    scene = unocclude.layers(clip, tracks, out=tmp_path / "out", method="modal")
    assert len(calls) == len(tracks)  # once for each object
    for track, layer in zip(tracks, scene.objects, strict=True):
        for i in range(COUNT):
            want = track[i] & np.roll(track[i], 2, 1)
            assert np.array_equal(layer.completion.visible_masks[i], want)
            assert np.array_equal(layer.completion.amodal_masks[i], want)
