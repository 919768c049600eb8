"""What an input is, and what is said of one that cannot be used."""

import os
import socket
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import unocclude
from unocclude.errors import InputError, UnoccludeError
from unocclude.media import masks
from unocclude.media.folder import FolderFrames
from unocclude.media.images import read_image, write_png
from unocclude.media.layers import write_layers
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


# Hostile and odd files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pipe", "pipe.png", "pipe.mp4", "pipe.npy", "pipe.json"])
def test_a_pipe_is_refused_without_opening_it(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    assert "a pipe cannot be read" in refusal(tmp_path / name)
    for read in (read_image, masks.read_masks_of_one):
        with pytest.raises(InputError, match="a pipe cannot be read"):
            read(tmp_path / name)


def test_sockets_devices_and_pipes_in_folders_are_refused(tmp_path: Path) -> None:
    assert "a device cannot be read" in refusal(Path("/dev/zero"))
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s"))
        assert "a socket cannot be read" in refusal(tmp_path / "s")
    folder = tmp_path / "frames"
    folder.mkdir()
    write_png(folder / "1.png", picture(0))
    os.mkfifo(folder / "2.png")
    with pytest.raises(InputError, match=r"2\.png: a pipe cannot be read"):
        open_source(folder)
    (folder / "2.png").unlink()
    (folder / "2.png").symlink_to("gone.png")
    with pytest.raises(InputError, match=r"2\.png: there is no such file"):
        open_source(folder)


@pytest.mark.parametrize("name", [b"a\xff.png", b"a\nb.png", b"a\x1b[31m.png"])
def test_names_that_cannot_be_shown_are_refused(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(b"x")
    for given in (path, tmp_path):
        with pytest.raises(InputError, match="cannot be shown; rename it") as caught:
            open_source(given)
        assert str(caught.value).isascii() and str(caught.value).isprintable()


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too long"):
        open_source(tmp_path / ("x" * 300))


CHANGES = {
    "written again": lambda path: write_png(path, picture(7)),
    "another size": lambda path: write_png(path, picture(7, (12, 11))),
    "cut short": lambda path: os.truncate(path, 40),
    "removed": lambda path: path.unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_frame_that_changes_is_told(tmp_path: Path, change: str) -> None:
    for i in range(2):
        write_png(tmp_path / f"{i}.png", picture(i))
        os.utime(tmp_path / f"{i}.png", (1, 1))
    clip = unocclude.open(tmp_path)
    clip[0]
    CHANGES[change](tmp_path / "1.png")
    with pytest.raises(UnoccludeError, match=r"frame 1 changed while it was being read: .*1\.png; ") as caught:
        clip[1]
    assert caught.value.exit_code == 1 and len(str(caught.value).splitlines()) == 1


def save_animation(path: Path, count: int, size: tuple[int, int] = (10, 13), **options: Any) -> None:
    images = [Image.fromarray(np.full((*size, 3), 5 * i, np.uint8)) for i in range(count)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=40, **options)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_an_animation_of_too_many_pixels_is_refused(tmp_path, monkeypatch, suffix):
    save_animation(tmp_path / f"a.{suffix}", 6)
    monkeypatch.setattr("unocclude.media.folder.MAX_ANIMATION", 5 * 20_000)
    assert "over 5 frames of 13x10 are too many" in refusal(tmp_path / f"a.{suffix}")
    monkeypatch.setattr("unocclude.media.folder.MAX_HEAVY", 129)
    assert "13x10 is over the limit" in refusal(tmp_path / f"a.{suffix}")


def test_a_small_gif_of_large_frames_is_refused_soon(tmp_path):
    """A frame may cover one pixel of a large canvas, in 20 bytes."""
    data = b"GIF89a" + struct.pack("<HH", 5000, 5000) + b"\x80\0\0" + bytes(3) + b"\xff" * 3
    frame = b"!\xf9\4\0\1\0\0\0" + b"," + struct.pack("<HHHH", 0, 0, 1, 1) + b"\0\2\2\x44\1\0"
    (tmp_path / "a.gif").write_bytes(data + frame * 500 + b";")
    start = time.monotonic()
    assert "too many" in refusal(tmp_path / "a.gif")
    assert time.monotonic() - start < 20


def test_the_still_picture_of_an_apng_is_no_frame(tmp_path):
    save_animation(tmp_path / "a.png", 6, default_image=True)
    source = open_source(tmp_path / "a.png")
    assert [int(source.read(i)[0, 0, 0]) for i in (4, 0, 2)] == [25, 5, 15] and len(source) == 5


def test_a_tiff_of_several_pages_is_refused(tmp_path):
    save_animation(tmp_path / "a.tif", 3)
    assert "several pages" in refusal(tmp_path / "a.tif")
    thumbnail = Image.fromarray(picture(0, (3, 4)))
    Image.fromarray(picture(0)).save(tmp_path / "b.tif", save_all=True, append_images=[thumbnail])
    assert len(open_source(tmp_path / "b.tif")) == 1


def test_jfif_frames_are_images(tmp_path):
    for i in range(3):
        Image.fromarray(picture(i)).save(tmp_path / f"{i}.jfif", "JPEG")
    assert len(open_source(tmp_path)) == 3


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 1e-9, 1e9])
def test_frame_rates_that_no_clip_has(fps):
    with pytest.raises(InputError, match="give a frame rate from"):
        unocclude.Clip.from_frames([picture(0)], fps=fps)
    with pytest.raises(InputError, match="give a frame rate from"):
        write_layers("a.mov", iter([]), fps)


def test_digits_that_are_no_numbers_sort_as_text(tmp_path):
    for i, name in enumerate(["1²2.png", "1²10.png", "①1.png", "٣.png"]):
        write_png(tmp_path / name, picture(i))
    names = [path.name for path in open_source(tmp_path).paths]
    assert names.index("1²2.png") < names.index("1²10.png")


def test_a_gif_frame_beyond_the_canvas_is_refused(tmp_path):
    save_animation(tmp_path / "a.gif", 3)
    data = bytearray((tmp_path / "a.gif").read_bytes())
    second = data.index(b",", data.index(b"!\xf9", data.index(b",") + 20))
    data[second + 5 : second + 7] = struct.pack("<H", 9000)
    (tmp_path / "a.gif").write_bytes(data)
    assert "frame 1 reaches beyond the picture" in refusal(tmp_path / "a.gif")


# Rate, part and notes ---------------------------------------------------------------------------------------


def folder_of(folder: Path, count: int) -> Path:
    folder.mkdir()
    for i in range(count):
        write_png(folder / f"{i:02d}.png", picture(i))
    return folder


def test_the_rate_of_a_folder(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "frames", 3)
    clip = unocclude.open(folder, fps=30)
    assert clip.fps == 30 and np.allclose(clip.times, [0, 1 / 30, 2 / 30]) and clip.notes == ()
    assumed = unocclude.open(folder)
    assert assumed.fps == 24 and len(assumed.notes) == 1 and "24 frames a second" in assumed.notes[0]
    assert unocclude.open(folder / "00.png").notes == ()  # one image has no rate
    for fps in (0.0, -1.0, float("nan"), 1e9):
        with pytest.raises(InputError, match="frame rate from"):
            unocclude.open(folder, fps=fps)
    write_layers(tmp_path / "a.mp4", [np.zeros((16, 16, 4), np.uint8)] * 2, 25)
    write_layers(tmp_path / "a.gif", [np.zeros((16, 16, 4), np.uint8)] * 2, 25)
    for name in ("a.mp4", "a.gif"):
        with pytest.raises(InputError, match="its own frame rate"):
            unocclude.open(tmp_path / name, fps=30)


def test_a_part_of_a_file(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "frames", 6)
    clip = unocclude.open(folder, fps=10, start=2, end=5)
    assert len(clip) == 3 and clip.numbers == range(2, 5) and clip.total == 6 and clip.path == folder
    assert all(np.array_equal(clip[i], picture(i + 2)) for i in range(3)) and np.allclose(clip.times, [0, 0.1, 0.2])
    prints = {unocclude.open(folder, **part).fingerprint for part in ({}, {"start": 2}, {"start": 3}, {"end": 4})}
    assert len(prints) == 4
    for start, end in [(-1, 3), (6, None), (0, 7), (4, 4), (5, 2)]:
        with pytest.raises(InputError, match="has 6, numbered from 0"):
            unocclude.open(folder, start=start, end=end)
    frames = [np.full((16, 16, 4), 40 * i, np.uint8) for i in range(5)]
    for frame in frames:
        frame[..., 3] = 255
    write_layers(tmp_path / "a.mov", frames, 25, times=[0, 0.04, 0.2, 0.24, 0.5])
    part = unocclude.open(tmp_path / "a.mov", start=2)
    assert np.allclose(part.times, [0, 0.04, 0.3], atol=1e-3)
    assert [int(frame[8, 8, 0]) for frame in part] == pytest.approx([80, 120, 160], abs=1)


def test_a_folder_holds_one_frame_a_file(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "frames", 3)
    pictures = [Image.fromarray(picture(i)) for i in range(3)]
    for name in ("a.tif", "a.gif", "a.webp", "a.apng"):
        options = {"format": "PNG"} if name == "a.apng" else {}
        pictures[0].save(folder / name, save_all=True, append_images=pictures[1:], **options)
        with pytest.raises(InputError, match="several p"):
            open_source(folder)
        (folder / name).unlink()
    assert len(open_source(folder)) == 3


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"hevc"])
def test_heic_is_refused_by_name(tmp_path: Path, brand: bytes) -> None:
    """FFmpeg would open it, and give one tile of the picture."""
    content = struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1heic" + b"\0\0\0\x10meta" + bytes(8)
    (tmp_path / "photo.dat").write_bytes(content)
    assert "HEIC" in refusal(tmp_path / "photo.dat") and "save it as PNG or JPEG" in refusal(tmp_path / "photo.dat")
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "IMG_1.HEIC").write_bytes(content)
    with pytest.raises(InputError, match=r"IMG_1\.HEIC.*HEIC"):
        open_source(tmp_path / "frames")
