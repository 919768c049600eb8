"""evaluate: its documented keys, values that agree with the metrics on whole stacks, and what it refuses."""

import json
import math
import shutil

import numpy as np
import pytest

import unocclude
from support import small_clip
from support.small_clip import COUNT, assert_one_line, run
from unocclude import evaluation, metrics
from unocclude.errors import InputError
from unocclude.media.images import read_image, read_png, write_png

KEYS = {
    "miou",
    "miou_occluded_frames",
    "miou_occ",
    "miou_occ_published",
    "false_area",
    "psnr_hidden",
    "ssim",
    "temporal_stability",
}


@pytest.fixture
def gt(tmp_path, monkeypatch):
    small_clip.register(monkeypatch)
    return small_clip.make(tmp_path / "clip")


@pytest.fixture
def pred(gt, tmp_path, capsys):
    def make(*args, masks="visible_masks", frames="frames", method="drawing"):
        out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        code, _, err = run(
            capsys,
            "complete",
            gt / frames,
            "-o",
            out,
            "--masks",
            gt / masks,
            "--method",
            method,
            "--quiet",
            *args,
        )
        assert code == 0, err
        return out

    return make


def stack(folder, read=lambda path: read_png(path) > 0):
    return np.array([read(path) for path in sorted(folder.iterdir())])


def expected(pred, gt, part=np.s_[:, :]):
    """The same figures from whole stacks in memory."""
    truth, visible = stack(gt / "amodal_masks"), stack(gt / "visible_masks")
    amodal = np.array([mask[part] for mask in stack(pred / "amodal_masks")])
    rgba = np.array([image[part] for image in stack(pred / "rgba", read_png)])
    rgb = stack(gt / "amodal_rgb", read_image)
    true_rgba = np.concatenate([rgb, 255 * truth[..., None].astype(np.uint8)], axis=3)
    return {
        "miou": metrics.miou(amodal, truth),
        "miou_occluded_frames": metrics.miou_occluded_frames(amodal, truth, visible),
        "miou_occ": metrics.miou_occ(amodal, truth, visible),
        "miou_occ_published": metrics.miou_occ(amodal, truth, visible, "published"),
        "false_area": metrics.false_area(amodal, truth, visible),
        "psnr_hidden": metrics.psnr_hidden(rgba, true_rgba, truth, visible),
        "ssim": metrics.ssim(rgba, true_rgba, truth),
        "temporal_stability": metrics.temporal_stability(amodal, truth),
    }


@pytest.mark.parametrize("pad", [0, 0.25])
def test_evaluate_agrees_with_the_metrics(pad, pred, gt):
    out = pred("--pad", pad, "--set", "reach=12")
    canvas = unocclude.Completion(out).info["canvas"]
    assert canvas["offset"] == [round(small_clip.WIDTH * pad), round(small_clip.HEIGHT * pad)]
    x, y = canvas["offset"]
    figures = evaluation.evaluate(out, gt)
    frames = figures.pop("frames")
    assert figures.keys() == KEYS
    part = np.s_[y : y + small_clip.HEIGHT, x : x + small_clip.WIDTH]
    for key, value in expected(out, gt, part).items():
        assert figures[key] == pytest.approx(value, nan_ok=True), key
    assert len(frames) == COUNT
    for i, frame in enumerate(frames):
        assert frame.keys() == {*KEYS, "frame", "occlusion_rate"} and frame["frame"] == i
    for key in KEYS - {"psnr_hidden"}:
        counted = [frame[key] for frame in frames if not math.isnan(frame[key])]
        if counted:
            assert figures[key] == pytest.approx(np.mean(counted)), key


def test_the_truth_itself_is_perfect_and_the_visible_mask_is_not(pred, gt):
    perfect = evaluation.evaluate(pred(masks="amodal_masks", frames="amodal_rgb", method="modal"), gt)
    assert perfect["miou"] == perfect["miou_occ"] == perfect["miou_occluded_frames"] == 1
    assert perfect["miou_occ_published"] == pytest.approx(1)
    assert perfect["temporal_stability"] == 1 and perfect["false_area"] == 0
    assert perfect["ssim"] > 0.9  # but for the soft edge
    modal = evaluation.evaluate(unocclude.Completion(pred(method="modal")), gt)
    assert modal["miou_occ"] == 0 and math.isnan(modal["miou_occ_published"]) and modal["false_area"] == 0
    assert modal["miou"] < 1 and modal["psnr_hidden"] < perfect["psnr_hidden"]


def test_json_table_and_plot(pred, gt, tmp_path, capsys):
    out = pred(method="modal")
    code, text, err = run(capsys, "evaluate", out, gt, "--json", tmp_path / "f.json", "--plot", tmp_path / "f.png")
    assert (code, err) == (0, "")
    written = json.loads((tmp_path / "f.json").read_text(), parse_constant=pytest.fail)
    assert written.keys() == {*KEYS, "frames"}
    assert written["miou_occ_published"] is None and written["miou_occ"] == 0
    assert written["frames"][0]["miou_occ"] is None
    figures = evaluation.evaluate(out, gt)
    assert written["miou"] == figures["miou"] and f"{figures['miou']:.4f}" in text
    assert all(key in text for key in KEYS) and "nan" not in text
    picture = read_image(tmp_path / "f.png")
    assert min(picture.shape[:2]) > 300 and picture.std() > 5


def test_without_appearance(pred, gt):
    shutil.rmtree(gt / "amodal_rgb")
    shutil.rmtree(gt / "frames")
    figures = evaluation.evaluate(pred(frames="amodal_masks", method="modal"), gt)
    assert math.isnan(figures["psnr_hidden"]) and math.isnan(figures["ssim"])
    assert 0 < figures["miou"] <= 1
    assert all(math.isnan(frame["ssim"]) for frame in figures["frames"])


def test_one_frame(gt, tmp_path, capsys):
    small = small_clip.make(tmp_path / "one", 1)
    arguments = ("--masks", small / "visible_masks", "--method", "modal")
    assert run(capsys, "complete", small / "frames", "-o", tmp_path / "o", *arguments)[0] == 0
    figures = evaluation.evaluate(tmp_path / "o", small)
    assert figures["miou"] == 1 and math.isnan(figures["temporal_stability"]) and math.isnan(figures["miou_occ"])


def resize(folder):
    for path in folder.iterdir():
        write_png(path, np.ascontiguousarray(read_png(path)[:-1]))


SPOILED = {
    "amodal_masks is missing": lambda gt: shutil.rmtree(gt / "amodal_masks"),
    "visible_masks is missing": lambda gt: shutil.rmtree(gt / "visible_masks"),
    "5 in visible_masks": lambda gt: (gt / "visible_masks" / "00002.png").unlink(),
    "5 in amodal_rgb": lambda gt: (gt / "amodal_rgb" / "00002.png").unlink(),
    "5 in frames": lambda gt: (gt / "frames" / "00002.png").unlink(),
    "visible_masks 48x35": lambda gt: resize(gt / "visible_masks"),
    "amodal_rgb 48x35": lambda gt: resize(gt / "amodal_rgb"),
    "is not a folder": lambda gt: shutil.rmtree(gt),
    "of 48x36 frames": lambda gt: [
        resize(gt / kind) for kind in ("frames", "visible_masks", "amodal_masks", "amodal_rgb")
    ],
    "has 6 frames": lambda gt: [
        (gt / kind / "00005.png").unlink() for kind in ("frames", "visible_masks", "amodal_masks", "amodal_rgb")
    ],
}


@pytest.mark.parametrize("words", SPOILED)
def test_what_does_not_fit(words, pred, gt, capsys):
    out = pred(method="modal")
    SPOILED[words](gt)
    with pytest.raises(InputError, match=words):
        evaluation.evaluate(out, gt)
    code, text, err = run(capsys, "evaluate", out, gt)
    assert (code, text) == (2, "")
    assert_one_line(err, words)


def test_unfinished_prediction_and_bad_files(pred, gt, tmp_path, capsys, monkeypatch):
    out = pred(method="modal")
    for arguments, words in (
        ([out, gt, "--json", tmp_path], "is a folder"),
        ([out, gt, "--json", tmp_path / "no" / "f.json"], "does not exist"),
        ([out, gt, "--plot", tmp_path / "f.txt"], ".png"),
        ([tmp_path / "nowhere", gt], "nowhere"),
    ):
        code, _, err = run(capsys, "evaluate", *arguments)
        assert code == 2
        assert_one_line(err, words)
    (out / "result.json").rename(out / "run.json")
    code, _, err = run(capsys, "evaluate", out, gt)
    assert code == 2
    assert_one_line(err, "--resume")


def test_plot_without_matplotlib(pred, gt, tmp_path, capsys, monkeypatch):
    out = pred(method="modal")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = run(capsys, "evaluate", out, gt, "--plot", tmp_path / "f.png")
    assert code == 2
    assert_one_line(err, "unocclude[evaluation]")


# Predictions of other tools ---------------------------------------------------------------------------------


def same(found, expected):
    return all(found[key] == pytest.approx(expected[key], nan_ok=True) for key in KEYS)


@pytest.fixture
def other(pred, gt, tmp_path):
    """What another tool could have written: amodal_masks/, visible_masks/ and rgba/; and its figures."""
    out = pred()
    expected = evaluation.evaluate(out, gt)
    folder = tmp_path / "other"
    for kind in ("amodal_masks", "visible_masks", "rgba"):
        shutil.copytree(out / kind, folder / kind)
    return folder, expected


def test_a_folder_of_another_tool_has_the_figures_of_the_result(other, gt, capsys):
    folder, expected = other
    assert expected["miou_occ"] > 0 and expected["psnr_hidden"] > 0
    assert same(evaluation.evaluate(folder, gt), expected)
    code, text, err = run(capsys, "evaluate", folder, gt)
    assert (code, err) == (0, "") and f"{expected['miou']:.4f}" in text


def rename(folder, name):
    for i, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / name.format(i, 2 * i))


@pytest.mark.parametrize("name", ["frame_{0}.png", "{0:04d}_mask.png", "img{0:d}.png"])
def test_files_are_matched_by_order(name, other, gt):
    folder, expected = other
    for kind in folder.iterdir():
        rename(kind, name)
    assert same(evaluation.evaluate(folder, gt), expected)


def test_a_tool_may_count_from_another_number(other, gt):
    folder, expected = other
    for i in reversed(range(COUNT)):
        (folder / "amodal_masks" / f"{i:05d}.png").rename(folder / "amodal_masks" / f"{i + 1:05d}.png")
    assert same(evaluation.evaluate(folder, gt), expected)


def test_frames_beside_those_of_the_truth_are_left_out(other, gt):
    """A tool predicts every frame, and the truth has some of them."""
    folder, _ = other
    for kind in ("frames", "visible_masks", "amodal_masks", "amodal_rgb"):
        for i in (0, 3):
            (gt / kind / f"{i:05d}.png").unlink()
    figures = evaluation.evaluate(folder, gt)
    for kind in folder.iterdir():
        for i in (0, 3):
            (kind / f"{i:05d}.png").unlink()
    assert same(evaluation.evaluate(folder, gt), figures) and len(figures["frames"]) == COUNT - 2


def test_masks_alone_have_no_appearance(other, gt, tmp_path):
    folder, expected = other
    for given in (folder, folder / "amodal_masks"):
        shutil.rmtree(folder / "rgba", ignore_errors=True)
        figures = evaluation.evaluate(given, gt)
        for key in KEYS - {"psnr_hidden", "ssim"}:
            assert figures[key] == pytest.approx(expected[key], nan_ok=True)
        assert math.isnan(figures["psnr_hidden"]) and math.isnan(figures["ssim"])


def test_rgba_without_alpha_is_cut_out_by_the_masks(other, gt):
    folder, _ = other
    for path in (folder / "rgba").iterdir():
        rgba, amodal = read_png(path), read_png(folder / "amodal_masks" / path.name)
        write_png(path, np.dstack([rgba[..., :3], amodal]))
    expected = evaluation.evaluate(folder, gt)
    for path in (folder / "rgba").iterdir():
        write_png(path, np.ascontiguousarray(read_png(path)[..., :3]))
    assert same(evaluation.evaluate(folder, gt), expected)


def grey(folder):
    for path in folder.iterdir():
        write_png(path, np.ascontiguousarray(read_png(path)[..., 0]))


SPOILED_FOLDERS = {
    "5 frames": lambda folder: [path.unlink() for kind in folder.iterdir() for path in kind.glob("00002.png")],
    "6 amodal masks but 5 in rgba": lambda folder: (folder / "rgba" / "00002.png").unlink(),
    "6 amodal masks but 5 in visible_masks": lambda folder: (folder / "visible_masks" / "00002.png").unlink(),
    "differ in size": lambda folder: resize(folder / "visible_masks"),
    "00000.png is 48x35, the amodal masks are 48x36": lambda folder: resize(folder / "rgba"),
    "is of 48x35 frames": lambda folder: [resize(kind) for kind in folder.iterdir()],
    "is no 8-bit colour image": lambda folder: grey(folder / "rgba"),
    "has f00002 in the place of 00001": lambda folder: rename(folder / "amodal_masks", "f{1:05d}.png"),
    "nor masks; give": lambda folder: shutil.rmtree(folder / "amodal_masks"),
    "no folder; give": lambda folder: shutil.rmtree(folder),
}


@pytest.mark.parametrize("words", SPOILED_FOLDERS)
def test_what_does_not_fit_in_a_folder_of_another_tool(words, other, gt, capsys):
    folder, _ = other
    SPOILED_FOLDERS[words](folder)
    code, text, err = run(capsys, "evaluate", folder, gt)
    assert (code, text) == (2, "")
    assert_one_line(err, words.replace("no folder; give", "is not a folder; give"))


def test_truth_of_another_clip_is_noticed(pred, gt, tmp_path, capsys):
    out = pred(method="modal")
    for path in (gt / "visible_masks").iterdir():
        write_png(path, np.roll(read_png(path), 16, axis=0))
    code, text, err = run(capsys, "evaluate", out, gt)
    assert code == 0 and "miou" in text
    assert err.startswith("warning: the visible masks of") and err.count("\n") == 1 and "same clip and object" in err
    with pytest.warns(UserWarning, match="hardly overlap"):
        evaluation.evaluate(out, gt)
