"""Captions: a tiny BLIP-2 drawn from a seed, saved in the published format; what is said where weights lack."""

import numpy as np
import pytest

from unocclude import InputError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from support.tiny_blip2 import write_blip2  # noqa: E402

torch.set_num_threads(1)


def test_a_caption_depends_on_the_picture_alone(tmp_path):
    from unocclude.perception.caption import Captioner

    folder = write_blip2(tmp_path / "blip2")
    pictures = [np.full((40, 60, 3), colour, np.uint8) for colour in np.random.default_rng(0).integers(0, 256, (6, 3))]
    captioner = Captioner(folder, "cpu")
    captions = [captioner(picture) for picture in pictures]
    assert [Captioner(folder, "cpu")(picture) for picture in pictures] == captions
    assert len(set(captions)) > 1
    assert all("<" not in caption or "<image>" not in caption for caption in captions)


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    from unocclude.perception.caption import Captioner

    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path))
    with pytest.raises(InputError, match=r"blip2-opt-2\.7b.*is missing: put config\.json.*Salesforce/blip2-opt-2\.7b"):
        Captioner()
    folder = write_blip2(tmp_path / "blip2")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        Captioner(folder)


def test_another_model_is_refused(tmp_path):
    from unocclude.perception.caption import Captioner

    folder = write_blip2(tmp_path / "blip2")
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights.pop("query_tokens")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="lacks query_tokens"):
        Captioner(folder)
