"""Checkpoints from elsewhere: none runs code, reaches another folder, or fails with more than one plain line."""

import json

import pytest

from unocclude.errors import InputError

torch = pytest.importorskip("torch")
from support import hostile_files  # noqa: E402
from unocclude.networks.configuration import MAX_BYTES, check_configurations, read_json  # noqa: E402
from unocclude.networks.files import check_folder, read_lightning, read_state, read_tensors, read_weights  # noqa: E402

STEM = "diffusion_pytorch_model"


def test_no_checkpoint_runs_code(tmp_path):
    mark = tmp_path / "mark"
    files = hostile_files.runners(mark)
    path, whole = tmp_path / "x.ckpt", torch._utils._rebuild_tensor_v2.__defaults__
    assert len(files) > 90
    for name, content in files.items():
        path.write_bytes(content)
        for read in (read_state, read_lightning, lambda p: read_state(p, "state_dict")):
            try:
                read(path)
            except InputError as error:
                assert "\n" not in str(error), name
            else:
                assert name == "data in another folder", name
            assert not mark.exists(), name
    assert torch._utils._rebuild_tensor_v2.__defaults__ == whole
    path.write_bytes(files["reduce"])
    with pytest.raises(AssertionError):  # the same files do harm where they are let
        torch.load(path, weights_only=False)
        assert not mark.exists()


def test_torchscript_is_refused_in_one_line(tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(hostile_files.scripted())
    for read in (read_state, read_lightning):
        with pytest.raises(InputError, match="TorchScript archive, which is a program"):
            read(path)
    (tmp_path / "pytorch_model.bin").write_bytes(hostile_files.scripted())
    with pytest.raises(InputError, match="TorchScript"):
        check_folder(tmp_path)


class Callback:
    def __init__(self, best):
        self.best = best


class Settings(dict):
    """As Lightning's AttributeDict."""


def test_a_lightning_file_may_hold_anything_beside_its_tensors(tmp_path):
    state = {"w": torch.arange(6.0).reshape(2, 3), "n": torch.nn.Parameter(torch.ones(2))}
    more = {"callbacks": {Callback: Callback(3)}, "hyper_parameters": Settings(a=1, b=Callback(Settings(c=2)))}
    torch.save({"state_dict": state, **more}, tmp_path / "x.ckpt")
    found = read_lightning(tmp_path / "x.ckpt")
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_tensors_are_no_larger_than_what_the_file_holds(tmp_path):
    path = tmp_path / "x.pt"
    for value in (
        torch.zeros(1).expand(1 << 40),
        torch.empty(1 << 40, device="meta"),
        torch.eye(3).to_sparse(),
        torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
    ):
        torch.save({"w": value}, path)
        with pytest.raises(InputError, match=r"larger than|tensors by name|read safely"):
            read_state(path)
    for state in ({1: torch.ones(1)}, {"w": [torch.ones(1)]}, [torch.ones(1)], torch.ones(1)):
        torch.save(state, path)
        with pytest.raises(InputError, match="tensors by name"):
            read_state(path)


@pytest.mark.parametrize("name", hostile_files.LYING)
def test_safetensors_with_wrong_headers(tmp_path, name):
    path = tmp_path / "x.safetensors"
    path.write_bytes(hostile_files.LYING[name])
    with pytest.raises(InputError, match="cannot be read as safetensors") as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "shard", ["../elsewhere.bin", "/etc/passwd", "a/b.bin", "..", "", "a\\b.bin", "a\0b", 3, None, ["x"]]
)
def test_an_index_names_files_beside_it_alone(tmp_path, shard):
    torch.save({"w": torch.ones(1)}, tmp_path / "elsewhere.bin")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / f"{STEM}.bin.index.json").write_text(json.dumps({"weight_map": {"w": shard}}))
    for read in (lambda: read_weights(folder, STEM), lambda: check_folder(folder)):
        with pytest.raises(InputError, match="which is no file beside it"):
            read()


def test_configurations_that_cannot_be_read(tmp_path):
    path = tmp_path / "config.json"
    for content in (b"[" * 100_000, b'{"a": "\xff\xfe"}', b"[]", b"", b"{", b"9" * 10_000, b"\x00" * 10):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is no configuration"):
            read_json(path)
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InputError, match="is no configuration"):
        check_configurations(tmp_path)
    path.rename(tmp_path / "tokenizer.json")
    with pytest.raises(InputError, match="too many for a configuration"):
        check_configurations(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    path.mkdir()
    with pytest.raises(InputError, match="is no configuration"):
        check_configurations(tmp_path)


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_code_from_a_hub_is_not_asked_for(tmp_path, key):
    for value in ("someone/kernel", {"": "someone/kernel"}, {"text": "paged|someone/kernel@main:f"}):
        (tmp_path / "config.json").write_text(json.dumps({"vision_config": {key: value}}))
        with pytest.raises(InputError, match="asks for code from a hub"):
            check_configurations(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({key: "sdpa", "auto_map": {"AutoModel": "x.Y"}}))
    check_configurations(tmp_path)


def test_auto_map_is_not_followed(tmp_path, monkeypatch):
    transformers = pytest.importorskip("transformers")
    from unocclude.networks.loading import checked_loading, load_pretrained

    mark = tmp_path / "mark"
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    (tmp_path / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Evil: pass\n")
    own = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil", "AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    config = {"auto_map": own, "model_type": "evil", "architectures": ["Evil"], "tokenizer_class": "Evil"}
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).write_text(json.dumps(config))
    (tmp_path / "pytorch_model.bin").write_bytes(hostile_files.saved({"w": hostile_files.Evil(mark)}))
    with pytest.raises(InputError), checked_loading(tmp_path, "tokenizer"):
        transformers.AutoTokenizer.from_pretrained(tmp_path, local_files_only=True, trust_remote_code=False)
    with pytest.raises(InputError):
        load_pretrained(transformers.CLIPModel, tmp_path, "CLIP model")
    assert not mark.exists()


def test_pickled_weights_of_the_libraries_run_no_code(tmp_path):
    transformers, diffusers = pytest.importorskip("transformers"), pytest.importorskip("diffusers")
    from unocclude.networks.loading import load_pretrained

    mark = tmp_path / "mark"
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = transformers.CLIPVisionConfig(**sizes, image_size=8, patch_size=4, projection_dim=8)
    vae = diffusers.AutoencoderKL(block_out_channels=(4,), norm_num_groups=1, latent_channels=1)
    for kind, save, stem in (
        (transformers.CLIPVisionModel, config.save_pretrained, "pytorch_model.bin"),
        (diffusers.AutoencoderKL, vae.save_config, f"{STEM}.bin"),
    ):
        folder = tmp_path / kind.__name__
        folder.mkdir()
        save(folder)
        for name, content in hostile_files.runners(mark).items():
            if any(word in name for word in ("reduce", "script", "os.system 2", "tar", "magic")):
                (folder / stem).write_bytes(content)
                with pytest.raises(InputError):
                    load_pretrained(kind, folder, "model")
                assert not mark.exists(), name


@pytest.mark.parametrize(
    "entry",
    [
        {"unet": ["evil", "Evil"]},
        {"unet": ["os", "system"]},
        {"unet": ["diffusers.utils", "x"]},
        {"unet": ["diffusers", "a.b"]},
        {"../unet": ["diffusers", "UNet2DConditionModel"]},
        {"unet": ["transformers", "AutoModel"]},
        {"unet": ["diffusers"]},
        {"unet": ["diffusers", 3]},
        {"_class_name": ["evil", "EvilInpaintPipeline"]},
    ],
)
def test_parts_of_a_pipeline_are_of_known_libraries(tmp_path, entry, monkeypatch):
    from unocclude.methods.inpainter import read_index

    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    index = {"_class_name": "StableDiffusionInpaintPipeline", "safety_checker": ["stable_diffusion", "X"], **entry}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(InputError):
        read_index(tmp_path)
    assert not (tmp_path / "mark").exists()


def test_a_training_run_resumes_from_no_program(tmp_path):
    from support.line_recipe import options, run

    run(tmp_path / "out", options())
    checkpoint = max((tmp_path / "out" / "checkpoints").iterdir())
    names = [path.name for path in checkpoint.iterdir() if path.suffix in (".bin", ".pkl", ".pt")]
    assert {"average.pt", "place.pt", "optimizer.bin"} <= set(names) and not list(checkpoint.glob("custom*"))
    mark = tmp_path / "mark"
    for name in names:
        good = (checkpoint / name).read_bytes()
        (checkpoint / name).write_bytes(hostile_files.saved({"w": hostile_files.Evil(mark)}))
        if "random_states" in name:  # accelerate goes on without them
            run(tmp_path / "out", options())
        else:
            with pytest.raises(InputError, match=r"read safely|cannot be resumed"):
                run(tmp_path / "out", options())
        assert not mark.exists(), name
        (checkpoint / name).write_bytes(good)
