"""What is fetched is what was pinned; a record or an address from elsewhere does no harm."""

import hashlib
import json
import os

import pytest

from support import small_clip
from support.fake_hub import BIG, COMMIT, SAM2
from support.hostile_server import head, serving
from unocclude.errors import UnoccludeError
from unocclude.weights import CHECKPOINTS, Checkpoint, Part, download
from unocclude.weights.record import read_record

DIGEST = hashlib.sha256(BIG).hexdigest()


def row(monkeypatch, source, **facts):
    part = Part("", ("model.safetensors",), source, **facts)
    monkeypatch.setitem(CHECKPOINTS, "net", Checkpoint("net", "a test", (part,)))


def test_pins_of_the_table_are_whole():
    pinned = [part for checkpoint in CHECKPOINTS.values() for part in checkpoint.parts if part.sha256]
    assert len(pinned) == 6
    for part in pinned:
        assert all(len(pin) in (8, 64) and not set(pin) - set("0123456789abcdef") for _, pin in part.sha256)
        assert not part.revision or (len(part.revision) == 40 and part.revision in part.address)
        assert all(part.pin(name) for name in [part.address.rpartition("/")[2]])
    addresses = [part.address for checkpoint in CHECKPOINTS.values() for part in checkpoint.parts if part.address]
    assert len(addresses) == 6 and all("/master/" not in a and "/main/" not in a for a in addresses)
    assert all(address.startswith("https://") for address in addresses)


def test_the_pinned_revision_is_fetched_and_left_on_request(fake, home, capsys, monkeypatch):
    source = f"huggingface.co/{SAM2}"
    row(monkeypatch, source, revision=COMMIT, sha256=(("model.safetensors", DIGEST),))
    assert small_clip.run(capsys, "weights", "fetch", "net")[0] == 0
    assert any(f"/revision/{COMMIT}" in path for _, path, _ in fake.asked)
    out = small_clip.run(capsys, "weights", "verify", "net")[1]
    assert "  model.safetensors: hash pinned\n" in out
    (listed,) = [r for r in json.loads(small_clip.run(capsys, "weights", "list", "--json")[1]) if r["id"] == "net"]
    assert listed["parts"][0]["hashes"] == {"model.safetensors": "pinned"}
    assert listed["parts"][0]["pinned_revision"] == COMMIT
    assert "model.safetensors pinned" in small_clip.run(capsys, "weights", "list")[1]

    (home / "net" / "model.safetensors").write_bytes(BIG[::-1])
    stored = json.loads((home / "net" / "fetched.json").read_text())
    stored["sources"][source]["files"]["model.safetensors"]["hash"] = f"sha256:{hashlib.sha256(BIG[::-1]).hexdigest()}"
    (home / "net" / "fetched.json").write_text(json.dumps(stored))
    assert "whose hash is pinned" in small_clip.run(capsys, "weights", "verify", "net")[1]

    row(monkeypatch, source, revision="f" * 40, sha256=(("model.safetensors", "0" * 64),))
    assert "no such revision" in small_clip.run(capsys, "weights", "fetch", "net", "--again")[2]
    code, _, err = small_clip.run(capsys, "weights", "fetch", "net", "--again", "--revision", "main")
    assert code == 0 and "--revision main instead of the pinned ffffffffffff, hashes unchecked" in err
    assert "hash remembered" in small_clip.run(capsys, "weights", "verify", "net")[1]


def test_another_file_than_the_pinned_one_is_not_kept(fake, home, capsys, monkeypatch):
    row(monkeypatch, f"huggingface.co/{SAM2}", sha256=(("model.safetensors", "0" * 64),))
    code, _, err = small_clip.run(capsys, "weights", "fetch", "net", "--quiet")
    assert code == 1 and not (home / "net" / "model.safetensors").exists()
    small_clip.assert_one_line(err, "its hash is not 0000")


def files(**changes):
    return {"model.safetensors": {"bytes": 1, "hash": "unknown", **changes}}


def source(**changes):
    said = {"folder": "", "revision": "r", "licence": "l", "gated": False, "files": files(), **changes}
    return json.dumps({"sources": {"s": said}}).encode()


HOSTILE = [
    *(source(folder=name) for name in ("..", "../..", "/etc", "a/../..", "a//b", "C:\\x", "a\0b", ".", 3, None)),
    *(source(files={name: files()["model.safetensors"]}) for name in ("../x", "/etc/passwd", "..\\x", "", "a/..")),
    *(source(files=files(bytes=value)) for value in (-1, "1", 1.5, None, [1], True)),
    *(source(files=files(hash=value)) for value in ("md5:0", "sha256:0", "", None, "unknown\n", "blob:" + "g" * 40)),
    *(source(files=value) for value in (None, [], "x", {"x": None}, {"x": {}})),
    *(source(**{name: value}) for name, value in (("gated", "no"), ("revision", 3), ("licence", None), ("more", 1))),
    *(b"", b"{", b"[]", b"null", b"\xff", b'{"sources": []}', b'{"sources": {"s": 3}}', b"[" * 100_000),
]


def test_a_hostile_record_is_named_and_nothing_else_is_read(home, capsys, monkeypatch):
    row(monkeypatch, f"huggingface.co/{SAM2}")
    folder = home / "net"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"x")
    (home / "x").write_bytes(b"secret")
    for content in HOSTILE:
        (folder / "fetched.json").write_bytes(content)
        assert read_record(folder) == {}, content
        code, out, err = small_clip.run(capsys, "weights", "verify", "net")
        assert code == 1 and "fetched.json is not as this tool writes it" in out, (content, err)
        assert small_clip.run(capsys, "weights", "list")[0] == 0
    (folder / "fetched.json").unlink()
    (folder / "fetched.json").mkdir()
    assert small_clip.run(capsys, "weights", "verify", "net")[0] == 1
    assert {path.name for path in home.iterdir()} == {"net", "x"}


def test_downloads_are_over_https_alone(tmp_path):
    with serving([head(), b"x"]) as url:
        for address in (url, "file:///etc/passwd", "ftp://127.0.0.1/x"):
            with pytest.raises(UnoccludeError, match="does not begin with https"):
                download.download(address, tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_redirect_to_plain_http_is_not_followed(tmp_path, monkeypatch):
    from unocclude import net

    assert net._Redirects(("https",)).redirect_request(None, None, 302, "", {}, "http://127.0.0.1/") is None
    monkeypatch.setattr(download, "SCHEMES", ("http",))
    redirect = head("302 Found", Location="ftp://127.0.0.1/x")
    with serving([redirect]) as url, pytest.raises(UnoccludeError, match="302"):
        download.download(url, tmp_path / "x")


def test_a_download_ends_in_time_and_size(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "SCHEMES", ("http",))
    monkeypatch.setattr(download, "MAX_BYTES", 1 << 20)
    monkeypatch.setattr(download, "MAX_SECONDS", 0.5)
    half = tmp_path / "half"
    late = pytest.raises(UnoccludeError, match=r"within 0\.5 seconds")
    with serving([head(), b"x"], pause=0.02, forever=True) as url, late:
        download.download(url, half)
    half.unlink()
    large = pytest.raises(UnoccludeError, match="the download was stopped")
    with serving([head(), b"x" * (1 << 18)], forever=True) as url, large:
        download.download(url, half)
    half.unlink()
    with serving([head(Content_Length=1 << 40)]) as url, pytest.raises(UnoccludeError, match="nothing is fetched"):
        download.download(url, half)
    with serving([head(Content_Length="x"), b"x"]) as url, pytest.raises(UnoccludeError):
        download.download(url, half)


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_nothing_is_written_through_a_link(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "SCHEMES", ("http",))
    victim, half = tmp_path / "victim", tmp_path / "half"
    for link in (os.symlink, os.link):
        victim.write_bytes(b"mine")
        link(victim, half)
        with serving([head(Content_Length=4), b"evil"]) as url:
            download.download(url, half)
        assert victim.read_bytes() == b"mine" and half.read_bytes() == b"evil" and not half.is_symlink()
        half.unlink()
