"""The recipe of small VAEs: what it learns from, and that what it writes reads back as it was."""

import json

import numpy as np
import pytest

from support.training_cases import SPRITES, check_resumed, config, quiet, train

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from unocclude import InputError, training  # noqa: E402
from unocclude.methods.diffusion_vas.checkpoint import read_vae  # noqa: E402
from unocclude.networks.files import read_weights  # noqa: E402
from unocclude.networks.group_norm import attention_levels, set_num_groups  # noqa: E402
from unocclude.training import training_clips, vae  # noqa: E402
from unocclude.training.run import run_training  # noqa: E402

torch.set_num_threads(1)


def test_the_recipe_learns_and_states_its_scale(tmp_path):
    loop = {"steps": 100, "learning_rate": 0.003, "batch": 8, "evaluate_every": 100}
    file = config(tmp_path, {"widths": [32, 32], "frames": 1, "patch": 16}, loop)
    result = run_training("vae", file, tmp_path / "out", resume=False, overwrite=False, progress=quiet)
    log = [json.loads(line)["error"] for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert np.mean(log[-20:]) < 0.7 * np.mean(log[:20]) and result["figures"]["frames/psnr"] > 3
    loaded = read_vae(tmp_path / "out" / "vae")
    clips = training_clips.ClipSet(training.read_config(file, training.get_recipe("vae"))[0], 1, quiet)
    kinds = ("frames", "objects", "wholes", "amodal", "depth")
    with torch.no_grad():
        latents = [
            loaded.encode(training_clips.to_tensor(getattr(c, k))).latent_dist.mode() for c in clips.held for k in kinds
        ]
    assert float((torch.cat(latents) * loaded.config.scaling_factor).std()) == pytest.approx(1, abs=1e-3)


def test_it_resumes_exactly(tmp_path):
    recipe = {"widths": [32, 32], "patch": 16, "kinds": ["objects", "amodal"]}
    check_resumed("vae", tmp_path, recipe, "vae/diffusion_pytorch_model.safetensors")


def test_a_decoder_is_learnt_for_the_latents_of_another_vae(tmp_path):
    train("vae", tmp_path / "clips", {"widths": [32, 32]}, {})
    its = tmp_path / "clips" / "out" / "vae"
    frames = {"widths": [32, 32], "temporal": False, "encoder": str(its)}
    train("vae", tmp_path / "frames", frames, {"weight_decay": 0.1, "seed": 5})
    own = tmp_path / "frames" / "out" / "vae"
    before, after = (read_weights(folder, "diffusion_pytorch_model") for folder in (its, own))
    kept = [name for name in before if name.startswith(("encoder.", "quant_conv."))]
    assert kept and all(torch.equal(before[name], after[name]) for name in kept)
    with pytest.raises(InputError, match="another network"):
        train("vae", tmp_path / "wider", frames | {"widths": [32, 64]}, {})
    configured = its / "config.json"
    configured.write_text(json.dumps(json.loads(configured.read_text()) | {"norm_num_groups": 32}))
    with pytest.raises(InputError, match="32 groups"):
        train("vae", tmp_path / "published", frames, {})


def test_patches_are_parts_of_the_pictures():
    options = vae.VAEOptions(train=[SPRITES], validation=[SPRITES], kinds=["visible"], patch=5)
    picture = np.random.default_rng(0).integers(0, 256, (2, 9, 7), np.uint8)
    clip = training_clips.TrainingClip(*[picture] * 3, *[np.stack([picture] * 3, -1)] * 3)
    rng = np.random.default_rng(1)
    drawn = [vae.VAE(options, 0)._any(clip, rng) for _ in range(200)]
    places = {
        (y, x) for part in drawn for y in range(5) for x in range(3)
        if np.array_equal(part, picture[:, y : y + 5, x : x + 5])
    }  # fmt: skip
    assert {part.shape for part in drawn} == {(2, 5, 5)}
    assert len(places) == 5 * 3


def test_recoloured_pictures_are_as_sharp_and_have_more_colour():
    rng = np.random.default_rng(2)
    pictures = np.clip(rng.normal(128, 20, (3, 8, 8, 1)) + rng.normal(0, 4, (3, 8, 8, 3)), 0, 255).astype(np.uint8)
    pictures[:, :4] = 255

    def colour(part):
        return np.abs(part - part.mean(-1, keepdims=True)).mean()

    drawn = [vae.recoloured(pictures, rng) for _ in range(60)]
    assert all(part.dtype == np.uint8 and part.shape == pictures.shape for part in drawn)
    grounds = {tuple(int(value) for value in part[0, 0, 0]) for part in drawn}
    assert grounds == {(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)}
    assert all((part[:, :4] == part[0, 0, 0]).all() for part in drawn)  # what was of one colour is
    assert np.mean([colour(part[:, 4:].astype(float)) for part in drawn]) > 3 * colour(pictures[:, 4:].astype(float))


@pytest.mark.parametrize("groups", [4, 32])
def test_the_number_of_groups_reads_back(groups, tmp_path):
    torch.manual_seed(0)
    network = diffusers.AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 2, block_out_channels=(32, 32), layers_per_block=1
    ).eval()
    clip = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        published = network.encode(clip).latent_dist.mean
        latents = set_num_groups(network, groups).encode(clip).latent_dist.mean
        network.save_pretrained(tmp_path)
        again = read_vae(tmp_path).encode(clip).latent_dist.mean
    assert torch.equal(latents, again)
    assert torch.equal(latents, published) == (groups == 32)


def test_few_groups_keep_how_bright_a_picture_is():
    """Constant pictures of two brightnesses: with 32 groups of one channel each all norms answer alike."""
    norm = torch.nn.GroupNorm(32, 32)
    features = torch.linspace(-1, 1, 32).view(1, 32, 1, 1).expand(1, 32, 4, 4)
    assert norm(features).abs().max().item() < 1e-5
    norm.num_groups = 4
    assert norm(features).abs().max().item() > 1


@pytest.mark.parametrize(
    ("height", "levels", "attend"),
    [(16, 2, [True, False]), (32, 3, [False, True, False]), (16, 1, [False]), (64, 4, [False, False, True, False])],
)
def test_small_networks_attend_below_their_highest_levels(height, levels, attend):
    assert attention_levels(height, levels) == attend
