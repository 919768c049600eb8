import json

import numpy as np
import pytest

import unocclude
from support.small_clip import assert_one_line, run
from support.small_layers import COUNT, HEIGHT, WIDTH, clip_and_tracks, write_ids
from unocclude.layers.files import export_layers
from unocclude.layers.stack import Stack
from unocclude.media.images import read_png

otio = pytest.importorskip("opentimelineio")
OpenEXR = pytest.importorskip("OpenEXR")
psd_tools = pytest.importorskip("psd_tools")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    clip, tracks = clip_and_tracks()
    return unocclude.layers(clip, tracks, out=tmp_path_factory.mktemp("scene") / "out", pictures=False)


def test_otio_has_a_clip_for_each_layer_in_order(scene, tmp_path):
    written = export_layers(scene, tmp_path / "cut.otio")
    timeline = otio.adapters.read_from_file(str(tmp_path / "cut.otio"))
    tracks = list(timeline.tracks)
    assert [[c.name for c in t] for t in tracks[:3]] == [["plate"], ["object 2"], ["object 1"]]
    for track in tracks:
        (clip,) = track
        path = tmp_path / clip.media_reference.target_url
        assert path in written and clip.source_range.duration.value == COUNT
        assert len(unocclude.open(path)) == COUNT
    plate = unocclude.open(tmp_path / "cut_media" / "plate.mov")[4]
    assert np.abs(plate.astype(int) - scene.background[4]).mean() < 2


def test_exr_layers_are_read_back(scene, tmp_path):
    written = export_layers(scene, tmp_path / "shot.exr")
    assert [p.name for p in written][:2] == ["shot.00000.exr", "shot.00001.exr"] and len(written) == COUNT
    image = OpenEXR.File(str(written[5]), separate_channels=True)
    channels = {name: channel.pixels.astype(np.float32) for name, channel in image.channels().items()}
    assert {"R", "G", "B", "A", "plate.R", "o1_object_1.A", "o2_object_2.G"} <= set(channels)
    assert image.header()["layerOrder"].startswith("plate o2_object_2 o1_object_1")

    def srgb(name):
        linear = channels[name]
        return 255 * np.where(
            linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
        )

    assert np.abs(srgb("plate.G") - scene.background[5][..., 1]).max() < 0.6
    assert np.abs(srgb("G") - scene.compose()[5][..., 1]).max() < 0.6
    rgba = scene.objects[0].completion.rgba[5]
    assert np.abs(255 * channels["o1_object_1.A"] - rgba[..., 3]).max() < 0.2


def test_psd_has_a_layer_for_each_object(scene, tmp_path):
    export_layers(scene, tmp_path / "page.psd", frame=5)
    document = psd_tools.PSDImage.open(tmp_path / "page.psd")
    assert document.size == (WIDTH, HEIGHT) and [layer.name for layer in document][:3] == [
        "plate",
        "object 2",
        "object 1",
    ]
    for layer, source in zip(list(document)[1:3], (scene.objects[1], scene.objects[0]), strict=True):
        picture = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
        pixels = np.array(layer.topil().convert("RGBA"))
        picture[layer.top : layer.bottom, layer.left : layer.right] = pixels
        assert np.array_equal(picture, source.completion.rgba[5])


def test_png_sequences_have_the_source_names(tmp_path):
    folder = write_ids(tmp_path / "in", 3)
    out = tmp_path / "out"
    clip = unocclude.open(folder / "frames")
    tracks = {k: unocclude.read_masks(folder / "ids", object_id=k) for k in (1, 2)}
    scene = unocclude.layers(clip, tracks, out=out, method="modal", pictures=False)
    export_layers(out, tmp_path / "pngs")
    assert sorted(p.name for p in (tmp_path / "pngs" / "plate").iterdir()) == [f"shot_{i:03d}.png" for i in range(3)]
    assert np.array_equal(read_png(tmp_path / "pngs/o2_object_2/shot_001.png"), scene.objects[1].completion.rgba[1])
    order = json.loads((tmp_path / "pngs" / "order.json").read_text())["frames"]
    assert order[2] == {"name": "shot_002", "layers": ["plate", "o2_object_2", "o1_object_1"]}


def test_what_hides_an_object_and_is_none_is_a_layer_in_front():
    clip, tracks = clip_and_tracks()
    alone = unocclude.layers(clip, tracks[1:], occluders=tracks[0])  # object 1 is an occluder now
    stack = Stack(alone)
    assert stack.has_front and stack.at(0)[-1].name == "in front"
    for i in (4, 5, 6):
        picture = np.zeros((HEIGHT, WIDTH, 3))
        for layer in stack.at(i):
            rgba = stack.rgba(layer, i).astype(float)
            picture = picture * (1 - rgba[..., 3:] / 255) + rgba[..., :3] * rgba[..., 3:] / 255
        front = stack.rgba(stack.at(i)[-1], i)[..., 3] > 0
        assert front.any() and np.array_equal(np.rint(picture)[front], clip[i][front])


def test_the_command(scene, tmp_path, capsys):
    for name in ("a.otio", "a.exr", "a.psd", "folder/"):
        code, _, err = run(capsys, "export", scene.folder, f"{tmp_path}/{name}", "--quiet")
        assert (code, err) == (0, ""), name
        code, _, err = run(capsys, "export", scene.folder, f"{tmp_path}/{name}")
        assert code == 2
        assert_one_line(err, "--overwrite")
        assert run(capsys, "export", scene.folder, f"{tmp_path}/{name}", "--quiet", "--overwrite")[0] == 0
    for name, words in (("a.mp4", "compose"), ("layers.txt", "layers are written as")):
        code, _, err = run(capsys, "export", scene.folder, tmp_path / name)
        assert code == 2
        assert_one_line(err, words)
    code, _, err = run(capsys, "export", scene.folder, tmp_path / "b.psd", "--frame", 99)
    assert code == 2
    assert_one_line(err, "frame 99")
    assert not list(tmp_path.glob(".*"))


def test_a_missing_package_is_named(scene, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "OpenEXR", None)
    with pytest.raises(unocclude.InputError, match=r"unocclude\[layers\]"):
        export_layers(scene, tmp_path / "a.exr")
    assert not list(tmp_path.iterdir())
