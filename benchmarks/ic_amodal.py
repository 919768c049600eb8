"""What IC-Amodal's attention costs: modulated against unmodulated, the exemplar's keys kept against whole grids.

    python benchmarks/ic_amodal.py [--size small|full] [--device cpu|cuda] [--cell 512] [--text 512] [--repeats 5]
                                   [--frames 8] [--peak TFLOPS] [--json FILE]

Weights are random: speed does not depend on what they say. `small` has FLUX's shape in miniature (its tokens, heads of
128, double and single blocks 1 : 2); `full` is FLUX.1-Fill's transformer in bfloat16. Variants are timed in turn, so
that a machine that others use slows all of them; ratios are of the fastest run of each.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import FluxTransformer2DModel

from unocclude.methods.ic_amodal.modulation import AttentionGuide, Modulation, install

SHAPES = {
    "small": {"num_layers": 1, "num_single_layers": 2, "num_attention_heads": 2, "joint_attention_dim": 64},
    "full": {"num_layers": 19, "num_single_layers": 38, "num_attention_heads": 24, "joint_attention_dim": 4096},
}


def flops(shape: dict, tokens: int, keys: int, text: int) -> float:
    """Multiplications and additions of one forward, in FLOP: linear layers and attention of `tokens` queries, `text` of
    them text, on `keys` keys; modulation vectors and embeddings are left out, being a row each."""
    width = 128 * shape["num_attention_heads"]
    linear = 2 * tokens * (4 + 8) * width**2 * (shape["num_layers"] + shape["num_single_layers"])
    attention = 4 * tokens * keys * width * (shape["num_layers"] + shape["num_single_layers"])
    return linear + attention + 2 * (tokens - text) * (384 + 64) * width


class Forward:
    """One forward of the transformer on the tokens of a grid, or of its lower row alone."""

    def __init__(self, transformer: FluxTransformer2DModel, text: int, cell: int, device: str, dtype: torch.dtype):
        self.transformer, self.text, self.tokens = transformer, text, 4 * (cell // 16) ** 2
        config, side = transformer.config, cell // 16
        rows = torch.arange(2 * side).repeat_interleave(2 * side)
        self.ids = torch.stack([rows * 0, rows, torch.arange(2 * side).repeat(2 * side)], 1).to(device, dtype)
        normal = lambda *shape: torch.randn(*shape, device=device, dtype=dtype)  # noqa: E731
        self.image = normal(1, self.tokens, config.in_channels)
        self.words = normal(1, text, config.joint_attention_dim)
        self.pooled = normal(1, config.pooled_projection_dim)

    @torch.no_grad()
    def __call__(self, part: slice, guide: AttentionGuide | None) -> torch.Tensor:
        guidance = torch.full([1], 30.0, device=self.image.device)
        return self.transformer(
            hidden_states=self.image[:, part], encoder_hidden_states=self.words, pooled_projections=self.pooled,
            timestep=torch.full([1], 0.5, device=self.image.device, dtype=self.image.dtype), guidance=guidance,
            img_ids=self.ids[part], txt_ids=self.ids.new_zeros(self.text, 3),
            joint_attention_kwargs=None if guide is None else {"guide": guide}, return_dict=False,
        )[0]  # fmt: skip


def fastest(variants: dict[str, Callable[[], object]], repeats: int, device: str) -> dict[str, float]:
    """Seconds of the fastest run of each, run in turn after one run that does not count."""
    best = dict.fromkeys(variants, float("inf"))
    for turn in range(repeats + 1):
        for name, run in variants.items():
            started = time.perf_counter()
            run()
            if device == "cuda":
                torch.cuda.synchronize()
            if turn:
                best[name] = min(best[name], time.perf_counter() - started)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SHAPES, default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cell", type=int, default=512)
    parser.add_argument("--text", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--frames", type=int, default=8, help="frames beside one exemplar")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--peak", type=float, help="the device's dense bfloat16 TFLOP/s, for the floor of the time")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    shape, dtype = SHAPES[given.size], torch.bfloat16 if given.device == "cuda" else torch.float32
    torch.manual_seed(0)
    with torch.device(given.device):
        torch.set_default_dtype(dtype)
        transformer = FluxTransformer2DModel(in_channels=384, out_channels=64, guidance_embeds=True, **shape).eval()
        torch.set_default_dtype(torch.float32)
    forward = Forward(transformer, given.text, given.cell, given.device, dtype)
    every, half = slice(None), forward.tokens // 2
    factors = torch.ones(given.text + forward.tokens, device=given.device)
    cells = factors[given.text :].view(4, -1)
    cells[[0, 2]], cells[1] = 0.7, 1.5

    def modulated(mode: str) -> AttentionGuide:
        return AttentionGuide(given.text, Modulation(forward.tokens // 4, factors, mode))

    published = transformer.attn_processors
    install(transformer)
    ours = transformer.attn_processors
    kept = AttentionGuide(given.text, keeping=True)

    def swapped(which: dict, run: Callable[[], object]) -> Callable[[], object]:
        def go() -> object:
            transformer.set_attn_processor(dict(which))
            return run()

        return go

    variants = {
        "stock": swapped(published, lambda: forward(every, None)),
        "renormalised": swapped(ours, lambda: forward(every, modulated("renormalised"))),
        "unnormalised": swapped(ours, lambda: forward(every, modulated("unnormalised"))),
        "exemplar": swapped(ours, lambda: forward(slice(0, half), kept)),
        "beside": swapped(
            ours,
            lambda: forward(
                slice(half, None), AttentionGuide(given.text, modulated("renormalised").modulation, kept.kept)
            ),
        ),
    }
    seconds = fastest(variants, given.repeats, given.device)
    beside = {n: (seconds["exemplar"] + n * seconds["beside"]) / n for n in (1, 2, 4, given.frames)}
    tokens = given.text + forward.tokens
    work = {
        "whole": flops(shape, tokens, tokens, given.text),
        "half": flops(shape, tokens - half, tokens, given.text),
    }
    result = {
        "tokens": tokens,
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "modulated_over_stock": {m: round(seconds[m] / seconds["stock"], 3) for m in ("renormalised", "unnormalised")},
        "kept_over_whole_by_frames": {n: round(value / seconds["renormalised"], 3) for n, value in beside.items()},
        "tflop_a_forward": {name: round(value / 1e12, 4) for name, value in work.items()},
        "seconds_a_frame": round(given.steps * seconds["renormalised"], 2),
    }
    if given.peak:
        result["percent_of_peak"] = round(100 * work["whole"] / 1e12 / given.peak / seconds["renormalised"], 1)
        result["floor_seconds_a_frame"] = round(given.steps * work["whole"] / 1e12 / given.peak, 2)
    if given.device == "cuda":
        result["peak_bytes"] = torch.cuda.max_memory_allocated()
    print(json.dumps(result, indent=1))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
