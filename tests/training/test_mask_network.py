"""The mask network: its samples, its recipe run small, and ONNX against torch."""

import numpy as np
import pytest

from unocclude.cli import main
from unocclude.geometry import bounding_box
from unocclude.perception.mask_network import PLANES, SIDE, Marks, View, make_planes
from unocclude.synthesis.crowds import Crowd, crowd

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
onnxruntime = pytest.importorskip("onnxruntime")

from unocclude.training import mask_network  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def square():
    """A bright square on black: what a sample must show of it is known."""
    labels = np.zeros((100, 120), np.uint8)
    labels[30:60, 40:80] = 1
    return Crowd(np.where(labels[..., None] > 0, 200, 0).repeat(3, 2).astype(np.uint8), labels)


def test_view_puts_back_what_it_takes():
    image = np.random.default_rng(0).uniform(size=(70, 90)).astype(np.float32)
    view = View(10, 5, SIDE)
    back = view.put(view.take(image), image.shape, -1)
    assert np.allclose(back[5:, 10:], image[5:, 10:])
    assert (back[:5] == -1).all() and (back[:, :10] == -1).all()
    outer = View(-20, -30, 2 * SIDE)
    assert np.abs(outer.put(outer.take(image), image.shape, 0) - image).mean() < 0.25


def test_planes_show_the_marks_where_they_are(square):
    mask = square.labels > 0
    marks = Marks([(40, 30, 80, 60)], [(60, 45)], [(10, 10)], mask)
    view = View.around((40, 30, 80, 60))
    planes = make_planes(square.picture, marks, view)
    seen = view.take(mask.astype(np.float32)) > 0.5
    assert planes.shape == (PLANES, SIDE, SIDE)
    assert ((planes[4] > 0) != seen).sum() < 2 * SIDE
    assert planes[5][seen].sum() == planes[5].sum() > 10
    assert planes[6].sum() == 0  # outside the view
    assert (np.sign(planes[7]) == np.where(seen, 1, -1))[planes[3] == 1].mean() > 0.97


@pytest.mark.parametrize("kind", list(mask_network.PROMPTS))
def test_samples_mark_the_object_and_not_the_rest(square, kind):
    for seed in range(8):
        sample = mask_network.draw(square, np.random.default_rng(seed), kind)
        assert sample is not None
        target = sample.target[0] > 0.5
        assert (sample.planes[:3].mean(0)[target]).mean() > (sample.planes[:3].mean(0)[~target]).mean() + 0.3
        inside, outside = sample.planes[5] > 0, sample.planes[6] > 0
        assert not inside.any() or (inside & target).sum() > 0.4 * inside.sum()
        assert not outside.any() or (outside & ~target).sum() > 0.6 * outside.sum()
        assert sample.planes[4].any() == ("box" in kind) or kind == "rough mask"
        assert sample.planes[7].any() == (kind == "rough mask")
        if kind == "box":
            x0, y0, x1, y1 = bounding_box(sample.planes[4] > 0)
            overlap = target[y0:y1, x0:x1].sum() / max(target.sum(), 1)
            assert overlap > 0.7


def test_samples_repeat_and_vary():
    made = crowd(3, 96)
    first, second, other = (mask_network.draw(made, np.random.default_rng(seed), "box") for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first.planes, other.planes)


def test_a_small_run_gives_the_same_network_again_from_its_cache(tmp_path, capsys):
    config = tmp_path / "mask.toml"
    config.write_text(
        f"""[recipe]
count = 3
validation_count = 3
side = 96
widths = [8, 8, 16, 16]
cache = "{tmp_path / "cache"}"
[loop]
steps = 2
batch = 4
threads = 1
workers = 0
"""
    )
    weights = []
    for name in ("a", "b"):
        assert main(["train", "mask-network", "--config", str(config), "-o", str(tmp_path / name), "--quiet"]) == 0
        weights.append((tmp_path / name / mask_network.FILE).read_bytes())
        assert len(list((tmp_path / "cache").rglob("*.npz"))) == 6
    assert weights[0] == weights[1]
    session = onnxruntime.InferenceSession(weights[0], providers=["CPUExecutionProvider"])
    [logits] = session.run(None, {"planes": np.zeros((3, PLANES, SIDE, SIDE), np.float32)})
    assert logits.shape == (3, 1, SIDE, SIDE) and logits.dtype == np.float32
    assert capsys.readouterr().out == ""
