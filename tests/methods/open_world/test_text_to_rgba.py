"""From words to the complete object: the whole route through the command line, every network tiny and in its published
format."""

import json

import numpy as np
import pytest

import unocclude
from support import small_clip, tiny_models
from support.development_data import image_file
from unocclude.completion import Completion
from unocclude.methods.open_world import networks
from unocclude.perception import grounding_dino

pytest.importorskip("diffusers")
from support import tiny_ports
from support.tiny_inpainting import write_inpainting

WRITERS = {
    "grounding-dino-tiny": tiny_models.write_grounding_dino,
    "sam2.1-hiera-large": tiny_models.write_sam2,
    "sam-vit-huge": tiny_models.write_sam,
    "clip-vit-base-patch32": tiny_models.write_clip,
    "ram-plus": tiny_ports.write_ram_plus,
    "instaorder-od": tiny_ports.write_instaorder,
    "stable-diffusion-2-inpainting": write_inpainting,
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """All weights, and Grounding DINO looking at small pictures; returns which networks are asked."""
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path / "weights"))
    for name, write in WRITERS.items():
        write(tmp_path / "weights" / name)
    monkeypatch.setattr(grounding_dino, "SHORTEST", 66)
    monkeypatch.setattr(grounding_dino, "LONGEST", 111)
    monkeypatch.setattr(grounding_dino, "BOX_THRESHOLD", 0.0)  # a network that knows nothing is never sure
    networks._network.cache_clear()
    asked = []
    plain = networks._network
    monkeypatch.setattr(
        networks, "_network", lambda question, device: asked.append(question) or plain(question, device)
    )
    yield asked
    plain.cache_clear()


def complete(image, out, capsys):
    args = ["complete", image, "-o", out, "--text", "red cat", "--method", "open-world", "--pad", "0.25",
            "--set", "steps=2", "--device", "cpu", "--seed", "3"]  # fmt: skip
    code, _, err = small_clip.run(capsys, *args)
    assert code == 0, err
    return Completion(out)


def test_without_instaorder_depth_orders(home, tmp_path, monkeypatch):
    import shutil

    from unocclude.perception.order import DepthOrder, InstaOrder, best

    assert networks.load_published("cpu").order and isinstance(best("cpu"), InstaOrder)
    shutil.rmtree(tmp_path / "weights" / "instaorder-od")
    assert networks.load_published("cpu").order is None
    monkeypatch.setattr("unocclude.perception.order.DepthAnything", lambda device: np.zeros_like)
    (tmp_path / "weights" / "depth-anything-v2-large").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "weights" / "depth-anything-v2-large" / name).touch()
    assert networks.load_published("cpu").order and isinstance(best("cpu"), DepthOrder)


def test_from_words_to_rgba(tmp_path, home, capsys):
    image = image_file(tmp_path / "image")
    first = complete(image, tmp_path / "first", capsys)
    assert set(home) == {"tags", "ground", "segment", "choose", "order"}
    canvas = first.info["canvas"]
    (x, y), frame = canvas["offset"], unocclude.open(image)[0]
    assert (canvas["width"], canvas["height"]) == (frame.shape[1] + 2 * x, frame.shape[0] + 2 * y)
    visible = first.visible_masks[0]
    inner = np.s_[y : y + frame.shape[0], x : x + frame.shape[1]]
    opaque = visible & (first.rgba[0][..., 3] == 255)
    assert visible.any() and not visible[:y].any() and not visible[:, :x].any()
    assert np.array_equal(first.rgba[0][inner][opaque[inner]][:, :3], frame[opaque[inner]])
    assert (first.amodal_masks[0] | visible == first.amodal_masks[0]).all()
    assert (first.provenance[0][first.amodal_masks[0] & ~visible] == 3).all()
    again = complete(image, tmp_path / "again", capsys)
    assert np.array_equal(first.rgba[0], again.rgba[0])
    assert json.loads((tmp_path / "first" / "result.json").read_text())["arguments"]["prompt"]["text"] == "red cat"
