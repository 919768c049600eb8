"""Tables of the papers run from one command, on tiny random checkpoints and generated data in the published layouts."""

import json
from dataclasses import replace

import pytest

from support.small_clip import run
from unocclude.benchmark import rows, set_metrics
from unocclude.metrics.registry import check_here, expand, get_metric
from unocclude.synthesis import rigid_world, write_world
from unocclude.synthesis.kubric_layout import write_scene

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from support import tiny_cogvideox, tiny_diffusion_vas, tiny_flux_fill, tiny_tgvac  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    world = rigid_world(4, "affine", 10, 96, 72, occluders=["pole"])
    write_scene([world], folder / "kubric" / "00000")
    write_world(world, folder / "composites" / "00000")
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    for part, seed in (("amodal-segmentation", 1), ("content-completion", 2)):
        tiny_diffusion_vas.write_checkpoint(folder / "diffusion-vas" / part, seed)
    tiny_tgvac.write_checkpoint(folder / "tgvac")
    tiny_cogvideox.write_checkpoint(folder / "cogvideox-amodal", False, channels=12)
    tiny_flux_fill.write_flux_fill(folder / "ic-amodal")
    return folder


@pytest.fixture
def without_networks(monkeypatch):
    """The tables without those metrics whose published weights are not here."""

    def measurable(name):
        try:
            check_here(set_metrics.set_metric(name) if name == "fvd" else get_metric(name))
        except Exception:
            return False
        return True

    whole = {
        name: replace(table, metrics=tuple(filter(measurable, expand(table.metrics, sets=True))))
        for name, table in rows.tables().items()
    }
    monkeypatch.setattr(rows, "tables", lambda: whole)


SMALL = {
    "diffusion-vas": {"steps": 1, "pixels": 4096},
    "tgvac": {"steps": 1},
    "cogvideox-amodal": {"steps": 1},
    "ic-amodal": {"steps": 1, "cell": 32, "text_tokens": 8},
    "ic-amodal-plus": {"steps": 1, "cell": 32, "text_tokens": 8},
}
CASES = [
    ("ic-amodal-ablation", "kubric", "A-I", ()),
    ("ic-amodal-main", "kubric", "IC-Amodal+", ("ic-amodal-plus=ic-amodal",)),
    ("ic-amodal-lambda", "kubric", "1.5-0.7", ()),
    ("tgvac-3", "composites", "text-motion-temporal", ()),
    ("tgvac-4", "composites", "stride-2", ()),
    ("tgvac-5", "kubric", "TGVAC", ()),
    ("tgvac-6", "composites", "CogVideoX-Amodal", ()),
    ("vas-figure-8", "composites", "Ours", ()),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "where", "row", "others"), CASES, ids=[case[0] for case in CASES])
def test_a_table_is_one_command(name, where, row, others, data, weights, without_networks, tmp_path, capsys):
    table = rows.get_table(name)
    used = {one.method for one in table.rows}
    entry = f"kubric:{data / where}" if where == "kubric" else str(data / where)
    args = ["bench", f"data={entry}", "-o", tmp_path / "out", "--table", name, "--quiet"]
    named = dict(pair.split("=") for pair in others)
    for method in sorted(used):
        args += ["--weights", f"{method}={weights / named.get(method, method)}"]
        args += [part for key, value in SMALL[method].items() for part in ("--set", f"{method}.{key}={value}")]
    code, _, err = run(capsys, *args)
    assert code == 0, err
    state = json.loads((tmp_path / "out/bench.json").read_text())
    assert set(state["asked"]["methods"]) == {one.label for one in table.rows} and row in state["asked"]["methods"]
    text = (tmp_path / "out/table.md").read_text()
    assert f"| {row} |" in text and "Published" not in text
    assert (name == "vas-figure-8") == ("Top-10" in text)
