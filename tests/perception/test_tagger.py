"""RAM++: names, shapes and forward pass of the published source; tags of a tiny checkpoint in its published form."""

import numpy as np
import pytest

from unocclude import InputError

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from PIL import Image  # noqa: E402

from support.tiny_ports import TAGS, published, ram_plus_state, write_ram_plus  # noqa: E402
from unocclude.networks import ram_plus  # noqa: E402
from unocclude.perception.tagger import OPEN_WORLD, Tagger  # noqa: E402


def taken(names):
    """Published names and shapes without what follows from the configuration."""
    return {name: tuple(shape) for name, shape in names.items() if not name.endswith(ram_plus.DERIVED)}


def test_names_and_shapes_are_the_published_ones():
    with torch.device("meta"):
        own = ram_plus.RamPlus().state_dict()
    assert {name: tuple(value.shape) for name, value in own.items()} == taken(published("ram_plus")["names"])


def test_size_is_read_from_the_shapes():
    tiny = published("ram_plus")["tiny"]
    sizes = ram_plus.sizes_of(ram_plus_state(taken(tiny["names"])), 5)
    swin = {k: tuple(v) if isinstance(v, list) else v for k, v in tiny["sizes"]["swin"].items()}
    assert sizes == tiny["sizes"] | {"swin": swin}
    with torch.device("meta"):
        whole = ram_plus.RamPlus().state_dict()
        assert ram_plus.RamPlus(**ram_plus.sizes_of(whole, 4585)).state_dict().keys() == whole.keys()


def test_forward_is_the_published_one():
    tiny = published("ram_plus")["tiny"]
    network = ram_plus.RamPlus(**tiny["sizes"])
    network.load_state_dict(ram_plus_state(taken(tiny["names"])))
    images = torch.tensor(np.random.default_rng(0).standard_normal((2, 3, 384, 384)), dtype=torch.float32)
    with torch.inference_mode():
        features, logits = network.visual_encoder(images), network(images)
    np.testing.assert_allclose(features[:, ::16, ::8], tiny["features"], atol=2e-5)
    np.testing.assert_allclose(logits, tiny["logits"], atol=2e-5)
    assert np.ptp(tiny["logits"], axis=1).min() > 0.1  # or the descriptions would not matter


def picture(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (60, 91, 3), np.uint8)


def test_tags_are_those_above_their_thresholds(tmp_path):
    folder = write_ram_plus(tmp_path)
    tagger = Tagger(folder, "cpu")
    likely = tagger.probabilities(picture())
    order = np.argsort(likely)
    assert np.diff(likely[order]).min() > 1e-4
    # the published preparation: Pillow's bicubic to 384 x 384, ImageNet's mean and deviation
    small = np.asarray(Image.fromarray(picture()).resize((384, 384), Image.Resampling.BICUBIC)) / 255
    small = (small - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.inference_mode():
        logits = tagger.network(torch.tensor(small.transpose(2, 0, 1)[None], dtype=torch.float32))[0].numpy()
    np.testing.assert_allclose(likely, 1 / (1 + np.exp(-logits.astype(float))), atol=1e-6)

    middle = float(likely[order[2:4]].mean())
    assert Tagger(folder, "cpu", middle)(picture()) == [tag for tag, p in zip(TAGS, likely, strict=True) if p > middle]
    own = np.where(likely > middle, 0.99, 0.01)  # each its own: now the others are over theirs
    (folder / "ram_tag_list_threshold.txt").write_text("\n".join(map(str, own)))
    assert Tagger(folder, "cpu")(picture()) == [tag for tag, p in zip(TAGS, likely, strict=True) if p <= middle]
    assert set(Tagger(folder, "cpu", OPEN_WORLD).thresholds) == {0.6}
    assert Tagger(folder, "cpu", 1.0)(picture()) == []


def test_half_precision_and_what_training_left_in_the_file_do_not_matter(tmp_path):
    plain = Tagger(write_ram_plus(tmp_path / "plain"), "cpu").probabilities(picture())
    file = write_ram_plus(tmp_path / "other") / "ram_plus_swin_large_14m.pth"
    content = torch.load(file)
    state = {name.replace("tagging_head", "vision_multi"): value for name, value in content["model"].items()}
    state |= {name: torch.zeros(2) for name in ("text_encoder.pooler", "visual_encoder.layers.0.blocks.1.attn_mask")}
    torch.save({"model": state, "optimizer": {}, "epoch": 4}, file)
    np.testing.assert_array_equal(Tagger(file.parent, "cpu").probabilities(picture()), plain)
    torch.save({"model": {name: value.half() for name, value in content["model"].items()}}, file)
    np.testing.assert_allclose(Tagger(file.parent, "cpu").probabilities(picture()), plain, atol=2e-3)


def test_what_is_missing_or_wrong_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path / "home"))
    with pytest.raises(InputError, match=r"tagging needs the checkpoint ram-plus.*ram_tag_list\.txt.*ram/data"):
        Tagger()
    folder = write_ram_plus(tmp_path / "tiny")
    (folder / "ram_tag_list.txt").write_text("\n".join(TAGS[:4]))
    with pytest.raises(InputError, match="holds 4 tags and 5 thresholds"):
        Tagger(folder, "cpu")
    with pytest.raises(InputError, match=r"label_embed is \(255, 512\), expected \(252, 512\)"):
        Tagger(folder, "cpu", OPEN_WORLD)
    write_ram_plus(folder)
    (folder / "ram_tag_list_threshold.txt").write_text("high\n" * 5)
    with pytest.raises(InputError, match="no list of numbers"):
        Tagger(folder, "cpu")
    for name in ("fc.weight", "visual_encoder.layers.1.blocks.1.norm2.bias", "label_embed"):
        state = torch.load(write_ram_plus(folder) / "ram_plus_swin_large_14m.pth")["model"]
        del state[name]
        torch.save({"model": state}, folder / "ram_plus_swin_large_14m.pth")
        with pytest.raises(InputError, match="another network's checkpoint"):
            Tagger(folder, "cpu")
    torch.save(state, folder / "ram_plus_swin_large_14m.pth")
    with pytest.raises(InputError, match="does not hold tensors by name"):
        Tagger(folder, "cpu")
