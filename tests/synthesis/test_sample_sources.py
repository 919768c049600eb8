"""Objects of published data sets as sources of composites and carved pairs."""

import json

import numpy as np
import pytest

from support import data_layouts
from support.small_clip import assert_one_line, run
from support.source_clips import write_source
from unocclude.datasets import open_dataset
from unocclude.synthesis.source_clips import find_sources


def test_composites_are_made_of_several_data_sets(tmp_path, capsys):
    entry = data_layouts.davis(tmp_path / "davis")
    write_source(tmp_path / "own" / "pea", 1, meta={"class": "pea"})
    sources, refused = find_sources([entry, tmp_path / "own"])
    assert {source.dataset for source in sources} == {"davis", "own"} and not refused
    args = ["--sources", entry, "--sources", tmp_path / "own", "--count", "3", "--frames", "5", "--workers", "1"]
    assert run(capsys, "synth", "composite", "-o", tmp_path / "out", *args)[0] == 0
    frames = {sample.name: sample.clip for sample in open_dataset(entry)}
    metas = [json.loads((tmp_path / f"out/{k:05d}/meta.json").read_text()) for k in range(3)]
    assert {meta["dataset"] for meta in metas} == {"davis", "own"}
    for k, meta in enumerate(metas):
        if meta["dataset"] == "davis":
            made = open_dataset(str(tmp_path / f"out/{k:05d}"))[0]
            clip = frames[meta["instance"].removeprefix("davis/")]
            seen = made.visible[0]
            assert any(np.array_equal(made.clip[0][seen], clip[i][seen]) for i in range(len(clip)))
            assert made.truth.amodal[0].sum() >= seen.sum() > 0
    assert all(meta["split"] in ("train", "val") for meta in metas)


def test_sail_vos_is_carved_with_the_released_list_of_occluders(tmp_path, capsys):
    """Only objects of which 95 % are visible are carved; the masks come from the other list."""
    entry = data_layouts.sail_vos(tmp_path / "sail", seed=2)
    clips = json.loads((tmp_path / "sail/clips.json").read_text())
    whole = dict(clips[0], visible_mask=clips[0]["segmentation"], obj_id=9)
    (tmp_path / "sail/clips.json").write_text(json.dumps([clips[0], whole]))
    listing = data_layouts.sail_vos(tmp_path / "list", seed=6)
    complete = json.loads((tmp_path / "list/clips.json").read_text())
    complete[0]["visible_mask"] = complete[0]["segmentation"]
    (tmp_path / "list/clips.json").write_text(json.dumps(complete))
    args = ["--sources", entry, "--occluders", listing, "--count", "1", "--workers", "1", "--size", "64x48"]
    assert run(capsys, "synth", "carve", "-o", tmp_path / "out", *args)[0] == 0
    meta = json.loads((tmp_path / "out/00000/meta.json").read_text())
    assert meta["instance"] == "sail-vos/00001-9" and set(meta["carved_with"]) == {"sail-vos/00000-1"}
    info = json.loads((tmp_path / "out/synth.json").read_text())
    assert "unoccluded for" in info["left_out"]["sail-vos/00000-1"]
    made = open_dataset(str(tmp_path / "out/00000"))[0]
    removed = made.truth.amodal[0] & ~made.visible[0]
    assert not (made.visible[0] & ~made.truth.amodal[0]).any() and made.truth.rgb is not None
    carving = open_dataset(listing)[0].truth.amodal
    assert any((removed & ~carving[i]).sum() == 0 for i in range(len(carving)))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["composite"], ("needs --sources", "davis:PATH")),
        (["composite", "--sources", "davis:/nowhere"], ("/nowhere", "no such file or folder")),
        (["composite", "--sources", "{}", "--occluders", "{}"], ("carves nothing", "--occluders")),
        (["sprites", "--sources", "{}"], ("leave out --sources",)),
        (["pseudo", "--sources", "{}", "--sources", "{}"], ("one data set with amodal boxes",)),
    ],
)
def test_what_cannot_be_a_source_is_one_line(tmp_path, capsys, args, words):
    folder = tmp_path / "in"
    write_source(folder / "a", 0)
    filled = [arg.format(folder) for arg in args]
    code, _, err = run(capsys, "synth", *filled, "-o", tmp_path / "out")
    assert code == 2 and not (tmp_path / "out").exists()
    assert_one_line(err, *words)
