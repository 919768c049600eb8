"""Parameters, bytes of weights, and operations of the published networks at full size, counted without running them.

    python benchmarks/operations.py

A bound from below for time and memory: the networks that denoise alone, without VAEs, text encoders and activations.
`calls`: forward passes for one clip or frame, with guidance, at the published number of steps.
"""

import torch
from diffusers import (
    CogVideoXTransformer3DModel,
    FluxTransformer2DModel,
    UNet2DConditionModel,
    UNetMotionModel,
    UNetSpatioTemporalConditionModel,
)
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

STABLE_DIFFUSION = {"block_out_channels": (320, 640, 1280, 1280), "cross_attention_dim": 768, "attention_head_dim": 8}


def svd(condition_clips, width, height, frames=25):
    """Stable Video Diffusion with some clips as conditions."""
    network = UNetSpatioTemporalConditionModel(in_channels=4 * (1 + condition_clips))
    clip = torch.zeros(1, frames, 4 * (1 + condition_clips), height // 8, width // 8)
    return network, (clip, torch.tensor(1.0), torch.zeros(1, 1, 1024)), {"added_time_ids": torch.zeros(1, 3)}


def tgvac(frames=14, side=256):
    """Stable Diffusion 1.5 with the visible part and its mask as conditions, and motion modules."""
    network = UNetMotionModel(
        in_channels=9, block_out_channels=(320, 640, 1280, 1280), cross_attention_dim=768, num_attention_heads=8,
        motion_num_attention_heads=8, motion_max_seq_length=frames,
    )  # fmt: skip
    return network, (torch.zeros(1, 9, frames, side // 8, side // 8), 1, torch.zeros(frames, 77, 768)), {}


def pix2gestalt(side=256):
    network = UNet2DConditionModel(in_channels=8, **STABLE_DIFFUSION)
    return network, (torch.zeros(1, 8, side // 8, side // 8), 1, torch.zeros(1, 1, 768)), {}


def inpainting(side=512):
    """Stable Diffusion 2 for inpainting."""
    network = UNet2DConditionModel(
        in_channels=9, block_out_channels=(320, 640, 1280, 1280), cross_attention_dim=1024,
        attention_head_dim=(5, 10, 20, 20), use_linear_projection=True,
    )  # fmt: skip
    return network, (torch.zeros(1, 9, side // 8, side // 8), 1, torch.zeros(1, 77, 1024)), {}


def flux(side=1024, text=512):
    """FLUX.1 Fill on a grid of four cells."""
    network = FluxTransformer2DModel(in_channels=384, out_channels=64, guidance_embeds=True)
    tokens = (side // 16) ** 2
    return network, (), {
        "hidden_states": torch.zeros(1, tokens, 384), "encoder_hidden_states": torch.zeros(1, text, 4096),
        "pooled_projections": torch.zeros(1, 768), "timestep": torch.zeros(1), "guidance": torch.ones(1),
        "img_ids": torch.zeros(tokens, 3), "txt_ids": torch.zeros(text, 3),
    }  # fmt: skip


def cogvideox(frames=13, width=720, height=480):
    """CogVideoX 2B with a clip and its masks as conditions; 13 latent frames are 49 frames."""
    network = CogVideoXTransformer3DModel(in_channels=48, out_channels=16)
    clip = torch.zeros(1, frames, 48, height // 8, width // 8)
    return network, (clip, torch.zeros(1, 226, 4096), torch.zeros(1)), {}


NETWORKS = {
    "diffusion-vas, each stage, 25 frames of 512x256": (lambda: svd(2, 512, 256), 2 * 25),
    "tgvac, 14 frames of 256x256": (tgvac, 2 * 30),
    "pix2gestalt, a frame of 256x256": (pix2gestalt, 2 * 200),
    "open-world, a picture of 512x512": (inpainting, 2 * 50),
    "ic-amodal, a frame in a grid of 1024x1024": (flux, 50),
    "cogvideox-amodal, 49 frames of 720x480": (cogvideox, 2 * 50),
}


def main() -> None:
    print("| network | parameters (10^9) | GB in 16 bits | TFLOP a call | calls | TFLOP |\n|---|---|---|---|---|---|")
    for name, (make, calls) in NETWORKS.items():
        with FakeTensorMode(), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # whose products are counted
            network, inputs, named = make()
            with FlopCounterMode(display=False) as counter:
                network(*inputs, **named)
            size = sum(value.numel() for value in network.parameters()) / 1e9
        operations = counter.get_total_flops() / 1e12
        print(f"| {name} | {size:.2f} | {2 * size:.1f} | {operations:.2f} | {calls} | {operations * calls:.0f} |")


if __name__ == "__main__":
    main()
