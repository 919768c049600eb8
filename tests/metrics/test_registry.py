"""Metrics by name: further ones in `evaluate` and `bench`, and the training figures, which use the same classes."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from support import small_clip
from support.small_clip import assert_one_line, run
from unocclude import InputError, evaluation, metrics
from unocclude.benchmark import summary
from unocclude.metrics.registry import describe


@pytest.fixture
def out(tmp_path, capsys):
    """A finished run on the small clip, beside its truth."""
    gt = small_clip.make(tmp_path / "gt")
    arguments = ("--masks", gt / "visible_masks", "--method", "convex", "--quiet")
    assert run(capsys, "complete", gt / "frames", "-o", tmp_path / "out", *arguments)[0] == 0
    return tmp_path / "out"


def test_further_metrics_come_after_those_that_are_always_there(out, capsys):
    gt, file = out.parent / "gt", out.parent / "figures.json"
    code, text, err = run(capsys, "evaluate", out, gt, "--metrics", "boundary_f, warp_error", "--json", file)
    assert (code, err) == (0, "")
    figures = json.loads(file.read_text())
    assert list(figures) == [*metrics.DEFAULT, "boundary_f", "warp_error", "frames"]
    assert list(figures["frames"][0]) == ["frame", "occlusion_rate", *metrics.DEFAULT, "boundary_f", "warp_error"]
    pred = np.array(list(evaluation.Completion(out).amodal_masks))
    truth = np.array(list(evaluation.read_truth(gt).amodal))
    assert figures["boundary_f"] == pytest.approx(metrics.boundary_f(pred, truth))
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [*metrics.DEFAULT, "boundary_f", "warp_error"]
    assert "squared grey levels of 0 to 1, lower is better" in text
    assert lines[5].split("   ")[-1] == "dB, higher is better" and len(lines[5].split()[1].partition(".")[2]) == 2


@pytest.mark.parametrize(("name", "words"), [("iou", ("unknown metric 'iou'", "miou")), ("lpips", ("lpips-alex",))])
def test_a_metric_that_cannot_be_had_is_one_line_before_any_work(out, capsys, monkeypatch, name, words):
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(out / "none"))
    for command in (("evaluate", out, out.parent / "gt"), ("bench", out.parent / "gt", "-o", out.parent / "figures")):
        code, _, err = run(capsys, *command, "--metrics", name)
        assert code == 2 and not (out.parent / "figures").exists()
        assert_one_line(err, *words)


def test_what_the_truth_does_not_have_is_nan(out):
    truth = evaluation.read_truth(out.parent / "gt")
    plain = type(truth)(truth.where, truth.visible, truth.amodal)
    figures = evaluation.evaluate(out, plain, ["psnr_image", "ap50_published", "tabe_miou"])
    assert all(math.isnan(figures[name]) for name in ("psnr_image", "psnr_hidden", "ap50_published", "tabe_miou"))
    assert figures["miou"] > 0.5 and math.isnan(figures["frames"][0]["psnr_image"])


def test_bench_measures_and_tabulates_further_metrics(out, capsys):
    gt, folder = out.parent / "gt", out.parent / "figures"
    ask = ("bench", gt, "-o", folder, "--methods", "modal", "--metrics", "boundary_f")
    code, text, err = run(capsys, *ask)
    assert code == 0, err
    assert "boundary_f" in text and "boundary_f" in (folder / "table.md").read_text()
    assert run(capsys, *ask[:-2], "--resume")[0] == 2  # other metrics, another benchmark


def test_a_metric_that_is_no_longer_installed_is_tabulated_all_the_same():
    assert describe("gone") is metrics.Metric
    figures = {"data": {"modal": {"clip": {"miou": 0.5, "gone": 0.25}}}}
    assert "0.250" in summary.as_text(figures) and "gone" in summary.as_markdown(figures)
    assert "| clip, modal | 0.500 | 0.250 |" in summary.clips_as_markdown(figures)


def test_boxes_and_marks_are_not_measured_on_frames_alone():
    assert metrics.get_metric("ap25_published")().threshold == 0.25
    with pytest.raises(InputError, match="unknown metric"):
        metrics.get_metric("fvd")


def test_training_figures_are_those_of_the_metrics_written_out():
    clip_metrics = pytest.importorskip("unocclude.training.clip_metrics")
    rng = np.random.default_rng(0)
    amodal, visible = np.zeros((2, 6, 20, 24), np.uint8)
    for i in range(6):
        y, x = rng.integers(0, 10, 2)
        amodal[i, y : y + 9, x : x + 9] = 255 * (i != 5)
        visible[i] = amodal[i]
        visible[i, :, x + 9 - i :] = 0  # nothing is hidden in the first frame, and there is no object in the last
    clip = SimpleNamespace(amodal=amodal, visible=visible, wholes=rng.integers(0, 256, (6, 20, 24, 3)).astype(np.uint8))
    pred, colours = rng.random((6, 20, 24)) < 0.3, rng.random((6, 20, 24, 3)).astype(np.float32)
    found = clip_metrics.mask_metrics(clip, pred) | clip_metrics.content_metrics(clip, colours)
    expected = {"miou": [], "miou_occ": [], "psnr_hidden": []}
    for i in range(5):
        p, a, m = pred[i] | (visible[i] > 0), amodal[i] > 0, visible[i] > 0
        expected["miou"].append((p & a).sum() / (p | a).sum())
        if i:
            h, g = a & ~m, p & ~m
            expected["miou_occ"].append((h & g).sum() / (h | g).sum())
            error = np.mean((colours[i][h] - clip.wholes[i][h] / 255.0) ** 2)
            expected["psnr_hidden"].append(-10 * math.log10(error))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-12), name


class WorstIoU(metrics.Metric[metrics.Frame]):
    """What a metric of another package may return: NumPy's numbers, and nothing for a frame."""

    name = "worst_iou"

    def reset(self):
        self.values = []

    def update(self, frame, /):
        self.values.append((frame.pred & frame.truth).sum() / (frame.pred | frame.truth).sum())

    def compute(self):
        return np.float32(min(self.values))


def test_numbers_of_numpy_are_written_as_json(out, capsys, monkeypatch):
    monkeypatch.setitem(metrics.METRICS.table, "worst_iou", f"{__name__}:WorstIoU")
    file = out.parent / "figures.json"
    code, _, err = run(capsys, "evaluate", out, out.parent / "gt", "--metrics", "worst_iou", "--json", file)
    assert (code, err) == (0, "")
    figures = json.loads(file.read_text())
    assert figures["worst_iou"] == pytest.approx(min(frame["miou"] for frame in figures["frames"]), abs=1e-6)
    assert figures["frames"][0]["worst_iou"] is None
