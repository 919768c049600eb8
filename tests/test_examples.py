"""The scripts in examples/ run as they stand."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from support import small_clip
from unocclude.completion import Completion

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example(monkeypatch, capsys):
    """Run a script with these arguments; returns what it prints."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.fixture
def clip(tmp_path):
    return small_clip.make(tmp_path / "clip")


def test_complete_clip(example, clip, tmp_path):
    said = example("complete_clip.py", clip / "frames", clip / "visible_masks", tmp_path / "out")
    assert len(re.findall(r"frame \d: \d+% hidden", said)) == small_clip.COUNT
    assert (tmp_path / "out" / "report.html").is_file() and (tmp_path / "out.webm").stat().st_size > 100


def test_several_objects(example, clip, tmp_path):
    said = example("several_objects.py", clip / "frames", tmp_path / "out", "0:2,10,16,24", "1:26,0,32,36")
    assert said.count("pixels on average") == 2
    for number in (1, 2):
        result = Completion(tmp_path / "out" / f"object_{number}")
        assert len(result) == small_clip.COUNT and result.amodal_masks[1].any()


def test_compare_methods(example):
    header, modal, convex = example("compare_methods.py", 2, "modal", "convex").splitlines()
    assert header.split() == ["method", "mIoU", "mIoU_occ"]
    assert modal.startswith("modal ") and convex.startswith("convex ")
    assert float(modal.split()[2]) == 0 <= float(convex.split()[2]) < 1


def test_every_example_is_run_and_described():
    listed = (EXAMPLES / "README.md").read_text()
    tested = Path(__file__).read_text()
    for script in EXAMPLES.glob("*.py"):
        assert script.name in listed and f'"{script.name}"' in tested
