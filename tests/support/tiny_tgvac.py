"""A TGVAC checkpoint of a few kilobytes in the directory format of Stable Diffusion 1.5, its weights drawn by name."""

import json

import numpy as np
import torch

from support.tiny_diffusion_vas import random_tensors, shapes_of

UNET = {
    "sample_size": 4, "in_channels": 9, "out_channels": 4, "block_out_channels": [32, 64], "layers_per_block": 1,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "cross_attention_dim": 32, "attention_head_dim": 2, "norm_num_groups": 8,
}  # fmt: skip
VAE = {
    "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [8, 8, 8, 8], "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 4,
    "scaling_factor": 0.18215,
}  # fmt: skip
TEXT = {
    "hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 54,
    "max_position_embeddings": 77, "bos_token_id": 52, "eos_token_id": 53, "projection_dim": 32,
}  # fmt: skip
SCHEDULER = {
    "_class_name": "PNDMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
    "clip_sample": False, "num_train_timesteps": 1000, "set_alpha_to_one": False, "skip_prk_steps": True,
    "steps_offset": 1, "trained_betas": None,
}  # fmt: skip


def write_checkpoint(folder, seed=0, motion=True, channels=9):
    """As Stable Diffusion 1.5 lies on the hub (its scheduler is another's, its tokenizer two files), and motion/."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from unocclude.methods.tgvac.checkpoint import save_components
    from unocclude.methods.tgvac.motion import inflate

    def filled(module):
        module.load_state_dict(random_tensors(shapes_of(module), seed), strict=False)
        return module

    unet = filled(UNet2DConditionModel(**UNET | {"in_channels": channels}))
    parts = {
        "unet": unet,
        "vae": filled(AutoencoderKL(**VAE)),
        "text_encoder": filled(CLIPTextModel(CLIPTextConfig(**TEXT))),
    }
    network = filled(inflate(unet, 14, 4)) if motion else None
    save_components(folder, parts, network)
    for part in ("scheduler", "tokenizer"):
        (folder / part).mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    told = {"bos_token": words[-2], "eos_token": words[-1], "pad_token": words[-1], "unk_token": words[-1]}
    told |= {"model_max_length": 77, "tokenizer_class": "CLIPTokenizer", "do_lower_case": True}
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(told))
    return folder


def clip(frames, height=32, width=32, seed=1):
    """The visible object on white and its mask, (1, F, 3, H, W) in [-1, 1], such as the pipeline takes."""
    rng = np.random.default_rng(seed)
    mask = rng.uniform(size=(1, frames, 1, height // 8, width // 8)).repeat(8, 3).repeat(8, 4) > 0.5
    objects = np.where(mask, rng.uniform(-1, 1, (1, frames, 3, height, width)), 1.0)
    masks = np.where(mask, 1.0, -1.0).repeat(3, 2)
    return torch.tensor(objects, dtype=torch.float32), torch.tensor(masks, dtype=torch.float32)
