"""A hub on this machine, and an empty folder for weights."""

import pytest

from support.fake_hub import BIG, SAM2, FakeHub
from unocclude.weights import download


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("UNOCCLUDE_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture
def fake(home, monkeypatch):
    from huggingface_hub import constants

    fake = FakeHub()
    monkeypatch.setattr(constants, "ENDPOINT", fake.address)
    monkeypatch.setattr(download, "SCHEMES", ("https", "http"))
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", fake.address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    fake.files[SAM2] = {
        "config.json": b"{}",
        "model.safetensors": BIG,
        "pytorch_model.bin": b"p" * 5000,
        "sam2.1_hiera_large.pt": b"t" * 5000,
        "model.fp16.safetensors": b"h" * 5000,
        "preprocessor_config.json": b'{"a": 1}',
        "README.md": b"card",
        "picture.png": b"png",
    }
    yield fake
    fake.close()
