"""A Ray cluster of two nodes on this machine: nothing is lost where workers and nodes die."""

import csv
import json
import os
import signal
import threading
import time
from itertools import count, islice

import pytest

from support import calls, small_clip
from support.processes import SOURCE, TESTS
from support.small_clip import contents, run

ray = pytest.importorskip("ray", reason="the extra cluster is not installed")

from unocclude.executor import Resources, WorkerDied  # noqa: E402
from unocclude.executor.ray_cluster import RayCluster  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    from ray.cluster_utils import Cluster

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([SOURCE, TESTS, before or ""])
    # a node that dies is noticed in seconds
    config = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
    node = {"num_cpus": 2, "memory": 6 << 30, "object_store_memory": 120 << 20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args={**node, "_system_config": config})
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made, node
    ray.shutdown()
    made.shutdown()
    os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


@pytest.fixture
def second(cluster):
    made, node = cluster
    added = made.add_node(**{name: value for name, value in node.items() if name != "include_dashboard"})
    made.wait_for_nodes()
    yield lambda: made.remove_node(added, allow_graceful=False)
    if added in made.worker_nodes:
        made.remove_node(added)


TASKS, ACTORS = Resources(), Resources(keeps=True)


@pytest.mark.parametrize("needs", [TASKS, ACTORS])
def test_every_argument_is_called_once(cluster, needs):
    outcomes = list(RayCluster(needs).run(calls.double, range(7), [10, 11]))
    assert sorted(o.argument for o in outcomes) == [*range(7), 10, 11]
    assert all(o.result() == 2 * o.argument and o.worker for o in outcomes)
    failed = {o.argument: o for o in RayCluster(needs).run(calls.fail, range(7))}
    assert failed[3].failure.message == "three is not allowed" and failed[6].value == 6


def test_actors_keep_what_they_load(cluster):
    found = [o.result() for o in RayCluster(ACTORS).run(calls.Keeps(), range(12))]
    assert len({process for process, _ in found}) <= 2 and max(len(seen) for _, seen in found) >= 6


@pytest.mark.parametrize("needs", [TASKS, ACTORS])
def test_a_worker_that_dies(cluster, tmp_path, needs):
    outcomes = list(RayCluster(needs).run(calls.DiesFirst(tmp_path, 2, 1, signal.SIGKILL), range(5)))
    assert sorted(o.result() for o in outcomes) == list(range(5))
    (always,) = RayCluster(needs).run(calls.DiesFirst(tmp_path, 9, 9, signal.SIGKILL), [9])
    assert isinstance(always.failure.error, WorkerDied)


def test_a_call_that_needs_more_than_there_is(cluster):
    with pytest.raises(Exception, match="CPU: 99"):
        RayCluster(Resources(cpus=99))


def test_many_calls_do_not_wait_in_memory(cluster):
    taken = []
    numbers = (taken.append(n) or n for n in count())
    started = time.perf_counter()
    assert len(list(islice(RayCluster(TASKS).run(calls.double, numbers), 5000))) == 5000
    print(f"\n{1000 * (time.perf_counter() - started) / 5000:.2f} ms a call")
    assert len(taken) < 5020


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    root = tmp_path_factory.mktemp("rows")
    for k in range(8):
        small_clip.make(root / f"c{k}", count=3, seed=k)
    (root / "corrupt.mp4").write_bytes(b"no video")
    with (root / "rows.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["input", "masks"])
        table.writerows([root / f"c{k}" / "frames", root / f"c{k}" / "visible_masks"] for k in range(8))
        table.writerow([root / "corrupt.mp4", root / "c0" / "visible_masks"])
    return root


def test_a_batch_of_which_a_node_and_a_worker_die(cluster, second, rows, tmp_path, capsys):
    ask = ("batch", rows / "rows.csv", "--method", "drawing", "--quiet")
    table = small_clip.methods.METHODS.table
    table["drawing"] = "support.small_clip:Drawing"
    try:
        assert run(capsys, *ask, "-o", tmp_path / "one", "--workers", "1")[0] == 1

        def harm():
            deadline = time.monotonic() + 90
            while len(list((tmp_path / "out").glob("*/result.json"))) < 2 and time.monotonic() < deadline:
                time.sleep(0.05)
            second()

        killer = threading.Thread(target=harm)
        killer.start()
        code, _, err = run(capsys, *ask, "-o", tmp_path / "out", "--ray", "auto", "--set", "dawdle=0.2")
        killer.join()
    finally:
        del table["drawing"]
    assert code == 1, err
    states = {row["name"]: row["state"] for row in csv.DictReader((tmp_path / "out" / "batch.csv").open())}
    assert states == {**{f"c{k}": "done" for k in range(8)}, "corrupt": "failed"}
    assert [row["name"] for row in csv.DictReader((tmp_path / "out" / "failures.csv").open())] == ["corrupt"]
    for k in range(8):
        found, one = (contents(tmp_path / name / f"c{k}", *small_clip.PIXELS) for name in ("out", "one"))
        assert found == one and len(found) == 12


def test_a_long_clip_is_shared(cluster, tmp_path, capsys, monkeypatch):
    small_clip.register(monkeypatch)
    small_clip.make(tmp_path / "long", count=420)
    clip, masks = f"file://{tmp_path}/long/frames", f"file://{tmp_path}/long/visible_masks"
    monkeypatch.setenv("UNOCCLUDE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "rows.jsonl").write_text(json.dumps({"input": clip, "masks": masks, "name": "long"}))
    for name, more in (("one", ("--workers", "1")), ("out", ("--ray", "auto"))):
        (tmp_path / f"{name}-seen").mkdir()
        code, _, err = run(
            capsys, "batch", tmp_path / "rows.jsonl", "-o", tmp_path / name, "--quiet", *more, "--method", "noting",
            "--set", f"folder={tmp_path / name}-seen",
        )  # fmt: skip
        assert code == 0, err
    assert len(list((tmp_path / "one-seen").iterdir())) == 1 < len(list((tmp_path / "out-seen").iterdir()))
    found, one = (contents(tmp_path / name / "long", *small_clip.PIXELS) for name in ("out", "one"))
    assert found == one and len(found) == 4 * 420
