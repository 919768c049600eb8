"""Published checkpoints: the table, and fetching and verifying against a hub on this machine."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from support import small_clip
from support.fake_hub import BIG, COMMIT, SAM2
from unocclude import InputError, weights
from unocclude.weights import CHECKPOINTS, Part, hub
from unocclude.weights.record import read_record


def test_every_row_says_where_it_comes_from():
    for id, checkpoint in CHECKPOINTS.items():
        assert checkpoint.id == id and checkpoint.purpose and checkpoint.parts
        for part in checkpoint.parts:
            assert part.files and part.source and part.licence
            assert bool(part.repositories) + bool(part.address) <= 1
            assert all(mirror.startswith("huggingface.co/") for mirror in part.mirrors)
    by_hand = [id for id, checkpoint in CHECKPOINTS.items() if not checkpoint.fetched]
    assert "i3d-kinetics-400" in by_hand and not {"sam3", "lpips-alex", "diffusion-vas"} & set(by_hand)
    assert CHECKPOINTS["stable-diffusion-2-inpainting"].parts[0].repositories == (
        "stabilityai/stable-diffusion-2-inpainting",
        "sd2-community/stable-diffusion-2-inpainting",
    )
    assert CHECKPOINTS["lpips-vgg"].parts[0].address == "https://download.pytorch.org/models/vgg16-397923af.pth"


def test_safetensors_before_pickles_and_full_precision_before_half():
    part = Part("", ("index.json", "net/*.safetensors|net/*.bin", "a*.bin"), "x", ("*.txt", "net/*.json"))
    names = [
        "a-00001.bin", "a-00002.bin", "b.bin", "index.json", "net/config.json", "net/w.bin", "net/w.fp16.safetensors",
        "net/w.non_ema.safetensors", "net/w.safetensors", "net/deep/w.safetensors", "words.txt", "net/words.txt",
    ]  # fmt: skip
    assert hub.choose_files(part, names) == [
        "net/w.safetensors", "a-00001.bin", "a-00002.bin", "words.txt", "net/config.json", "index.json",
    ]  # fmt: skip
    fewer = [name for name in names if "w.safetensors" not in name]
    assert hub.choose_files(part, fewer)[:2] == ["net/w.fp16.safetensors", "net/w.non_ema.safetensors"]
    assert hub.choose_files(part, ["index.json", "a.bin", "net/w.bin"]) == ["net/w.bin", "a.bin", "index.json"]
    with pytest.raises(InputError, match=r"does not hold a\*\.bin"):
        hub.choose_files(part, ["index.json", "net/w.bin"])


def test_fetch_verify_and_what_the_hub_said(fake, home, capsys):
    code, out, err = small_clip.run(capsys, "weights", "fetch", "sam2.1-hiera-large")
    folder = home / "sam2.1-hiera-large"
    assert (code, out) == (0, f"{folder}\n") and "0.3 MB" in err, err
    fetched = {path.name for path in folder.iterdir() if path.is_file()}
    assert fetched == {"config.json", "model.safetensors", "preprocessor_config.json", "README.md", "fetched.json"}
    assert (folder / "model.safetensors").read_bytes() == BIG
    gets = [path for method, path, _ in fake.asked if method == "GET" and "/resolve/" in path]
    assert gets[-1].endswith("config.json") and "preprocessor" not in gets[-1]  # what marks it as complete comes last

    said = json.loads((folder / "fetched.json").read_text())["sources"][f"huggingface.co/{SAM2}"]
    assert (said["revision"], said["licence"], said["gated"]) == (COMMIT, "test-1.0", False)
    assert said["files"]["model.safetensors"] == {
        "bytes": len(BIG),
        "hash": f"sha256:{hashlib.sha256(BIG).hexdigest()}",
    }
    git = subprocess.run(["git", "hash-object", folder / "config.json"], capture_output=True, text=True, check=True)
    assert said["files"]["config.json"] == {"bytes": 2, "hash": f"blob:{git.stdout.strip()}"}

    assert weights.is_present("sam2.1-hiera-large") and weights.resolve_checkpoint("sam2.1-hiera-large") == folder
    code, out, _ = small_clip.run(capsys, "weights", "verify")
    assert code == 0 and out.startswith("sam2.1-hiera-large: 4 files as fetched\n")
    assert out.count(": hash remembered\n") == 4 and "pinned" not in out
    assert small_clip.run(capsys, "weights", "path", "sam2.1-hiera-large")[1] == f"{folder}\n"
    assert small_clip.run(capsys, "weights", "path")[1] == f"{home}\n"
    (row,) = [row for row in json.loads(small_clip.run(capsys, "weights", "list", "--json")[1])
              if row["id"] == "sam2.1-hiera-large"]  # fmt: skip
    assert row["parts"][0]["bytes"] == len(BIG) + 2 + 8 + 4 and row["parts"][0]["here"] is True

    asked = len(fake.asked)
    assert small_clip.run(capsys, "weights", "fetch", "sam2.1-hiera-large")[0] == 0
    assert len(fake.asked) == asked  # it is there: nothing is looked up


def test_damage_is_found_and_mended(fake, home, capsys):
    small_clip.run(capsys, "weights", "fetch", "sam2.1-hiera-large", "--quiet")
    folder = home / "sam2.1-hiera-large"
    for name, content, word in (
        ("model.safetensors", BIG[:-1] + bytes([BIG[-1] ^ 1]), "model.safetensors is damaged"),
        ("config.json", b"[]", "config.json is damaged"),
        ("README.md", b"longer", "README.md has 6 bytes, expected 4"),
    ):
        (folder / name).write_bytes(content)
        code, out, err = small_clip.run(capsys, "weights", "verify", "sam2.1-hiera-large")
        assert code == 1 and word in out and "--again" in out
        small_clip.assert_one_line(err, "incomplete or damaged: sam2.1-hiera-large; see above")
        assert small_clip.run(capsys, "weights", "fetch", "sam2.1-hiera-large", "--again", "--quiet") == (0, "", "")
        assert small_clip.run(capsys, "weights", "verify")[0] == 0
    (folder / "model.safetensors").unlink()
    assert not weights.is_present("sam2.1-hiera-large")
    assert "lacks model.safetensors" in small_clip.run(capsys, "weights", "verify")[1]


def test_an_interrupted_download_goes_on(fake, home, capsys):
    large = BIG * 40  # huggingface_hub writes 10 MB at a time
    fake.files[SAM2]["model.safetensors"] = large
    fake.stop_at["model.safetensors"] = 11_000_000
    small_clip.run(capsys, "weights", "fetch", "sam2.1-hiera-large")
    if not weights.is_present("sam2.1-hiera-large"):  # huggingface_hub may have tried again by itself
        assert small_clip.run(capsys, "weights", "fetch", "sam2.1-hiera-large")[0] == 0
    assert (home / "sam2.1-hiera-large" / "model.safetensors").read_bytes() == large
    ranges = [asked for method, path, asked in fake.asked if method == "GET" and "model.safetensors" in path]
    assert len(ranges) == 2 and int(ranges[1].removeprefix("bytes=").rstrip("-")) > 0


def test_a_withdrawn_repository_is_fetched_from_its_mirror(fake, home, capsys):
    networks = {f"{part}/model.safetensors": b"w" for part in ("unet", "vae", "text_encoder")}
    fake.files["sd2-community/stable-diffusion-2-inpainting"] = {
        "model_index.json": b"{}", "tokenizer/vocab.json": b"{}", "tokenizer/merges.txt": b"m",
        "safety_checker/model.safetensors": b"s", "scheduler/scheduler_config.json": b"{}", **networks,
    }  # fmt: skip
    code, _, err = small_clip.run(capsys, "weights", "fetch", "stable-diffusion-2-inpainting")
    assert code == 0 and "stabilityai/stable-diffusion-2-inpainting is not on the hub" in err
    folder = home / "stable-diffusion-2-inpainting"
    assert (folder / "tokenizer" / "merges.txt").read_bytes() == b"m" and not (folder / "safety_checker").exists()
    (said,) = read_record(folder).values()
    assert said["repository"] == "sd2-community/stable-diffusion-2-inpainting"


def test_a_checkpoint_of_several_parts(fake, home, capsys):
    for name in ("amodal-segmentation", "content-completion"):
        fake.files[f"kaihuac/diffusion-vas-{name}"] = {
            "model_index.json": name.encode(),
            **{f"{part}/w.safetensors": b"w" for part in ("unet", "vae", "image_encoder")},
            "unet/config.json": b"{}",
        }
    depth = "depth-anything/Depth-Anything-V2-Large-hf"
    code, _, err = small_clip.run(capsys, "weights", "fetch", "diffusion-vas")
    assert code == 1
    small_clip.assert_one_line(err.splitlines()[-1], depth, "cannot be found")
    assert weights.is_present("diffusion-vas")  # depth is optional
    fake.files[depth] = {"config.json": b"{}", "model.safetensors": b"d"}
    assert small_clip.run(capsys, "weights", "fetch", "diffusion-vas")[0] == 0
    assert (home / "diffusion-vas" / "depth" / "model.safetensors").is_file()
    assert (home / "diffusion-vas" / "content-completion" / "model_index.json").read_bytes() == b"content-completion"
    out = small_clip.run(capsys, "weights", "verify", "diffusion-vas")[1]
    assert out.startswith("diffusion-vas: 12 files as fetched\n") and "  depth/config.json: hash remembered\n" in out


def test_a_gated_repository_says_how_to_get_in(fake, home, capsys):
    fake.gated.add(SAM2)
    code, _, err = small_clip.run(capsys, "weights", "fetch", "sam2.1-hiera-large", "--quiet")
    assert code == 2
    small_clip.assert_one_line(err, "gated", "accept its terms", "hf auth login", "HF_TOKEN")


def test_what_cannot_be_fetched_is_one_line(fake, home, capsys, monkeypatch):
    del fake.files[SAM2]["model.safetensors"], fake.files[SAM2]["pytorch_model.bin"]
    del fake.files[SAM2]["model.fp16.safetensors"]
    for args, code, words in (
        (["no-such"], 2, ["unknown checkpoint 'no-such'", "sam-vit-huge"]),
        (["sam-vit-huge"], 1, ["facebook/sam-vit-huge cannot be found"]),
        (["sam2.1-hiera-large"], 2, ["does not hold model*.safetensors"]),
        (["sam2.1-hiera-large", "--revision", "gone"], 2, ["no such revision"]),
        (["sam2.1-hiera-large", "sam3", "--revision", "main"], 2, ["a single checkpoint"]),
        (["i3d-kinetics-400"], 2, ["cannot be fetched", "i3d_pretrained_400.pt", "SongweiGe/TATS"]),
    ):
        got, _, err = small_clip.run(capsys, "weights", "fetch", *args, "--quiet")
        assert got == code, (args, err)
        small_clip.assert_one_line(err, *words)
    code, _, err = small_clip.run(capsys, "weights", "path", "sam3")
    assert code == 2
    small_clip.assert_one_line(err, "is missing", "`unocclude weights fetch sam3`")
    assert small_clip.run(capsys, "weights", "verify")[1].startswith("no checkpoints in")


def test_a_disk_too_small_is_said_before(fake, home, capsys, monkeypatch):
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda folder: type("usage", (), {"free": 1000}))
    code, _, err = small_clip.run(capsys, "weights", "fetch", "sam2.1-hiera-large", "--quiet")
    assert code == 1 and not [path for method, path, _ in fake.asked if "/resolve/" in path]
    small_clip.assert_one_line(err, "GB are needed", "UNOCCLUDE_WEIGHTS")


def test_a_file_that_is_not_on_the_hub(fake, home, capsys, monkeypatch):
    pin = hashlib.sha256(BIG).hexdigest()[:8]
    name = f"net-{pin}.pth"
    fake.files["plain"] = {name: BIG}
    part = Part("", ("net-*.pth",), f"{fake.address}/plain/{name}", sha256=((name, pin),))
    row = weights.Checkpoint("net", "a test", (part,))
    monkeypatch.setitem(CHECKPOINTS, "net", row)
    fake.stop_at[name] = 50_000
    code, _, err = small_clip.run(capsys, "weights", "fetch", "net")
    assert (
        code == 1 and not weights.is_present("net") and (home / "net" / f"{name}.incomplete").stat().st_size == 50_000
    )
    assert small_clip.run(capsys, "weights", "fetch", "net")[0] == 0
    assert (home / "net" / name).read_bytes() == BIG and fake.asked[-1][2] == "bytes=50000-"
    said = f"net: 1 file as fetched\n  {name}: hash pinned (its first 8 digits)\n"
    assert small_clip.run(capsys, "weights", "verify")[:2] == (0, said)
    wrong = "other.pth"
    fake.files["plain"][wrong] = BIG
    part = Part("", (wrong,), f"{fake.address}/plain/{wrong}", sha256=((wrong, f"0{pin}"),))
    row = weights.Checkpoint("net", "a test", (part,))
    monkeypatch.setitem(CHECKPOINTS, "net", row)
    code, _, err = small_clip.run(capsys, "weights", "fetch", "net", "--quiet")
    assert code == 1 and not (home / "net" / wrong).exists()
    small_clip.assert_one_line(err, "damaged")


def command(home, *args, **more):
    """The real command in a process of its own."""
    environment = {**os.environ, "UNOCCLUDE_WEIGHTS": str(home), "HF_HOME": str(home.parent / "hf"), **more}
    return subprocess.run(
        [sys.executable, "-m", "unocclude.cli", "weights", *args],
        capture_output=True, text=True, env=environment, timeout=60,
    )  # fmt: skip


def test_the_environment_is_heeded(fake, home):
    done = command(home, "fetch", "sam2.1-hiera-large", HF_ENDPOINT=fake.address)
    assert done.returncode == 0, done.stderr
    offline = command(home, "fetch", "sam3", HF_ENDPOINT=fake.address, HF_HUB_OFFLINE="1")
    assert offline.returncode == 1
    small_clip.assert_one_line(offline.stderr, "HF_HUB_OFFLINE is set")
    assert command(home, "fetch", "sam2.1-hiera-large", HF_HUB_OFFLINE="1").returncode == 0  # it is there
    gone = command(home, "fetch", "sam3", HF_ENDPOINT="http://127.0.0.1:9")
    assert gone.returncode == 1
    small_clip.assert_one_line(gone.stderr, "facebook/sam3 could not be fetched from http://127.0.0.1:9")


def test_local_folders_are_taken_as_they_are(home, tmp_path, capsys):
    mine = home / "sam2.1-hiera-large"
    mine.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (mine / name).write_bytes(b"x")
    assert small_clip.run(capsys, "weights", "fetch", "sam2.1-hiera-large")[0] == 0
    assert "hashes are unknown" in small_clip.run(capsys, "weights", "verify", "sam2.1-hiera-large")[1]
    assert weights.resolve_checkpoint(mine, "sam2.1-hiera-large") == mine
