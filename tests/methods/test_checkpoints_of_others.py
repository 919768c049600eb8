"""Every method on every kind of checkpoint: it runs, or is refused in one line before anything is written."""

import json
import shutil

import pytest

from support.small_clip import assert_one_line, make, run

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("accelerate")
from support import tiny_cogvideox, tiny_diffusion_vas, tiny_flux_fill, tiny_inpainting, tiny_tgvac  # noqa: E402
from support.saved_checkpoints import RUNS, save_all  # noqa: E402
from support.tiny_pix2gestalt import write_checkpoint as write_pix2gestalt  # noqa: E402

torch.set_num_threads(1)

SMALL = {
    "diffusion-vas": {"steps": 1, "pixels": 4096},
    "tgvac": {"steps": 1},
    "cogvideox-amodal": {"steps": 1},
    "ic-amodal": {"steps": 1, "cell": 32, "text_tokens": 8},
    "ic-amodal-plus": {"steps": 1, "cell": 32, "text_tokens": 8},
    "pix2gestalt": {"steps": 2},
    "open-world": {"steps": 1, "size": 64},
}
RUN_BY = {
    "diffusion-vas": ["diffusion-vas"],
    "tgvac": ["tgvac"],
    "cogvideox-amodal": ["cogvideox-amodal"],
    "flux-fill": ["ic-amodal", "ic-amodal-plus", "open-world"],
    "inpainting": ["open-world"],
    "pix2gestalt": ["pix2gestalt"],
    "one-stage": ["diffusion-vas"],
}
"""Checkpoint → the methods that complete a clip with it alone."""


def complete(capsys, clip, out, method, weights):
    sets = [part for key, value in SMALL[method].items() for part in ("--set", f"{key}={value}")]
    args = ("--masks", clip / "visible_masks", "-o", out, "--method", method, "--weights", weights, *sets, "--quiet")
    return run(capsys, "complete", clip / "frames", *args)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    for part, seed in (("amodal-segmentation", 1), ("content-completion", 2)):
        tiny_diffusion_vas.write_checkpoint(folder / "diffusion-vas" / part, seed)
    tiny_tgvac.write_checkpoint(folder / "tgvac")
    tiny_cogvideox.write_checkpoint(folder / "cogvideox-amodal", False, channels=12)
    tiny_flux_fill.write_flux_fill(folder / "flux-fill")
    tiny_inpainting.write_inpainting(folder / "inpainting")
    write_pix2gestalt(folder / "pix2gestalt")
    (folder / "empty").mkdir()
    found = {path.name: path for path in folder.iterdir()} | save_all(tmp_path_factory.mktemp("saved"))
    return found | {"stage-1": folder / "diffusion-vas/amodal-segmentation"}


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
    tiny_inpainting.write_inpainting(tmp_path / "inpainting")
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
