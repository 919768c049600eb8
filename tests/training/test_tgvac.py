"""The recipes of TGVAC: the loss against a plain version, what trains, exact resume, captions, overfitting."""

import json

import numpy as np
import pytest

from support.source_clips import write_source
from unocclude import InputError
from unocclude.cli import main
from unocclude.media.images import write_png
from unocclude.synthesis import rigid_world, write_world
from unocclude.synthesis.world import World

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("diffusers")
from diffusers import AutoencoderKL  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from support.tiny_tgvac import write_checkpoint  # noqa: E402
from support.training_cases import SPRITES, check_resumed, config, quiet, train  # noqa: E402
from unocclude import training  # noqa: E402
from unocclude.datasets import captions  # noqa: E402
from unocclude.methods.tgvac import TGVACPipeline  # noqa: E402
from unocclude.methods.tgvac.small_pipeline import make_tokenizer  # noqa: E402
from unocclude.training import tgvac, training_clips  # noqa: E402
from unocclude.training.sources import ClipSource  # noqa: E402

torch.set_num_threads(1)
STATE = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vae")
    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(32, 32), layers_per_block=1,
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def phase1(vae, tmp_path_factory):
    folder = tmp_path_factory.mktemp("frame")
    train("tgvac-frame", folder, {"vae": str(vae), "widths": [32, 32], "sampled": 1}, {})
    return folder / "out" / "pipeline"


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(("kind", "times"), [("Frame", 6), ("Motion", 2)])
def test_the_loss_is_the_error_of_the_noise(vae, monkeypatch, prediction, kind, times):
    """Equations 2 and 4 on one batch, written out: what the network is shown, and what it is measured against."""
    options = tgvac.FrameOptions(
        train=[SPRITES], validation=[SPRITES], vae=str(vae), widths=[32, 32], size=(32, 32), prediction=prediction
    )
    recipe = tgvac.Frame(options, 0)
    recipe.clips = type("Clips", (), {"captions": ["a red ball"]})
    network = recipe.network()
    recipe.__class__ = getattr(tgvac, kind)
    batch = {name: torch.rand(2, 3, 3, 32, 32) * 2 - 1 for name in ("objects", "masks", "wholes")}
    batch["tokens"] = torch.tensor([[0, 4, 5, 6, 1], [0, 1, 2, 2, 2]])
    seen = {}

    def run(network, inputs, time, words, seen=seen):
        seen.update(inputs=inputs, time=time, words=words)
        return torch.full((2, 3, 4, 16, 16), 0.5)

    monkeypatch.setattr(tgvac, "run", run)
    torch.manual_seed(3)
    loss, _ = recipe.loss(network, batch)
    torch.manual_seed(3)
    scale = recipe.parts["vae"].config.scaling_factor
    encode = lambda part, vae=recipe.parts["vae"]: vae.encode(part.flatten(0, 1)).latent_dist  # noqa: E731
    with torch.no_grad():
        z = encode(batch["wholes"]).sample() * scale
        time = torch.randint(1000, (times,))
        noise = torch.randn_like(z)
        told = encode(batch["objects"]).mode() * scale
    mask = batch["masks"].flatten(0, 1)[:, :1].view(6, 1, 16, 2, 16, 2).mean((3, 5)) / 2 + 0.5
    alphas = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)
    if prediction == "v_prediction":  # Lin et al., algorithm 1
        root = alphas.sqrt()
        alphas = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
        assert recipe.parts["scheduler"].config.timestep_spacing == "trailing"
    of_frame = alphas[time.repeat_interleave(6 // times)].view(6, 1, 1, 1)
    noisy = of_frame.sqrt() * z + (1 - of_frame).sqrt() * noise
    plain = torch.cat([noisy, told, mask], 1).unflatten(0, (2, 3)).float()
    torch.testing.assert_close(seen["inputs"], plain, rtol=1e-3, atol=1e-4)
    assert torch.equal(seen["time"], time) and seen["words"].shape == (2, 5, 64)
    aim = noise if prediction == "epsilon" else of_frame.sqrt() * noise - (1 - of_frame).sqrt() * z
    assert float(loss) == pytest.approx(float(((aim - 0.5) ** 2).mean()), rel=1e-4)


def test_kept_latents_are_those_of_the_same_pictures(vae, tmp_path):
    options = {"train": [SPRITES], "validation": [SPRITES], "vae": str(vae), "widths": [32, 32], "size": (32, 32)}
    options |= {"cache": str(tmp_path), "frames": 3}
    each, kept = (tgvac.Frame(tgvac.FrameOptions(**options, keep_latents=keep), 0) for keep in (False, True))
    for recipe in (each, kept):
        recipe.prepare(1, quiet)
        torch.manual_seed(0)
        recipe.network()
    for number in (0, 1, 0):  # the last from memory alone
        pictures, latents = each.batch(number, 5), kept.batch(number, 5)
        assert torch.equal(pictures["tokens"], latents["tokens"])
        flat = {name: part.flatten(0, 1) for name, part in pictures.items() if name != "tokens"}
        with torch.no_grad():
            plain = each._latents(flat, sample=False)
        for name, part in zip(("latents", "condition"), plain, strict=True):
            torch.testing.assert_close(latents[name].flatten(0, 1), part, rtol=1e-3, atol=1e-3)
        loss, _ = kept.loss(kept.parts["unet"], latents)
        assert torch.isfinite(loss)
    assert kept.kept and not each.kept


def test_phase_1_writes_a_pipeline_of_frames(phase1):
    pipe = TGVACPipeline.from_pretrained(phase1)
    assert type(pipe.unet).__name__ == "UNet2DConditionModel" and pipe.side == 32 and not (phase1 / "motion").exists()
    assert pipe.unet.config.in_channels == 9
    told = {said(world) for i in range(3) for world in ClipSource(SPRITES).make(i)}
    words = {word for text in told for word in text.split()}
    assert len(words) > 3 and all(len(pipe.tokenizer(word).input_ids) == 3 for word in words)
    assert pipe.tokenizer.unk_token_id not in {i for text in told for i in pipe.tokenizer(text).input_ids}


def test_phase_2_trains_the_motion_modules_alone(phase1, tmp_path):
    train("tgvac-motion", tmp_path, {"base": str(phase1), "sampled": 1, "heads": 4}, {"steps": 3, "weight_decay": 0.1})
    after = tmp_path / "out" / "pipeline"
    assert (after / "unet" / STATE).read_bytes() == (phase1 / "unet" / STATE).read_bytes()
    state = load_file(after / "motion" / STATE)
    assert all("motion_modules" in name for name in state)
    assert all(value.any() for name, value in state.items() if name.endswith("proj_out.weight"))
    # also within the network that was trained, decay and averaging included
    weights = torch.load(sorted((tmp_path / "out" / "checkpoints").iterdir())[-1] / "average.pt")
    for name, value in load_file(phase1 / "unet" / STATE).items():
        assert torch.equal(weights[f"module.{name}"], value), name
    assert TGVACPipeline.from_pretrained(after).length == 4


def test_what_the_network_predicts_goes_from_phase_to_phase(vae, tmp_path):
    frame = {"vae": str(vae), "widths": [32, 32], "sampled": 1, "prediction": "v_prediction"}
    train("tgvac-frame", tmp_path / "1", frame, {"steps": 1})
    train("tgvac-motion", tmp_path / "2", {"base": str(tmp_path / "1/out/pipeline"), "sampled": 1}, {"steps": 1})
    scheduler = TGVACPipeline.from_pretrained(tmp_path / "2/out/pipeline").scheduler
    assert scheduler.config.prediction_type == "v_prediction"


@pytest.mark.parametrize("name", [pytest.param("tgvac-frame", marks=pytest.mark.slow), "tgvac-motion"])
def test_a_resumed_run_has_the_same_losses_and_weights(name, vae, phase1, tmp_path):
    recipe = {"vae": str(vae), "widths": [32, 32]} if name == "tgvac-frame" else {"base": str(phase1), "heads": 4}
    written = f"pipeline/{'motion' if name == 'tgvac-motion' else 'unet'}/{STATE}"
    check_resumed(name, tmp_path, recipe | {"sampled": 1}, written)


def test_it_begins_with_stable_diffusion(tmp_path):
    write_checkpoint(tmp_path / "sd", channels=4, motion=False)
    options = {"train": [SPRITES], "validation": [SPRITES], "base": str(tmp_path / "sd"), "size": (64, 64)}
    recipe = tgvac.Frame(tgvac.FrameOptions(**options), 0)
    network = recipe.network()
    assert network.conv_in.in_channels == 9 and (network.conv_in.weight[:, 4:] == 0).all()
    assert torch.equal(network.conv_in.weight[:, :4], load_file(tmp_path / "sd/unet" / STATE)["conv_in.weight"])
    assert network.config.sample_size == 8
    literal = tgvac.Frame(tgvac.FrameOptions(**options, conditioning="mask-latent"), 0).network()
    assert literal.conv_in.in_channels == 8
    frames = tgvac.Frame(tgvac.FrameOptions(**options, conditioning="frames", cache=str(tmp_path), held=1), 0)
    frames.prepare(1, quiet)
    assert frames.network().conv_in.in_channels == 12
    clip = frames.clips.held[0]
    shown = frames._pictures(clip)["objects"]
    assert torch.equal(shown, training_clips.to_tensor(clip.frames)) and frames.conditioning.seen == (
        "frames",
        "visible",
    )
    for kind in (tgvac.Frame, tgvac.Motion):
        with pytest.raises(InputError, match="needs base"):
            kind(kind.Options(train=[SPRITES], validation=[SPRITES]), 0).network()


def test_captions_are_left_out_for_guidance(vae, tmp_path):
    options = {"train": [SPRITES], "validation": [SPRITES], "vae": str(vae), "widths": [32, 32], "size": (32, 32)}

    def silent(**more):
        recipe = tgvac.Frame(tgvac.FrameOptions(**options, **more, cache=str(tmp_path), frames=1), 0)
        recipe.prepare(1, quiet)
        recipe.network()
        rows = torch.cat([recipe.batch(k, 8)["tokens"] for k in range(12)])
        empty = torch.tensor([0, 1, *[2] * 22])
        return float((rows == empty).all(1).float().mean())

    assert silent(dropout=0.0) == 0 and silent(text=False) == 1 and 0.2 < silent(dropout=0.4) < 0.6


def test_the_tokenizer_knows_the_captions_words():
    words = make_tokenizer(["a red ball", "A man's hat, blue"])
    assert words("Red hat").input_ids == [words.bos_token_id, *(words.get_vocab()[w] for w in ("red", "hat")),
                                          words.eos_token_id]  # fmt: skip
    assert words("green").input_ids[1] == words.unk_token_id and words("").input_ids == [0, 1]


def coloured(share, first=(205, 30, 40), second=(60, 95, 210), **about):
    """A world of one frame whose object is `first` but for a share of `second`."""
    world = rigid_world(1, "affine", 1, 32, 32, occluders=[])
    mask = np.zeros((32, 32), bool)
    mask[8:28, 8:28] = True
    rgb = np.zeros((32, 32, 3), np.uint8)
    rgb[mask] = first
    rgb[8 : 8 + round(20 * share), 8:28] = second
    world.amodal[:], world.amodal_rgb[:] = [mask], [rgb]
    world.about.clear()
    world.about.update(about)
    return world


def said(world):
    return captions.caption(world.about, zip(world.amodal_rgb, world.amodal, strict=True))


def test_captions_are_told_or_made_of_colour_and_class():
    assert said(coloured(0, caption="the camel", **{"class": "x"})) == "the camel"
    assert said(coloured(0.1, **{"class": "ball"})) == "a red ball"
    assert said(coloured(0.4, **{"class": "ball"})) == "a red and blue ball"
    assert said(coloured(0, (240, 130, 25), **{"class": "vase"})) == "an orange vase"
    assert said(coloured(0.3)) == ""


def test_captions_come_with_folders_and_shards(tmp_path):
    from unocclude.synthesis.shards import write_shard

    world = rigid_world(2, "affine", 2, 48, 48)
    world.about.update(caption="a thing of mine", **{"class": "thing"})
    write_world(world, tmp_path / "set" / "00000")
    (tmp_path / "packed").mkdir()
    write_shard(tmp_path / "packed" / "0.tar", [tmp_path / "set" / "00000"])
    for spec in (f"gt:{tmp_path / 'set'}", f"shards:{tmp_path / 'packed'}"):
        (found,) = ClipSource(spec).make(0)
        assert found.about["caption"] == "a thing of mine"
        assert ClipSource(spec, ("thing",)).make(0) == []
        view = training_clips.ClipMaker(ClipSource(spec), (32, 32)).of(found)
        (tmp_path / "a.npz").write_bytes(training_clips.serialise(view.mirrored().select(slice(0, 1))))
        assert training_clips.load(tmp_path / "a.npz").caption == "a thing of mine"


def test_what_synth_composite_makes_is_trained_on_as_it_is(vae, tmp_path, capsys):
    for k, about in enumerate(({"class": "apple", "caption": "a red apple"}, {"class": "pea"}, {"class": "berry"})):
        write_source(tmp_path / "sources" / "abc"[k], k, meta=about)
    args = ["synth", "composite", "--sources", str(tmp_path / "sources"), "-o", str(tmp_path / "set"), "--count", "3"]
    assert main([*args, "--frames", "4"]) == 0
    said = capsys.readouterr().out.lower()
    assert all(row in said for row in ("frames", "classes", "instances", "object size", "occlusion rate", "coverage"))
    source = f"gt:{tmp_path / 'set'}"
    recipe = {"train": [source], "validation": [source], "vae": str(vae), "widths": [32, 32], "sampled": 1}
    file = config(tmp_path / "run", recipe, {})
    assert main(["train", "tgvac-frame", "--config", str(file), "-o", str(tmp_path / "out")]) == 0
    assert "miou_occ" in capsys.readouterr().out
    words = TGVACPipeline.from_pretrained(tmp_path / "out" / "pipeline").tokenizer.get_vocab()
    assert {"apple", "pea", "berry", "red"} <= words.keys()


def test_image_pairs_are_trained_on(vae, tmp_path):
    """Pairs in pix2gestalt's layout are clips of one frame."""
    world = rigid_world(4, "affine", 2, 48, 48, occluders=["pole"])
    for k in range(2):
        for part, picture in (("occlusion", world.frames[k]), ("whole", world.amodal_rgb[k]),
                              ("visible_object_mask", world.visible[k] * np.uint8(255)),
                              ("whole_mask", world.amodal[k] * np.uint8(255))):  # fmt: skip
            (tmp_path / "pairs" / part).mkdir(parents=True, exist_ok=True)
            write_png(tmp_path / "pairs" / part / f"{k}.png", picture)
    source = f"pix2gestalt:{tmp_path / 'pairs'}"
    recipe = {"train": [source], "validation": [source], "vae": str(vae), "widths": [32, 32], "sampled": 1, "frames": 1}
    assert "miou" in train("tgvac-frame", tmp_path / "run", recipe, {"batch": 4})["figures"]


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """Eight clips of a box that moves behind a slab. What is seen of it is grey in all of them: what its hidden part is
    like, the words alone tell. And a VAE as it is drawn, whose latents have mean 0 and deviation 1."""
    folder = tmp_path_factory.mktemp("eight")
    wholes = []
    for k, (name, colour) in enumerate(list(captions.COLOURS.items())[3:]):
        world = World([], [], [], [], [], 8.0, about={"caption": f"a {name} box"})
        for i in range(4):
            mask, hidden = np.zeros((2, 16, 16), bool)
            mask[4:12, 2 + i : 12 + i], hidden[:, 7:] = True, True
            world.amodal.append(mask)
            world.visible.append(mask & ~hidden)
            rgb = np.where((mask & hidden)[..., None], colour, 128 * mask[..., None]).astype(np.uint8)
            world.amodal_rgb.append(rgb)
            world.frames.append(np.where(world.visible[-1][..., None], np.uint8(128), np.uint8(70)).repeat(3, 2))
            wholes.append(np.where(mask[..., None], rgb, 255))
        write_world(world, folder / "set" / f"{k:05d}")
    torch.manual_seed(0)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(32, 32), layers_per_block=1,
    )  # fmt: skip
    with torch.no_grad():
        vae.quant_conv.weight[4:], vae.quant_conv.bias[4:] = 0, -20
        latents = vae.encode(training_clips.to_tensor(np.stack(wholes).astype(np.uint8))).latent_dist.mode()
        vae.quant_conv.bias[:4] -= latents.mean((0, 2, 3))
        vae.register_to_config(scaling_factor=1 / float((latents - latents.mean((0, 2, 3), True)).std()))
    vae.save_pretrained(folder / "vae")
    return folder


def loaded(name, folder):
    """A recipe of a finished run, its data ready, and the network that it wrote."""
    recipe = training.get_recipe(name)(training.read_config(folder / "config.toml", training.get_recipe(name))[0], 0)
    recipe.prepare(1, quiet)
    recipe.network()
    pipe = TGVACPipeline.from_pretrained(folder / "out" / "pipeline")
    recipe.parts = pipe.components  # where there is no base, others were drawn
    return recipe, pipe.unet


@torch.no_grad()
def error(recipe, network):
    """The loss at fixed noise and times."""
    torch.manual_seed(5)
    return float(np.mean([float(recipe.loss(network, recipe.batch(k, 8))[0]) for k in range(8)]))


@torch.no_grad()
def nearest(recipe, network):
    """The first clip completed with the words of every clip: whose whole object the result is nearest to."""
    clips = recipe.clips.held
    truth = torch.stack([recipe._encode(training_clips.to_tensor(clip.wholes)) for clip in clips]).flatten(1)
    pipe = TGVACPipeline(**recipe.parts | {"unet": network})
    pipe.set_progress_bar_config(disable=True)
    found = []
    for told in clips:
        out = pipe(
            training_clips.to_tensor(clips[0].objects)[None], training_clips.to_tensor(clips[0].visible)[None],
            told.caption, num_inference_steps=10, guidance_scale=2.0, generator=torch.Generator().manual_seed(0),
            output_type="latent",
        )  # fmt: skip
        found.append(int((truth - out.latents.flatten(1)).square().sum(1).argmin()))
    return found


@pytest.mark.slow
def test_eight_clips_are_learnt_in_both_phases_and_words_tell_them_apart(eight, tmp_path):
    source = f"gt:{eight / 'set'}"
    data = {"train": [source], "validation": [source], "held": 8, "size": [16, 16], "sampled": 1}
    loop = {"batch": 8, "learning_rate": 0.003, "warmup": 20, "ema": 0.9, "save_every": 1000, "evaluate_every": 1000}
    small = {"vae": str(eight / "vae"), "widths": [32, 32], "prediction": "v_prediction", "frames": 4}
    train("tgvac-frame", tmp_path / "1", data | small, loop | {"steps": 300, "batch": 4})
    log = [json.loads(line)["loss"] for line in (tmp_path / "1/out/log.jsonl").read_text().splitlines()]
    frame, network = loaded("tgvac-frame", tmp_path / "1")
    assert np.mean(log[-10:]) < 0.5 * np.mean(log[:10])
    told = nearest(frame, network)
    right = sum(k == found for k, found in enumerate(told))
    base = {"base": str(tmp_path / "1/out/pipeline"), "heads": 4, "frames": 4}
    train("tgvac-motion", tmp_path / "2", data | base, loop | {"steps": 60})
    recipe, motion = loaded("tgvac-motion", tmp_path / "2")
    assert right >= 7 and sum(k == found for k, found in enumerate(nearest(recipe, motion))) >= 6
    assert error(recipe, motion) < error(recipe, network)
