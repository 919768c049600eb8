"""The recipes of Diffusion-VAS: equations against plain versions, what trains, runs that resume exactly."""

import json
import math

import numpy as np
import pytest

from unocclude import InputError
from unocclude.cli import main
from unocclude.synthesis import rigid_world

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("diffusers")
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel  # noqa: E402

from support.tiny_diffusion_vas import UNET, write_checkpoint  # noqa: E402
from support.training_cases import SPRITES, check_resumed, config, quiet  # noqa: E402
from unocclude.methods.diffusion_vas import DiffusionVASPipeline  # noqa: E402
from unocclude.methods.diffusion_vas.pipeline import PerFrameEmbeddings  # noqa: E402
from unocclude.networks.expand_conv_in import expand_conv_in  # noqa: E402
from unocclude.training import clip_metrics, diffusion_vas, training_clips  # noqa: E402
from unocclude.training.loop import LoopOptions  # noqa: E402
from unocclude.training.run import run_training  # noqa: E402

torch.set_num_threads(1)
STATE = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vae")
    AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 2, block_out_channels=(32, 32), layers_per_block=1
    ).save_pretrained(folder)
    return folder


def test_the_loss_equals_that_of_edm():
    """Written out for every sample: lambda (D(z + n) - z)^2 with D = c_skip z + c_out F and lambda = 1 / c_out^2."""
    generator = torch.Generator().manual_seed(0)
    answer, noisy, target = (torch.randn(3, 2, 4, 5, 5, generator=generator) for _ in range(3))
    sigma = torch.tensor([0.01, 1.0, 300.0])
    plain = 0.0
    for k in range(3):
        s = float(sigma[k])
        c_skip, c_out = 1 / (s * s + 1), -s / math.sqrt(s * s + 1)
        plain += float(((c_skip * noisy[k] + c_out * answer[k] - target[k]) ** 2).mean()) / c_out**2 / 3
    assert float(diffusion_vas.edm_loss(answer, noisy, target, sigma)) == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("sigma", [0.002, 1.0, 700.0])
def test_the_network_sees_what_the_sampler_shows_it(vae, sigma, monkeypatch):
    """Training's F is called with the same inputs as inference's at the same noise."""
    recipe = diffusion_vas.Mask(diffusion_vas.VASOptions(train=[SPRITES], validation=[SPRITES], vae=str(vae)), 0)
    recipe.network()
    seen = {}

    def network(inputs, time, rows, added_time_ids):
        seen.update(inputs=inputs, time=time, rows=rows.rows, ids=added_time_ids)
        return type("Answer", (), {"sample": torch.zeros(1, 2, 4, 3, 3)})

    noisy, conditions = torch.randn(1, 2, 4, 3, 3), torch.randn(1, 2, 4, 3, 3)
    recipe._run(network, noisy, torch.tensor([sigma]), conditions, torch.randn(1, 2, 7), torch.tensor([0.05]))
    np.testing.assert_allclose(seen["inputs"][:, :, :4], noisy / math.sqrt(sigma**2 + 1), rtol=1e-5)
    assert torch.equal(seen["inputs"][:, :, 4:], conditions) and seen["rows"].shape == (2, 1, 7)
    assert float(seen["time"]) == pytest.approx(0.25 * math.log(sigma), abs=1e-5)
    assert seen["ids"].tolist()[0] == pytest.approx([7, 127, 0.05])


def test_conditions_are_left_out_as_published():
    """Rate .1: rows under .2; latents from .1 to .3; both between .1 and .2."""
    chance = torch.tensor([0.05, 0.15, 0.25, 0.35])
    rows, conditions = diffusion_vas.dropped(torch.ones(4, 3, 5), torch.ones(4, 3, 8, 2, 2), 0.1, chance)
    assert rows[:, 0, 0].tolist() == [0, 0, 1, 1] and conditions[:, 0, 0, 0, 0].tolist() == [1, 0, 0, 1]
    everything = diffusion_vas.dropped(torch.ones(4, 3, 5), torch.ones(4, 3, 8, 2, 2), 0.0, chance * 0)
    assert all((part == 1).all() for part in everything)


def test_new_input_channels_change_nothing_at_first():
    torch.manual_seed(1)
    unet = UNetSpatioTemporalConditionModel(**UNET).eval()
    inputs, rows, ids = (
        torch.randn(1, 2, 12, 8, 8),
        PerFrameEmbeddings(torch.randn(2, 1, 32)),
        torch.tensor([[7.0, 127, 0.02]]),
    )
    with torch.no_grad():
        before = unet(inputs[:, :, :8], torch.tensor(0.3), rows, added_time_ids=ids).sample
        wide = expand_conv_in(unet, 12)
        assert wide.config.in_channels == 12 and (wide.conv_in.weight[:, 8:] == 0).all()
        torch.testing.assert_close(wide(inputs, torch.tensor(0.3), rows, added_time_ids=ids).sample, before)
        assert (
            expand_conv_in(UNetSpatioTemporalConditionModel(**UNET), 12, zero=False).conv_in.weight[:, 8:] != 0
        ).any()


def test_only_what_the_paper_trains_is_trained(vae):
    options = {"train": [SPRITES], "validation": [SPRITES], "vae": str(vae)}

    def trained(**more):
        network = diffusion_vas.Mask(diffusion_vas.VASOptions(**options, **more), 0).network()
        return {name for name, value in network.named_parameters() if value.requires_grad}

    published, every = trained(), trained(trained="all")
    assert published and all("temporal_transformer_block" in name or name.startswith("conv_in.") for name in published)
    assert any("spatial" in name or "resnets" in name for name in every - published)


@pytest.mark.parametrize(
    ("name", "recipe"),
    [("vas-mask", {"tokens": "all"}), ("vas-mask-depth", {}), ("vas-content", {}), ("vas-one-stage", {}),
     ("3d-unet", {}), ("vas-mask-depth", {"second": "frames", "crop": "amodal"})],
)  # fmt: skip
def test_every_recipe_runs_and_what_it_writes_is_a_pipeline(name, recipe, vae, tmp_path, capsys):
    file = config(tmp_path, {"vae": str(vae), "widths": [32, 32], "sampled": 1, **recipe}, {})
    assert main(["train", name, "--config", str(file), "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert ("psnr_hidden" if name in ("vas-content", "vas-one-stage") else "miou_occ") in said
    pipe = DiffusionVASPipeline.from_pretrained(tmp_path / "out" / "pipeline")
    assert pipe.unet.config.in_channels == (8 if name == "vas-mask" else 12)
    assert (tmp_path / "out" / "samples" / "0000002.png").is_file()


# all share the loop: one recipe of each network here, the others by `make test-all`
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("vas-mask", marks=pytest.mark.slow),
        "vas-mask-depth",
        pytest.param("vas-content", marks=pytest.mark.slow),
        pytest.param("vas-one-stage", marks=pytest.mark.slow),
        "3d-unet",
    ],
)
def test_a_resumed_run_has_the_same_losses_and_weights(name, vae, tmp_path):
    recipe = {"vae": str(vae), "sampled": 1, "widths": [32, 32]}
    check_resumed(name, tmp_path, recipe, f"pipeline/unet/{STATE}")


def test_stages_begin_with_each_other_and_with_published_folders(vae, tmp_path):
    write_checkpoint(tmp_path / "published")
    options = {"train": [SPRITES], "validation": [SPRITES], "base": str(tmp_path / "published"), "size": (32, 32)}
    network = diffusion_vas.MaskDepth(diffusion_vas.MaskDepthOptions(**options), 0).network()
    assert network.conv_in.in_channels == 12
    drawn = diffusion_vas.MaskDepth(diffusion_vas.MaskDepthOptions(**options, pretrained=False), 0).network()
    assert not torch.equal(drawn.mid_block.resnets[0].spatial_res_block.conv1.weight,
                           network.mid_block.resnets[0].spatial_res_block.conv1.weight)  # fmt: skip
    with pytest.raises(InputError, match="needs base"):
        diffusion_vas.Mask(diffusion_vas.VASOptions(train=[SPRITES], validation=[SPRITES]), 0).network()


def test_videomae_learns_to_give_back_a_mask(tmp_path):
    loop = {"steps": 60, "learning_rate": 0.003, "batch": 4, "evaluate_every": 60, "ema": 0.0}
    file = config(tmp_path, {"width": 32, "layers": 1}, loop)
    result = run_training("videomae", file, tmp_path / "out", resume=False, overwrite=False, progress=quiet)
    log = [json.loads(line)["entropy"] for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert np.mean(log[-5:]) < 0.5 * np.mean(log[:5]) and result["figures"]["miou"] > 0.5
    for changes, said in (({"frames": 3}, "frames even"), ({"size": [32, 24]}, "square")):
        with pytest.raises(InputError, match=said):
            run_training("videomae", config(tmp_path, changes, loop), tmp_path / said, resume=False, overwrite=False,
                         progress=quiet)  # fmt: skip


def test_patches_come_back_where_they_were():
    """The regressor's unfolding against a plain loop: a decoder that gives each patch its own pixels back."""
    from transformers import VideoMAEConfig, VideoMAEForPreTraining

    from unocclude.methods.diffusion_vas.videomae import MaskRegressor

    model = VideoMAEForPreTraining(VideoMAEConfig(image_size=8, patch_size=4, num_frames=4, hidden_size=16,
        num_hidden_layers=1, num_attention_heads=1, intermediate_size=16, decoder_hidden_size=16,
        decoder_num_attention_heads=1, decoder_num_hidden_layers=1, decoder_intermediate_size=16))  # fmt: skip
    clip = torch.arange(4 * 8 * 8, dtype=torch.float32).view(1, 4, 1, 8, 8).expand(1, 4, 3, 8, 8)
    patches = [
        clip[0, t : t + 2, :, y : y + 4, x : x + 4].permute(0, 2, 3, 1).flatten()
        for t in (0, 2) for y in (0, 4) for x in (0, 4)
    ]  # fmt: skip
    model.decoder.forward = lambda tokens, count: type("Output", (), {"logits": torch.stack(patches)[None]})
    with torch.no_grad():
        torch.testing.assert_close(MaskRegressor(model)(clip), clip[:, :, 0])


def test_clips_as_networks_see_them():
    world = rigid_world(3, "affine", 5, 64, 48, occluders=["pole"])
    clip = training_clips.ClipMaker(None, (32, 32)).of(world)
    assert clip.visible.shape == (5, 32, 32) and clip.wholes.shape == (5, 32, 32, 3) and clip.wholes.dtype == np.uint8
    assert (clip.amodal >= clip.visible).all() and (clip.amodal > clip.visible).any()
    outside = clip.amodal == 0
    assert (clip.wholes[outside] == 255).all()
    seen = clip.visible == 255
    assert np.array_equal(clip.objects[seen], clip.frames[seen])
    assert (clip.objects[clip.visible == 0] == 255).all()
    amodal = training_clips.ClipMaker(None, (32, 32), "amodal").of(world)
    assert all(mask[0].max() > 100 and mask[-1].max() > 100 and mask[:, 0].max() > 100 for mask in amodal.amodal)


def test_figures_against_plain_counts():
    rng = np.random.default_rng(0)
    amodal = rng.uniform(size=(3, 6, 6)) < 0.6
    visible = amodal & (rng.uniform(size=(3, 6, 6)) < 0.6)
    visible[1] = amodal[1]  # not occluded
    pred = rng.uniform(size=(3, 6, 6)) < 0.5
    whole, colour = rng.integers(0, 256, (3, 6, 6, 3), np.uint8), rng.uniform(size=(3, 6, 6, 3))
    as_bytes = lambda mask: mask.astype(np.uint8) * 255  # noqa: E731
    clip = training_clips.TrainingClip(as_bytes(visible), as_bytes(amodal), as_bytes(visible), whole, whole, whole)
    found, content = clip_metrics.mask_metrics(clip, pred), clip_metrics.content_metrics(clip, colour)
    ious, hidden_ious, psnrs = [], [], []
    for k in range(3):
        pixels = [(v, a, p or v) for v, a, p in zip(visible[k].flat, amodal[k].flat, pred[k].flat, strict=True)]
        ious.append(sum(a and p for _, a, p in pixels) / sum(a or p for _, a, p in pixels))
        if k != 1:
            hidden = [(a, p) for v, a, p in pixels if not v]
            hidden_ious.append(sum(a and p for a, p in hidden) / sum(a or p for a, p in hidden))
            where = amodal[k] & ~visible[k]
            psnrs.append(10 * math.log10(1 / np.mean((colour[k][where] - whole[k][where] / 255) ** 2)))
    assert found["miou"] == pytest.approx(ious) and found["miou_occ"] == pytest.approx(hidden_ious)
    assert content["psnr_hidden"] == pytest.approx(psnrs)
    assert clip_metrics.mean([found, content])["psnr_hidden"] == pytest.approx(np.mean(psnrs), abs=1e-4)


def test_bad_configurations_are_one_line(vae, tmp_path, capsys):
    file = config(tmp_path, {"second": "smell"}, {})
    assert main(["train", "vas-mask", "--config", str(file), "-o", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert LoopOptions().steps and not (tmp_path / "out").exists()
