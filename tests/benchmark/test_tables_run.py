"""Tables of the papers run from one command, on tiny random checkpoints and generated data in the published layouts."""

import json

import pytest

from support import data_layouts
from support.small_clip import run
from unocclude.benchmark import rows
from unocclude.metrics.registry import SETS, expand
from unocclude.synthesis import rigid_world, write_world
from unocclude.synthesis.kubric_layout import write_scene

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("accelerate")
from support.saved_checkpoints import save_all  # noqa: E402
from support.tiny_checkpoints import SMALL, settings, write_all  # noqa: E402
from support.tiny_metric_networks import write_metric_networks  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The arguments of `bench`: data sets of one clip each; FVD needs two."""
    folder = tmp_path_factory.mktemp("data")
    world = rigid_world(4, "affine", 10, 96, 72, occluders=["pole"])
    write_scene([world], folder / "kubric" / "00000")
    write_scene([rigid_world(5, "affine", 10, 96, 72, occluders=["pole"])], folder / "kubric" / "00001")
    write_world(world, folder / "composites" / "00000")
    return {
        "kubric": f"kubric:{folder / 'kubric'}",
        "composites": str(folder / "composites"),
        "sail": data_layouts.sail_vos(folder / "sail"),
        "tao": data_layouts.tao_amodal(folder / "tao"),
        "movi": data_layouts.movi(folder / "movi") + "?protocol=crop2x&size=48",
        "movi-whole": data_layouts.movi(folder / "movi-whole"),
    }


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Checkpoint by method, or by kind of a checkpoint of one's own."""
    return write_all(tmp_path_factory.mktemp("weights")) | save_all(tmp_path_factory.mktemp("saved"))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    write_metric_networks(folder)
    return folder


TWO = {"VideoMAE": "videomae", "3D-UNet": "3d-unet"}
CASES = {
    "vas-1": (("sail", "tao"), TWO),
    "vas-2": (("movi", "movi-whole"), TWO | {"Ours": "mask+depth"}),
    "vas-3": (
        ("sail", "tao"),
        {"mask": "mask", "mask-RGB": "mask+rgb", "mask-depth": "mask+depth", "mask-RGB-depth": "mask+rgb+depth"},
    ),
    "vas-4": (("sail", "tao"), dict.fromkeys(("neither", "two-stage", "zero-conv", "both"), "mask+depth")),
    "vas-6": (
        ("sail", "tao"),
        dict.fromkeys(("Ours-random", "Ours-pretrained"), "mask")
        | dict.fromkeys(("3D-UNet-random", "3D-UNet-pretrained"), "3d-unet"),
    ),
    "vas-7": (("sail", "tao"), {"One-stage": "one-stage"}),
    "vas-8": (
        ("sail", "tao"),
        dict.fromkeys(("Uncropped", "Amodal-cropped"), "mask+depth")
        | dict.fromkeys(("VideoMAE", "VideoMAE-pseudo"), "videomae"),
    ),
    "vas-figure-8": (("composites",), {}),
    "tgvac-2": (("composites",), {}),
    "tgvac-3": (("composites",), {}),
    "tgvac-4": (("composites",), {}),
    "tgvac-5": (("movi", "kubric"), {}),
    "tgvac-6": (("composites",), {}),
    "ic-amodal-main": (("kubric",), {}),
    "ic-amodal-ablation": (("kubric",), {}),
    "ic-amodal-lambda": (("kubric",), {}),
}


def test_every_table_is_run():
    assert set(CASES) == set(rows.tables())


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_table_is_one_command(name, data, weights, home, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(home))
    table, (where, checkpoints) = rows.get_table(name), CASES[name]
    args = ["bench", *(f"{part}={data[part]}" for part in where), "-o", tmp_path / "out", "--table", name, "--quiet"]
    for method in sorted({one.method for one in table.rows} & set(SMALL)):
        args += ["--weights", f"{method}={weights[method]}"]
        args += settings(method, method)
    args += [part for row, kind in checkpoints.items() for part in ("--weights", f"{row}={weights[kind]}")]
    code, _, err = run(capsys, *args)
    assert code == 0, err
    state = json.loads((tmp_path / "out/bench.json").read_text())
    labels = {one.label for one in table.rows}
    assert set(state["asked"]["methods"]) == labels
    text = (tmp_path / "out/table.md").read_text()
    assert all(f"| {label} |" in text for label in labels)
    assert ("Top-10" in text) == (name == "vas-figure-8")
    metrics = expand(table.metrics, sets=True)
    for part in where:
        measured, clips = state["pooled"][part], state["clips"][part]
        assert set(measured) == labels
        for label in labels:
            assert all(measured[label][metric] > 0 for metric in metrics if metric in SETS)
            assert all(set(metrics) - set(SETS) <= set(figures) for figures in clips[label].values())
