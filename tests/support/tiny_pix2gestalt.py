"""A small pix2gestalt checkpoint in its published file, with weights drawn from their names."""

import gzip
from pathlib import Path

import torch

from support.tiny_diffusion_vas import random_tensors

FIXTURES = Path(__file__).parents[1] / "fixtures"


def shapes(name):
    """Names and shapes that the published code has, from its own state dict."""
    lines = gzip.decompress((FIXTURES / f"pix2gestalt_{name}.txt.gz").read_bytes()).decode().splitlines()[1:]
    pairs = (line.split(" ") for line in lines)
    return {name: tuple(int(n) for n in shape.split(",") if n != "-") for name, shape in pairs}


class Callback:
    """Such as a Lightning file holds besides tensors."""

    def __init__(self, best):
        self.best = best


def write_checkpoint(folder, change=lambda state: None):
    folder.mkdir(parents=True, exist_ok=True)
    state = random_tensors(shapes("tiny"), 3)
    change(state)
    content = {"state_dict": state, "epoch": 5, "callbacks": {Callback: {"best": Callback(3)}}}
    torch.save(content, folder / "epoch=000005.ckpt")
    return folder
