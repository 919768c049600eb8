"""Shards: what is written comes back, and no other tar does harm."""

import io
import tarfile

import numpy as np
import pytest

from unocclude.errors import InputError
from unocclude.media.images import encode_png, write_png
from unocclude.synthesis.shards import read_picture, read_shard, write_shard
from unocclude.training.sources import ClipSource


def picture(size=(6, 8)):
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def make_clip(folder, size=(6, 8), parts=("frames", "visible_masks", "amodal_masks", "amodal_rgb")):
    for part in parts:
        (folder / part).mkdir(parents=True)
        write_png(folder / part / "00000.png", picture(size)[..., 0] if part.endswith("masks") else picture(size))
    (folder / "meta.json").write_text('{"class": "cat"}')
    return folder


def tar_of(path, *members, **header):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in header.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))
    return path


def refusal(path):
    with pytest.raises(InputError) as caught:
        list(read_shard(path))
    message = str(caught.value)
    assert len(message.splitlines()) == 1 and str(path) in message
    return message


def test_what_is_written_comes_back(tmp_path):
    clips = [make_clip(tmp_path / name) for name in ("00001", "00000")]
    write_shard(tmp_path / "0.tar", clips)
    found = dict(read_shard(tmp_path / "0.tar"))
    assert list(found) == ["00000", "00001"]
    assert np.array_equal(read_picture(found["00001"]["frames.00000.png"]), picture())
    source = ClipSource(f"shards:{tmp_path}")
    (world,) = source.make(1)
    assert source.count == 2 and world.about == {"class": "cat"} and np.array_equal(world.frames[0], picture())


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE,
                                  tarfile.GNUTYPE_SPARSE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])  # fmt: skip
def test_only_plain_files_are_read(tmp_path, kind):
    path = tar_of(tmp_path / "a.tar", ("0.frames.0.png", b"x"), type=kind, linkname="/etc/passwd")
    assert "no plain file" in refusal(path)


@pytest.mark.parametrize("name", ["../0.frames.0.png", "/etc/0.a", "0", ".hidden", "a/b.c.d", "a\\b.c", "0.a\nb"])
def test_names_of_members_are_checked(tmp_path, name):
    assert "is not named CLIP.PART.FRAME.png" in refusal(tar_of(tmp_path / "a.tar", (name, b"x")))


def test_sizes_are_not_believed(tmp_path):
    info = tarfile.TarInfo("0.frames.0.png")
    info.size = 6 << 30
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    assert "truncated" in refusal(tmp_path / "a.tar")
    (tmp_path / "b.tar").write_bytes(b"no tar" * 200)
    assert "not a readable shard" in refusal(tmp_path / "b.tar")


def test_a_clip_has_a_budget(tmp_path, monkeypatch):
    write_shard(tmp_path / "0.tar", [make_clip(tmp_path / "00000")])
    monkeypatch.setattr("unocclude.synthesis.shards.MAX_DECODED", 100)
    assert "make shorter clips" in refusal(tmp_path / "0.tar")
    monkeypatch.undo()
    monkeypatch.setattr("unocclude.training.sources.MAX_DECODED", 4 * 48 * 3 - 1)
    with pytest.raises(InputError, match="make shorter clips"):
        ClipSource(f"shards:{tmp_path}").make(0)


def test_pictures_are_checked():
    huge = bytearray(encode_png(picture()))
    huge[16:24] = (20_000).to_bytes(4, "big") * 2
    for data, words in ((bytes(huge), "too large"), (b"", "damaged"), (encode_png(picture())[:40], "damaged"),
                        (encode_png(np.zeros((2, 2, 4), np.uint8)), "damaged")):  # fmt: skip
        with pytest.raises(InputError, match=words):
            read_picture(data)


@pytest.mark.parametrize("broken", ["a part is missing", "another size", "no object"])
def test_clips_that_do_not_fit_together(tmp_path, broken):
    clip = make_clip(tmp_path / "00000")
    if broken == "a part is missing":
        (clip / "amodal_rgb" / "00000.png").unlink()
    elif broken == "another size":
        write_png(clip / "visible_masks" / "00000.png", picture((5, 8))[..., 0])
    else:
        (clip / "meta.json").write_text("[" * 5)
    write_shard(tmp_path / "0.tar", [clip])
    with pytest.raises(InputError, match="clip 00000 is damaged"):
        ClipSource(f"shards:{tmp_path}").make(0)
