"""Parts of a small pipeline of our own, drawn anew."""

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
"""Words of a caption at most, begin and end included."""
BEGIN, END, PAD, UNKNOWN = SPECIAL = ("<begin>", "<end>", "<pad>", "<unknown>")


def scheduler() -> DDIMScheduler:
    """DDIM over Stable Diffusion 1.5's 1000 training steps."""
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    )  # fmt: skip


def without_signal_at_the_end(schedule: DDIMScheduler) -> DDIMScheduler:
    """The schedule for a network that predicts v: its last step is noise alone, and sampling begins there (Lin et al.,
    WACV 2024, sections 3.1 to 3.3). Otherwise networks learn to read from the last step how bright a picture is, and
    sampling, which begins with noise, never tells them that it is mostly white."""
    changed: DDIMScheduler = DDIMScheduler.from_config(
        schedule.config, prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing"
    )
    return changed


def small_parts(vae: Path, widths: Sequence[int], height: int, captions: Iterable[str]) -> dict[str, Any]:
    """A pipeline's parts around a VAE's folder, freshly drawn from torch's seed: levels of `widths` channels (multiples
    of 32), for pictures of `height`. The text encoder knows the captions' words; it stays as it is drawn."""
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
    words = tokenizer(captions)
    config = CLIPTextConfig(
        vocab_size=len(words), hidden_size=EMBEDDED, intermediate_size=2 * EMBEDDED, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=LONGEST, projection_dim=EMBEDDED,
        bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id,
    )  # fmt: skip
    text_encoder = CLIPTextModel(config).eval()
    # as it is drawn, a caption's words would be told apart hardly: they are small beside what attention adds
    text_encoder.get_input_embeddings().weight.data.normal_()
    return {
        "vae": encoder,
        "text_encoder": text_encoder,
        "tokenizer": words,
        "unet": unet,
        "scheduler": scheduler(),
    }


def tokenizer(captions: Iterable[str]) -> PreTrainedTokenizerFast:
    """Whole words of the captions, in lower case; others are unknown to it."""
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
