"""The registry of methods, metrics and data sets: our own table, and what other packages can break."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from unocclude import InputError, registry
from unocclude.cli import main
from unocclude.datasets import DATASETS, get_reader
from unocclude.methods import METHODS, get_method
from unocclude.metrics import DEFAULT, METRICS, get_metric
from unocclude.registry import Registry

ROOT = Path(__file__).parents[1]
while not (ROOT / "pyproject.toml").exists():
    ROOT = ROOT.parent


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Makes a package of one module known, with these entry points; returns its folder."""

    def install(name: str, module: str, entry_points: str) -> Path:
        folder = tmp_path / name
        (folder / f"{name}-1.0.dist-info").mkdir(parents=True)
        (folder / f"{name}.py").write_text(module)
        (folder / f"{name}-1.0.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        (folder / f"{name}-1.0.dist-info" / "entry_points.txt").write_text(entry_points)
        monkeypatch.syspath_prepend(folder)
        registry._entry_points.cache_clear()
        return folder

    yield install
    registry._entry_points.cache_clear()


@pytest.mark.parametrize("group", [METHODS, METRICS, DATASETS], ids=lambda group: group.group)
def test_the_entry_points_in_pyproject_are_those_of_the_table(group):
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert declared[group.group] == group.table


@pytest.mark.parametrize("name", METRICS.table)
def test_our_metrics_describe_themselves(name):
    metric = get_metric(name)
    assert metric.name == name and metric.unit and metric.__doc__ and isinstance(metric.higher_is_better, bool)


def test_all_of_ours_can_be_loaded():
    assert all(get_method(name).name == name for name in METHODS.table)
    assert all(callable(get_reader(kind)) for kind in DATASETS.table)


def test_names_are_listed_without_importing(installed):
    installed("listed", "raise SystemError('imported')", "[unocclude.methods]\nlisted = listed:Listed\n")
    assert "listed" in list(METHODS) and "listed" not in sys.modules
    assert METHODS.provider("listed") == "listed" and METHODS.provider("modal") == ""


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("raise SystemError('two\\nlines')", "SystemError: two lines"),
        ("import a_package_that_is_not_here", "a_package_that_is_not_here"),
        ("x = 1 +", "SyntaxError"),
        ("", "AttributeError"),
        ("Mine = 3", "not a class derived from"),
    ],
)
def test_what_is_broken_says_so_and_breaks_nothing_else(installed, module, reason):
    installed(
        "broken",
        module,
        "[unocclude.methods]\nmine = broken:Mine\n[unocclude.metrics]\nmine = broken:Mine\n"
        "[unocclude.datasets]\nmine = broken:Mine\n",
    )
    for get, kind in ((get_method, "method"), (get_metric, "metric"), (get_reader, "data set")):
        with pytest.raises(InputError) as error:
            get("mine")
        assert str(error.value).startswith(f"{kind} mine of the package broken cannot be used: ")
        assert "\n" not in str(error.value)
        assert reason in str(error.value) or (get is get_reader and "not a function" in str(error.value))
    assert get_method("modal").name == "modal" and get_metric(DEFAULT[0]).name == DEFAULT[0]
    sys.modules.pop("broken", None)


def test_a_method_that_cannot_be_described_does_not_hide_the_others(installed, capsys):
    code = (
        "from unocclude.methods.baselines import Modal\nclass Odd(Modal):\n    name = 'odd'\n"
        "    @classmethod\n    def missing(cls, weights=None): raise KeyError('x')\n"
    )
    installed("odd_method", code, "[unocclude.methods]\nodd = odd_method:Odd\n")
    assert main(["methods"]) == 0
    listed = capsys.readouterr().out
    assert "runs here: no: method odd of the package odd_method cannot be used: KeyError: 'x'" in listed
    assert "convex-r: " in listed


def test_damaged_metadata_are_left_out_with_a_line(installed, caplog):
    installed("fine", "def read(root): return []", "[unocclude.datasets]\nfine = fine:read\n")
    installed("damaged", "", "[unocclude.datasets]\nthis is no entry point\n")
    assert "fine" in DATASETS and get_reader("fine")(None) == []
    assert [record.getMessage() for record in caplog.records if "damaged" in record.getMessage()]


def test_a_name_of_ours_is_not_taken_and_of_two_the_first_counts(installed, caplog):
    installed("late", "def read(root): return 'late'", "[unocclude.datasets]\nboth = late:read\ngt = late:read\n")
    installed("early", "def read(root): return 'early'", "[unocclude.datasets]\nboth = early:read\n")
    assert get_reader("both")(None) == "early"
    assert list(DATASETS).count("gt") == 1 and get_reader("gt").__module__ == "unocclude.datasets.gt"
    (said,) = {record.getMessage() for record in caplog.records}
    assert "both" in said and "early" in said and "late" in said


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="unknown thing 'x'; known things: a, b"):
        Registry("unocclude.things", "thing", {"a": "m:a", "b": "m:b"}).load("x")


def test_a_metric_that_requires_what_does_not_exist(installed):
    code = "from unocclude.metrics import MeanIoU\nclass Odd(MeanIoU):\n    name = 'odd'\n    requires = ('mask',)\n"
    installed("odd", code, "[unocclude.metrics]\nodd = odd:Odd\n")
    with pytest.raises(InputError, match="requires 'mask'; known are appearance, boxes, marks, masks"):
        get_metric("odd")


def test_help_and_import_load_nothing_heavy():
    code = (
        "import sys, unocclude, unocclude.methods, unocclude.cli as cli\n"
        "try: cli.main(['--help'])\nfinally: assert not {'torch', 'cv2', 'av', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
