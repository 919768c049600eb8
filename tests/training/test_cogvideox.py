"""The recipe of CogVideoX-Amodal: where it begins, its loss, exact resume, what it refuses."""

import json

import numpy as np
import pytest

from unocclude import InputError
from unocclude.cli import main

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
diffusers = pytest.importorskip("diffusers")
from safetensors.torch import load_file  # noqa: E402

from support.tiny_cogvideox import write_checkpoint  # noqa: E402
from support.training_cases import SPRITES, check_resumed, config, quiet  # noqa: E402
from unocclude.training import cogvideox  # noqa: E402

torch.set_num_threads(1)
STATE = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module", params=[False, True], ids=["sinusoids", "rotary"])
def base(request, tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("cogvideox"), request.param)


def recipe_of(base, cache="", **options):
    told = {"train": [SPRITES], "validation": [SPRITES], "size": (32, 32), "frames": 5, "held": 1, "sampled": 3}
    return cogvideox.CogVideoX(cogvideox.CogVideoXOptions(base=str(base), cache=str(cache), **told | options), 0)


def test_it_begins_as_the_published_pipeline_without_a_clip(base, tmp_path):
    """New inputs are zero: the answer is what diffusers' own pipeline makes of the words alone."""
    recipe = recipe_of(base, tmp_path)
    recipe.prepare(1, quiet)
    network = recipe.network().eval()
    [clip] = recipe.clips.held
    answer = recipe.answer(network, clip, seed=3)
    pipeline = diffusers.CogVideoXPipeline.from_pretrained(base)
    pipeline.set_progress_bar_config(disable=True)
    published = pipeline(
        clip.caption, height=32, width=32, num_frames=5, num_inference_steps=3, guidance_scale=6.0,
        max_sequence_length=12, generator=torch.Generator().manual_seed(3), output_type="np",
    ).frames[0]  # fmt: skip
    assert answer.shape == (5, 32, 32, 3) and published.std() > 0.01
    assert np.abs(answer.numpy() - published).max() < 1e-4
    assert (network.patch_embed.proj.weight[:, 4:] == 0).all() and network.config.in_channels == 12


def test_the_loss_is_that_of_the_published_training(base, monkeypatch):
    """Written out from diffusers' training script: x_0 from what is said, weighted with 1 / (1 - alpha)."""
    recipe = recipe_of(base)
    network = recipe.network()
    batch = {name: torch.rand(2, 5, 3, 32, 32) * 2 - 1 for name in ("frames", "visible", "wholes")}
    batch["tokens"] = recipe.generator.tokenize(["a red ball", ""])
    seen = {}

    def said(**inputs):
        seen.update(inputs)
        return (torch.full((2, 3, 4, 16, 16), 0.5),)

    torch.manual_seed(3)
    loss, _ = recipe.loss(said, batch)
    torch.manual_seed(3)
    vae = recipe.pipeline.vae

    def encode(clip):
        return vae.encode(clip.transpose(1, 2)).latent_dist

    with torch.no_grad():
        z = encode(batch["wholes"]).sample().transpose(1, 2) * 0.7
        time = torch.randint(1000, (2,))
        noise = torch.randn_like(z)
        told = [encode(batch[name]).mode().transpose(1, 2) * 0.7 for name in ("frames", "visible")]
        words = recipe.pipeline.text_encoder(batch["tokens"])[0]
    alpha = recipe.schedule.alphas_cumprod[time].float().view(2, 1, 1, 1, 1)
    noisy = alpha.sqrt() * z + (1 - alpha).sqrt() * noise
    torch.testing.assert_close(seen["hidden_states"], torch.cat([noisy, *told], 2), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(seen["encoder_hidden_states"], words)
    assert torch.equal(seen["timestep"], time)
    clean = alpha.sqrt() * noisy - (1 - alpha).sqrt() * 0.5
    weighted = (clean - z) ** 2 / (1 - alpha)
    assert float(loss) == pytest.approx(float(weighted.mean()), rel=1e-3)
    assert (seen["image_rotary_emb"] is None) == (not network.config.use_rotary_positional_embeddings)


def test_a_resumed_run_has_the_same_losses_and_what_it_wrote_can_be_gone_on_from(base, tmp_path):
    options = {"base": str(base), "frames": 5, "sampled": 1, "held": 1}
    out = check_resumed("cogvideox", tmp_path, options, f"pipeline/{STATE}")
    assert {"miou", "psnr_hidden"} <= json.loads((out / "train.json").read_text())["figures"].keys()
    written = out / "pipeline"
    state = load_file(written / STATE)["patch_embed.proj.weight"]
    assert state.shape[1] == 12 and state[:, 4:].any(), "the new inputs were not trained"
    again = recipe_of(written).network()
    assert torch.equal(again.patch_embed.proj.weight, state)


def test_what_cannot_be_trained_is_told(tmp_path, capsys):
    base = write_checkpoint(tmp_path / "base", False)
    with pytest.raises(InputError, match="frames = 6; the VAE takes a multiple of 2, plus 1"):
        recipe_of(base, frames=6).network()
    with pytest.raises(InputError, match=r"CogVideoX 1\.5"):
        recipe_of(write_checkpoint(tmp_path / "joined", True, joined=2)).network()
    file = config(tmp_path / "none", {"base": str(tmp_path / "nothing"), "frames": 5}, {})
    assert main(["train", "cogvideox", "--config", str(file), "-o", str(tmp_path / "out")]) == 2
    assert "does not hold a scheduler" in capsys.readouterr().err
