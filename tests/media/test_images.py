"""Images in and out: every kind of file gives the right RGB, and what is no image says so."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from unocclude.errors import InputError
from unocclude.media.images import image_size, read_image, read_png, write_png


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)


def test_importing_the_package_loads_no_decoder() -> None:
    code = "import sys, unocclude.errors; print([m for m in ('cv2', 'av', 'torch') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (13, 17), (64, 48)])
def test_png_comes_back_exactly(tmp_path: Path, size: tuple[int, int], channels: int) -> None:
    array = np.random.default_rng(1).integers(0, 256, (*size, channels), dtype=np.uint8)
    array = array[..., 0] if channels == 1 else array
    write_png(tmp_path / "a.png", array)
    write_png(tmp_path / "b.png", array[:, ::-1][:, ::-1])  # another memory layout
    assert np.array_equal(read_png(tmp_path / "a.png"), array)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), array)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_palette_png_keeps_indices_and_colours(tmp_path: Path) -> None:
    indices = np.arange(12, dtype=np.uint8).reshape(3, 4) % 4
    palette = np.array([[0, 0, 0], [10, 20, 30], [200, 0, 0], [0, 255, 9]], np.uint8)
    write_png(tmp_path / "p.png", indices, palette)
    assert np.array_equal(read_png(tmp_path / "p.png"), indices)
    assert np.array_equal(read_image(tmp_path / "p.png"), palette[indices])


def test_write_png_refuses_other_arrays_and_leaves_nothing(tmp_path: Path) -> None:
    for array, palette in [
        (np.zeros((2, 2), np.float32), None),
        (np.zeros((2, 2, 2), np.uint8), None),
        (np.full((2, 2), 3, np.uint8), np.zeros((3, 3), np.uint8)),
    ]:
        with pytest.raises(ValueError):
            write_png(tmp_path / "a.png", array, palette)
    assert not list(tmp_path.iterdir())


def test_colour_grey_and_one_bit(tmp_path: Path, rgb: np.ndarray) -> None:
    Image.fromarray(rgb).save(tmp_path / "a.bmp")
    assert np.array_equal(read_image(tmp_path / "a.bmp"), rgb)
    Image.fromarray(rgb[..., 0]).save(tmp_path / "g.png")
    assert np.array_equal(read_image(tmp_path / "g.png"), np.dstack([rgb[..., 0]] * 3))
    bits = rgb[..., 0] > 99
    Image.fromarray(bits).save(tmp_path / "b.png")
    assert np.array_equal(read_image(tmp_path / "b.png"), np.dstack([bits * np.uint8(255)] * 3))
    assert np.array_equal(read_png(tmp_path / "b.png"), bits * np.uint8(255))


def test_jpeg_equals_opencv(tmp_path: Path) -> None:
    smooth = cv2.resize(np.random.default_rng(2).integers(0, 256, (5, 5, 3), dtype=np.uint8), (61, 43))
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=90)
    assert np.array_equal(read_image(tmp_path / "a.jpg"), cv2.imread(str(tmp_path / "a.jpg"))[..., ::-1])


def test_alpha_is_composited_on_black(tmp_path: Path, rgb: np.ndarray) -> None:
    alpha = np.random.default_rng(3).choice([0, 1, 77, 254, 255], rgb.shape[:2]).astype(np.uint8)
    Image.fromarray(np.dstack([rgb, alpha])).save(tmp_path / "a.png")
    got = read_image(tmp_path / "a.png")
    assert np.array_equal(got[alpha == 255], rgb[alpha == 255])
    assert np.abs(got - rgb * (alpha[..., None] / 255)).max() <= 0.5
    Image.fromarray(np.dstack([rgb[..., 0], alpha])).save(tmp_path / "la.png")
    assert np.abs(read_image(tmp_path / "la.png")[..., 1] - rgb[..., 0] * (alpha / 255)).max() <= 0.5
    palette = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    palette.putpalette([50, 60, 70, 80, 90, 100, 110, 120, 130])
    palette.save(tmp_path / "p.png", transparency=1)
    assert read_image(tmp_path / "p.png").tolist() == [[[50, 60, 70], [0, 0, 0], [110, 120, 130]]]


@pytest.mark.parametrize("name", ["c.png", "c.tif", "g.png", "g.tif", "g.pgm"])
def test_sixteen_bits_are_scaled_and_rounded(tmp_path: Path, name: str) -> None:
    deep = np.random.default_rng(4).integers(0, 65536, (7, 9, 3), dtype=np.uint16)
    deep[0, :3] = [[0] * 3, [65535] * 3, [128] * 3]
    deep = deep if name[0] == "c" else deep[..., 0]
    cv2.imwrite(str(tmp_path / name), deep[..., ::-1] if deep.ndim == 3 else deep)
    want = np.floor(deep / 257 + 0.5).astype(np.uint8)
    got = read_image(tmp_path / name)
    assert np.array_equal(got, want if deep.ndim == 3 else np.dstack([want] * 3))
    if name.endswith("png"):
        assert np.array_equal(read_png(tmp_path / name), deep)


def test_sixteen_bits_with_alpha(tmp_path: Path) -> None:
    deep = np.random.default_rng(5).integers(0, 65536, (7, 9, 4), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), cv2.cvtColor(deep, cv2.COLOR_RGBA2BGRA))
    want = deep[..., :3] / 65535 * (deep[..., 3:] / 65535) * 255
    assert np.abs(read_image(tmp_path / "a.png") - want).max() <= 0.51


def test_a_deep_tiff_is_turned_once(tmp_path: Path) -> None:
    deep = np.random.default_rng(6).integers(0, 256, (6, 9, 3), dtype=np.uint16) * 257
    cv2.imwrite(str(tmp_path / "a.tif"), deep[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    data = (tmp_path / "a.tif").read_bytes()
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    entries = [data[start + 2 + 12 * k : start + 14 + 12 * k] for k in range(count)]
    entries = [entry for entry in entries if entry[:2] != b"\x12\x01"]
    entries.append(b"\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00")  # orientation 6
    table = len(entries).to_bytes(2, "little") + b"".join(sorted(entries, key=lambda e: e[1::-1])) + bytes(4)
    data += bytes(len(data) % 2)
    (tmp_path / "b.tif").write_bytes(data[:4] + len(data).to_bytes(4, "little") + data[8:] + table)
    assert image_size(tmp_path / "b.tif") == (9, 6)
    assert np.array_equal(read_image(tmp_path / "b.tif"), np.rot90(deep // 257, -1))


def test_cmyk(tmp_path: Path) -> None:
    Image.new("CMYK", (4, 3), (0, 255, 255, 0)).save(tmp_path / "c.tif")
    assert read_image(tmp_path / "c.tif").tolist() == [[[255, 0, 0]] * 4] * 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_exif_rotation(tmp_path: Path, orientation: int, suffix: str) -> None:
    blocks = np.zeros((16, 32, 3), np.uint8)
    blocks[:8, :8], blocks[:8, 24:], blocks[8:, :8] = 250, 120, 60
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(blocks).save(tmp_path / f"a.{suffix}", exif=exif.tobytes())
    upright = {  # what each orientation means, spelt out: EXIF 2.32, tag 0x0112
        1: blocks,
        2: np.fliplr(blocks),
        3: np.rot90(blocks, 2),
        4: np.flipud(blocks),
        5: blocks.transpose(1, 0, 2),
        6: np.rot90(blocks, -1),
        7: np.rot90(blocks.transpose(1, 0, 2), 2),
        8: np.rot90(blocks, 1),
    }[orientation]
    got = read_image(tmp_path / f"a.{suffix}")
    assert got.shape == upright.shape and np.abs(got.astype(int) - upright).max() < 40
    assert image_size(tmp_path / f"a.{suffix}") == upright.shape[:2]


def test_what_is_no_sensible_image_is_refused(tmp_path: Path, rgb: np.ndarray) -> None:
    (tmp_path / "text.png").write_text("hello")
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(rgb).resize((200, 200)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:500])
    for name, words in [
        ("text.png", "not an image"),
        ("float.tif", "floating-point"),
        ("cut.png", "damaged"),
    ]:
        with pytest.raises(InputError, match=words) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(InputError, match="not a PNG"):
        Image.fromarray(rgb).save(tmp_path / "a.jpg")
        read_png(tmp_path / "a.jpg")


@pytest.mark.parametrize("side", [10_001, 20_000])
def test_a_huge_image_is_refused_from_its_header(tmp_path: Path, side: int) -> None:
    write_png(tmp_path / "small.png", np.zeros((2, 2), np.uint8))
    data = bytearray((tmp_path / "small.png").read_bytes())
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = __import__("zlib").crc32(bytes(data[12:29])).to_bytes(4, "big")
    (tmp_path / "huge.png").write_bytes(data)
    with pytest.raises(InputError, match=r"100 megapixels per frame; scale it down"):
        read_image(tmp_path / "huge.png")


@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 3), (1, 1, 4)])
def test_sixteen_bits_come_back(tmp_path, shape):
    deep = np.random.default_rng(8).integers(0, 65536, shape, dtype=np.uint16)
    write_png(tmp_path / "a.png", deep)
    back = read_png(tmp_path / "a.png")
    assert back.dtype == np.uint16 and np.array_equal(back, deep)


# Hostile files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["six", 0, 9, 65535])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_an_orientation_that_means_nothing_is_ignored(tmp_path, rgb, value, suffix):
    kind, data = (2, b"six\0") if value == "six" else (3, value.to_bytes(2, "big") + bytes(2))
    entry = b"\x01\x12" + kind.to_bytes(2, "big") + (4 if kind == 2 else 1).to_bytes(4, "big") + data
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + entry + bytes(4)
    Image.fromarray(rgb).save(tmp_path / f"a.{suffix}", exif=exif)
    assert read_image(tmp_path / f"a.{suffix}").shape == rgb.shape
    assert image_size(tmp_path / f"a.{suffix}") == rgb.shape[:2]


def test_damaged_exif_is_ignored(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\xff\1\x12\0\3")
    assert np.array_equal(read_image(tmp_path / "a.png"), rgb)


@pytest.mark.parametrize(
    "error", [KeyError("x"), IndexError(), ZeroDivisionError(), MemoryError(), RecursionError("a\nb")]
)
def test_whatever_a_plugin_raises_is_one_line(tmp_path, rgb, monkeypatch, error):
    write_png(tmp_path / "a.png", rgb)
    monkeypatch.setattr(Image.Image, "convert", lambda *_: (_ for _ in ()).throw(error))
    with pytest.raises(InputError, match="damaged") as caught:
        read_image(tmp_path / "a.png")
    assert len(str(caught.value).splitlines()) == 1 and "()" not in str(caught.value)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16"])
def test_blocks_of_rows_change_nothing(tmp_path, monkeypatch, mode):
    grey = np.random.default_rng(9).integers(0, 256, (23, 17), dtype=np.uint8)
    image = Image.fromarray(grey.astype(np.uint16) * 200) if mode == "I;16" else Image.fromarray(grey).convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path, **({"transparency": 3} if mode == "P" else {}))
    whole = read_image(path)
    monkeypatch.setattr("unocclude.media.images.BLOCK_PIXELS", 70)
    monkeypatch.setattr("unocclude.media.images.LARGE_PIXELS", 70)
    assert np.array_equal(read_image(path), whole)


@pytest.mark.parametrize("channels", [3, 4])
def test_blocks_of_rows_change_nothing_in_16_bits(tmp_path, monkeypatch, channels):
    deep = np.random.default_rng(9).integers(0, 65536, (23, 17, channels), dtype=np.uint16)
    deep[:4] = 65535
    write_png(tmp_path / "a.png", deep)
    whole = read_image(tmp_path / "a.png")
    straight = deep[..., :3].astype(np.uint64)
    straight = (straight * deep[..., 3:] + 32767) // 65535 if channels == 4 else straight
    assert np.array_equal(whole, (straight + 128) // 257)
    monkeypatch.setattr("unocclude.media.images.BLOCK_PIXELS", 70)
    assert np.array_equal(read_image(tmp_path / "a.png"), whole)
    assert np.array_equal(read_png(tmp_path / "a.png"), deep)


def test_the_length_of_a_chunk_is_not_believed(tmp_path):
    """OpenCV would make room for 2 GB."""
    write_png(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint16))
    data = (tmp_path / "a.png").read_bytes()
    at = data.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(data[:at] + b"\x7f\xff\xff\xff" + data[at + 4 :])
    with pytest.raises(InputError, match="cut short"):
        read_image(tmp_path / "a.png")
