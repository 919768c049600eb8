"""Lists of rows: CSV, JSON Lines, Parquet and patterns, and what is wrong with them; the records of a batch."""

import csv
import json
import os
import shutil
import signal
import time

import numpy as np
import psutil
import pytest

from support import small_clip
from support.processes import python
from support.small_clip import assert_one_line, contents, run
from unocclude.batch.records import HEADER, read_status
from unocclude.batch.rows import read_rows
from unocclude.media.images import write_png


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three small clips."""
    root = tmp_path_factory.mktemp("clips")
    for k in range(3):
        small_clip.make(root / f"c{k}", count=3, seed=k)
    return root


def listed(clips, to, **more):
    rows = [
        {"input": str(clips / f"c{k}" / "frames"), "masks": str(clips / f"c{k}" / "visible_masks"), **more}
        for k in range(3)
    ]
    with to.open("w", newline="") as stream:
        table = csv.DictWriter(stream, rows[0])
        table.writeheader()
        table.writerows(rows)
    return to


def table(out):
    with (out / "batch.csv").open(newline="") as stream:
        return sorted(csv.DictReader(stream), key=lambda row: int(row["row"]))


GIVEN = {"input": "a b.mp4", "box": ["1,2,3,4", "5,6,7,8@2"], "frame": 2, "pad": 0.5, "set": ["a=1", "b=x"]}


def test_the_same_rows_from_every_kind_of_list(tmp_path):
    (tmp_path / "a.csv").write_text('input,box,frame,pad,set,text\na b.mp4,"1,2,3,4;5,6,7,8@2",2,0.5,a=1;b=x,\n')
    (tmp_path / "a.jsonl").write_text(json.dumps({**GIVEN, "text": None}) + "\n\n")
    kinds = ["csv", "jsonl"]
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        pass
    else:
        parquet.write_table(pyarrow.Table.from_pylist([GIVEN]), tmp_path / "a.parquet")
        kinds.append("parquet")
    for kind in kinds:
        (row,) = read_rows(str(tmp_path / f"a.{kind}"))
        assert row.name == "a b" and row.arguments == GIVEN, kind


def test_boxes_may_be_numbers(tmp_path):
    entries = [{"input": "a.mp4", "box": [1, 2, 3.5, 4]}, {"input": "a.mp4", "point": [[1, 2], [3, 4]]}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, entries)))
    first, second = read_rows(str(tmp_path / "a.jsonl"))
    assert first.arguments["box"] == ["1,2,3.5,4"] and second.arguments["point"] == ["1,2", "3,4"]
    assert (first.name, second.name) == ("a", "a-1")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "input,mask_path\na.mp4,x\n", ("row 2", "'mask_path'", "masks")),
        ("a.csv", "input,name\na.mp4,x\nb.mp4,X\n", ("row 3", "given twice")),
        ("a.csv", "input,name\na.mp4,../x\n", ("row 2", "no name of a folder")),
        ("a.csv", "input,seed\na.mp4,many\n", ("row 2", "seed", "whole number")),
        ("a.csv", "input,seed\n,1\n", ("row 2", "input")),
        ("a.csv", "input\na.mp4,1\n", ("row 2", "more cells")),
        ("a.csv", "input\n", ("holds no row",)),
        ("a.csv", b"input\n\xff.mp4\n", ("UTF-8",)),
        ("a.jsonl", '{"input": "a"}\n[1]\n', ("row 2", "object")),
        ("a.jsonl", '{"input": "a", "seed": 1.5}\n', ("row 1", "whole number")),
        ("a.jsonl", '{"input": 3}\n', ("row 1", "input")),
    ],
)
def test_a_bad_list_is_one_line(tmp_path, capsys, name, text, words):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    code, _, err = run(capsys, "batch", tmp_path / name, "-o", tmp_path / "out")
    assert code == 2 and not (tmp_path / "out").exists()
    assert_one_line(err, *words)


def test_missing_lists_and_options(tmp_path, capsys):
    for ask in (
        ("batch", tmp_path / "none.csv", "-o", tmp_path / "out"),
        ("batch", tmp_path / "*.mp4", "-o", tmp_path / "out"),
        ("batch", tmp_path / "none.csv"),
        ("batch", "--status", tmp_path),
    ):
        code, _, err = run(capsys, *ask)
        assert code == 2
        assert_one_line(err)


def test_a_pattern_finds_the_masks_beside_clips(clips, tmp_path):
    rows = list(read_rows(str(clips / "*" / "frames")))
    assert [row.name for row in rows] == ["c0", "c1", "c2"]
    assert [row.arguments["masks"] for row in rows] == [str(clips / f"c{k}" / "visible_masks") for k in range(3)]
    for name in ("a.png", "a.mask.png", "b.png", "b_masks", "c[1].png", "c[1]_mask.png", "d.png"):
        (tmp_path / name).mkdir() if name == "b_masks" else (tmp_path / name).touch()
    found = {row.name: row.arguments.get("masks", "").rpartition("/")[2] for row in read_rows(str(tmp_path / "*"))}
    assert found == {"a": "a.mask.png", "b": "b_masks", "c[1]": "c[1]_mask.png", "d": ""}


def test_rows_have_their_own_options_and_records(clips, tmp_path, capsys):
    rows = [
        {"input": str(clips / "c0" / "frames"), "masks": str(clips / "c0" / "visible_masks"), "name": "plain"},
        {"input": str(clips / "c1" / "frames"), "box": [2, 10, 16, 24], "method": "convex", "pad": 0.25, "end": 2},
        {"input": str(clips / "c2" / "frames")},
        {"input": str(tmp_path / "bad.png"), "box": [0, 0, 3, 3], "name": "corrupt"},
    ]
    (tmp_path / "bad.png").write_bytes(b"\x89PNG not really")
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "out"
    ask = ("batch", tmp_path / "rows.jsonl", "-o", out, "--quiet", "--method", "modal", "--workers", "2")
    code, _, err = run(capsys, *ask)
    assert code == 1 and "2 of 4 failed" in err.splitlines()[-1]
    found = table(out)
    assert [row["state"] for row in found] == ["done", "done", "failed", "failed"]
    assert [row["name"] for row in found] == ["plain", "c1", "c2", "corrupt"]
    assert "no object is given" in found[2]["reason"] and "bad.png" in found[3]["reason"]
    assert found[1]["box"] == "2,10,16,24" and found[1]["method"] == "convex" and found[1]["frames"] == "2"
    assert (found[1]["width"], found[1]["height"], found[1]["tracker"]) == ("72", "54", "flow+cut")
    assert all(row["worker"] and float(row["seconds"]) >= 0 for row in found)
    assert json.loads((out / "c1" / "result.json").read_text())["method"]["name"] == "convex"
    reasons = {row["name"]: row["reason"] for row in csv.DictReader((out / "failures.csv").open())}
    assert reasons == {row["name"]: row["reason"] for row in found[2:]}
    assert str(read_status(str(out))).startswith("4 rows: 2 done, 2 failed, 0 to do")
    assert run(capsys, "batch", "--status", out)[1].startswith("4 rows: 2 done")

    # corrected, the batch goes on; what is done stays
    write_png(tmp_path / "bad.png", np.full((20, 20, 3), 90, np.uint8))
    before = contents(out / "plain")
    lines = {row["name"]: row for row in found}
    code, _, err = run(capsys, *ask)
    assert code == 1 and err.splitlines()[-1].startswith("error: 1 of 4 failed")
    after = {row["name"]: row for row in table(out)}
    assert after["corrupt"]["state"] == "done" and after["plain"] == lines["plain"]
    assert contents(out / "plain") == before
    # a result that was removed is made again
    shutil.rmtree(out / "c1")
    run(capsys, *ask)
    assert (out / "c1" / "result.json").exists() and len(table(out)) == 4


def test_parquet_has_types(clips, tmp_path, capsys):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra cluster is not installed")
    listed(clips, tmp_path / "rows.csv", method="modal", seed=7)
    assert run(capsys, "batch", tmp_path / "rows.csv", "-o", tmp_path / "out", "--quiet")[0] == 0
    rows = parquet.read_table(tmp_path / "out" / "batch.parquet")
    assert rows.column_names == list(HEADER) and rows.num_rows == 3
    first = rows.to_pylist()[0]
    assert first["seed"] == 7 and first["frames"] == 3 and isinstance(first["seconds"], float)
    assert first["reason"] is None and first["method"] == "modal"


def test_without_pyarrow_there_is_the_table_alone(clips, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("unocclude.batch.records.find_spec", lambda name: None)
    listed(clips, tmp_path / "rows.csv", method="modal")
    code, _, err = run(capsys, "batch", tmp_path / "rows.csv", "-o", tmp_path / "out")
    assert code == 0 and len([line for line in err.splitlines() if "pyarrow" in line]) == 1
    assert len(table(tmp_path / "out")) == 3 and not (tmp_path / "out" / "batch.parquet").exists()


def test_the_same_bytes_after_a_kill(clips, tmp_path):
    listed(clips, tmp_path / "rows.csv", set="dawdle=0.2")
    code = ["-c", RUN, "batch", tmp_path / "rows.csv", "-o", tmp_path / "out", "--workers", "2", "--quiet"]
    code += ["--method", "drawing"]
    process = python(*code)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("*/provenance/*.png")) and time.monotonic() < deadline:
        time.sleep(0.02)
    children = psutil.Process(process.pid).children()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert children and not psutil.wait_procs(children, timeout=20)[1]
    process = python(*code)
    assert process.wait(90) == 0, process.stderr.read()
    whole = [*code[:5], tmp_path / "whole", "--workers", "1", *code[8:]]
    assert python(*whole).wait(90) == 0
    for k in range(3):
        found = contents(tmp_path / "out" / f"c{k}", *small_clip.PIXELS)
        assert found == contents(tmp_path / "whole" / f"c{k}", *small_clip.PIXELS) and len(found) == 12
    assert [row["state"] for row in table(tmp_path / "out")] == ["done"] * 3
    assert not [path for path in (tmp_path / "out").rglob("*") if ".part" in path.name or path.name == "run.json"]


RUN = """import sys, unocclude.methods; from support import small_clip
if __name__ == "__main__":
    unocclude.methods.METHODS.table["drawing"] = "support.small_clip:Drawing"
    sys.exit(small_clip.main(sys.argv[1:]))"""
