"""The configurations in recipes/, and what they switch: whole frames, constant rate, no augmentation, real targets."""

from pathlib import Path

import numpy as np
import pytest

from support import data_layouts
from unocclude import InputError
from unocclude.cli import main
from unocclude.synthesis import rigid_world
from unocclude.training import get_recipe, read_config

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("diffusers")
from diffusers import AutoencoderKLTemporalDecoder  # noqa: E402

from support.training_cases import SPRITES, config, quiet  # noqa: E402
from unocclude.training import training_clips  # noqa: E402
from unocclude.training.loop import LoopOptions, _lr_factor  # noqa: E402
from unocclude.training.run import run_training  # noqa: E402

torch.set_num_threads(1)
ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "recipes").glob("*/*/*.toml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: "-".join(file.parts[-3:]))
def test_a_configuration_is_valid_and_says_its_command(file):
    command = file.read_text().splitlines()[1].split()
    assert command[1:3] == ["unocclude", "train"] and command[5] == str(file.relative_to(ROOT))
    options, loop = read_config(file, get_recipe(command[3]))
    if "paper" in file.parts:
        assert loop.schedule == "constant" and not options.augment
        crop = "amodal" if file.stem.startswith("amodal-") else "whole"
        assert "diffusion-vas" not in file.parts or options.crop == crop


def test_every_row_of_the_tables_has_one():
    names = {file.stem for file in FILES if file.parts[-3:-1] == ("diffusion-vas", "paper")}
    assert {"mask", "mask-rgb", "mask-depth", "mask-rgb-depth"} <= names, "table 3"
    assert {"neither", "two-stage", "zero-conv", "mask-depth"} <= names, "table 4"
    assert {"mask", "mask-random", "3d-unet", "3d-unet-random"} <= names, "table 6"
    assert {"content", "one-stage", "videomae"} <= names, "tables 7 and 1"
    assert {"amodal-mask", "amodal-mask-depth", "videomae-pseudo"} <= names, "table 8"


def test_the_rate_can_be_constant():
    options = LoopOptions(steps=100, warmup=10, schedule="constant")
    assert _lr_factor(4, options) == 0.5 and {_lr_factor(step, options) for step in (10, 50, 99)} == {1.0}
    assert _lr_factor(99, LoopOptions(steps=100, warmup=10)) < 0.02


def test_whole_frames_are_seen_as_they_are():
    world = rigid_world(3, "affine", 5, 64, 48, occluders=["pole"])
    clip = training_clips.ClipMaker(None, (32, 12), "whole").of(world)
    for i in range(5):
        expected = world.amodal[i].reshape(12, 4, 32, 2).mean((1, 3))  # the mean of each block, before Pillow's filter
        assert np.abs(clip.amodal[i] / 255 - expected).mean() < 0.05
    assert clip.frames.shape == (5, 12, 32, 3)


def test_without_augmentation_clips_are_consecutive_frames(tmp_path):
    options = training_clips.ClipOptions(
        train=[SPRITES], validation=[SPRITES], cache=str(tmp_path), size=(16, 16), frames=2, augment=False
    )
    clips = training_clips.ClipSet(options, 1, quiet)
    rng = np.random.default_rng(0)
    drawn = [clips.draw_segment(rng) for _ in range(40)]
    assert not any(part.mirrored for part in drawn) and all(np.diff(part.frames)[0] == 1 for part in drawn)
    augmented = training_clips.ClipSet(options.model_copy(update={"augment": True}), 1, quiet)
    drawn = [augmented.draw_segment(rng) for _ in range(40)]
    assert any(part.mirrored for part in drawn) and any(np.diff(part.frames)[0] == 2 for part in drawn)


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vae")
    AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 2, block_out_channels=(32, 32), layers_per_block=1
    ).save_pretrained(folder)
    return folder


def test_hidden_content_that_does_not_exist_is_no_target(vae, tmp_path, capsys):
    """SAIL-VOS has masks alone: they can be learnt, content cannot."""
    entry = data_layouts.sail_vos(tmp_path / "sail")
    own = {"train": [entry], "validation": [entry], "vae": str(vae), "widths": [32, 32], "sampled": 1, "held": 1}
    for name, code in (("vas-content", 2), ("vas-one-stage", 2), ("vas-mask", 0)):
        file = config(tmp_path / name, {**own, "cache": str(tmp_path / "cache")}, {"steps": 1})
        assert main(["train", name, "--config", str(file), "-o", str(tmp_path / f"out-{name}"), "--quiet"]) == code
        said = capsys.readouterr().err
        if code:
            assert "has no hidden content to train on" in said and "synth carve" in said and said.count("\n") == 1


def test_checkpointing_changes_no_loss(vae, tmp_path):
    losses = []
    for checkpointing in (False, True):
        folder = tmp_path / str(checkpointing)
        file = config(folder, {"vae": str(vae), "widths": [32, 32], "sampled": 1, "cache": str(tmp_path / "cache")},
                      {"checkpointing": checkpointing})  # fmt: skip
        run_training("vas-mask", file, folder / "out", resume=False, overwrite=False, progress=quiet)
        losses.append((folder / "out" / "log.jsonl").read_text().splitlines()[-1].split('"learning_rate"')[0])
    assert losses[0] == losses[1]
    file = config(tmp_path / "none", {"width": 32, "layers": 1}, {"checkpointing": True})
    with pytest.raises(InputError, match="videomae has no gradient checkpointing"):
        run_training("videomae", file, tmp_path / "none" / "out", resume=False, overwrite=False, progress=quiet)


def test_only_the_frames_of_a_segment_are_read(tmp_path, monkeypatch):
    world = rigid_world(3, "affine", 9, 48, 32, occluders=["pole"])
    clip = training_clips.ClipMaker(None, (16, 12)).of(world)
    file = tmp_path / "clip.npz"
    file.write_bytes(training_clips.serialise(clip))
    read = []
    member = training_clips._member
    monkeypatch.setattr(training_clips, "_member", lambda name, i: read.append(i) or member(name, i))
    for mirrored in (False, True):
        segment = training_clips.ClipSegment(file, np.array([2, 4, 4]), mirrored)
        part, expected = training_clips.load_segment(segment), clip.select(np.array([2, 4, 4]))
        expected = expected.mirrored() if mirrored else expected
        for name in training_clips.IMAGE_FIELDS:
            assert np.array_equal(getattr(part, name), getattr(expected, name)), name
    assert set(read) == {2, 4}
    monkeypatch.undo()
    whole = training_clips.load(file)
    assert len(whole) == 9 and np.array_equal(whole.wholes, clip.wholes) and whole.caption == clip.caption
