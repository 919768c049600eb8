"""A FLUX.1-Fill checkpoint of a few hundred kilobytes in the published directory format, its weights drawn by name."""

import json

from tiny_diffusion_vas import drawn, shapes_of

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
    "max_position_embeddings": 12, "vocab_size": 60, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
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
    """Letters for words."""
    from transformers import CLIPTokenizer, T5TokenizerFast

    words = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(letter + "</w>" for letter in LETTERS)]
    clip = CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[], model_max_length=12)
    clip.save_pretrained(folder / "tokenizer")
    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0), *((letter, -3.0) for letter in LETTERS)]
    T5TokenizerFast(vocab=words, extra_ids=0, model_max_length=512).save_pretrained(folder / "tokenizer_2")


def write_flux_fill(folder, seed=0, shards=1):
    """shards: files of the transformer's weights, with an index as the published one has."""
    import torch
    from diffusers import AutoencoderKL, FluxTransformer2DModel
    from safetensors.torch import save_file
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    def write(part, stem, state, config):
        (folder / part).mkdir(parents=True)
        save_file(state, folder / part / f"{stem}.safetensors", metadata={"format": "pt"})
        (folder / part / "config.json").write_text(json.dumps(config))

    named = {"_diffusers_version": "0.32.0"}
    state = drawn(shapes_of(FluxTransformer2DModel(**TRANSFORMER)), seed)
    write("transformer", "diffusion_pytorch_model", state, {"_class_name": "FluxTransformer2DModel"} | named | TRANSFORMER)
    if shards > 1:
        whole = folder / "transformer" / "diffusion_pytorch_model.safetensors"
        whole.unlink()
        names = [f"diffusion_pytorch_model-{k + 1:05d}-of-{shards:05d}.safetensors" for k in range(shards)]
        where = {name: names[i % shards] for i, name in enumerate(sorted(state))}
        for file in names:
            part = {name: value for name, value in state.items() if where[name] == file}
            save_file(part, folder / "transformer" / file, metadata={"format": "pt"})
        index = {"metadata": {"total_size": sum(v.numel() * 4 for v in state.values())}, "weight_map": where}
        (folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    vae = AutoencoderKL(**VAE)
    write("vae", "diffusion_pytorch_model", drawn(shapes_of(vae), seed), {"_class_name": "AutoencoderKL"} | named | VAE)
    config = CLIPTextConfig(**CLIP)
    state = drawn(shapes_of(CLIPTextModel(config)), seed)
    write("text_encoder", "model", state, config.to_dict() | {"architectures": ["CLIPTextModel"]})
    config = T5Config(**T5)
    state = drawn({name: s for name, s in shapes_of(T5EncoderModel(config)).items() if "embed_tokens" not in name}, seed)
    state["shared.weight"] = torch.as_tensor(state["shared.weight"]).clone()
    write("text_encoder_2", "model", state, config.to_dict() | {"architectures": ["T5EncoderModel"]})
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    write_tokenizers(folder)
    (folder / "model_index.json").write_text(json.dumps({
        "_class_name": "FluxFillPipeline", **named, "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"], "text_encoder_2": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "tokenizer_2": ["transformers", "T5TokenizerFast"],
        "transformer": ["diffusers", "FluxTransformer2DModel"], "vae": ["diffusers", "AutoencoderKL"],
    }))  # fmt: skip
    return folder
