"""What an input is, and what is said of one that cannot be used."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unocclude
from unocclude.errors import InputError
from unocclude.media.folder import FolderFrames
from unocclude.media.images import write_png
from unocclude.media.source import open_source


def picture(seed: int, size: tuple[int, int] = (9, 11)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_source(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    return message


def test_folder_in_natural_order(tmp_path: Path) -> None:
    for i, name in enumerate(["f1.png", "f2.png", "f10.png", "f11.PNG"]):
        write_png(tmp_path / name, picture(i))
    for name in [".hidden.png", "notes.txt", "._f1.png"]:
        (tmp_path / name).write_text("no image")
    source = open_source(tmp_path)
    assert len(source) == 4 and (source.height, source.width, source.fps) == (9, 11, 24.0)
    assert np.allclose(source.times, np.arange(4) / 24)
    for i in (3, 0, 2, 1):
        assert np.array_equal(source.read(i), picture(i))
    assert source.read(0).flags.writeable and source.read(0) is not source.read(0)


def test_one_image_is_a_clip_of_one(tmp_path: Path) -> None:
    write_png(tmp_path / "one.png", picture(0))
    (tmp_path / "one.png").rename(tmp_path / "one.dat")  # content decides, not the name
    clip = unocclude.open(tmp_path / "one.dat")
    assert len(clip) == 1 and np.array_equal(clip[0], picture(0)) and clip.shots == [range(0, 1)]


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_animations_are_clips(tmp_path: Path, suffix: str) -> None:
    frames = [np.full((10, 13, 3), 40 * i + 20, np.uint8) for i in range(5)]
    images = [Image.fromarray(frame) for frame in frames]
    options = {"lossless": True} if suffix == "webp" else {}
    durations = [40, 40, 120, 40, 60]
    path = tmp_path / f"a.{suffix}"
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, **options)
    source = open_source(path)
    assert len(source) == 5 and np.allclose(source.times, [0, 0.04, 0.08, 0.2, 0.24])
    for i in (4, 1, 3, 0, 2):
        assert np.array_equal(source.read(i), frames[i])


def test_missing_empty_and_foreign(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.mp4")
    (tmp_path / "folder").mkdir()
    assert "holds no images" in refusal(tmp_path / "folder")
    (tmp_path / "empty.mp4").touch()
    assert "empty" in refusal(tmp_path / "empty.mp4")
    for name in ("text.mp4", "text.txt", "text.bin"):
        (tmp_path / name).write_text("this is no video\n" * 200)
        assert "video" in refusal(tmp_path / name)
    (tmp_path / "noise.mkv").write_bytes(np.random.default_rng(0).bytes(5000))
    assert "not a video" in refusal(tmp_path / "noise.mkv")


def test_a_folder_names_the_frame_that_is_wrong(tmp_path: Path) -> None:
    for i in range(4):
        write_png(tmp_path / f"{i}.png", picture(i))
    write_png(tmp_path / "2.png", picture(2, (9, 12)))
    message = refusal(tmp_path)
    assert "2.png is 12x9" in message and "11x9" in message
    (tmp_path / "2.png").write_text("broken")
    assert "2.png" in refusal(tmp_path)
    (tmp_path / "2.png").unlink()
    Image.fromarray(picture(3)).save(tmp_path / "3.jpg")
    assert "3.jpg and 3.png" in refusal(tmp_path)


def test_a_damaged_frame_is_named_when_read(tmp_path: Path) -> None:
    for i in range(2):
        write_png(tmp_path / f"{i}.png", picture(i, (50, 50)))
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:600])
    source = open_source(tmp_path)
    source.read(0)
    with pytest.raises(InputError, match=r"1\.png"):
        source.read(1)


def test_headers_alone_are_read_at_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        write_png(path, picture(0))

    def load(*_: object) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    assert len(FolderFrames(paths)) == 3
