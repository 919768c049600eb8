import json

import numpy as np
import pytest

import unocclude
from support.small_clip import assert_one_line, run
from support.small_layers import COUNT, clip_and_tracks
from unocclude.layers.crops import MARGIN, crops
from unocclude.media.images import read_png


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    clip, tracks = clip_and_tracks()
    return unocclude.layers(clip, tracks, out=tmp_path_factory.mktemp("scene") / "out", method="modal", pictures=False)


def test_one_scale_and_the_object_in_the_middle(scene):
    found = list(crops(scene.objects[0].completion, 90))
    assert {crop.box[2] - crop.box[0] for crop in found} == {round(30 / (1 - MARGIN))}
    for crop in found[:9]:
        ys, xs = np.nonzero(crop.rgba[..., 3] > 127)
        assert crop.rgba.shape == (90, 90, 4)
        assert abs((ys.min() + ys.max()) / 2 - 44.5) <= 3 and abs((xs.min() + xs.max()) / 2 - 44.5) <= 3
        assert abs(np.ptp(ys) + 1 - 90 * (1 - MARGIN)) <= 4


def test_a_crop_of_the_same_size_is_a_copy(scene):
    completion = scene.objects[0].completion
    side = round(30 / (1 - MARGIN))
    crop = list(crops(completion, side))[3]
    x0, y0, x1, y1 = crop.box
    assert np.array_equal(crop.rgba, completion.rgba[3][y0:y1, x0:x1])


def test_the_command(scene, tmp_path, capsys):
    target = f"{tmp_path}/crops/"
    assert run(capsys, "export", scene.folder, target, "--square", 64, "--quiet")[0] == 0
    about = json.loads((tmp_path / "crops/o1_object_1/crops.json").read_text())
    assert about["square"] == 64 and len(about["frames"]) == COUNT and about["background"] == "white"
    rgb = read_png(tmp_path / "crops/o1_object_1/rgb/00002.png")
    mask = read_png(tmp_path / "crops/o1_object_1/masks/00002.png")
    assert rgb.shape == (64, 64, 3) and (rgb[0, 0] == 255).all() and set(np.unique(mask)) == {0, 255}
    one = f"{tmp_path}/one"
    assert (
        run(capsys, "export", scene.folder / "objects/2", one, "--square", 32, "--background", "none", "--quiet")[0]
        == 0
    )
    assert read_png(tmp_path / "one/rgb/00000.png").shape == (32, 32, 4)
    few = tmp_path / "few"
    assert run(capsys, "export", scene.folder / "objects/2", few, "--square", 32, "--frames", 4, "--quiet")[0] == 0
    names = [f"{k * (COUNT - 1) / 3:05.0f}.png" for k in range(4)]
    assert sorted(path.name for path in (few / "rgb").iterdir()) == names
    whole, some = (json.loads((folder / "crops.json").read_text()) for folder in (tmp_path / "one", few))
    assert some["frames"] == [frame for frame in whole["frames"] if frame["name"] in names]
    assert some["fps"] == pytest.approx(whole["fps"] * 3 / (COUNT - 1))
    for more, words in ((["--square", 32, "--frames", COUNT + 1], f"give 1 to {COUNT}"),
                        (["--frames", 4], "--frames is for square crops"), (["--square", 4], "--square 4"),
                        (["--square", 32, "--background", "sky"], "no colour"),
                        (["--square", 32], "--overwrite")):  # fmt: skip
        code, _, err = run(capsys, "export", scene.folder, target, *more)
        assert code == 2
        assert_one_line(err, words)
