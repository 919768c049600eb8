"""A small, randomly initialised pipeline with the architecture of FLUX.1-Fill, for training."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxFillPipeline, FluxTransformer2DModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5Tokenizer

from unocclude.networks.loading import load_pretrained

TEXT = 8
"""Number of tokens of a prompt."""
EMBEDDED = 32
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]


def small_pipeline(vae: Path, heads: int, double: int, single: int) -> Any:
    """A small pipeline around the VAE in folder `vae`, initialised from torch's global seed.

    heads: attention heads of 32 channels. double, single: number of blocks of each kind. The text encoders work on
    letters and stay random; there is no guidance embedding.
    """
    encoder = load_pretrained(AutoencoderKL, vae, "VAE of diffusers")
    latents, factor = encoder.config.latent_channels, 2 ** (len(encoder.config.block_out_channels) - 1)
    transformer = FluxTransformer2DModel(
        in_channels=4 * (2 * latents + factor**2), out_channels=4 * latents, num_layers=double,
        num_single_layers=single, attention_head_dim=32, num_attention_heads=heads, joint_attention_dim=EMBEDDED,
        pooled_projection_dim=EMBEDDED, guidance_embeds=False, axes_dims_rope=(8, 12, 12),
    )  # fmt: skip
    words = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(letter + "</w>" for letter in LETTERS)]
    clip = CLIPTextConfig(
        vocab_size=len(words), hidden_size=EMBEDDED, intermediate_size=2 * EMBEDDED, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=TEXT, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0), *((letter, -3.0) for letter in LETTERS)]
    t5 = T5Config(
        vocab_size=len(pieces), d_model=EMBEDDED, d_kv=16, d_ff=2 * EMBEDDED, num_layers=1, num_heads=2,
        feed_forward_proj="gated-gelu", is_encoder_decoder=False,
    )  # fmt: skip
    pipeline = FluxFillPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=encoder,
        text_encoder=CLIPTextModel(clip).eval(),
        tokenizer=CLIPTokenizer(
            vocab={word: i for i, word in enumerate(words)}, merges=[], model_max_length=TEXT, pad_token=words[1]
        ),
        text_encoder_2=T5EncoderModel(t5).eval(),
        tokenizer_2=T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=TEXT),
        transformer=transformer,
    )
    for part in (encoder, pipeline.text_encoder, pipeline.text_encoder_2):
        part.requires_grad_(False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def pack_tokens(pipeline: Any, latents: torch.Tensor) -> torch.Tensor:
    """Pack latents (N, C, h, w) into the transformer's tokens (N, h w / 4, 4 C)."""
    packed: torch.Tensor = pipeline._pack_latents(latents, *latents.shape)
    return packed
