"""Colour profiles become sRGB; pixels that are sRGB already stay as they are."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from unocclude.media.folder import AnimatedFrames
from unocclude.media.images import png_bytes, read_image

# Columns of the matrix from linear RGB to XYZ, adapted to D50 as ICC profiles are (published values).
DISPLAY_P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
GAMMA = 2.19921875  # an exact u8Fixed8Number


def s15(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def profile(matrix: np.ndarray | None, space: bytes = b"RGB ") -> bytes:
    """A minimal ICC profile (version 2): a gamma curve, and for RGB a matrix."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(GAMMA * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + s15(0.9642) + s15(1.0) + s15(0.8249)
    text = b"text" + bytes(4) + b"none\0"
    description = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": description, b"cprt": text, b"wtpt": white}
    if matrix is None:
        tags[b"kTRC"] = curve
    else:
        for k, name in enumerate([b"r", b"g", b"b"]):
            tags[name + b"XYZ"] = b"XYZ " + bytes(4) + b"".join(s15(value) for value in matrix[:, k])
            tags[name + b"TRC"] = curve
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(body), len(content))
        body += content
    head = bytearray(128)
    head[0:4] = struct.pack(">I", 128 + len(table) + len(body))
    head[8:12], head[12:16], head[16:20], head[20:24] = b"\x02\x10\0\0", b"mntr", space, b"XYZ "
    head[36:40], head[68:80] = b"acsp", s15(0.9642) + s15(1.0) + s15(0.8249)
    return bytes(head) + table + body


def plain_srgb(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(..., 3) levels in a matrix profile to levels in sRGB, through XYZ."""
    linear = np.clip((values / 255) ** GAMMA @ (np.linalg.inv(SRGB) @ matrix).T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255


def picture(channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(2)
    return np.squeeze(rng.integers(30, 226, (20, 24, channels)).astype(np.uint8))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_display_p3(tmp_path: Path, name: str) -> None:
    given = picture()
    options = {"lossless": True} if name == "a.webp" else {}
    Image.fromarray(given).save(tmp_path / name, icc_profile=profile(DISPLAY_P3), **options)
    want = plain_srgb(given, DISPLAY_P3)
    assert np.abs(want - given).max() > 20  # else nothing is shown
    assert np.abs(read_image(tmp_path / name) - want).max() <= 2.5


def test_sixteen_bits(tmp_path: Path) -> None:
    given = picture()
    data = png_bytes(given.astype(np.uint16) * 257)
    chunk = b"iCCP" + b"test\0\0" + zlib.compress(profile(DISPLAY_P3))
    chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])  # after the header
    assert np.abs(read_image(tmp_path / "a.png") - plain_srgb(given, DISPLAY_P3)).max() <= 2.5


def test_alpha(tmp_path: Path) -> None:
    given = picture()
    rgba = np.dstack([given, np.full(given.shape[:2], 255, np.uint8)])
    rgba[:10, :, 3] = 100
    Image.fromarray(rgba).save(tmp_path / "a.png", icc_profile=profile(DISPLAY_P3))
    want = plain_srgb(given, DISPLAY_P3)
    want[:10] *= 100 / 255
    assert np.abs(read_image(tmp_path / "a.png") - want).max() <= 2.5


def test_a_grey_profile(tmp_path: Path) -> None:
    given = picture(1)
    Image.fromarray(given).save(tmp_path / "a.png", icc_profile=profile(None, b"GRAY"))
    linear = (given / 255) ** GAMMA
    want = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    assert np.abs(read_image(tmp_path / "a.png") - want[..., None]).max() <= 1.5


def test_srgb_stays_bit_for_bit(tmp_path: Path) -> None:
    given = picture()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(given).save(tmp_path / "a.png", icc_profile=srgb)
    assert np.array_equal(read_image(tmp_path / "a.png"), given)


@pytest.mark.parametrize("odd", [b"no profile", profile(DISPLAY_P3)[:200], profile(None, b"GRAY")])
def test_profiles_that_do_not_fit_are_ignored(tmp_path: Path, odd: bytes) -> None:
    given = picture()
    Image.fromarray(given).save(tmp_path / "a.png", icc_profile=odd)
    assert np.array_equal(read_image(tmp_path / "a.png"), given)


def test_animations(tmp_path: Path) -> None:
    frames = [picture(), picture()[::-1]]
    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(tmp_path / "a.png", save_all=True, append_images=images[1:], icc_profile=profile(DISPLAY_P3))
    source = AnimatedFrames(tmp_path / "a.png")
    for i, frame in enumerate(frames):
        assert np.abs(source.read(i) - plain_srgb(frame, DISPLAY_P3)).max() <= 2.5
