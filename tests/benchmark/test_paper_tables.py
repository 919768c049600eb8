"""Rows, groups of metrics, figures over all frames, Top-K and published rows of `bench`."""

import json
import math
import shutil
from itertools import pairwise

import numpy as np
import pytest

from support import data_layouts, small_clip
from support.small_clip import assert_one_line, run
from unocclude import InputError, metrics
from unocclude.benchmark import set_metrics
from unocclude.benchmark.pooling import Pooled
from unocclude.benchmark.published import as_markdown, comparable, published_tables
from unocclude.benchmark.rows import Row, choose_rows, get_table, tables
from unocclude.completion import Completion
from unocclude.datasets import open_dataset
from unocclude.evaluation import evaluate
from unocclude.methods import METHODS, get_method, read_options
from unocclude.metrics.base import Metric
from unocclude.metrics.registry import GROUPS, SETS, expand, get_metric


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Two clips of different lengths, so that means over clips and over frames differ."""
    small_clip.register(monkeypatch)
    small_clip.make(tmp_path / "data" / "a", 4)
    small_clip.make(tmp_path / "data" / "b", 8)
    return tmp_path


def bench(capsys, folder, *args):
    code, _, err = run(capsys, "bench", f"toys={folder / 'data'}", "-o", folder / "out", "--quiet", *args)
    assert code == 0, err
    return json.loads((folder / "out" / "bench.json").read_text()), (folder / "out" / "table.md").read_text()


def test_groups_hold_known_metrics_and_are_expanded_once():
    for group in GROUPS:
        assert all(name in SETS or get_metric(name).name == name for name in expand([group], sets=True))
    assert expand(["masks", "miou", "boundary_f"]) == list(GROUPS["masks"])
    assert "fvd" in expand(["paper:ic-amodal"], sets=True) and "fvd" not in expand(["paper:ic-amodal"])
    bins = expand(["miou_visible"])
    assert bins == [f"miou_visible_{a}" for a in ("0_0.2", "0.2_0.4", "0.4_0.6", "0.6_0.8", "0.8_1")]
    with pytest.raises(InputError, match="fvd compares sets of clips; measure it with `unocclude bench`"):
        expand(["fvd"])
    with pytest.raises(InputError, match="unknown metric 'paper:none'"):
        expand(["paper:none"])
    with pytest.raises(InputError, match="ap50_published has no frames with masks"):
        expand(["ap50_published_easy"])


def test_restricted_names_are_the_restricted_metrics(two, capsys):
    bench(capsys, two, "--methods", "convex", "--metrics", "miou_hard,miou_easy,miou_occluded,miou_visible")
    sample = open_dataset(str(two / "data"))[1]
    pred = np.stack(list(Completion(two / "out/runs/toys/b/convex").amodal_masks))
    truth, visible = (np.stack(list(part)) for part in (sample.truth.amodal, sample.truth.visible))
    found = json.loads((two / "out/figures/toys/b/convex.json").read_text())
    shares = visible.sum((1, 2)) / truth.sum((1, 2))

    def plain(chosen):
        return metrics.miou(pred[chosen], truth[chosen]) if chosen.any() else math.nan

    expected = {"hard": shares <= 0.5, "easy": shares > 0.5, "occluded": shares < 0.99}
    edges = (0, 0.2, 0.4, 0.6, 0.8, 1)
    for low, high in pairwise(edges):
        expected[f"visible_{low:g}_{high:g}"] = (shares >= low) & ((shares < high) | (high == 1))
    for label, chosen in expected.items():
        value = found[f"miou_{label}"]
        assert (math.nan if value is None else value) == pytest.approx(plain(chosen), nan_ok=True), label
    assert sum(found[f"miou_{label}"] is not None for label in expected) >= 4


def test_figures_over_all_frames_are_pooled(two, capsys):
    state, text = bench(capsys, two, "--methods", "modal,convex", "--metrics", "paper:vas")
    for row in ("modal", "convex"):
        files = [json.loads((two / f"out/figures/toys/{clip}/{row}.json").read_text()) for clip in ("a", "b")]
        for name in ("miou", "miou_published", "miou_occ_published", "miou_visible_0.8_1"):
            values = [frame[name] for file in files for frame in file["frames"] if frame[name] is not None]
            pooled = state["pooled"]["toys"][row][name]
            assert pooled is None if not values else pooled == pytest.approx(np.mean(values)), name
        assert state["pooled"]["toys"][row]["miou"] != pytest.approx(state["estimates"]["toys"][row]["miou"]["mean"])
        assert "psnr_hidden" not in state["pooled"]["toys"][row], "it is pooled over pixels, not over frames"
    assert "toys, over the frames of all clips" in text


def test_labels_run_a_method_several_times(two, capsys):
    rows = "short=drawing,long=drawing,modal"
    sets = ["--set", "drawing.dawdle=0", "--set", "short.reach=1", "--set", "long.reach=12"]
    state, text = bench(capsys, two, "--methods", rows, *sets)
    assert state["asked"]["rows"] == {"short": "drawing", "long": "drawing", "modal": "modal"}
    assert [state["asked"]["methods"][label]["reach"] for label in ("short", "long")] == [1, 12]
    grown = [np.stack(list(Completion(two / f"out/runs/toys/b/{row}").amodal_masks)).sum() for row in ("short", "long")]
    assert grown[1] > grown[0] and "| short |" in text and "| long |" in text
    for names, said in (("a=modal,a=convex", "two rows are called a"), ("a/b=modal", "not a valid folder name")):
        code, _, err = run(capsys, "bench", two / "data", "-o", two / "no", "--methods", names)
        assert code == 2 and not (two / "no").exists()
        assert_one_line(err, said)


def test_top_k_is_the_best_hypothesis_of_each_frame(two, capsys):
    state, text = bench(capsys, two, "--methods", "drawing,modal", "--hypotheses", "3", "--set", "drawing.reach=12")
    values = []
    for sample in open_dataset(str(two / "data")):
        found = Completion(two / "out/runs/toys" / sample.name / "drawing").hypotheses
        assert len(found) == 3
        values.append([[frame["miou"] for frame in evaluate(one, sample.truth)["frames"]] for one in found])
    for k in (1, 2, 3):
        best = [max(clip[s][t] for s in range(k)) for clip in values for t in range(len(clip[0]))]
        assert state["top_k"]["toys"]["drawing"]["miou"][k - 1] == pytest.approx(np.mean(best))
    curve = state["top_k"]["toys"]["drawing"]["miou"]
    assert curve[0] < curve[2] and "modal" not in state["top_k"]["toys"]
    assert "best of K hypotheses" in text and "| drawing, miou |" in text
    again = ["bench", f"toys={two / 'data'}", "-o", two / "out", "--methods", "drawing,modal", "--quiet", "--resume"]
    again += ["--hypotheses", "3", "--set", "drawing.reach=12"]
    before = (two / "out/table.md").read_bytes()
    (two / "out/figures/toys/a/modal.json").unlink()
    assert run(capsys, *again)[0] == 0 and (two / "out/table.md").read_bytes() == before


class Colour(Metric):
    """Stands for a metric of sets of clips: the mean of the first channel, true minus predicted."""

    name, requires = "fvd", ("appearance",)

    def reset(self):
        self.values = []

    def update(self, clips, /):
        self.values.append(np.mean([b[..., 0].mean() - a[..., 0].mean() for a, b in zip(*clips, strict=True)]))
        return math.nan

    def compute(self):
        return float(np.mean(self.values))


def test_metrics_of_sets_see_all_clips(two, capsys, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setitem(set_metrics._KINDS, "fvd", Colour)
    code, _, err = run(capsys, "bench", two / "data", "-o", two / "out", "--methods", "modal", "--metrics", "fvd")
    assert code == 2 and not (two / "out").exists()
    assert_one_line(err, "fvd needs clips of at least 9 frames; a has 4")
    for name in "ab":
        small_clip.make(two / "data" / name, 9)
    alone = ("bench", two / "data", "-o", two / "out", "--methods", "modal", "--metrics", "fvd", "--limit", "1")
    code, _, err = run(capsys, *alone)
    assert code == 2 and not (two / "out").exists()
    assert_one_line(err, "fvd compares sets of clips; give two clips or more")
    state, text = bench(capsys, two, "--methods", "modal", "--metrics", "fvd")
    differences = []
    for sample in open_dataset(str(two / "data")):
        run_ = Completion(two / "out/runs/toys" / sample.name / "modal")
        differences.append(
            np.mean([sample.truth.rgba(i)[..., 0].mean() - run_.rgba[i][..., 0].mean() for i in range(len(run_))])
        )
    assert state["pooled"]["toys"]["modal"]["fvd"] == pytest.approx(np.mean(differences)) and "fvd" in text
    for name in "ab":
        shutil.copytree(two / "out/runs/toys" / name / "modal", two / "theirs" / name)
        (two / "theirs" / name / "result.json").unlink()
    given = ("--methods", "", "--predictions", f"theirs={two / 'theirs'}", "--metrics", "fvd", "--overwrite")
    assert bench(capsys, two, *given)[0]["pooled"]["toys"]["theirs"] == state["pooled"]["toys"]["modal"]


@pytest.mark.parametrize(("name", "words"), [("paper:tgvac", "clip-vit"), ("paper:ic-amodal", "lpips"), ("fvd", "i3d")])
def test_weights_that_metrics_need_are_named_before_anything_runs(two, capsys, monkeypatch, name, words):
    pytest.importorskip("torch")
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(two / "none"))
    code, _, err = run(capsys, "bench", two / "data", "-o", two / "out", "--methods", "modal", "--metrics", name)
    assert code == 2 and not (two / "out").exists()
    assert_one_line(err, words)


def test_tables_of_the_papers_can_be_made():
    for table in tables().values():
        assert table.source and expand(table.metrics, sets=True)
        labels = [row.label for row in table.rows]
        assert len(labels) == len(set(labels))
        for row in choose_rows(table, None):
            assert row.method in METHODS.table
            read_options(get_method(row.method), dict(row.options))
    assert choose_rows(get_table("tgvac-3"), ["text", "mine=modal"])[1] == Row("mine", "modal")
    with pytest.raises(InputError, match=r"unknown table 'x'; known are .*vas-1"):
        get_table("x")


def test_a_table_runs_its_rows(two, capsys, monkeypatch):
    from unocclude.benchmark import rows

    table = rows.Table("t", "a paper", (Row("one", "drawing", {"reach": 2}), Row("two", "modal")), ("boundary_f",), 2)
    monkeypatch.setattr(rows, "tables", lambda: {"t": table})
    state, text = bench(capsys, two, "--table", "t")
    assert list(state["asked"]["methods"]) == ["one", "two"] and state["asked"]["methods"]["one"]["reach"] == 2
    assert state["asked"]["metrics"] == ["boundary_f"] and "Top-2" in text


def test_published_rows_stand_beside_the_same_data_and_protocol_only():
    def shown(name, origin, partial=False, made=""):
        return {table.source for table in comparable({name: origin}, partial, made).get(name, [])}

    assert any("table 1" in source for source in shown("SAIL-VOS", "sail-vos:val.json"))
    assert not shown("SAIL-VOS", "/data/toys") and not shown("SAIL-VOS", "gt:/data/sail-vos")
    assert not shown("SAIL-VOS", "sail-vos:val.json", partial=True)
    assert not shown("tao", "tao-amodal:tracks.json?protocol=plain")
    assert all("table 5" in source for source in shown("MOVi-B", "movi:/data/movi?protocol=full"))
    assert any("table 2" in source for source in shown("x", "movi:/data/MOVi-D?protocol=crop2x"))
    assert not shown("Kubric-Static", "/data/stand-in") and shown("Kubric-Static", "kubric:/data/k")
    assert not any("table 8" in source for source in shown("SAIL-VOS", "sail-vos:val.json", made="vas-3"))
    assert any("table 8" in source for source in shown("SAIL-VOS", "sail-vos:val.json", made="vas-8"))
    assert shown("Kubric-Dynamic", "kubric:k") < shown("Kubric-Dynamic", "kubric:k", made="ic-amodal-ablation")
    for table in published_tables():
        assert table.table in ("", *tables())
        assert not table.kind or len(table.ours) == len(table.scale) == len(table.metrics)
        assert all(name in SETS or get_metric(name) for name in table.ours if name)


def test_published_rows_and_ours_share_a_table(tmp_path, capsys):
    entry = data_layouts.tao_amodal(tmp_path / "TAO-Amodal")
    out = tmp_path / "out"
    assert run(capsys, "bench", f"TAO-Amodal={entry}", "-o", out, "--methods", "modal,convex", "--quiet")[0] == 0
    text = (out / "table.md").read_text()
    assert "Published: TAO-Amodal" in text and "| 3D-UNet, published | 94.59 | 83.83 | 64.33 |" in text
    pooled = json.loads((out / "bench.json").read_text())["pooled"]["TAO-Amodal"]["modal"]
    ours = " | ".join(f"{100 * pooled[f'ap{k}_published']:g}" for k in (25, 50, 75))
    assert f"| modal, ours | {ours} |" in text
    out = tmp_path / "part"
    run(capsys, "bench", f"TAO-Amodal={entry}", "-o", out, "--methods", "modal", "--limit", "1", "--quiet")
    assert "Published" not in (out / "table.md").read_text()


def test_the_best_of_k_stands_beside_the_published_one():
    pooled = Pooled()
    frames = [{"miou_published": 0.25}, {"miou_published": 0.5}]
    hypotheses = {"miou_published": [[0.25, 0.5], [0.75, 0.125], [0.5, 0.25]]}
    pooled.add("SAIL-VOS", "Ours", {"miou_published": 0.375, "frames": frames, "hypotheses": hypotheses})
    pooled.add("SAIL-VOS", "Modal", {"miou_published": 0.375, "frames": frames})
    figures = {"SAIL-VOS": {"Ours": {}, "Modal": {}}}
    text = as_markdown(comparable({"SAIL-VOS": "sail-vos:val.json"}), figures, pooled)
    assert "| Ours, ours | 37.5 | - |\n| Ours, Top-3, ours | 62.5 | - |\n| Modal, ours | 37.5 | - |\n" in text
