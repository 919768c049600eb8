"""One text channel: --text, batch and bench describe the object to every method that takes a description."""

import json

import pytest
from pydantic import Field

from support import small_clip
from support.small_clip import run
from unocclude import datasets, methods
from unocclude.datasets import captions
from unocclude.mask_files import read_masks
from unocclude.methods.base import MethodOptions


class Listening(small_clip.Drawing):
    """Takes a description under a name that no method of ours uses."""

    name = "listening"
    text_option = "about"

    class Options(MethodOptions):
        reach: int = 2
        dawdle: float = 0
        about: str = Field("", description="the object in words")


@pytest.fixture(autouse=True)
def listening(monkeypatch):
    monkeypatch.setitem(methods.METHODS.table, "listening", f"{__name__}:Listening")


def heard(folder):
    """What the method of a run was told."""
    return json.loads((folder / "result.json").read_text())["method"]["options"]["about"]


@pytest.mark.parametrize("name", methods.METHODS.table)
def test_every_text_option_is_an_option_that_takes_text(name):
    method = methods.get_method(name)
    assert (method.text_option != "") == (name in ("tgvac", "cogvideox-amodal", "open-world"))
    if method.text_option:
        assert method.Options.model_fields[method.text_option].annotation is str


def test_a_description_is_added_where_there_is_none():
    fill = methods.with_description
    assert fill(Listening, {"reach": 3}, "a cat") == {"reach": 3, "about": "a cat"}
    assert fill(Listening, {"about": "mine"}, "a cat") == {"about": "mine"}
    assert fill(Listening, {"about": ""}, "a cat") == {"about": ""}
    assert fill(Listening, {}, None) == fill(Listening, {}, "") == {}
    assert fill(small_clip.Drawing, {"reach": 3}, "a cat") == {"reach": 3}


@pytest.mark.parametrize(("more", "said"), [((), "a red ball"), (("--set", "about=mine"), "mine")])
def test_the_words_of_a_text_prompt(tmp_path, capsys, monkeypatch, more, said):
    clip = small_clip.make(tmp_path / "clip")
    monkeypatch.setattr("unocclude.perception.prompt.check_weights", lambda text="": None)
    monkeypatch.setattr("unocclude.run.locate", lambda *_: [read_masks(clip / "visible_masks")])
    code, _, err = run(
        capsys, "complete", clip / "frames", "--text", "a red ball", "--method", "listening", "-o", tmp_path / "out",
        "--quiet", *more,
    )  # fmt: skip
    assert code == 0, err
    assert heard(tmp_path / "out") == said


@pytest.mark.parametrize(("more", "said"), [((), None), (("--set", "listening.about=mine"), "mine")])
def test_bench_tells_the_caption(tmp_path, capsys, more, said):
    clip = small_clip.make(tmp_path / "clip")
    (clip / "meta.json").write_text(json.dumps({"class": "square"}))
    (sample,) = datasets.open_dataset(clip)
    caption = captions.of_truth(sample.truth)
    assert caption.endswith(" square")
    code, _, err = run(capsys, "bench", clip, "--methods", "listening,modal", "-o", tmp_path / "out", "--quiet", *more)
    assert code == 0, err
    assert heard(tmp_path / "out" / "runs" / "clip" / "clip" / "listening") == (said or caption)


def test_batch_tells_the_query(tmp_path, capsys):
    clip = small_clip.make(tmp_path / "clip", 1)
    (tmp_path / "rows.csv").write_text(
        "image,query,masks\nclip/frames/00000.png,a red ball,clip/visible_masks/00000.png\n"
    )
    rows, out = f"open-world:{tmp_path / 'rows.csv'}", tmp_path / "out"
    code, _, err = run(capsys, "batch", rows, "--method", "listening", "-o", out, "--quiet")
    assert code == 0 and clip.exists(), err
    assert [heard(folder) for folder in out.iterdir() if folder.is_dir()] == ["a red ball"]
