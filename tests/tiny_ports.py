"""Fixtures of the networks that we ported, and tiny checkpoints of them in the published files' form.

tests/fixtures/{instaorder,ram_plus,lisa}.json.gz name repository and commit; the numbers in them are what the published
source gave on weights drawn by name (`drawn`).
"""

import gzip
import json
from pathlib import Path

import torch
from tiny_diffusion_vas import drawn, shapes_of


def published(name):
    return json.loads(gzip.decompress((Path(__file__).parent / "fixtures" / f"{name}.json.gz").read_bytes()))


def sure(state):
    """Batch norms' variances made positive."""
    return {k: v.abs() + 0.5 if k.endswith("running_var") else v for k, v in state.items()}


def write_instaorder(folder, width=4, seed=0, **other):
    """InstaOrder_InstaOrderNet_od.pth.tar as the published code saves it; other: tensors that replace drawn ones."""
    from unocclude.networks.instaorder import InstaOrderNet

    network = InstaOrderNet(width)
    state = sure(drawn(shapes_of(network), seed)) | other
    for name, value in network.state_dict().items():
        state.setdefault(name, torch.zeros_like(value))
    folder.mkdir(parents=True, exist_ok=True)
    content = {"step": 60000, "state_dict": {f"module.{k}": v for k, v in state.items()}, "optimizer": {"state": {}}}
    torch.save(content, folder / "InstaOrder_InstaOrderNet_od.pth.tar")
    return folder


TAGS = ("cat", "dog", "plant", "red car", "table")


def ram_plus_state(shapes, seed=0):
    """Weights by name and shape, in which the descriptions differ enough to matter."""
    state = drawn(shapes, seed)
    state["reweight_scale"] = torch.tensor(2.0)
    state["label_embed"] *= 10
    return state


def write_ram_plus(folder, seed=0, **other):
    """ram_plus_swin_large_14m.pth and the two lists beside it, of five tags; other: as for InstaOrder."""
    tiny = published("ram_plus")["tiny"]
    state = ram_plus_state({k: v for k, v in tiny["names"].items() if not k.endswith("attn_mask")}, seed) | other
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"model": state, "epoch": 4}, folder / "ram_plus_swin_large_14m.pth")
    (folder / "ram_tag_list.txt").write_text("\n".join(TAGS) + "\n")
    (folder / "ram_tag_list_threshold.txt").write_text("\n".join(["0.4"] * len(TAGS)) + "\n")
    return folder
