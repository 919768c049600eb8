"""Generated scenes in the layout of a Kubric export: read back, they are the worlds; the protocols differ in motion."""

import json

import numpy as np
import pytest

from support.small_clip import assert_one_line, run
from unocclude.datasets import captions, open_dataset
from unocclude.synthesis import rigid_world
from unocclude.synthesis.kubric_layout import write_scene


def worlds():
    first = rigid_world(4, frames=3, width=48, height=36, occluders=["pole"])
    second = rigid_world(5, frames=3, width=48, height=36, occluders=[])
    second.frames[:] = first.frames
    for i in range(3):
        second.visible[i] = second.amodal[i] & ~first.visible[i]
    first.about["class"], second.about["class"] = "arch", "vase"
    return [first, second]


def test_what_is_read_is_what_was_written(tmp_path):
    made = worlds()
    write_scene(made, tmp_path / "00000")
    samples = open_dataset(f"kubric:{tmp_path}")
    assert [sample.name for sample in samples] == ["00000-0", "00000-1"]
    for sample, world in zip(samples, made, strict=True):
        for i in range(3):
            assert np.array_equal(sample.clip[i], world.frames[i])
            assert np.array_equal(sample.visible[i], world.visible[i])
            assert np.array_equal(sample.truth.amodal[i], world.amodal[i])
            assert np.array_equal(sample.truth.rgba(i)[world.amodal[i]][:, :3], world.amodal_rgb[i][world.amodal[i]])
    assert [captions.of_truth(sample.truth) for sample in samples] == ["an arch", "a vase"]


@pytest.mark.parametrize(
    ("instance", "said"),
    [
        (
            {"size_label": "small", "color_label": "red", "material_name": "metal", "shape": "cube"},
            "a small red metal cube",
        ),
        ({"category": "action_figures", "asset_id": "x"}, "an action figures"),
        ({"size": 1.4, "color": [0, 1, 0], "shape": "torus"}, "a torus"),
        ({"asset_id": "x"}, ""),
        ([], ""),
    ],
)
def test_instances_are_described_by_their_metadata(tmp_path, instance, said):
    write_scene(worlds(), tmp_path / "s")
    about = json.loads((tmp_path / "s/metadata.json").read_text())
    about["instances"][1] = instance
    (tmp_path / "s/metadata.json").write_text(json.dumps(about))
    assert captions.of_truth(open_dataset(f"kubric:{tmp_path}")[1].truth) == said


def test_without_appearance_there_is_none(tmp_path):
    write_scene(worlds(), tmp_path / "s")
    for path in (tmp_path / "s").glob("rgba_0_*.png"):
        path.unlink()
    first, second = open_dataset(f"kubric:{tmp_path}")
    assert first.truth.rgb is None and second.truth.rgb is not None


@pytest.mark.parametrize("protocol", ["kubric-static", "kubric-dynamic"])
def test_a_stand_in_is_generated_and_measured(tmp_path, capsys, protocol):
    """In the static protocol only the camera moves: the objects' masks change, and so does the background."""
    pytest.importorskip("mujoco")
    args = [
        "synth",
        "worlds",
        "-o",
        tmp_path / "out",
        "--count",
        "1",
        "--seed",
        "3",
        "--frames",
        "6",
        "--size",
        "96x72",
    ]
    assert run(capsys, *args, "--protocol", protocol, "--workers", "1")[0] == 0
    samples = open_dataset(f"kubric:{tmp_path / 'out'}")
    assert samples and all(sample.has_truth and sample.truth.rgb is not None for sample in samples)
    again = run(capsys, *args, "--protocol", protocol, "--workers", "1", "--resume")
    assert again[0] == 0 and run(capsys, *args, "--workers", "1", "--resume")[0] == 2
    entry = f"Kubric=kubric:{tmp_path / 'out'}"
    metrics = ["--metrics", "psnr_image,ssim_image,miou", "--methods", "modal,convex"]
    assert run(capsys, "bench", entry, "-o", tmp_path / "bench", *metrics, "--limit", "1")[0] == 0
    assert "psnr_image" in (tmp_path / "bench/table.md").read_text()
    assert run(capsys, *args, "--protocol", protocol, "--overwrite", "--workers", "1")[0] == 0


def test_still_objects_stand_still():
    pytest.importorskip("mujoco")
    from unocclude.synthesis.worlds import _play

    class Scene:
        def play(self, frames):
            yield from ((i, f"state {i}") for i in range(frames))

    assert list(_play(Scene(), 3, True)) == [(0, "state 0"), (1, "state 0"), (2, "state 0")]
    assert list(_play(Scene(), 3, False)) == [(i, f"state {i}") for i in range(3)]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["sprites", "--protocol", "kubric-static"], ("no protocols",)),
        (["worlds", "--protocol", "movi"], ("unknown protocol movi", "kubric-dynamic")),
        (["worlds", "--protocol", "kubric-static", "--shards"], ("leave it out with --protocol",)),
        (["worlds", "--protocol", "kubric-static", "--sheet", "x.png"], ("leave it out with --protocol",)),
    ],
)
def test_what_does_not_go_together_is_one_line(tmp_path, capsys, args, words):
    pytest.importorskip("mujoco")
    code, _, err = run(capsys, "synth", *args, "-o", tmp_path / "out", "--count", "1")
    assert code == 2 and not (tmp_path / "out").exists()
    assert_one_line(err, *words)
