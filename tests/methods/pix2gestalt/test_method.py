"""pix2gestalt: its published file format, and figures that the published code gave on the same small weights."""

import json
from pathlib import Path

import numpy as np
import pytest

import unocclude
from unocclude import InputError
from unocclude.clip import Clip
from unocclude.masks import MaskTrack
from unocclude.synthesis import rigid_world

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from support.tiny_diffusion_vas import random_tensors  # noqa: E402
from support.tiny_pix2gestalt import shapes, write_checkpoint  # noqa: E402
from unocclude.methods.pix2gestalt.checkpoint import converted  # noqa: E402
from unocclude.methods.pix2gestalt.pipeline import Pix2GestaltPipeline  # noqa: E402

torch.set_num_threads(1)
FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "p2g")


@pytest.fixture(scope="module")
def pipe(weights):
    pipe = Pix2GestaltPipeline.from_pretrained(weights)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def pictures():
    rng = np.random.default_rng(5)
    image, mask = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8), np.zeros((64, 64, 3))
    mask[10:40, 20:50] = 255
    return [torch.tensor(part / 127.5 - 1, dtype=torch.float32).permute(2, 0, 1)[None] for part in (image, mask)]


@pytest.mark.parametrize("run", ["2.0,1.0,5", "1.0,0.0,4", "3.0,0.0,10"])
def test_it_gives_what_the_published_code_gives(pipe, run):
    expected = json.loads((FIXTURES / "pix2gestalt.json").read_text())["runs"][run]
    scale, eta, steps = (float(part) for part in run.split(","))
    found = pipe(
        *pictures(), num_inference_steps=int(steps), guidance_scale=scale, eta=eta,
        generator=torch.Generator().manual_seed(11),
    )[0].flatten()  # fmt: skip
    np.testing.assert_allclose(found[:: len(found) // 48], expected, atol=1e-3)


def test_the_published_files_names_and_shapes_are_all_used():
    state = {name: torch.empty(shape, device="meta") for name, shape in shapes("full").items()}
    parts = converted(Path("published"), state)
    for module, own in parts.values():
        assert {name: value.shape for name, value in own.items()} == {
            name: value.shape for name, value in module.state_dict().items()
        }
    unet, encoder = parts["unet"][0], parts["image_encoder"][0]
    assert unet.config.in_channels == 12 and unet.config.block_out_channels == (320, 640, 1280, 1280)
    assert (encoder.config.num_hidden_layers, encoder.config.patch_size, encoder.config.image_size) == (24, 14, 224)
    assert parts["vae"][0].config.block_out_channels == (128, 256, 512, 512)


def test_averaged_weights_are_run_where_there_are_some(weights, pipe, tmp_path):
    state = random_tensors(shapes("tiny"), 3)
    name = "model.diffusion_model.time_embed.0.weight"
    average = "model_ema.diffusion_modeltime_embed0weight"
    assert torch.equal(pipe.unet.time_embedding.linear_1.weight, state[average])

    def drop(state):
        for key in [key for key in state if key.startswith("model_ema.")]:
            del state[key]

    other = Pix2GestaltPipeline.from_pretrained(write_checkpoint(tmp_path / "plain", drop))
    assert torch.equal(other.unet.time_embedding.linear_1.weight, state[name])


def test_bad_checkpoints_are_named(weights, tmp_path):
    with pytest.raises(InputError, match=r"no \*\.ckpt there"):
        Pix2GestaltPipeline.from_pretrained(tmp_path)
    for name, said in (
        ("cc_projection.weight", "it lacks cc_projection.weight"),
        ("first_stage_model.decoder.conv_out.bias", "it lacks decoder.conv_out.bias"),
        ("cond_stage_model.model.visual.ln_pre.bias", "it lacks vision_model.pre_layrnorm.bias"),
    ):
        folder = write_checkpoint(tmp_path / name, lambda state, name=name: state.pop(name))
        with pytest.raises(InputError, match=said):
            Pix2GestaltPipeline.from_pretrained(folder)
    for content in (b"", b"no pickle"):
        (tmp_path / "x.ckpt").write_bytes(content)
        with pytest.raises(InputError, match="not a Lightning checkpoint"):
            Pix2GestaltPipeline.from_pretrained(tmp_path)


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "done",)

    torch.save({"state_dict": random_tensors(shapes("tiny"), 3), "x": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(InputError, match="read safely"):
        Pix2GestaltPipeline.from_pretrained(tmp_path)
    assert not (tmp_path / "done").exists()


def complete(world, weights, **options):
    kind = {key: options.pop(key) for key in ("seed", "hypotheses", "visible") if key in options}
    track = MaskTrack.from_masks(kind.pop("visible", world.visible))
    return unocclude.complete(
        Clip.from_frames(world.frames), track, method="pix2gestalt", weights=str(weights), pictures=False,
        options={"steps": 3, "side": 64} | options, **kind,
    )  # fmt: skip


def test_a_clip_is_completed_frame_by_frame(weights):
    world = rigid_world(4, "affine", 3, 96, 72, occluders=["pole"])
    visible = [*world.visible[:2], np.zeros((72, 96), bool)]
    result = complete(world, weights, visible=visible, seed=2)
    assert not result.amodal_masks[2].any()
    for i in range(2):
        seen = visible[i] & (result.rgba[i][..., 3] == 255)
        assert np.array_equal(result.rgba[i][seen][:, :3], world.frames[i][seen])
        assert (result.amodal_masks[i] | visible[i] == result.amodal_masks[i]).all()
        assert set(np.unique(result.provenance[i])) <= {0, 1, 3}
    alone = [np.zeros((72, 96), bool), visible[1], visible[2]]
    assert np.array_equal(complete(world, weights, visible=alone, seed=2).rgba[1], result.rgba[1])
    several = complete(world, weights, visible=visible, seed=1, hypotheses=2)
    assert np.array_equal(several.hypotheses[1].rgba[0], result.rgba[0])
    assert not several.hypotheses[1].amodal_masks[2].any()  # also where the object is never seen
    assert not np.array_equal(complete(world, weights, visible=visible, seed=2, framing="squeeze").rgba[0],
                              result.rgba[0])  # fmt: skip


def test_without_weights_it_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path))
    assert "epoch=000005.ckpt" in unocclude.methods.get_method("pix2gestalt").missing()
