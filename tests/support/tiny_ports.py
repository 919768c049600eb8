"""Fixtures of the networks that we ported, and tiny checkpoints of them in the published files' form.

tests/fixtures/{instaorder,ram_plus,lisa}.json.gz name repository and commit; the numbers in them are what the published
source gave on weights drawn by name (`random_tensors`).
"""

import gzip
import json
from pathlib import Path

import torch

from support.tiny_diffusion_vas import random_tensors, shapes_of


def published(name):
    return json.loads(gzip.decompress((Path(__file__).parents[1] / "fixtures" / f"{name}.json.gz").read_bytes()))


def with_positive_variances(state):
    """Batch norms' variances made positive."""
    return {k: v.abs() + 0.5 if k.endswith("running_var") else v for k, v in state.items()}


def write_instaorder(folder, width=4, seed=0, **other):
    """InstaOrder_InstaOrderNet_od.pth.tar as the published code saves it; other: tensors that replace drawn ones."""
    from unocclude.networks.instaorder import InstaOrderNet

    network = InstaOrderNet(width)
    state = with_positive_variances(random_tensors(shapes_of(network), seed)) | other
    for name, value in network.state_dict().items():
        state.setdefault(name, torch.zeros_like(value))
    folder.mkdir(parents=True, exist_ok=True)
    content = {"step": 60000, "state_dict": {f"module.{k}": v for k, v in state.items()}, "optimizer": {"state": {}}}
    torch.save(content, folder / "InstaOrder_InstaOrderNet_od.pth.tar")
    return folder


TAGS = ("cat", "dog", "plant", "red car", "table")


def ram_plus_state(shapes, seed=0):
    """Weights by name and shape, in which the descriptions differ enough to matter."""
    state = random_tensors(shapes, seed)
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


def write_lisa(folder, seed=None, model_file=False, **other):
    """A folder as LISA's merge script writes it, of tiny parts, and CLIP's vision tower under its published names.

    model_file: with tokenizer.model, as published, in place of tokenizer.json. other: tensors that replace drawn ones,
    dots written as two underscores.
    """
    import base64

    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModel

    fixture = published("lisa")
    tiny = fixture["tiny"]
    state = random_tensors(tiny["names"], tiny["seed"] if seed is None else seed)
    state |= {name.replace("__", "."): value for name, value in other.items()}
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(4)  # old transformers saved it
    names = sorted(state)
    shards = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
    (folder / "vision_tower").mkdir(parents=True, exist_ok=True)
    for file, held in shards.items():
        torch.save({name: state[name] for name in held}, folder / file)
    index = {"metadata": {}, "weight_map": {name: file for file, held in shards.items() for name in held}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    config = tiny["llama"] | {"model_type": "llava", "architectures": ["LISAForCausalLM"], "rope_scaling": None}
    config |= {"mm_vision_select_layer": -2, "mm_vision_tower": "openai/clip-vit-large-patch14", "out_dim": 32}
    (folder / "config.json").write_text(json.dumps(config))
    if model_file:
        (folder / "tokenizer.model").write_bytes(base64.b64decode(fixture["tokenizer_model"]))
        (folder / "added_tokens.json").write_text(json.dumps(fixture["added_tokens"]))
    else:
        (folder / "tokenizer.json").write_text(json.dumps(fixture["tokenizer"]))
    (folder / "tokenizer_config.json").write_text(json.dumps(fixture["tokenizer_config"]))
    clip = CLIPVisionConfig(**tiny["clip"])
    shapes = shapes_of(CLIPVisionModel(clip))
    tower = random_tensors(
        {f"vision_model.{name.removeprefix('vision_model.')}": shape for name, shape in shapes.items()}
    )
    save_file(tower, folder / "vision_tower" / "model.safetensors", metadata={"format": "pt"})
    (folder / "vision_tower" / "config.json").write_text(json.dumps(clip.to_dict()))
    return folder
