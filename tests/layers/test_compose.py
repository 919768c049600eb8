import json

import numpy as np
import pytest

import unocclude
from support.small_clip import assert_one_line, run
from support.small_layers import COUNT, clip_and_tracks, frames_and_masks
from unocclude import InputError
from unocclude.layers.compose import read_edit
from unocclude.media.images import read_png, write_png


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    clip, tracks = clip_and_tracks()
    return unocclude.layers(clip, tracks, out=tmp_path_factory.mktemp("scene") / "out")


TRUTH = frames_and_masks()


def psnr(first, second):
    return 10 * np.log10(255**2 / max(np.mean((first.astype(float) - second) ** 2), 1e-9))


def test_unedited_layers_give_the_clip_again(scene):
    frames = TRUTH[0]
    whole = scene.compose()
    assert len(whole) == COUNT
    assert all(np.array_equal(whole[i], frames[i]) for i in range(COUNT))


def test_plain_blending_gives_the_clip_again_away_from_edges(scene):
    import cv2

    frames, visible, _, _ = TRUTH
    for i in range(COUNT):
        picture = scene.background[i].astype(float)
        for number in scene.order_at(i):
            rgba = scene.objects[number - 1].completion.rgba[i].astype(float)
            picture = picture * (1 - rgba[..., 3:] / 255) + rgba[..., :3] * rgba[..., 3:] / 255
        edge = np.zeros(visible[0][i].shape, bool)
        for k in (0, 1):
            for mask in (visible[k][i], scene.objects[k].completion.amodal_masks[i]):
                mask, kernel = mask.astype(np.uint8), np.ones((5, 5), np.uint8)
                edge |= cv2.dilate(mask, kernel) > cv2.erode(mask, kernel, borderValue=1)
        assert np.array_equal(np.rint(picture)[~edge], frames[i][~edge])


def test_a_removed_object_shows_what_it_hid(scene):
    frames, visible, amodal, ground = TRUTH
    without = scene.compose({"objects": {"1": {"visible": False}}})
    for i in (0, COUNT - 1):
        hidden_ground = visible[0][i] & ~amodal[1][i]
        assert psnr(without[i][hidden_ground], ground[hidden_ground]) > 35
        far = np.zeros_like(amodal[0][i])
        far[56:] = True  # no object comes here
        assert np.array_equal(without[i][far], frames[i][far])
    hidden = amodal[1][5] & amodal[0][5]
    assert hidden.any()
    shown = frames[0][hidden]  # object 2 stands still and is whole in frame 0
    assert psnr(without[5][hidden], shown) > 22


def test_an_object_in_front_is_shown_whole(scene):
    frames, _, amodal, _ = TRUTH
    front = scene.compose({"objects": {"2": {"z": 9}}})
    assert psnr(front[5][amodal[1][5]], frames[0][amodal[1][5]]) > 22
    assert psnr(frames[5][amodal[1][5]], frames[0][amodal[1][5]]) < 18


def test_moving_by_whole_pixels_copies_them(scene):
    frames, _, amodal, _ = TRUTH
    moved = scene.compose({"objects": {"1": {"move": [3, -10]}}})[1]
    ys, xs = np.nonzero(amodal[0][1])
    keep = (ys > ys.min() + 1) & (ys < ys.max() - 1) & (xs > xs.min() + 1) & (xs < xs.max() - 1)
    assert np.array_equal(moved[ys[keep] - 10, xs[keep] + 3], frames[1][ys[keep], xs[keep]])


def test_a_shift_shows_it_later_and_not_before_the_clip(scene):
    frames, _, amodal, _ = TRUTH
    later = scene.compose({"objects": {"1": {"shift": 2}}})
    inside = np.zeros_like(amodal[0][0])
    inside[26:48, 8:22] = True
    assert np.array_equal(later[2][inside], frames[0][inside])
    gone = scene.compose({"objects": {"1": {"visible": False}}})
    assert np.array_equal(later[0], gone[0])


def test_scale_and_opacity(scene):
    frames, _, _, _ = TRUTH
    none = scene.compose({"background": "none", "objects": {"2": {"visible": False}, "1": {"scale": 0.5}}})[1]
    assert none.shape[2] == 4 and abs((none[..., 3] > 127).sum() / (30 * 22) - 0.25) < 0.08
    half = scene.compose({"objects": {"1": {"opacity": 0.5}, "2": {"visible": False}}})[1]
    mean = (frames[1][37, 18].astype(float) + scene.background[1][37, 18]) / 2
    assert np.abs(half[37, 18] - mean).max() <= 1.5


def test_backgrounds(scene, tmp_path):
    blue = scene.compose({"background": "#0000ff"})[0]
    assert (blue[0, -1] == (0, 0, 255)).all() and np.array_equal(blue[37, 15], TRUTH[0][0][37, 15])
    write_png(tmp_path / "sky.png", np.full((10, 10, 3), 77, np.uint8))
    (tmp_path / "edit.json").write_text(json.dumps({"background": "sky.png"}))
    assert (scene.compose(tmp_path / "edit.json")[0][0, -1] == 77).all()


def test_no_halo_of_the_old_background(scene):
    visible = TRUTH[1]
    white = scene.compose({"background": "#ffffff", "objects": {"2": {"visible": False}}})[1]
    assert white[visible[0][1]].min() >= TRUTH[0][1][visible[0][1]].min() - 1


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"objects": {"9": {}}}, "object 9"),
        ({"objects": {"1": {"scale": 0}}}, "scale"),
        ({"objects": {"1": {"turn": 3}}}, "turn"),
        ({"background": "#12"}, "no colour"),
        ({"background": "none.png"}, "background"),
        ({"colour": 1}, "colour"),
    ],
)
def test_bad_edits_are_told(scene, edit, words):
    with pytest.raises(InputError, match=words):
        scene.compose(edit)


def test_edits_are_read(tmp_path):
    (tmp_path / "edit.json").write_text("[1]")
    with pytest.raises(InputError, match=r"edit\.json"):
        read_edit(tmp_path / "edit.json")
    with pytest.raises(InputError):
        read_edit(tmp_path / "missing.json")


def test_the_command_writes_videos_and_refuses_to_replace(scene, tmp_path, capsys):
    out = scene.folder
    (tmp_path / "edit.json").write_text(json.dumps({"objects": {"1": {"move": [4, 0]}}}))
    for name in ("a.mp4", "a.mov", "a.png"):
        code, said, err = run(capsys, "compose", out, tmp_path / name, "--edit", tmp_path / "edit.json", "--quiet")
        assert (code, said, err) == (0, "", "") and (tmp_path / name).stat().st_size
    assert len(unocclude.open(tmp_path / "a.mp4")) == COUNT
    code, _, err = run(capsys, "compose", out, tmp_path / "a.mp4")
    assert code == 2
    assert_one_line(err, "--overwrite")
    assert run(capsys, "compose", out, tmp_path / "a.mp4", "--overwrite", "--quiet")[0] == 0
    code, _, err = run(capsys, "compose", out, tmp_path / "a.docx")
    assert code == 2
    assert_one_line(err, "unknown format")
    code, _, err = run(capsys, "compose", out, out / "preview.mp4", "--overwrite")
    assert code == 2
    assert_one_line(err, "part of the result")
    code, _, err = run(capsys, "compose", tmp_path, tmp_path / "b.mp4")
    assert code == 2
    assert_one_line(err, "layers.json")


def test_a_photo_gives_a_picture(tmp_path, capsys):
    clip, tracks = clip_and_tracks(6)
    masks = [unocclude.MaskTrack.from_masks([track[5]]) for track in tracks]
    unocclude.layers(clip[5:6], masks, out=tmp_path / "out", pictures=False)
    assert run(capsys, "compose", tmp_path / "out", tmp_path / "p.png", "--quiet")[0] == 0
    assert np.array_equal(read_png(tmp_path / "p.png"), clip[5])
