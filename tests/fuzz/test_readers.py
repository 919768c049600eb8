"""Each reader against mutated files: a few seconds in every run, minutes in `make test-all`."""

import importlib

import pytest

import harness

READERS = ["image", "animation", "folder", "video", "arrays", "shard"]


@pytest.mark.parametrize("reader", READERS)
def test_any_file_is_read_or_refused(reader: str) -> None:
    check(reader, seed=0, amount=150, seconds=6)


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_any_file_is_read_or_refused_for_minutes(reader: str) -> None:
    check(reader, seed=1, amount=None, seconds=120)


def check(reader: str, seed: int, amount: int | None, seconds: float) -> None:
    module = importlib.import_module(f"fuzz_{reader}")
    found = harness.run(module.__name__, harness.mutations(module.seeds(), seed, amount), seconds)
    assert found.tried > 20
    assert not found.failures, [f"{wrong}: {data[:80]!r}" for wrong, data in found.failures[:5]]
