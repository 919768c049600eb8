"""The wheel: what it holds, and that it runs in an environment that has nothing else."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from support import small_clip

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (file,) = folder.glob("unocclude-*.whl")
    return file


def pip(*arguments, python=sys.executable):
    command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_wheel_holds_the_package_and_its_checkpoints_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top.split("-")[0] for top in tops} == {"unocclude"} and len(tops) == 2  # the package and its dist-info
    assert "unocclude/py.typed" in names and "unocclude/report/report.html.j2" in names
    assert any(name.endswith(".onnx") for name in names) and any(name.endswith(".safetensors") for name in names)
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]
    # how checkpoints were trained is told in model_cards/
    assert not [name for name in names if name.endswith((".jsonl", "MODEL_CARD.md"))]
    tables = ["unocclude/benchmark/published.toml", "unocclude/benchmark/tables.toml"]
    assert sorted(name for name in names if name.endswith(".toml")) == tables


@pytest.mark.slow
def test_the_wheel_runs_in_an_empty_environment(wheel, tmp_path):
    """pip takes the dependencies from where it always does."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    programs = tmp_path / "venv" / "bin"
    pip("install", "--constraint", ROOT / "constraints.txt", wheel, python=str(programs / "python"))
    clip, out = small_clip.make(tmp_path / "clip"), tmp_path / "out"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [programs / "unocclude", "complete", clip / "frames", "--masks", clip / "visible_masks", "-o", out]
    done = subprocess.run([*map(str, command), "--quiet"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (out / "result.json").is_file() and (out / "report.html").is_file()
    assert len(list((out / "rgba").glob("*.png"))) == small_clip.COUNT
