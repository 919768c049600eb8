"""`unocclude batch`: lists of images and queries, as published and as a table."""

import csv
import json

import numpy as np
import pytest

from support import small_clip
from support.small_clip import assert_one_line, contents
from unocclude.media.images import read_png, write_png


def run(capsys, *args):
    """One worker, so that rows end in order."""
    return small_clip.run(capsys, *args, "--workers", 1)


@pytest.fixture(autouse=True)
def no_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path / "none"))


@pytest.fixture
def photos(tmp_path):
    """Two images with a mask each, and a table of three objects."""
    rng = np.random.default_rng(0)
    for name in ("cat.one", "dog"):
        write_png(tmp_path / f"{name}.png", rng.integers(0, 256, (30, 40, 3)).astype(np.uint8))
        mask = np.zeros((30, 40), np.uint8)
        mask[5:20, 8 : 30 if name == "dog" else 20] = 255
        write_png(tmp_path / f"{name}.mask.png", mask)
    (tmp_path / "rows.csv").write_text(
        "image,query,masks,remark\ncat.one.png,the cat,cat.one.mask.png,x\ndog.png,a dog,dog.mask.png,\n"
        'cat.one.png,"the cat, again",cat.one.mask.png,\n'
    )
    return tmp_path


def test_every_row_gets_a_folder_and_what_is_finished_stays(photos, capsys):
    ask = ("batch", f"open-world:{photos / 'rows.csv'}", "-o", photos / "out", "--method", "modal")
    code, out, err = run(capsys, *ask)
    assert code == 0 and not err.replace("\n", "").startswith("error"), err
    names = ["cat.one-0", "dog-0", "cat.one-1"]
    assert sorted(out.split()) == sorted(str(photos / "out" / name) for name in names)
    for name in names:
        mask = read_png(photos / f"{name[:-2]}.mask.png")
        assert np.array_equal(read_png(photos / "out" / name / "amodal_masks" / "00000.png"), mask)
    before = contents(photos / "out")
    (photos / "out" / "dog-0" / "result.json").rename(photos / "result.json")
    (photos / "out" / "dog-0" / "run.json").write_text((photos / "result.json").read_text())
    assert run(capsys, *ask, "--quiet")[0] == 0
    after = contents(photos / "out")
    assert after.keys() == before.keys()
    rows = {name: data for name, data in before.items() if "/" in name and not name.startswith("dog-0")}
    assert rows and all(after[name] == data for name, data in rows.items())


def test_a_row_that_fails_does_not_stop_the_others(photos, capsys):
    (photos / "dog.png").unlink()
    code, out, err = run(
        capsys, "batch", f"open-world:{photos / 'rows.csv'}", "-o", photos / "out", "--method", "modal", "--quiet"
    )
    assert code == 1 and not out
    first, last = err.splitlines()
    assert first.startswith("dog-0: ") and "dog.png is missing" in first
    assert last.startswith("error: 1 of 3 failed")
    assert sorted(p.name for p in (photos / "out").iterdir() if p.is_dir()) == ["cat.one-0", "cat.one-1"]
    table = list(csv.DictReader((photos / "out" / "failures.csv").open()))
    assert [row["name"] for row in table] == ["dog-0"] and "dog.png is missing" in table[0]["reason"]


def test_a_crash_costs_one_row(photos, capsys, monkeypatch):
    small_clip.register(monkeypatch)
    ask = ("batch", f"open-world:{photos / 'rows.csv'}", "-o", photos / "out", "--method", "crashing", "--quiet")
    code, _, err = run(capsys, *ask)
    lines = err.splitlines()
    assert code == 1 and len(lines) == 3, err
    assert "dog-0: its process was killed by SIGSEGV" in lines
    assert any(line.startswith("cat.one-1: MemoryError") for line in lines)
    assert (photos / "out" / "cat.one-0" / "result.json").exists()
    assert run(capsys, *ask, "--limit", "1")[0] == 0 and not (photos / "out" / "failures.csv").exists()


def test_the_published_list_and_queries(photos, capsys):
    (photos / "queries.json").write_text(
        json.dumps({"annotations": [{"filename": "dog.png", "labels": ["a dog, ]", "its tail"]}]})[:-2]
        + ',{"filename": "cat.one.png", "labels": ["x"]},\n  ],}'  # the published example ends like this
    )
    (photos / "list.txt").write_text("dog.png\n")
    code, _, err = run(
        capsys, "batch", f"open-world:{photos / 'queries.json'}?names={photos / 'list.txt'}", "-o", photos / "out",
        "--quiet",
    )  # fmt: skip
    lines = err.splitlines()
    assert code == 1 and [line.partition(":")[0] for line in lines] == ["dog-0", "dog-1", "error"]
    assert all("unocclude weights fetch" in line for line in lines[:2])
    assert not [p for p in (photos / "out").iterdir() if p.is_dir()]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("rows.csv", "picture,query\na.png,cat\n", ("row 2", "image, query, masks")),
        ("rows.csv", "image,query\na.png,\n", ("row 2",)),
        ("rows.csv", "image,query\n", ("holds no sample",)),
        ("rows.json", "{", ("no JSON",)),
        ("rows.json", '{"annotations": [{"filename": "a.png"}]}', ("expected the form",)),
    ],
)
def test_a_bad_list_is_one_line(tmp_path, capsys, name, text, words):
    (tmp_path / name).write_text(text)
    code, _, err = run(capsys, "batch", f"open-world:{tmp_path / name}", "-o", tmp_path / "out", "--method", "modal")
    assert code == 2 and not (tmp_path / "out").exists()
    assert_one_line(err, *words)


def words(folder):
    return json.loads((folder / "result.json").read_text())["method"]["options"]["words"]


def test_words_reach_a_method_that_takes_them(photos, capsys, monkeypatch):
    small_clip.register(monkeypatch)
    ask = ("batch", f"open-world:{photos / 'rows.csv'}", "--method", "described", "--quiet")
    assert run(capsys, *ask, "-o", photos / "a", "--limit", "2")[0] == 0
    assert [words(photos / "a" / name) for name in ("cat.one-0", "dog-0")] == ["the cat", "a dog"]
    assert run(capsys, *ask, "-o", photos / "b", "--limit", "1", "--set", "words=mine")[0] == 0
    assert words(photos / "b" / "cat.one-0") == "mine"
