"""OpenEXR: linear light becomes sRGB, and what cannot be read is said."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest

import unocclude
from unocclude.errors import InputError
from unocclude.media.exr import encode_exr
from unocclude.media.images import read_image


def plain_srgb(linear: np.ndarray) -> np.ndarray:
    """The transfer function of sRGB straight from IEC 61966-2-1, in levels, for values that are clipped to 0 to 1."""
    flat = [min(max(float(value), 0.0), 1.0) for value in linear.ravel()]
    coded = [12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055 for v in flat]
    return np.array(coded).reshape(linear.shape) * 255


def write_linear(path: Path, rgb: np.ndarray, options: dict[str, str]) -> None:
    """A plain encoder of (H, W, 3) float32 linear light."""
    codec = cast(Any, av.CodecContext.create("exr", "w"))
    codec.height, codec.width = rgb.shape[:2]
    codec.pix_fmt, codec.time_base, codec.options = "gbrpf32le", Fraction(1, 25), options
    frame = av.VideoFrame.from_ndarray(cast(Any, rgb), "gbrpf32le")
    frame.pts = 0
    path.write_bytes(b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)]))


def linear(size: tuple[int, int] = (21, 33)) -> np.ndarray:
    """Linear light with values below 0 and above 1."""
    return (np.random.default_rng(5).random((*size, 3)) * 1.2 - 0.1).astype(np.float32)


@pytest.mark.parametrize("kind", ["half", "float"])
@pytest.mark.parametrize("compression", ["none", "rle", "zip1", "zip16"])
def test_linear_light_becomes_srgb(tmp_path: Path, kind: str, compression: str) -> None:
    given = linear()
    write_linear(tmp_path / "a.exr", given, {"format": kind, "compression": compression})
    got = read_image(tmp_path / "a.exr")
    assert got.dtype == np.uint8 and got.shape == given.shape
    assert np.abs(got - plain_srgb(given)).max() <= (0.6 if kind == "half" else 0.51)
    assert (got == plain_srgb(given).round()).mean() > 0.2


def test_a_layer_comes_back_exactly(tmp_path: Path) -> None:
    rgba = np.random.default_rng(6).integers(0, 256, (21, 33, 4)).astype(np.uint8)
    rgba[:5, :, 3], rgba[5:9, :, 3] = 255, 0
    (tmp_path / "a.exr").write_bytes(encode_exr(rgba))
    on_black = np.round(rgba[..., :3] * (rgba[..., 3:] / 255))
    assert np.abs(read_image(tmp_path / "a.exr") - on_black).max() <= 1
    assert np.array_equal(read_image(tmp_path / "a.exr")[:5], rgba[:5, :, :3])


def test_files_and_folders_are_clips(tmp_path: Path) -> None:
    grey = np.full((16, 24, 4), 128, np.uint8)
    grey[..., 3] = 255
    for i in range(3):
        (tmp_path / f"{i}.exr").write_bytes(encode_exr(grey + np.uint8(i) * np.array([1, 1, 1, 0], np.uint8)))
    clip = unocclude.open(tmp_path)
    assert len(clip) == 3 and [int(frame[8, 8, 0]) for frame in clip] == [128, 129, 130]
    assert any("linear light" in note for note in clip.notes)
    (tmp_path / "1.exr").rename(tmp_path / "1.dat")  # content decides, not the name
    assert (unocclude.open(tmp_path / "1.dat")[0] == 129).all()


def test_damaged_files(tmp_path: Path) -> None:
    write_linear(tmp_path / "a.exr", linear(), {"compression": "zip16"})
    data = (tmp_path / "a.exr").read_bytes()
    for length in [4, 10, 60, 200, len(data) // 2, len(data) - 20]:
        (tmp_path / "b.exr").write_bytes(data[:length])
        with pytest.raises(InputError, match=r"b\.exr.*(damaged|cut short)") as caught:
            read_image(tmp_path / "b.exr")
        assert "\n" not in str(caught.value)


def test_a_window_that_is_too_large(tmp_path: Path) -> None:
    write_linear(tmp_path / "a.exr", linear(), {})
    data = (tmp_path / "a.exr").read_bytes()
    at = data.index(b"displayWindow\0box2i\0") + len(b"displayWindow\0box2i\0") + 4
    for window, told in [((0, 0, 99_999, 9_999), "over the limit"), ((0, 0, -9, 5), "damaged")]:
        (tmp_path / "b.exr").write_bytes(data[:at] + struct.pack("<4i", *window) + data[at + 16 :])
        with pytest.raises(InputError, match=told):
            unocclude.open(tmp_path / "b.exr")
