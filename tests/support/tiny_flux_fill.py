"""A FLUX.1-Fill checkpoint of a few hundred kilobytes in the published directory format, its weights drawn by name."""

import json

from support.tiny_diffusion_vas import random_tensors, shapes_of

SIDE = 4
"""Pixels of a token's side: the VAE halves once, packing once more."""
TRANSFORMER = {
    "patch_size": 1, "in_channels": 16 + 16 + 16, "out_channels": 16, "num_layers": 2, "num_single_layers": 2,
    "attention_head_dim": 16, "num_attention_heads": 2, "joint_attention_dim": 24, "pooled_projection_dim": 20,
    "guidance_embeds": True, "axes_dims_rope": [4, 6, 6],
}  # fmt: skip
VAE = {
    "in_channels": 3, "out_channels": 3, "latent_channels": 4, "layers_per_block": 1, "sample_size": 32,
    "down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2,
    "block_out_channels": [16, 16], "norm_num_groups": 8, "scaling_factor": 0.3611, "shift_factor": 0.1159,
    "use_quant_conv": False, "use_post_quant_conv": False, "mid_block_add_attention": True,
}  # fmt: skip
CLIP = {
    "hidden_size": 20, "intermediate_size": 24, "projection_dim": 20, "num_hidden_layers": 2, "num_attention_heads": 2,
    "max_position_embeddings": 77, "vocab_size": 60, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
}  # fmt: skip
T5 = {
    "d_model": 24, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "vocab_size": 40,
    "feed_forward_proj": "gated-gelu", "is_encoder_decoder": False,
}  # fmt: skip
SCHEDULER = {
    "_class_name": "FlowMatchEulerDiscreteScheduler", "_diffusers_version": "0.32.0", "base_image_seq_len": 256,
    "base_shift": 0.5, "max_image_seq_len": 4096, "max_shift": 1.15, "num_train_timesteps": 1000, "shift": 3.0,
    "use_dynamic_shifting": True,
}  # fmt: skip
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]


def write_tokenizers(folder):
    """Letters for words; the first as the published one lies there, without a tokenizer.json."""
    from transformers import T5Tokenizer

    words = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(letter + "</w>" for letter in LETTERS)]
    clip = folder / "tokenizer"
    clip.mkdir()
    (clip / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (clip / "merges.txt").write_text("#version: 0.2\n")
    names = {"bos_token": words[0], "eos_token": words[1], "unk_token": words[1], "pad_token": words[1]}
    (clip / "special_tokens_map.json").write_text(json.dumps(names))
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True}
    (clip / "tokenizer_config.json").write_text(json.dumps(config | names))
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0), *((letter, -3.0) for letter in LETTERS)]
    T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=512).save_pretrained(folder / "tokenizer_2")


def write_flux_fill(folder, seed=0, shards=1):
    """shards: files of the transformer's weights, with an index as the published one has."""
    from diffusers import AutoencoderKL, FluxTransformer2DModel
    from safetensors.torch import save_file
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    stem, named = "diffusion_pytorch_model", {"_diffusers_version": "0.32.0"}

    def write(part, files, config):
        (folder / part).mkdir(parents=True)
        for file, state in files.items():
            save_file(state, folder / part / file, metadata={"format": "pt"})
        (folder / part / "config.json").write_text(json.dumps(config))

    state = random_tensors(shapes_of(FluxTransformer2DModel(**TRANSFORMER)), seed)
    parts = [f"-{k + 1:05d}-of-{shards:05d}" for k in range(shards)] if shards > 1 else [""]
    names = [f"{stem}{part}.safetensors" for part in parts]
    where = {name: names[i % shards] for i, name in enumerate(sorted(state))}
    files = {file: {name: value for name, value in state.items() if where[name] == file} for file in names}
    write("transformer", files, {"_class_name": "FluxTransformer2DModel", **named, **TRANSFORMER})
    if shards > 1:
        index = {"metadata": {"total_size": 4 * sum(v.numel() for v in state.values())}, "weight_map": where}
        (folder / "transformer" / f"{stem}.safetensors.index.json").write_text(json.dumps(index))
    state = random_tensors(shapes_of(AutoencoderKL(**VAE)), seed)
    write("vae", {f"{stem}.safetensors": state}, {"_class_name": "AutoencoderKL", **named, **VAE})
    for part, config, kind in (
        ("text_encoder", CLIPTextConfig(**CLIP), CLIPTextModel), ("text_encoder_2", T5Config(**T5), T5EncoderModel)
    ):  # fmt: skip
        # the second name of tied weights is not in the published file
        shapes = {name: shape for name, shape in shapes_of(kind(config)).items() if "embed_tokens" not in name}
        write(
            part,
            {"model.safetensors": random_tensors(shapes, seed)},
            config.to_dict() | {"architectures": [kind.__name__]},
        )
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    write_tokenizers(folder)
    parts = {
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "T5EncoderModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "tokenizer_2": ["transformers", "T5TokenizerFast"], "transformer": ["diffusers", "FluxTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }  # fmt: skip
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "FluxFillPipeline", **named, **parts}))
    return folder
