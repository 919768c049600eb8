"""docs/extending.md, followed to the letter: its files make a package, its commands run."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import unocclude

SOURCE = Path(unocclude.__file__).parents[1]
PAGE = (SOURCE.parent / "docs" / "extending.md").read_text()
FILES = dict(re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', PAGE, re.DOTALL))
COMMANDS = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()


def write_package(folder: Path) -> Path:
    """The page's package as files; returns its folder."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "unocclude_extras" / "__init__.py").touch()
    return folder


def write_metadata(folder: Path) -> None:
    """What an installer makes of pyproject.toml."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    metadata = folder / "unocclude_extras-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")


def run(command: str, work: Path, site: Path) -> str:
    """The output of a command of the page, run in a process that knows the installed package."""
    program, *arguments = command.split()
    start = {"unocclude": ["-m", "unocclude.cli"], "python": []}[program]
    done = subprocess.run(
        [sys.executable, *start, *arguments],
        cwd=work,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(SOURCE)]), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def follow_the_page(work: Path, site: Path) -> None:
    """Run the commands of the page one after the other, and look at what each gives."""
    (work / "make_npz.py").write_text(FILES["make_npz.py"])
    said = {}
    for command in COMMANDS:
        said[command.split()[1]] = run(command, work, site)
    assert re.search(r"closing: the visible mask with narrow gaps filled\n.*runs here: yes", said["methods"], re.DOTALL)
    assert "width=15" in said["methods"] and "gaps narrower than this" in said["methods"]
    result = json.loads((work / "out" / "result.json").read_text())
    assert result["method"]["name"] == "closing" and result["method"]["options"] == {"width": 9}
    assert re.search(r"centroid_distance +\d+\.\d\d   pixels, lower is better", said["evaluate"])
    assert "miou_occ_published" in said["evaluate"]
    figures = json.loads((work / "figures" / "bench.json").read_text())["estimates"]["npz"]
    assert set(figures) == {"modal", "closing"}
    assert all(estimates["centroid_distance"]["count"] == 3 for estimates in figures.values())
    assert "centroid_distance" in (work / "figures" / "table.md").read_text() and "centroid_distance" in said["bench"]


def test_the_page_as_it_stands(tmp_path):
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    write_metadata(write_package(site))
    follow_the_page(work, site)


def test_what_the_page_says_of_mistakes(tmp_path):
    """An option's limit, an unknown option of the data set, and a package that does not import."""
    site = write_package(tmp_path)
    write_metadata(site)
    for command, words in (
        ("complete x --masks y -o out --method closing --set width=0", "greater than or equal to 1"),
        ("bench npz:x?size=3 -o out", "npz has no option size; it has fps"),
        ("bench npz:x -o out", "there is no such file or folder"),
        ("evaluate x y --metrics centroid", "unknown metric 'centroid'; known metrics: miou, "),
    ):
        with pytest.raises(AssertionError, match=re.escape(words)):
            run(f"unocclude {command}", tmp_path, site)
    (site / "unocclude_extras" / "closing.py").write_text("import a_package_that_is_not_here\n")
    listed = run("unocclude methods --json", tmp_path, site)
    found = {method["name"]: method for method in json.loads(listed)}
    assert found["modal"]["runs_here"] and not found["closing"]["runs_here"]
    assert found["closing"]["missing"] == (
        "method closing of the package unocclude-extras cannot be used: ModuleNotFoundError: No module named "
        "'a_package_that_is_not_here'"
    )


@pytest.mark.slow
def test_the_page_with_a_real_install(tmp_path):
    pytest.importorskip("setuptools")
    package, site, work = tmp_path / "package", tmp_path / "site", tmp_path / "work"
    work.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", site, write_package(package)], check=True, timeout=300)
    follow_the_page(work, site)
