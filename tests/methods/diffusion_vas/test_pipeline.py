"""The pipeline against figures that the published code gave on the same weights, and against plain equations."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

from unocclude import InputError

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from support.tiny_diffusion_vas import UNET, conditions, random_tensors, shapes_of, write_checkpoint  # noqa: E402
from unocclude.methods.diffusion_vas import DiffusionVASPipeline  # noqa: E402
from unocclude.methods.diffusion_vas.conditioning import Aligned, Parity  # noqa: E402
from unocclude.methods.diffusion_vas.pipeline import PerFrameEmbeddings, clip_embeddings  # noqa: E402

torch.set_num_threads(1)
FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "published")


@pytest.fixture(scope="module")
def pipe(folder):
    pipe = DiffusionVASPipeline.from_pretrained(str(folder))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def seeded(seed=23):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("run", ["1,1.5,4", "2,1.5,4", "3,1.5,4", "5,1.0,4", "9,1.5,25", "25,1.5,2"])
def test_parity_gives_what_the_published_code_gives(pipe, run):
    expected = json.loads((FIXTURES / "diffusion_vas.json").read_text())["runs"][run]
    frames, scale, steps = (float(part) for part in run.split(","))
    out = pipe(
        *conditions(int(frames)), num_inference_steps=int(steps), min_guidance_scale=scale, max_guidance_scale=scale,
        conditioning_order="parity", generator=seeded(),
    )  # fmt: skip
    assert out.frames.shape == (1, int(frames), 32, 64, 3) and out.latents.shape == (1, int(frames), 4, 4, 8)
    for name, tolerance in (("latents", 2e-3), ("frames", 5e-4)):
        values = getattr(out, name).flatten()
        found = values[:: max(1, values.numel() // 48)]
        np.testing.assert_allclose(found, expected[name], atol=tolerance)


def test_the_repaired_order_is_another(pipe):
    outs = [
        pipe(*conditions(3), num_inference_steps=2, conditioning_order=name, generator=seeded()).latents
        for name in ("parity", "aligned")
    ]
    assert (outs[0] - outs[1]).abs().max() > 0.1


def test_rows_in_both_orders():
    embeddings = torch.arange(1, 5, dtype=torch.float32)[:, None].expand(4, 2)
    as_numbers = lambda rows: rows[:, 0, 0].tolist()  # noqa: E731
    assert as_numbers(Aligned().rows(embeddings, True)) == [0, 0, 0, 0, 1, 2, 3, 4]
    assert as_numbers(Parity().rows(embeddings, True)) == [0, 1, 0, 2, 0, 3, 0, 4]
    for how in (Aligned(), Parity()):
        assert as_numbers(how.rows(embeddings, False)) == [1, 2, 3, 4]


def test_only_parity_stretches_a_frame_without_negative_values():
    bright, any_ = torch.full((3, 2, 2), 0.25), torch.tensor([-0.1, 0.5]).view(1, 1, 2).expand(3, 2, 2)
    assert torch.equal(Parity().frame(bright), torch.full((3, 2, 2), -0.5))
    assert torch.equal(Parity().frame(any_), any_)
    assert torch.equal(Aligned().frame(bright), bright)


def test_scheduler_values(pipe):
    """EDM's schedule (Karras et al. 2022, equation 5) from 700 to 0.002, rho 7; timesteps ln(sigma) / 4."""
    pipe.scheduler.set_timesteps(25)
    ramp = np.linspace(0, 1, 25)
    sigmas = (700 ** (1 / 7) + ramp * (0.002 ** (1 / 7) - 700 ** (1 / 7))) ** 7
    np.testing.assert_allclose(pipe.scheduler.sigmas[:-1], sigmas, rtol=1e-4)
    assert pipe.scheduler.sigmas[-1] == 0
    np.testing.assert_allclose(pipe.scheduler.timesteps, 0.25 * np.log(sigmas), rtol=1e-4, atol=1e-5)
    assert math.isclose(pipe.scheduler.init_noise_sigma, math.sqrt(700**2 + 1), rel_tol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1.5, 3.0])
def test_denoising_is_the_papers_equations(pipe, scale):
    """Equations 1 (its D), 2 and 3, written out, in the order in which the generator is asked."""
    count, steps, generator = 3, 5, seeded()
    first, second = conditions(count)
    found = pipe(
        first, second, num_inference_steps=steps, min_guidance_scale=scale, max_guidance_scale=scale, fps=6,
        generator=seeded(), output_type="latent",
    )  # fmt: skip
    noise = [torch.randn(count, 1, 3, 32, 64, generator=generator) for _ in range(2)]
    with torch.no_grad():
        latents = [
            torch.cat([pipe.vae.encode(clip[0, i : i + 1] + 0.02 * eps[i]).latent_dist.mode() for i in range(count)])
            for clip, eps in ((first, noise[0]), (second, noise[1]))
        ]
        rows = clip_embeddings(pipe.image_encoder, pipe.feature_extractor, first[0], torch.device("cpu"))
    pipe.scheduler.set_timesteps(steps)
    sigmas = pipe.scheduler.sigmas.double()
    z = torch.randn(1, count, 4, 4, 8, generator=generator).double() * math.sqrt(float(sigmas[0]) ** 2 + 1)
    ids = torch.tensor([[5.0, 127.0, 0.02]])

    def network(z, sigma, conditioned):
        inputs = torch.cat([(z / math.sqrt(sigma**2 + 1)).float()[0], *(c * conditioned for c in latents)], 1)[None]
        with torch.no_grad():
            time = torch.tensor(0.25 * math.log(sigma))
            return pipe.unet(
                inputs, time, PerFrameEmbeddings(rows[:, None] * conditioned), added_time_ids=ids
            ).sample.double()

    for sigma, following in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        answer = network(z, sigma, 1)
        if scale > 1:
            answer = network(z, sigma, 0) + scale * (answer - network(z, sigma, 0))
        denoised = z / (sigma**2 + 1) - sigma / math.sqrt(sigma**2 + 1) * answer
        z = z + (following - sigma) * (z - denoised) / sigma
    torch.testing.assert_close(found.latents.double(), z, rtol=1e-3, atol=1e-3)
    assert found.frames is None


def test_guidance_grows_from_the_first_frame_to_the_last(pipe):
    """With a scale of 1 in the first frame and 3 in the last, these are as with that scale throughout for one step."""

    def run(low, high):
        scales = {"min_guidance_scale": low, "max_guidance_scale": high}
        return pipe(*conditions(3), num_inference_steps=1, generator=seeded(), **scales).latents

    ramp, three = run(1.0, 3.0), run(3.0, 3.0)
    torch.testing.assert_close(ramp[:, -1], three[:, -1])
    assert (ramp[:, 0] - three[:, 0]).abs().max() > 1e-3


@pytest.mark.parametrize("count", [1, 2, 3, 8, 25, 26, 60])
def test_any_number_of_frames(pipe, count):
    first, second = conditions(count, 16, 24)
    out = pipe(first, second, num_inference_steps=1, generator=seeded(), window=25, overlap=8)
    assert out.frames.shape == (1, count, 16, 24, 3) and torch.isfinite(out.latents).all()
    assert out.frames.min() >= 0 and out.frames.max() <= 1
    assert not out.frames.requires_grad and out.frames.device.type == "cpu"
    again = pipe(first, second, num_inference_steps=1, generator=seeded(), window=25, overlap=8)
    assert torch.equal(out.frames, again.frames)
    if count <= 25:
        whole = pipe(first, second, num_inference_steps=1, generator=seeded())
        assert torch.equal(out.latents, whole.latents)


def test_windows_are_blended_while_denoising(pipe):
    first, second = conditions(12, 16, 16)
    denoise = lambda **kind: pipe(first, second, num_inference_steps=3, generator=seeded(), **kind).latents  # noqa: E731
    whole, apart, blended = denoise(), denoise(window=6, overlap=0), denoise(window=6, overlap=4)
    assert (whole - apart).abs().max() > 1e-3 and (blended - apart).abs().max() > 1e-3


def test_decoding_in_parts_is_decoding_each_part(pipe):
    out = pipe(*conditions(10), num_inference_steps=1, generator=seeded(), decode_chunk_size=4)
    with torch.no_grad():
        parts = [pipe.vae.decode(part / 0.18215, num_frames=len(part)).sample for part in out.latents[0].split(4)]
    plain = (torch.cat(parts) / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    torch.testing.assert_close(out.frames[0], plain)


def test_full_size_has_the_published_names_and_shapes():
    from diffusers import UNetSpatioTemporalConditionModel

    lines = gzip.decompress((FIXTURES / "diffusion_vas_unet.txt.gz").read_bytes()).decode().splitlines()[1:]
    published = dict(line.split(" ") for line in lines)
    with torch.device("meta"):
        unet = UNetSpatioTemporalConditionModel(in_channels=12, sample_size=96)
    ours = {name: ",".join(map(str, value.shape)) for name, value in unet.state_dict().items()}
    assert published.pop("conv_in.weight") == "320,8,3,3" and published.pop("conv_in.bias") == "320"
    assert {name.replace("conv_in2.", "conv_in."): shape for name, shape in published.items()} == ours


def test_the_layer_that_is_used_is_read_and_the_dead_one_is_not(folder, pipe):
    shapes = {"conv_in2.weight": (32, 12, 3, 3), "conv_in2.bias": (32,)}
    for name, value in random_tensors(shapes).items():
        assert torch.equal(pipe.unet.state_dict()[name.replace("in2", "in")], value)
    assert pipe.unet.config.in_channels == 12


def test_its_own_format_and_half_precision_come_back(pipe, tmp_path):
    pipe.save_pretrained(tmp_path / "own")
    index = json.loads((tmp_path / "own" / "model_index.json").read_text())
    assert index["unet"] == ["diffusers", "UNetSpatioTemporalConditionModel"]
    assert json.loads((tmp_path / "own" / "unet" / "config.json").read_text())["in_channels"] == 12
    own = DiffusionVASPipeline.from_pretrained(tmp_path / "own")
    half = DiffusionVASPipeline.from_pretrained(write_checkpoint(tmp_path / "half", half=True))
    for other, tolerance in ((own, 0), (half, 0.05)):
        other.set_progress_bar_config(disable=True)
        outs = [p(*conditions(2), num_inference_steps=1, generator=seeded()).latents for p in (pipe, other)]
        torch.testing.assert_close(*outs, rtol=0, atol=tolerance)


def test_a_network_for_masks_alone_takes_one_clip(pipe, tmp_path):
    from diffusers import UNetSpatioTemporalConditionModel

    unet = UNetSpatioTemporalConditionModel(**UNET)
    unet.load_state_dict(random_tensors(shapes_of(unet)))
    parts = {name: getattr(pipe, name) for name in ("vae", "image_encoder", "scheduler", "feature_extractor")}
    alone = DiffusionVASPipeline(unet=unet, **parts)
    alone.set_progress_bar_config(disable=True)
    first, second = conditions(2)
    assert alone(first, num_inference_steps=1, generator=seeded()).frames.shape == (1, 2, 32, 64, 3)
    with pytest.raises(InputError, match="takes 1 conditioning clips, 2 were given"):
        alone(first, second)


@pytest.mark.parametrize(
    ("shape", "said"),
    [((1, 2, 3, 30, 64), "divisible by 8"), ((2, 2, 3, 32, 64), "expected"), ((1, 0, 3, 32, 64), "at least one frame"),
     ((1, 2, 1, 32, 64), "expected")],
)  # fmt: skip
def test_inputs_of_another_form_are_refused(pipe, shape, said):
    with pytest.raises(InputError, match=said):
        pipe(torch.zeros(shape), torch.zeros(shape))


def test_bad_checkpoints_are_named(folder, tmp_path):
    import shutil

    with pytest.raises(InputError, match=r"no model_index\.json"):
        DiffusionVASPipeline.from_pretrained(tmp_path)
    for part, said in (
        ("unet", "diffusion_pytorch_model"),
        ("vae", "video VAE"),
        ("image_encoder", "CLIP image encoder"),
    ):
        broken = tmp_path / part
        shutil.copytree(folder, broken)
        for file in (broken / part).glob("*.safetensors"):
            file.unlink()
        with pytest.raises(InputError, match=said):
            DiffusionVASPipeline.from_pretrained(broken)
    with pytest.raises(InputError, match="conditioning_order is 'x'"):
        DiffusionVASPipeline.from_pretrained(folder)(*conditions(1), conditioning_order="x")
