"""Inputs and results behind URLs: a local server of S3 (moto), file:// and what is not there."""

import csv
import json
import os
import socket
import subprocess
import sys
import time

import pytest

from support import small_clip
from support.processes import python
from support.small_clip import assert_one_line, contents, run
from unocclude.batch import storage
from unocclude.errors import InputError

fsspec = pytest.importorskip("fsspec", reason="the extra cluster is not installed")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(storage.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    for k in range(2):
        small_clip.make(root / f"c{k}", count=3, seed=k)
    return root


def write_list(to, root, count=2):
    with to.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["input", "masks"])
        table.writerows([f"{root}/c{k}/frames", f"{root}/c{k}/visible_masks"] for k in range(count))
    return to


def test_files_are_cached_by_content(tmp_path, cache):
    (tmp_path / "a b.txt").write_bytes(b"one")
    url = f"file://{tmp_path}/a b.txt"
    first = storage.local(url)
    assert first.name == "a b.txt" and first.read_bytes() == b"one" and first.is_relative_to(cache)
    stamp = first.stat().st_mtime_ns
    assert storage.local(url) == first and first.stat().st_mtime_ns == stamp
    (tmp_path / "a b.txt").write_bytes(b"three")
    assert storage.local(url).read_bytes() == b"three" and first.read_bytes() == b"one"
    assert storage.local(tmp_path / "plain") == tmp_path / "plain"


def test_the_oldest_inputs_go_first(tmp_path, cache, monkeypatch):
    monkeypatch.setenv(storage.CACHE_GB, "0.0000025")  # 2500 bytes
    places = []
    for k in range(4):
        (tmp_path / f"{k}.bin").write_bytes(bytes([k]) * 1000)
        places.append(storage.local(f"file://{tmp_path}/{k}.bin"))
        os.utime(places[-1].parent, (k, k))
    assert [place.exists() for place in places] == [False, False, True, True]


def test_results_are_whole(tmp_path):
    (tmp_path / "from" / "x").mkdir(parents=True)
    for name in ("result.json", "x/a.png", "z.html"):
        (tmp_path / "from" / name).write_text(name)
    order = []
    system = fsspec.filesystem("file")
    kind = type(system)
    put = kind.put_file
    try:
        kind.put_file = lambda self, a, b, **more: (order.append(b.rpartition("/")[2]), put(self, a, b, **more))
        storage.upload(tmp_path / "from", f"file://{tmp_path}/to", "result.json")
    finally:
        kind.put_file = put
    assert order[-1] == "result.json" and contents(tmp_path / "to") == contents(tmp_path / "from")


@pytest.mark.parametrize("url", ["nosuch://a/b.mp4", "file:///nosuch/clip.mp4"])
def test_what_is_not_there_is_one_line(url):
    with pytest.raises(InputError) as caught:
        storage.local(url)
    assert str(caught.value).startswith(url) and "\n" not in str(caught.value)


def test_a_batch_between_urls(clips, tmp_path, capsys, cache):
    root, out = f"file://{clips}", f"file://{tmp_path}/out"
    write_list(tmp_path / "rows.csv", root)
    ask = ("batch", f"file://{tmp_path}/rows.csv", "--method", "modal", "--quiet", "--workers", "1")
    assert run(capsys, *ask, "-o", out) == (0, "", "")
    write_list(tmp_path / "plain.csv", clips)
    assert run(capsys, "batch", tmp_path / "plain.csv", *ask[2:], "-o", tmp_path / "plain")[0] == 0
    for k in range(2):
        found, plain = (contents(tmp_path / name / f"c{k}", *small_clip.PIXELS) for name in ("out", "plain"))
        assert found == plain and len(found) == 12
    assert not list((cache / "results").iterdir())
    assert run(capsys, "batch", "--status", out)[1].startswith("2 rows: 2 done")

    # a driver that died before it could upload its table: what is there is recognised, with its figures
    before = (tmp_path / "out" / "c0" / "result.json").stat().st_mtime_ns
    (tmp_path / "out" / "batch.csv").unlink()
    assert run(capsys, *ask, "-o", out)[0] == 0
    assert (tmp_path / "out" / "c0" / "result.json").stat().st_mtime_ns == before
    assert [row["frames"] for row in csv.DictReader((tmp_path / "out" / "batch.csv").open())] == ["3", "3"]
    (tmp_path / "out" / "batch.csv").unlink()
    code, _, err = run(capsys, *ask, "-o", out, "--seed", "3")
    assert code == 1 and err.count("other arguments") == 2


def test_without_fsspec(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    code, _, err = run(capsys, "batch", "s3://bucket/rows.csv", "-o", tmp_path / "out")
    assert code == 2
    assert_one_line(err, "fsspec", "unocclude[cluster]")


# S3 -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """The address of a bucket on a server of this machine."""
    for name in ("moto.server", "s3fs"):
        pytest.importorskip(name, reason="moto[server] and s3fs are not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("moto") / "log"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
    )
    given = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.1)
        fsspec.filesystem("s3").mkdir("bucket")
        yield "s3://bucket"
    finally:
        server.kill()
        server.wait()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.mark.slow
def test_a_batch_on_s3(bucket, clips, tmp_path, capsys):
    system = fsspec.filesystem("s3")
    system.put(str(clips), "bucket/clips", recursive=True)
    write_list(tmp_path / "rows.csv", f"{bucket}/clips")
    system.put_file(str(tmp_path / "rows.csv"), "bucket/rows.csv")
    ask = ("--method", "modal", "--quiet", "--workers", "2")
    assert run(capsys, "batch", f"{bucket}/rows.csv", "-o", f"{bucket}/out", *ask) == (0, "", "")
    assert run(capsys, "batch", f"{bucket}/clips/*/frames", "-o", tmp_path / "plain", *ask)[0] == 0
    system.invalidate_cache()
    for k in range(2):
        expected = contents(tmp_path / "plain" / f"c{k}", *small_clip.PIXELS)
        assert len(expected) == 12
        for name, data in expected.items():
            assert system.cat_file(f"bucket/out/c{k}/{name}") == data
    assert {"batch.csv", "batch.json", "batch.parquet"} <= {p.rpartition("/")[2] for p in system.ls("bucket/out")}
    system.invalidate_cache()
    system.rm("bucket/clips/c1/frames/00001.png")
    code, _, err = run(capsys, "batch", f"{bucket}/rows.csv", "-o", f"{bucket}/other", *ask)
    assert code == 1 and err.startswith("c1: ")


@pytest.mark.slow
def test_many_rows_on_s3_killed_and_resumed(bucket, tmp_path, capsys):
    """2,000 rows of one tiny picture each, between URLs; the driver is killed with its workers in the middle."""
    count = 2000
    small_clip.make(tmp_path / "clip", count=1)
    system = fsspec.filesystem("s3")
    system.put(str(tmp_path / "clip"), "bucket/tiny", recursive=True)
    with (tmp_path / "rows.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["name", "input", "masks"])
        table.writerows([f"r{k:04d}", f"{bucket}/tiny/frames", f"{bucket}/tiny/visible_masks"] for k in range(count))
    command = ["-m", "unocclude.cli", "batch", tmp_path / "rows.csv", "-o", f"{bucket}/many", "--method", "modal"]
    command += ["--quiet", "--workers", "2"]
    process = python(*command)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        time.sleep(2)
        system.invalidate_cache()
        if system.exists("bucket/many/batch.csv"):
            break
    process.kill()
    process.wait()
    system.invalidate_cache()
    finished = {path.split("/")[2] for path in system.glob("bucket/many/*/result.json")}
    assert 0 < len(finished) < count
    stamps = {name: str(system.info(f"bucket/many/{name}/result.json")["LastModified"]) for name in list(finished)[:50]}
    process = python(*command)
    assert process.wait(3000) == 0, process.stderr.read()
    system.invalidate_cache()
    assert len(system.glob("bucket/many/*/result.json")) == count
    for name, stamp in stamps.items():
        assert str(system.info(f"bucket/many/{name}/result.json")["LastModified"]) == stamp
    rows = list(csv.DictReader(system.cat_file("bucket/many/batch.csv").decode().splitlines()))
    assert sorted(row["name"] for row in rows) == [f"r{k:04d}" for k in range(count)]
    assert {row["state"] for row in rows} == {"done"}
    one = json.loads(system.cat_file("bucket/many/r0000/result.json"))
    assert one["frame_count"] == 1
