"""Executors: every call once, whatever dies; failures as they were raised; limits of cores and threads."""

import os
import signal
import time
from itertools import count, islice

import psutil
import pytest

from support import calls
from support.processes import python
from unocclude.errors import InputError, UnoccludeError
from unocclude.executor import Serial, WorkerDied, open_executor, results
from unocclude.executor.cores import THREADS, cores, limited_threads, threads
from unocclude.executor.processes import Processes


@pytest.fixture(scope="module")
def two():
    with Processes(2, threads=1) as executor:
        yield executor


def both(two):
    return (Serial(), two)


def test_every_argument_is_called_once(two):
    for executor in both(two):
        outcomes = list(executor.run(calls.double, range(7), [10, 11], []))
        assert sorted(outcome.argument for outcome in outcomes) == [*range(7), 10, 11]
        assert all(outcome.result() == 2 * outcome.argument and outcome.worker for outcome in outcomes)
        assert list(executor.run(calls.double)) == list(executor.run(calls.double, [])) == []


def test_one_worker_is_this_process():
    assert isinstance(open_executor(1), Serial)
    assert sorted(results(open_executor(2), calls.double, [1, 2, 3])) == [2, 4, 6]


def test_failures_are_what_was_raised_and_the_others_go_on(two):
    for executor in both(two):
        outcomes = {o.argument: o for o in executor.run(calls.fail, range(7))}
        assert {k for k, o in outcomes.items() if o.failure is None} == {0, 1, 2, 6}
        assert outcomes[3].failure.message == "three is not allowed"
        assert outcomes[4].failure.message == "KeyError: 'four'"
        assert "Odd: odd" in outcomes[5].failure.message and "calls.py" in outcomes[5].failure.trace
        with pytest.raises(InputError, match="three"):
            outcomes[3].result()
        with pytest.raises(KeyError):
            list(results(executor if executor is not two else Processes(2), calls.fail, [4]))


def test_what_cannot_be_sent_is_a_failure(two):
    (outcome,) = two.run(calls.unpicklable, [1])
    assert "pickle" in outcome.failure.message.lower()
    assert [o.value for o in two.run(calls.double, [4])] == [8]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_is_replaced_and_its_call_redone(two, tmp_path, how):
    outcomes = list(two.run(calls.DiesFirst(tmp_path, 2, 2, how), range(5)))
    assert sorted(o.result() for o in outcomes) == list(range(5))
    made = [path.name.partition("-")[0] for path in tmp_path.iterdir()]
    assert sorted(made) == ["0", "1", "2", "2", "2", "3", "4"]


def test_a_call_that_always_kills_fails_alone(two, tmp_path):
    outcomes = {o.argument: o for o in two.run(calls.DiesFirst(tmp_path, 2, 9), range(5))}
    assert isinstance(outcomes[2].failure.error, WorkerDied) and "SIGKILL" in outcomes[2].failure.message
    assert all(outcomes[k].result() == k for k in (0, 1, 3, 4))
    with pytest.raises(UnoccludeError, match="fewer --workers"):
        outcomes[2].result()


def test_a_worker_keeps_to_a_queue_and_its_state(two):
    found = [o.result() for o in two.run(calls.Keeps(), range(0, 6), range(10, 16))]
    last = {}
    for process, seen in found:
        last[process] = max(last.get(process, []), seen, key=len)
    first, second = last.values()
    assert sorted(first + second) == [*range(6), *range(10, 16)]
    assert {first[0] // 10, second[0] // 10} == {0, 1}
    for seen in (first, second):  # nothing from the other queue until its own is empty
        assert len({number // 10 for number in seen[:4]}) == 1


def test_queues_may_be_endless(two):
    taken = []
    numbers = (taken.append(n) or n for n in count())
    assert len(list(islice(two.run(calls.double, numbers), 20))) == 20
    assert len(taken) <= 23


def test_threads_of_libraries_are_limited():
    names = [name for name in os.environ if name.endswith("_NUM_THREADS")]
    kept = {name: os.environ.pop(name) for name in names}
    try:
        with Processes(2, threads=1) as executor:
            (numbers,) = (o.result() for o in executor.run(calls.limits, [0]))
    finally:
        os.environ.update(kept)
    assert numbers == (1, 1, 1)
    assert THREADS not in os.environ


def test_the_number_of_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    for name in (THREADS, "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert threads() == min(8, cores())
    with limited_threads(3):
        assert threads() == 3 and os.environ["MKL_NUM_THREADS"] == "3"
        assert os.environ["OMP_NUM_THREADS"] == "7"  # the user's own
    assert threads() == min(8, cores()) and os.environ["OMP_NUM_THREADS"] == "7"


@pytest.mark.parametrize(
    ("line", "files", "expected"),
    [
        ("0::/", {"cpu.max": "150000 100000"}, 2),
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "100000 100000"}, 1),
        ("0::/host/path", {"cpu.max": "50000 100000"}, 1),
        ("3:cpu,cpuacct:/a", {"cpu/a/cpu.cfs_quota_us": "100000", "cpu/a/cpu.cfs_period_us": "100000"}, 1),
        ("3:cpu:/a", {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, 4),
        ("2:memory:/", {"cpu.max": "100000 100000"}, 4),
        ("0::/", {"cpu.max": "nonsense"}, 4),
    ],
)
def test_cores_respect_affinity_and_cgroups(tmp_path, monkeypatch, line, files, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4), raising=False)
    (tmp_path / "own").write_text(f"{line}\n")
    for name, text in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(f"{text}\n")
    assert cores(tmp_path / "fs", tmp_path / "own") == expected
    assert cores(tmp_path / "none", tmp_path / "none") == 4


SCRIPT = """
import sys
from support import calls
from unocclude.executor.processes import Processes
if __name__ == "__main__":
    list(Processes(2).run(calls.wait_for, [sys.argv[1]] * 2))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(tmp_path, how):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (tmp_path / "seen").mkdir()
    parent = python(script, tmp_path / "seen")
    try:
        deadline = time.monotonic() + 60
        while len(list((tmp_path / "seen").iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        children = [psutil.Process(int(path.name)) for path in (tmp_path / "seen").iterdir()]
        assert len(children) == 2
        parent.send_signal(how)
        parent.wait(30)
        assert not psutil.wait_procs(children, timeout=20)[1]
    finally:
        parent.kill()
