"""A CogVideoX checkpoint of some kilobytes, in the directory format of diffusers."""

import diffusers
import torch
from transformers import T5Config, T5EncoderModel, T5Tokenizer

LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]


def write_checkpoint(folder, rotary, joined=None, channels=4):
    """A seeded CogVideoX, as diffusers saves it: 2B has sinusoids, 5B rotary positions."""
    torch.manual_seed(1)
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0), *((letter, -3.0) for letter in LETTERS)]
    text = T5Config(vocab_size=len(pieces), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    diffusers.CogVideoXPipeline(
        tokenizer=T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=12),
        text_encoder=T5EncoderModel(text),
        vae=diffusers.AutoencoderKLCogVideoX(
            down_block_types=("CogVideoXDownBlock3D",) * 2, up_block_types=("CogVideoXUpBlock3D",) * 2,
            block_out_channels=(8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2,
            temporal_compression_ratio=2, scaling_factor=0.7,
        ),
        transformer=diffusers.CogVideoXTransformer3DModel(
            num_attention_heads=2, attention_head_dim=16, in_channels=channels, out_channels=4, time_embed_dim=8,
            text_embed_dim=16, num_layers=2, sample_width=16, sample_height=16, sample_frames=5, patch_size=2,
            patch_size_t=joined, patch_bias=joined is None, temporal_compression_ratio=2, max_text_seq_length=12,
            use_rotary_positional_embeddings=rotary,
        ),
        scheduler=diffusers.CogVideoXDDIMScheduler(
            prediction_type="v_prediction", rescale_betas_zero_snr=True, snr_shift_scale=3.0,
            timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=True, beta_schedule="scaled_linear",
            beta_start=0.00085, beta_end=0.012,
        ),
    ).save_pretrained(folder)  # fmt: skip
    return folder
