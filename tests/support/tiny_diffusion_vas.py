"""A Diffusion-VAS checkpoint of a few kilobytes in the published directory format, its weights drawn by name."""

import json
import zlib

import numpy as np
import torch

UNET = {
    "sample_size": 8, "in_channels": 8, "out_channels": 4, "block_out_channels": [32, 64], "layers_per_block": 1,
    "down_block_types": ["CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"],
    "up_block_types": ["UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"],
    "addition_time_embed_dim": 32, "projection_class_embeddings_input_dim": 96, "cross_attention_dim": 32,
    "num_attention_heads": [2, 4], "num_frames": 25, "transformer_layers_per_block": 1,
}  # fmt: skip
VAE = {
    "in_channels": 3, "out_channels": 3, "latent_channels": 4, "layers_per_block": 1, "sample_size": 32,
    "down_block_types": ["DownEncoderBlock2D"] * 4, "block_out_channels": [32, 32, 32, 32], "force_upcast": True,
    "scaling_factor": 0.18215,
}  # fmt: skip
CLIP = {
    "hidden_size": 32, "intermediate_size": 37, "projection_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "image_size": 224, "patch_size": 56,
}  # fmt: skip
SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
    "clip_sample": False, "interpolation_type": "linear", "num_train_timesteps": 1000,
    "prediction_type": "v_prediction", "sigma_max": 700.0, "sigma_min": 0.002, "skip_prk_steps": True,
    "steps_offset": 1, "timestep_spacing": "leading", "timestep_type": "continuous", "use_karras_sigmas": True,
}  # fmt: skip


def random_tensors(shapes, seed=0):
    """Tensors by name: the numbers depend on the name, the shape and the seed alone."""
    state = {}
    for name, shape in shapes.items():
        normal = np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(shape)
        if len(shape) < 2:  # of norms and biases, and the share of space against time
            value = 1 + 0.1 * normal if name.endswith("weight") else 0.1 * normal
        else:
            value = normal / np.sqrt(np.prod(shape[1:]))
        state[name] = torch.tensor(value, dtype=torch.float32)
    return state


def shapes_of(module):
    return {name: tuple(value.shape) for name, value in module.state_dict().items() if value.is_floating_point()}


def write_checkpoint(folder, seed=0, half=False):
    """Both files and names as the published code writes them: conv_in2 beside conv_in, a foreign class."""
    from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
    from safetensors.torch import save_file
    from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

    suffix = ".fp16.safetensors" if half else ".safetensors"

    def write(part, stem, state, config):
        (folder / part).mkdir(parents=True)
        kept = {name: value.half() if half else value for name, value in state.items()}
        save_file(kept, folder / part / f"{stem}{suffix}", metadata={"format": "pt"})
        (folder / part / "config.json").write_text(json.dumps(config))

    shapes = shapes_of(UNetSpatioTemporalConditionModel(**UNET))
    shapes["conv_in2.weight"], shapes["conv_in2.bias"] = (32, 12, 3, 3), (32,)
    foreign = {"_class_name": "UNetSpatioTemporalConditionModel", "_diffusers_version": "0.29.1", **UNET}
    write("unet", "diffusion_pytorch_model", random_tensors(shapes, seed), foreign)
    vae = {"_class_name": "AutoencoderKLTemporalDecoder", **VAE}
    shapes = shapes_of(AutoencoderKLTemporalDecoder(**{k: v for k, v in VAE.items() if k != "down_block_types"},
                                                    down_block_types=tuple(VAE["down_block_types"])))  # fmt: skip
    write("vae", "diffusion_pytorch_model", random_tensors(shapes, seed), vae)
    config = CLIPVisionConfig(**CLIP)
    state = random_tensors(shapes_of(CLIPVisionModelWithProjection(config)), seed)
    write("image_encoder", "model", state, config.to_dict() | {"architectures": ["CLIPVisionModelWithProjection"]})
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    CLIPImageProcessorPil().save_pretrained(folder / "feature_extractor")
    (folder / "model_index.json").write_text(json.dumps({
        "_class_name": "DiffusionVASPipeline", "_diffusers_version": "0.29.1",
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "unet": ["models.diffusion_vas.unet_diffusion_vas", "UNetSpatioTemporalConditionModel"],
        "vae": ["diffusers", "AutoencoderKLTemporalDecoder"],
    }))  # fmt: skip
    return folder


def conditions(frames, height=32, width=64, seed=1):
    """Two clips in [-1, 1] such as the pipeline takes; in some frames of the second no value is negative."""
    rng = np.random.default_rng(seed)
    first = np.where(rng.uniform(size=(1, frames, 1, height, width)) > 0.6, 1.0, -1.0).repeat(3, 2)
    second = rng.uniform(-1, 1, (1, frames, 3, height, width))
    second[:, ::3] = np.abs(second[:, ::3])
    return torch.tensor(first, dtype=torch.float32), torch.tensor(second, dtype=torch.float32)
