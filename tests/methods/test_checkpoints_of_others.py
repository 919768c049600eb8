"""Every method on every kind of checkpoint: it runs, or is refused in one line before anything is written."""

import json
import shutil

import pytest

from support.small_clip import assert_one_line, make, run

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("accelerate")
from support.saved_checkpoints import RUNS, save_all  # noqa: E402
from support.tiny_checkpoints import SMALL, settings, write_all  # noqa: E402
from support.tiny_inpainting import write_inpainting  # noqa: E402

torch.set_num_threads(1)

RUN_BY = {
    "diffusion-vas": ["diffusion-vas"],
    "tgvac": ["tgvac"],
    "cogvideox-amodal": ["cogvideox-amodal"],
    "ic-amodal": ["ic-amodal", "ic-amodal-plus", "open-world"],
    "open-world": ["open-world"],
    "pix2gestalt": ["pix2gestalt"],
    "one-stage": ["diffusion-vas"],
}
"""Checkpoint → the methods that complete a clip with it alone."""


def complete(capsys, clip, out, method, weights):
    args = ("--masks", clip / "visible_masks", "-o", out, "--method", method, "--weights", weights, "--quiet")
    return run(capsys, "complete", clip / "frames", *args, *settings(method))


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    found = write_all(tmp_path_factory.mktemp("checkpoints")) | save_all(tmp_path_factory.mktemp("saved"))
    empty = tmp_path_factory.mktemp("empty")
    return found | {"empty": empty, "stage-1": found["diffusion-vas"] / "amodal-segmentation"}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*RUN_BY, *(name for name in RUNS if name != "one-stage"), "empty", "stage-1"])
def test_a_checkpoint_runs_or_is_refused_in_one_line(checkpoints, name, tmp_path, capsys):
    clip = make(tmp_path / "clip")
    for method in SMALL:
        out = tmp_path / method
        code, _, err = complete(capsys, clip, out, method, checkpoints[name])
        assert code == (0 if method in RUN_BY.get(name, ()) else 2), (method, err)
        if code:
            assert_one_line(err, "")
            assert not out.exists()


def test_a_network_without_its_parts_is_refused_before_anything_is_written(tmp_path, capsys):
    clip = make(tmp_path / "clip")
    write_inpainting(tmp_path / "inpainting")
    capsys.readouterr()
    code, _, err = complete(capsys, clip, tmp_path / "out", "tgvac", tmp_path / "inpainting")
    assert code == 2 and not (tmp_path / "out").exists()
    assert_one_line(err, "has no motion/; train it (recipe tgvac-motion) or set motion=false")
    shutil.copytree(tmp_path / "inpainting", tmp_path / "plain")
    config = tmp_path / "plain/unet/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"in_channels": 4}))
    code, _, err = complete(capsys, clip, tmp_path / "out", "tgvac", tmp_path / "plain")
    assert code == 2 and not (tmp_path / "out").exists()
    assert_one_line(err, "the network has 4 input channels; TGVAC's has")


def test_another_transformer_is_refused_before_anything_is_written(tmp_path, capsys):
    clip = make(tmp_path / "clip")
    for part in ("transformer", "vae", "text_encoder", "tokenizer", "scheduler"):
        (tmp_path / "flux" / part).mkdir(parents=True)
        name = {"tokenizer": "tokenizer_config", "scheduler": "scheduler_config"}.get(part, "config")
        (tmp_path / "flux" / part / f"{name}.json").write_text('{"_class_name": "FluxTransformer2DModel"}')
    code, _, err = complete(capsys, clip, tmp_path / "out", "cogvideox-amodal", tmp_path / "flux")
    assert code == 2 and not (tmp_path / "out").exists()
    assert_one_line(err, "is a FluxTransformer2DModel, CogVideoX-Amodal needs a CogVideoXTransformer3DModel")
