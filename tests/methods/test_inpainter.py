"""Inpainting pipelines of diffusers from folders: Stable Diffusion, SDXL, FLUX.1-Fill; what is said of a bad folder."""

import json
import shutil

import numpy as np
import pytest

from support.small_clip import assert_one_line, run
from unocclude import InputError
from unocclude.errors import UnoccludeError
from unocclude.methods.inpainter import Inpainter, load_pipeline

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")
torch.set_num_threads(1)

from support.tiny_inpainting import SIZE, write_inpainting  # noqa: E402

PICTURE = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
MASK = np.zeros((50, 70), bool)
MASK[10:30, 20:50] = True


@pytest.fixture
def folder(tmp_path):
    return write_inpainting(tmp_path / "inpainting")


def test_it_draws_from_everything_it_is_given(folder):
    generator = Inpainter(folder, "cpu", steps=2)
    assert generator.size == SIZE
    first = generator(PICTURE, MASK, "a cat", 1)
    assert first.shape == PICTURE.shape and first.dtype == np.uint8 and first.std() > 5
    assert np.array_equal(generator(PICTURE, MASK, "a cat", 1), first)
    others = [
        generator(PICTURE[::-1].copy(), MASK, "a cat", 1),
        generator(PICTURE, ~MASK, "a cat", 1),
        generator(PICTURE, MASK, "a dog", 1),
        generator(PICTURE, MASK, "a cat", 2),
        Inpainter(folder, "cpu", steps=3)(PICTURE, MASK, "a cat", 1),
        Inpainter(folder, "cpu", steps=2, guidance=1.0)(PICTURE, MASK, "a cat", 1),
        Inpainter(folder, "cpu", steps=2, size=96)(PICTURE, MASK, "a cat", 1),
        generator(PICTURE, MASK, "a cat", 1, "BICUBIC"),
    ]
    assert len({first.tobytes(), *(other.tobytes() for other in others)}) == 9


def test_half_precision_files_alone_are_enough(folder):
    whole = Inpainter(folder, "cpu", steps=1)(PICTURE, MASK, "a cat", 1)
    for path in list(folder.rglob("*.safetensors")):
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    load_pipeline.cache_clear()
    assert np.array_equal(Inpainter(folder, "cpu", steps=1)(PICTURE, MASK, "a cat", 1), whole)


def test_a_safety_checker_that_withholds_a_picture_is_no_black_object(folder, monkeypatch):
    generator = Inpainter(folder, "cpu", steps=1)
    withheld = type("Result", (), {"nsfw_content_detected": [True], "images": []})
    monkeypatch.setattr(generator, "pipeline", lambda **_: withheld)
    with pytest.raises(UnoccludeError, match="withheld"):
        generator(PICTURE, MASK, "a cat", 1)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "model_index.json").unlink(), ("model_index.json",)),
        (lambda f: (f / "model_index.json").write_text("{"), ("model_index.json",)),
        (lambda f: rename_class(f, "StableDiffusionPipeline"), ("StableDiffusionPipeline", "does not inpaint")),
        (lambda f: rename_class(f, "MyInpaintPipeline"), ("MyInpaintPipeline",)),
        (lambda f: shutil.rmtree(f / "unet"), ("unet",)),
        (lambda f: (f / "vae" / "config.json").unlink(), ("vae",)),
        (lambda f: (f / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"no"), ("vae",)),
        (lambda f: shutil.rmtree(f / "text_encoder"), ("text_encoder",)),
        (lambda f: shutil.rmtree(f / "tokenizer"), ("tokenizer", "missing")),
        (lambda f: (f / "tokenizer" / "vocab.json").unlink(), ("tokenizer", "incomplete")),
        (lambda f: shutil.rmtree(f / "scheduler"), ("scheduler",)),
        (lambda f: drop(f / "unet" / "diffusion_pytorch_model.safetensors"), ("unet", "lacks conv_in.bias")),
        (lambda f: drop(f / "text_encoder" / "model.safetensors"), ("text_encoder", "lacks")),
    ],
)
def test_a_folder_that_holds_no_whole_pipeline_is_bad_input(folder, spoil, words):
    spoil(folder)
    load_pipeline.cache_clear()
    with pytest.raises(InputError) as error:
        Inpainter(folder, "cpu")
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)


def rename_class(folder, name):
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": name}))


def drop(path):
    """Leave out the first tensor by name that is a bias."""
    from safetensors.torch import load_file, save_file

    state = load_file(path)
    state.pop("conv_in.bias" if "conv_in.bias" in state else min(state))
    save_file(state, path, metadata={"format": "pt"})


def test_what_is_missing_is_said_before_anything_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path / "none"))
    from unocclude.media.images import write_png

    write_png(tmp_path / "image.png", PICTURE)
    write_png(tmp_path / "mask.png", MASK.astype(np.uint8) * 255)
    ask = ("complete", tmp_path / "image.png", "--masks", tmp_path / "mask.png", "-o", tmp_path / "out")
    code, _, err = run(capsys, *ask, "--method", "open-world")
    assert code == 2 and not (tmp_path / "out").exists()
    assert_one_line(err, "stable-diffusion-2-inpainting", "is missing", "model_index.json")
    code, _, err = run(capsys, *ask, "--method", "open-world", "--weights", tmp_path)
    assert code == 2 and not (tmp_path / "out").exists()
    assert_one_line(err, "model_index.json")
    code, out, _ = run(capsys, "methods")
    assert code == 0 and "open-world" in out and "runs here: no" in out


def tiny_vae(**more):
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 16), in_channels=3, out_channels=3, norm_num_groups=4, sample_size=SIZE,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, **more,
    )  # fmt: skip


def tiny_text(folder, kind, **more):
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder / "tokenizer")
    config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=77, bos_token_id=0, eos_token_id=1, pad_token_id=1, projection_dim=16, **more,
    )  # fmt: skip
    return tokenizer, kind(config)


def test_sdxl_inpainting(folder, tmp_path):
    torch.manual_seed(0)
    tokenizer, text = tiny_text(folder, transformers.CLIPTextModel)
    _, second = tiny_text(folder, transformers.CLIPTextModelWithProjection)
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=SIZE // 2, in_channels=9, out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4), use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=8, transformer_layers_per_block=(1, 1), norm_num_groups=4, cross_attention_dim=32,
        projection_class_embeddings_input_dim=8 * 6 + 16,
    )  # fmt: skip
    diffusers.StableDiffusionXLInpaintPipeline(
        vae=tiny_vae(latent_channels=4), text_encoder=text, text_encoder_2=second, tokenizer=tokenizer,
        tokenizer_2=tokenizer, unet=unet, scheduler=diffusers.EulerDiscreteScheduler(),
    ).save_pretrained(tmp_path / "xl")  # fmt: skip
    check(tmp_path / "xl", "StableDiffusionXLInpaintPipeline")


def test_flux_fill(folder, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(0)
    tokenizer, text = tiny_text(folder, transformers.CLIPTextModel)
    letters = Tokenizer(models.Unigram([("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -1.0), ("a", -1.0)], 2))
    letters.pre_tokenizer = pre_tokenizers.Metaspace()
    second = transformers.T5TokenizerFast(tokenizer_object=letters, extra_ids=0)
    t5 = transformers.T5EncoderModel(
        transformers.T5Config(vocab_size=len(second), d_model=32, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    )
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1, in_channels=16 + 16 + 16, out_channels=16, num_layers=1, num_single_layers=1,
        attention_head_dim=16, num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=16,
        axes_dims_rope=(4, 4, 8), guidance_embeds=True,
    )  # fmt: skip
    vae = tiny_vae(latent_channels=4, shift_factor=0.0609, scaling_factor=1.5035, use_quant_conv=False,
                   use_post_quant_conv=False)  # fmt: skip
    pipeline = diffusers.FluxFillPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(), vae=vae, text_encoder=text, tokenizer=tokenizer,
        text_encoder_2=t5, tokenizer_2=second, transformer=transformer,
    )  # fmt: skip
    pipeline.save_pretrained(tmp_path / "flux")
    check(tmp_path / "flux", "FluxFillPipeline")


def check(folder, name):
    load_pipeline.cache_clear()
    generator = Inpainter(folder, "cpu", steps=2, size=SIZE)
    assert type(generator.pipeline).__name__ == name
    drawn = generator(PICTURE, MASK, "a cat", 1)
    assert drawn.shape == PICTURE.shape and drawn.std() > 1
    assert np.array_equal(generator(PICTURE, MASK, "a cat", 1), drawn)
    assert not np.array_equal(generator(PICTURE, MASK, "a cat", 2), drawn)
    assert Inpainter(folder, "cpu").size % 8 == 0
