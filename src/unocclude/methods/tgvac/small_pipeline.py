"""Components of a small, randomly initialised pipeline, for training."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from unocclude.methods.tgvac.conditioning import LATENTS
from unocclude.networks.group_norm import SMALL_GROUPS, attention_levels
from unocclude.networks.loading import load_pretrained

EMBEDDED = 64
LONGEST = 24
"""Maximum number of tokens in a caption, including begin and end."""
BEGIN, END, PAD, UNKNOWN = SPECIAL = ("<begin>", "<end>", "<pad>", "<unknown>")


def scheduler() -> DDIMScheduler:
    """DDIM with the 1000 training steps of Stable Diffusion 1.5."""
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    )  # fmt: skip


def zero_terminal_snr(schedule: DDIMScheduler) -> DDIMScheduler:
    """The schedule with zero terminal SNR, for v-prediction (Lin et al., WACV 2024, sections 3.1 to 3.3).

    Without it the network learns to infer an image's brightness from the last training step, and sampling from pure
    noise yields images that are not white enough.
    """
    changed: DDIMScheduler = DDIMScheduler.from_config(
        schedule.config, prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing"
    )
    return changed


def small_components(vae: Path, widths: Sequence[int], height: int, captions: Iterable[str]) -> dict[str, Any]:
    """Components of a pipeline around the VAE in folder `vae`, initialised from torch's global seed.

    widths: channels per level of the U-Net, multiples of 32. height: of the images. captions: define the vocabulary of
    the text encoder, which stays random.
    """
    encoder = load_pretrained(AutoencoderKL, vae, "VAE of diffusers (recipe vae with temporal = false)")
    factor = 2 ** (len(encoder.config.block_out_channels) - 1)
    attends = attention_levels(height // factor, len(widths))
    unet = UNet2DConditionModel(
        sample_size=height // factor, in_channels=LATENTS, block_out_channels=tuple(widths), layers_per_block=1,
        down_block_types=tuple("CrossAttnDownBlock2D" if yes else "DownBlock2D" for yes in attends),
        up_block_types=tuple("CrossAttnUpBlock2D" if yes else "UpBlock2D" for yes in attends[::-1]),
        cross_attention_dim=EMBEDDED, attention_head_dim=tuple(max(1, width // 32) for width in widths),
        norm_num_groups=SMALL_GROUPS,
    )  # fmt: skip
    words = make_tokenizer(captions)
    config = CLIPTextConfig(
        vocab_size=len(words), hidden_size=EMBEDDED, intermediate_size=2 * EMBEDDED, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=LONGEST, projection_dim=EMBEDDED,
        bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id,
    )  # fmt: skip
    text_encoder = CLIPTextModel(config).eval()
    # default embeddings are so small that words would be hard to tell apart after attention
    text_encoder.get_input_embeddings().weight.data.normal_()
    return {
        "vae": encoder,
        "text_encoder": text_encoder,
        "tokenizer": words,
        "unet": unet,
        "scheduler": scheduler(),
    }


def make_tokenizer(captions: Iterable[str]) -> PreTrainedTokenizerFast:
    """A word-level tokenizer with the lower-case words of the captions as vocabulary."""
    before = pre_tokenizers.BertPreTokenizer()
    words = {word for text in captions for word, _ in before.pre_tokenize_str(text.lower())}
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *sorted(words)])}
    whole = Tokenizer(models.WordLevel(vocabulary, UNKNOWN))
    whole.normalizer = normalizers.Lowercase()
    whole.pre_tokenizer = before
    whole.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}", special_tokens=[(word, vocabulary[word]) for word in (BEGIN, END)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=whole, bos_token=BEGIN, eos_token=END, pad_token=PAD, unk_token=UNKNOWN,
        model_max_length=LONGEST,
    )  # fmt: skip
