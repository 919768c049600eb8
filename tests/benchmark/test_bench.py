"""`unocclude bench` and `unocclude study`: numbers against `evaluate`, resuming, choices counted by hand."""

import json
import math
import shutil
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest

from unocclude.benchmark.pooling import Pooled
from unocclude.benchmark.published import as_markdown, published_tables
from unocclude.benchmark.serve import make_server
from unocclude.benchmark.study import Study
from unocclude.benchmark.summary import estimate
from unocclude.cli import main
from unocclude.errors import InputError
from unocclude.evaluation import evaluate

METHODS = "modal,convex"


def test_figures_are_those_of_evaluate(worlds, done):
    state = json.loads((done / "bench.json").read_text())
    for method in METHODS.split(","):
        values = []
        for clip in ("w0", "w1", "w2", "w10"):
            figures = evaluate(done / "runs" / "toys" / clip / method, worlds / clip)
            values.append(figures["miou"])
            assert state["clips"]["toys"][method][clip]["miou"] == pytest.approx(figures["miou"])
        assert state["estimates"]["toys"][method]["miou"]["mean"] == pytest.approx(np.mean(values))
    text = (done / "table.md").read_text()
    assert "toys, 4 clips" in text and "| w10, modal |" in text
    assert (done / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_it_resumes_and_keeps_what_is_there(worlds, done, capsys):
    again = ["bench", f"toys={worlds}", "-o", str(done), "--quiet"]
    assert main([*again, "--methods", METHODS]) == 2  # exists
    lost = done / "figures" / "toys" / "w1" / "modal.json"
    before, kept = lost.read_bytes(), (done / "figures" / "toys" / "w0" / "modal.json").stat().st_mtime_ns
    lost.unlink()
    assert main([*again, "--methods", METHODS, "--resume"]) == 0
    assert lost.read_bytes() == before
    assert (done / "figures" / "toys" / "w0" / "modal.json").stat().st_mtime_ns == kept
    assert main([*again, "--methods", "modal", "--resume"]) == 2
    assert "other arguments (methods)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "no such file or folder"),
        (["moovi:x"], "unknown kind of data moovi"),
        (["{}", "--methods", "modal,nonsense"], "unknown method"),
        (["{}", "--set", "references=3"], "METHOD.KEY=VALUE"),
        (["{}", "--set", "recall.references=one"], "references"),
        (["{}", "--methods", "modal", "--set", "recall.references=3"], "not one of"),
        (["{}", "--weights", "recall"], "--weights recall: expected METHOD=DIR"),
        (["{}", "--weights", "tgvac=mine"], "weights are given for tgvac, which is not one of"),
        (["{}", "--methods", "modal", "--weights", "modal=mine"], "modal takes no weights"),
        (["{}", "{}"], "two data sets"),
        (["a={}/w0/frames"], "holds no GT folder"),
        (["{}", "--predictions", "theirs"], "--predictions theirs: expected NAME=DIR"),
        (["{}", "--predictions", "theirs={}/w0"], "has no folder w0; give one for every clip of"),
        (["{}", "--methods", "modal", "--predictions", "modal={}"], "cannot be called 'modal'"),
        (["{}", "--predictions", "../x={}"], "cannot be called '../x'"),
        (["{}", "--methods", ""], "nothing to evaluate"),
    ],
)
def test_bad_input_is_one_line_and_nothing_written(worlds, tmp_path, capsys, arguments, said):
    filled = [a.format(worlds) for a in arguments]
    assert main(["bench", *filled, "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_bench_did_not_make_is_left_alone(worlds, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    assert main(["bench", str(worlds), "-o", str(tmp_path), "--methods", "modal", "--overwrite"]) == 2
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_predictions_of_another_tool_stand_beside_the_methods(worlds, done, tmp_path, capsys):
    """What `convex` wrote, as another tool's: the figures must be its own, from either layout of the folder."""
    for place in ("flat", "nested/toys"):
        for clip in ("w0", "w1", "w2", "w10"):
            run = done / "runs" / "toys" / clip / "convex"
            for kind in ("amodal_masks", "rgba"):
                shutil.copytree(run / kind, tmp_path / place / clip / kind)
    out = tmp_path / "out"
    arguments = ["bench", f"toys={worlds}", "-o", str(out), "--methods", "modal", "--quiet"]
    arguments += ["--predictions", f"flat={tmp_path / 'flat'}", "--predictions", f"nested={tmp_path / 'nested'}"]
    assert main(arguments) == 0, capsys.readouterr().err
    state, before = (json.loads((folder / "bench.json").read_text()) for folder in (out, done))
    for name in ("flat", "nested"):
        assert state["clips"]["toys"][name] == before["clips"]["toys"]["convex"]
    assert state["clips"]["toys"]["modal"] == before["clips"]["toys"]["modal"]
    assert "| w10, flat |" in (out / "table.md").read_text()
    assert not (out / "runs" / "toys" / "w0" / "flat").exists()

    lost = out / "figures" / "toys" / "w1" / "flat.json"
    kept = lost.read_bytes()
    lost.unlink()
    assert main([*arguments, "--resume"]) == 0 and lost.read_bytes() == kept
    (tmp_path / "flat" / "w1" / "amodal_masks" / "00000.png").touch()
    assert main([*arguments, "--resume"]) == 2
    assert "other arguments (predictions)" in capsys.readouterr().err
    with pytest.raises(InputError, match="only one method"):
        Study(out)  # there is nothing to show of another tool


def test_predictions_alone(worlds, tmp_path):
    for clip in ("w0", "w1", "w2", "w10"):
        shutil.copytree(worlds / clip / "amodal_masks", tmp_path / "theirs" / clip)
    out = tmp_path / "out"
    command = ["bench", f"toys={worlds}", "-o", str(out), "--methods", "", "--quiet"]
    assert main([*command, "--predictions", f"perfect={tmp_path / 'theirs'}"]) == 0
    figures = json.loads((out / "bench.json").read_text())["clips"]["toys"]
    assert list(figures) == ["perfect"]
    assert all(clip["miou"] == 1 and clip["psnr_hidden"] is None for clip in figures["perfect"].values())


def test_bootstrap_interval_against_the_normal_one():
    values = np.random.default_rng(1).normal(0.6, 0.1, 200)
    found = estimate([*values, math.nan])
    half = 1.96 * values.std() / math.sqrt(200)
    assert found.count == 200 and found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(found.mean - half, abs=0.004)
    assert found.high == pytest.approx(found.mean + half, abs=0.004)
    assert estimate([0.5]).low == estimate([0.5]).high == 0.5
    assert estimate([]).count == 0 and math.isnan(estimate([math.nan]).mean)


def test_published_rows_are_complete_and_marked():
    tables = published_tables()
    assert all(len(values) == len(t.metrics) for t in tables for _, values in t.rows)
    sail = next(t for t in tables if t.data == "SAIL-VOS")
    assert dict(sail.rows)["Diffusion-VAS, Top-1"] == (77.07, 55.12)
    text = as_markdown({"mine": [sail]}, {"mine": {"modal": {}}}, Pooled())
    assert "| modal, ours | - | - |" in text
    assert "Published: SAIL-VOS" in text and "| Modal, published | 67.89 | - |" in text


def test_trials_are_halved_shuffled_and_repeatable(done):
    study = Study(done, clips=2)
    trials = study.trials("ann")
    assert trials == Study(done, clips=2).trials("ann")
    assert sorted(t.half for t in trials) == ["easy", "hard"]
    assert all(sorted(t.order) == ["convex", "modal"] for t in trials)
    orders = {t.order for name in "abcdefgh" for t in study.trials(name)}
    assert orders == {("convex", "modal"), ("modal", "convex")}
    assert len(Study(done, clips=20).trials("ann")) == 4


def test_choices_are_served_logged_and_counted(done, capsys):
    study = Study(done)
    server = make_server(study)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root, token = f"http://127.0.0.1:{server.server_port}", server.token
    try:
        page = urllib.request.urlopen(f"{server.address}&person=bob").read().decode()
        assert "Method 2" in page and "modal" not in page and "convex" not in page
        video = urllib.request.urlopen(f"{root}/video?token={token}&person=bob&trial=0&slot=1").read()
        assert video[4:8] == b"ftyp"
        for what in ("input", "truth"):
            assert (
                urllib.request.urlopen(f"{root}/video?token={token}&person=bob&trial=0&slot={what}").read()[4:8]
                == b"ftyp"
            )
        for k, trial in enumerate(study.trials("bob")):
            slot = trial.order.index("modal" if trial.half == "easy" else "convex")
            shown = urllib.request.urlopen(
                urllib.request.Request(
                    f"{root}/choose?token={token}&person=bob&trial={k}&slot={slot}",
                    method="POST",
                    headers={"Origin": root},
                )
            )
        assert "Thank you, bob" in shown.read().decode()
        for bad in ("/video?person=bob&trial=99&slot=0", "/video?person=bob&trial=0&slot=9", "/elsewhere?a=b"):
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(f"{root}{bad}&token={token}")
    finally:
        server.shutdown()
        server.server_close()
    hard = sum(t.half == "hard" for t in study.trials("bob"))
    assert study.results()["easy"] == {"modal": 1.0, "convex": 0.0}
    assert study.results()["hard"] == {"modal": 0.0, "convex": 1.0}
    assert study.results()["all"]["convex"] == pytest.approx(hard / 4)
    study.record("bob", 0, 0)  # a second thought replaces the first
    assert sum(study.results()["all"].values()) == pytest.approx(1)
    assert main(["study", str(done), "--results"]) == 0
    assert "convex" in capsys.readouterr().out


def test_study_needs_a_benchmark(tmp_path, capsys):
    assert main(["study", str(tmp_path), "--results"]) == 2
    assert "unocclude bench" in capsys.readouterr().err
