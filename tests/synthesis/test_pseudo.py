"""Pseudo-ground-truth: a data set of amodal boxes becomes one of masks."""

import json

import numpy as np
import pytest

from support.small_clip import COUNT, HEIGHT, WIDTH, make
from unocclude.cli import main
from unocclude.datasets import open_dataset
from unocclude.masks import encode
from unocclude.media.images import read_png

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from support.tiny_diffusion_vas import write_checkpoint  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture
def tracks(tmp_path):
    """TAO-Amodal's layout: one track, whose boxes leave the image on the left."""
    clip = make(tmp_path / "clip")
    visible = [read_png(path) > 127 for path in sorted((clip / "visible_masks").iterdir())]
    track = {
        "track_id": 7, "category_id": 1, "video_id": 2, "height": HEIGHT, "width": WIDTH,
        "file_names": [f"frames/{i:05d}.png" for i in range(COUNT)],
        "rles": [encode(mask).decode() for mask in visible],
        "amodal_bboxes": [[-4.0 + 5 * i, 8.0, 20.0, 18.0] for i in range(COUNT)],
    }  # fmt: skip
    (clip / "tracks.json").write_text(json.dumps([track]))
    return clip / "tracks.json", visible


def test_masks_are_made_within_the_boxes(tracks, tmp_path, capsys):
    file, visible = tracks
    weights = tmp_path / "weights"
    write_checkpoint(weights / "amodal-segmentation", 1)
    write_checkpoint(weights / "content-completion", 2)
    (weights / "options.json").write_text('{"steps": 2, "pixels": 8192}')
    args = ["synth", "pseudo", "--sources", f"tao-amodal:{file}", "--count", "1", "--weights", str(weights)]
    assert main([*args, "-o", str(tmp_path / "out"), "--workers", "1"]) == 0
    (sample,) = open_dataset(str(tmp_path / "out"))
    for i in range(COUNT):
        amodal = sample.truth.amodal[i]
        assert (amodal | visible[i] == amodal).all()
        outside = amodal & ~visible[i]
        outside[8:26, max(0, 5 * i - 4) : 5 * i + 16] = False
        assert not outside.any()
    assert any((sample.truth.amodal[i] & ~visible[i]).any() for i in range(COUNT))
    assert np.array_equal(sample.clip[2], read_png(file.parent / "frames" / "00002.png"))
    again = [*args[:-4], "--count", "2", "--weights", str(weights), "-o", str(tmp_path / "two"), "--workers", "1"]
    assert main(again) == 2
    assert "give --count 1" in capsys.readouterr().err


def test_what_it_needs_is_said(tracks, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path / "none"))
    file, _ = tracks
    out = ["-o", str(tmp_path / "out")]
    for args, said in (
        (["--sources", f"tao-amodal:{file}"], "diffusion-vas"),
        ([], "--sources"),
        (["--sources", f"tao-amodal:{file}", "--frames", "3"], "--frames"),
    ):
        assert main(["synth", "pseudo", *args, *out]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
