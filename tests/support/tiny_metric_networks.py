"""The networks of LPIPS, CLIP similarity, TC and FVD in their published files, with weights drawn from their names."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch

from support.tiny_models import write_clip

FACTS = json.loads((Path(__file__).parents[1] / "fixtures" / "metric_networks.json").read_text())


def write_metric_networks(home):
    """All of them into a folder of weights."""
    write_lpips(home / "lpips-alex", "alex")
    write_i3d(home / "i3d-kinetics-400")
    (home / "clip-vit-base-patch32").mkdir()
    write_clip(home / "clip-vit-base-patch32")


def random_tensors(shapes):
    """Weights drawn from their names, as the fixture's figures were computed with."""
    state = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros(shape, dtype=torch.int64)
            continue
        if name.endswith(("running_var", "bn.weight")) or name.startswith("lin"):
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            value = rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape)
        else:
            value = rng.normal(0, 0.1, shape)
        state[name] = torch.tensor(value, dtype=torch.float32)
    return state


def features_file(net):
    return {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth"}[net]


def write_lpips(folder, net):
    """The two published files; torchvision's classifier at its real names, emptied to keep the file small."""
    folder.mkdir(parents=True)
    facts = FACTS[f"lpips-{net}"]
    trunk = random_tensors({k: v for k, v in facts["torchvision"].items() if k.startswith("features.")})
    rest = {k: torch.zeros(0) for k in facts["torchvision"] if k.startswith("classifier.")}
    assert rest
    torch.save(trunk | rest, folder / features_file(net))
    torch.save(random_tensors(facts["lpips"]), folder / f"{net}.pth")
    return folder


def write_i3d(folder):
    """As the conversion from TensorFlow writes it: batch norms without their counter."""
    folder.mkdir(parents=True)
    state = random_tensors(FACTS["i3d"]["names"])
    kept = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert len(kept) < len(state)
    torch.save(kept, folder / "i3d_pretrained_400.pt")
    return state
