"""TGVAC's network and pipeline against plain versions of the paper's equations, on tiny networks drawn by name."""

import json
import math
import shutil
import weakref
from collections.abc import Sequence

import numpy as np
import pytest

from unocclude import InputError

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from support.tiny_diffusion_vas import random_tensors, shapes_of  # noqa: E402
from support.tiny_tgvac import clip, write_checkpoint  # noqa: E402
from unocclude.methods.tgvac import TGVACPipeline  # noqa: E402
from unocclude.methods.tgvac.conditioning import CONDITIONINGS, conditioning_for_channels  # noqa: E402
from unocclude.methods.tgvac.motion import RelativeAttention, inflate, motion_state, run  # noqa: E402
from unocclude.methods.windows import split_windows  # noqa: E402

torch.set_num_threads(1)
WORDS = "a red ball"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "tgvac")


def load(folder, **options):
    pipe = TGVACPipeline.from_pretrained(folder, **options)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def pipe(folder):
    return load(folder)


@pytest.fixture(scope="module")
def frame_pipe(folder):
    return load(folder, motion=False)


def seeded(seed=23):
    return torch.Generator().manual_seed(seed)


def inputs(frames, count=2):
    generator = seeded(4)
    shapes = (count, frames, 9, 4, 4), (count, 7, 32)
    return *(torch.randn(shape, generator=generator) for shape in shapes), torch.tensor([3, 800][:count])


@torch.no_grad()
def test_inflated_it_is_the_frame_network_until_it_is_trained(frame_pipe):
    network = inflate(frame_pipe.unet, 14, 4)
    sample, words, time = inputs(5)
    found = run(network, sample, time, words)
    for k in range(2):
        for i in range(5):
            alone = frame_pipe.unet(sample[k, i : i + 1], time[k], words[k : k + 1]).sample[0]
            torch.testing.assert_close(found[k, i], alone, rtol=1e-4, atol=1e-5)
    module = network.up_blocks[1].motion_modules[0]
    torch.nn.init.normal_(module.proj_out.weight)
    assert (run(network, sample, time, words) - found).abs().max() > 0.01


def test_untrained_motion_modules_learn(frame_pipe):
    """Their last layers get a gradient although they are zero, and all the others once these are not."""
    network = inflate(frame_pipe.unet, 14, 4)
    network.freeze_unet2d_params()
    sample, words, time = inputs(3)
    run(network, sample, time, words).square().sum().backward()
    moved = {name for name, value in network.named_parameters() if value.grad is not None and value.grad.any()}
    assert moved and all("motion_modules" in name and "proj_out" in name for name in moved)
    trained = load_motion(network)
    run(trained, sample, time, words).square().sum().backward()
    moved = {name for name, value in trained.named_parameters() if value.grad is not None and value.grad.any()}
    assert any(name.endswith("attn2.processor.bias") for name in moved)


def load_motion(network):
    network.load_state_dict(
        random_tensors({name: value.shape for name, value in motion_state(network).items()}), strict=False
    )
    return network


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 2, 6])
def test_attention_between_frames_adds_a_number_for_their_distance(frames):
    from diffusers.models.attention_processor import Attention

    relative = RelativeAttention(2, 6)
    relative.bias.copy_(torch.randn(2, 11, generator=seeded(1)))
    attn = Attention(query_dim=8, heads=2, dim_head=4, processor=relative)
    attn.load_state_dict(random_tensors(shapes_of(attn)) | {"processor.bias": relative.bias})
    x = torch.randn(3, frames, 8, generator=seeded(2))
    found = attn(x)
    for n in range(3):
        heads = []
        for h in range(2):
            part = slice(4 * h, 4 * h + 4)
            query, key, value = ((x[n] @ layer.weight.T)[:, part] for layer in (attn.to_q, attn.to_k, attn.to_v))
            rows = []
            for i in range(frames):
                logits = [query[i] @ key[j] / 2 + relative.bias[h, j - i + 5] for j in range(frames)]
                rows.append(torch.stack(logits).softmax(0) @ value)
            heads.append(torch.stack(rows))
        plain = torch.cat(heads, 1) @ attn.to_out[0].weight.T + attn.to_out[0].bias
        torch.testing.assert_close(found[n], plain, rtol=1e-4, atol=1e-5)


def test_conditioning_in_all_readings():
    objects, masks = (part[0] for part in clip(2))
    masks = masks.clone()
    masks[0, :, :8, :3] = 1.0
    encode = lambda pictures: pictures[:, [0, 1, 2, 0], ::8, ::8] * 2  # noqa: E731
    told = CONDITIONINGS["visible"](encode, objects, masks)
    assert told.shape == (2, 5, 4, 4)
    assert torch.equal(told[:, :4], encode(objects))
    blocks = masks[:, 0].view(2, 4, 8, 4, 8).permute(0, 1, 3, 2, 4).flatten(3)
    torch.testing.assert_close(told[:, 4], (blocks > 0).float().mean(-1))
    assert torch.equal(CONDITIONINGS["mask-latent"](encode, objects, masks), encode(masks))
    assert (
        conditioning_for_channels(9) is CONDITIONINGS["visible"]
        and conditioning_for_channels(8) is CONDITIONINGS["mask-latent"]
        and conditioning_for_channels(12) is CONDITIONINGS["frames"]
    )
    told = CONDITIONINGS["frames"](encode, objects, masks)
    assert torch.equal(told, torch.cat([encode(objects), encode(masks)], 1)) and told.shape == (2, 8, 4, 4)
    with pytest.raises(InputError, match="4 input channels"):
        conditioning_for_channels(4)


def plain(pipe, objects, masks, words, steps, scale, windows_of):
    """The denoised latents, (F, 4, h, w): DDIM (Song et al. 2021, equation 12, eta 0) written out in double precision,
    and of every frame the mean over the windows that have it, (start, stop) each."""
    count = objects.shape[1]
    generator = seeded()
    z = torch.cat([torch.randn(1, 4, 4, 4, generator=generator) for _ in range(count)]).double()
    with torch.no_grad():
        told = pipe.vae.encode(objects[0]).latent_dist.mode() * 0.18215
        mask = masks[0, :, :1].view(count, 1, 4, 8, 4, 8).mean((3, 5)) / 2 + 0.5
        rows = {text: pipe.text_encoder(pipe.tokenizer([text], padding="max_length", max_length=77,
                return_tensors="pt").input_ids).last_hidden_state for text in ("", words)}  # fmt: skip
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, 0)
    for k in reversed(range(steps)):
        t = k * (1000 // steps) + 1
        total, times = torch.zeros_like(z), torch.zeros(count)
        for start, stop in windows_of:
            part = torch.cat([z[start:stop].float(), told[start:stop], mask[start:stop]], 1)[None]
            with torch.no_grad():
                without, with_ = (run(pipe.unet, part, torch.tensor([t]), rows[text])[0] for text in ("", words))
            for i in range(start, stop):
                total[i] += without[i - start] + scale * (with_[i - start] - without[i - start])
                times[i] += 1
        noise = total / times.view(-1, 1, 1, 1)
        now, after = alphas[t], alphas[max(t - 1000 // steps, 0)]
        z = after.sqrt() * (z - (1 - now).sqrt() * noise) / now.sqrt() + (1 - after).sqrt() * noise
    return z


def test_one_window_is_the_plain_pipeline(pipe):
    objects, masks = clip(5)
    found = pipe(objects, masks, WORDS, num_inference_steps=5, generator=seeded(), output_type="latent")
    assert found.frames is None
    expected = plain(pipe, objects, masks, WORDS, 5, 7.5, [(0, 5)])
    torch.testing.assert_close(found.latents[0].double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("together", [1, 3])
def test_windows_are_averaged_as_often_as_a_frame_was_processed(pipe, together):
    objects, masks = clip(11)
    found = pipe(
        objects, masks, WORDS, num_inference_steps=4, window=5, stride=2, together=together, generator=seeded(),
        guidance_scale=3.0, output_type="latent",
    )  # fmt: skip
    parts = [(0, 5), (2, 7), (4, 9), (6, 11)]
    expected = plain(pipe, objects, masks, WORDS, 4, 3.0, parts)
    torch.testing.assert_close(found.latents[0].double(), expected, rtol=1e-3, atol=1e-3)
    apart = plain(pipe, objects, masks, WORDS, 4, 3.0, [(0, 5), (5, 10), (10, 11)])
    assert (expected - apart).abs().max() > 0.05


@pytest.mark.parametrize("count", [1, 13, 14, 15, 60, pytest.param(300, marks=pytest.mark.slow)])
def test_any_number_of_frames(pipe, count):
    run_it = lambda: pipe(*clip(count), WORDS, num_inference_steps=1, together=4, generator=seeded())  # noqa: E731
    out = run_it()
    assert out.frames.shape == (1, count, 32, 32, 3) and torch.isfinite(out.latents).all()
    assert out.frames.min() >= 0 and out.frames.max() <= 1 and out.frames.std() > 0.05
    assert not out.frames.requires_grad and out.frames.device.type == "cpu"
    assert torch.equal(out.frames, run_it().frames)


class Counted(Sequence):
    """Pictures made when asked for, and how many of them were alive at once."""

    def __init__(self, picture, count):
        self.picture, self.count, self.alive, self.most = picture, count, weakref.WeakSet(), 0

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        made = self.picture(i)
        self.alive.add(made)
        self.most = max(self.most, len(self.alive))
        return made


def cost(pipe, count, monkeypatch, **options):
    """Calls of the network, frames it saw in all, frames of a call at most, and pictures alive at once."""
    seen = []
    forward = type(pipe.unet).forward

    def counted(self, sample, *args, **kwargs):
        seen.append(sample.shape[0] * sample.shape[2])
        return forward(self, sample, *args, **kwargs)

    monkeypatch.setattr(type(pipe.unet), "forward", counted)
    pictures = [Counted(lambda i, part=part: part[0, i % 4].clone(), count) for part in clip(4)]
    how = {"num_inference_steps": 2, "guidance_scale": 7.5, "window": None, "stride": 4, "together": 1}
    latents = pipe.denoise(*pictures, WORDS, generator=seeded(), **how | options)
    decoded = Counted(lambda i: 0, 0)
    for chunk in pipe.decode(latents):
        decoded.alive.add(chunk)
        decoded.most = max(decoded.most, sum(len(part) for part in decoded.alive))
        del chunk
    monkeypatch.undo()
    return len(seen), sum(seen), max(seen), [part.most for part in pictures], decoded.most


def test_cost_grows_with_the_clip_and_memory_does_not(pipe, monkeypatch):
    short, middle, long = (cost(pipe, count, monkeypatch) for count in (18, 22, 30))
    assert [short[0], middle[0], long[0]] == [2 * ((count - 14) // 4 + 1) for count in (18, 22, 30)]
    assert (long[1] - middle[1]) == 2 * (middle[1] - short[1])
    assert short[2:] == middle[2:] == long[2:]
    assert short[2] == 2 * 14 and max(short[3]) <= 9 and short[4] <= 16


def test_windows_of_a_call(pipe, monkeypatch):
    calls, all_, most, *_ = cost(pipe, 34, monkeypatch, together=4)
    assert (calls, most) == (2 * math.ceil(len(split_windows(34, 14, 4)) / 4), 2 * 4 * 14)
    assert all_ == cost(pipe, 34, monkeypatch)[1]


def test_a_frames_noise_is_its_own(frame_pipe):
    """Without motion modules a frame's result depends neither on the clip's length nor on the windows."""
    objects, masks = clip(20)

    def run_it(n, **how):
        part = objects[:, :n], masks[:, :n]
        return frame_pipe(*part, WORDS, num_inference_steps=2, generator=seeded(), **how).latents

    whole = run_it(20)
    torch.testing.assert_close(run_it(6), whole[:, :6], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(run_it(20, window=20), whole, rtol=1e-4, atol=1e-4)
    assert (whole[:, 1] - whole[:, 0]).abs().max() > 0.1


def test_words_guide_and_motion_matters(pipe, frame_pipe):
    objects, masks = clip(3)

    def run_it(words, pipe=pipe, **how):
        return pipe(objects, masks, words, num_inference_steps=2, generator=seeded(), **how).latents

    red, blue, silent = run_it(WORDS), run_it("a blue box"), run_it("")
    assert (red - blue).abs().max() > 0.05 and (red - silent).abs().max() > 0.05
    assert torch.equal(silent, run_it("", guidance_scale=2.0))
    assert (red - run_it(WORDS, guidance_scale=1.0)).abs().max() > 0.01
    assert (red - run_it(WORDS, frame_pipe)).abs().max() > 0.05


def test_the_visible_object_matters(pipe):
    objects, masks = clip(2)
    run_it = lambda *told: pipe(*told, WORDS, num_inference_steps=1, generator=seeded()).latents  # noqa: E731
    whole = run_it(objects, masks)
    assert (whole - run_it(-objects, masks)).abs().max() > 1e-3
    assert (whole - run_it(objects, -masks)).abs().max() > 1e-3


def test_a_network_conditioned_as_the_equation_says(tmp_path):
    pipe = load(write_checkpoint(tmp_path / "a", channels=8))
    objects, masks = clip(2)
    out = pipe(objects, masks, WORDS, num_inference_steps=1, generator=seeded())
    other = pipe(-objects, masks, WORDS, num_inference_steps=1, generator=seeded())
    assert torch.equal(out.latents, other.latents)
    assert not torch.equal(out.latents, pipe(objects, -masks, WORDS, num_inference_steps=1, generator=seeded()).latents)


def test_a_checkpoint_comes_back(folder, pipe, tmp_path):
    from diffusers import UNetMotionModel

    assert isinstance(pipe.unet, UNetMotionModel) and pipe.length == 14 and pipe.side == 32
    for name, value in random_tensors(shapes_of(pipe.unet)).items():
        assert torch.equal(pipe.unet.state_dict()[name], value), name
    half = TGVACPipeline.from_pretrained(folder, torch.float16)
    assert {value.dtype for value in half.unet.parameters()} == {torch.float16}


@pytest.mark.parametrize(
    ("shape", "said"),
    [((1, 2, 3, 30, 64), "divisible by 8"), ((2, 2, 3, 32, 64), "expected"), ((1, 0, 3, 32, 64), "at least one frame"),
     ((1, 2, 1, 32, 64), "expected")],
)  # fmt: skip
def test_inputs_of_another_form_are_refused(pipe, shape, said):
    with pytest.raises(InputError, match=said):
        pipe(torch.zeros(shape), torch.zeros(shape))


def test_a_window_is_no_longer_than_what_was_trained(pipe, frame_pipe):
    with pytest.raises(InputError, match="window is 15; the motion modules take at most 14 frames"):
        pipe(*clip(20), window=15)
    assert frame_pipe(*clip(16), window=15, num_inference_steps=1).frames.shape[1] == 16


def test_bad_checkpoints_are_named(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    def broken(name, change):
        shutil.copytree(folder, tmp_path / name)
        change(tmp_path / name)
        return tmp_path / name

    alone = broken("alone", lambda there: shutil.rmtree(there / "motion"))
    with pytest.raises(InputError, match=r"has no motion/.*motion=false"):
        TGVACPipeline.from_pretrained(alone, motion=True)
    assert type(TGVACPipeline.from_pretrained(alone).unet).__name__ == "UNet2DConditionModel"

    def lack(there):
        file = there / "motion" / "diffusion_pytorch_model.safetensors"
        save_file({k: v for k, v in load_file(file).items() if not k.endswith("processor.bias")}, file)

    with pytest.raises(InputError, match=r"it lacks .*processor\.bias"):
        TGVACPipeline.from_pretrained(broken("lack", lack))
    for part, said in (
        ("unet", "network of Stable Diffusion"), ("vae", "VAE of diffusers"), ("text_encoder", "CLIP text encoder"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            TGVACPipeline.from_pretrained(broken(part, lambda there, p=part: shutil.rmtree(there / p)))

    def narrow(there):
        there = there / "unet"
        config = json.loads((there / "config.json").read_text()) | {"in_channels": 4}
        (there / "config.json").write_text(json.dumps(config))
        file = there / "diffusion_pytorch_model.safetensors"
        state = load_file(file)
        state["conv_in.weight"] = state["conv_in.weight"][:, :4].contiguous()
        save_file(state, file)

    with pytest.raises(InputError, match="4 input channels"):
        TGVACPipeline.from_pretrained(broken("narrow", narrow), motion=False)


def test_full_size_is_stable_diffusion_widened():
    """The frame network at full size has the published one's names and shapes but for the first layer."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        frame = UNet2DConditionModel(in_channels=9, cross_attention_dim=768, attention_head_dim=8)
    assert frame.conv_in.weight.shape == (320, 9, 3, 3)
    assert sum(np.prod(value.shape) for value in frame.parameters()) == 859_520_964 + 320 * 5 * 9
