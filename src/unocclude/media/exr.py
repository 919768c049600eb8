"""Read and write OpenEXR images: linear light, half or float, alpha premultiplied."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from unocclude.errors import InputError
from unocclude.media.limits import MAX_DECODED, MAX_HEAVY, check_regular, decoding, too_large_message
from unocclude.media.pixels import by_rows, on_black

NOTE = "OpenEXR is read as linear light with the colours of sRGB; values above 1 are clipped"
_START = b"\x76\x2f\x31\x01"
_MAX_FILE = MAX_DECODED // 2  # bytes: a decoder holds the file and its floats at the same time
_MAX_ATTRIBUTES = 1000
_MAX_CHUNKS = 1 << 20
_TILED, _DEEP, _MULTIPART = 0x200, 0x800, 0x1000  # flags of the version field
# FFmpeg's pixel formats, without the bit depth → the planes of red, green, blue and alpha
_PLANES = {"gbrp": (2, 0, 1), "gbrap": (2, 0, 1, 3), "gray": (0, 0, 0), "ya": (0, 0, 0, 1)}


def is_exr(path: Path) -> bool:
    """Whether the content of a regular file is OpenEXR."""
    with path.open("rb") as stream:
        return stream.read(4) == _START


def exr_size(path: Path) -> tuple[int, int]:
    """Height and width of an OpenEXR image (its display window), from the header only.

    Raises InputError if the header is damaged, or if the image has over 32 megapixels.
    """
    with path.open("rb") as stream, decoding(path, "the image is damaged", "save it again"):
        left, top, right, bottom = struct.unpack("<4i", _header(stream)[b"displayWindow"])
    width, height = right - left + 1, bottom - top + 1
    if width < 1 or height < 1:
        raise InputError(f"{path}: the image is damaged (it is {width}x{height}); save it again")
    if width * height > MAX_HEAVY:
        raise InputError(f"{path}: {too_large_message(f'{width}x{height}', MAX_HEAVY)}")
    return height, width


def _header(stream: BinaryIO) -> dict[bytes, bytes]:
    """The short attributes of the first header by name. The stream is left behind the header."""
    stream.seek(8)
    found: dict[bytes, bytes] = {}
    for _ in range(_MAX_ATTRIBUTES):
        name = _text(stream)
        if not name:
            return found
        _text(stream)  # its type
        length = struct.unpack("<I", stream.read(4))[0]
        if length <= 64:
            found[name] = stream.read(length)
        else:
            stream.seek(length, 1)
    raise ValueError("its header does not end")


def _text(stream: BinaryIO) -> bytes:
    """A text that ends with a zero byte; names have at most 255 bytes."""
    text = bytearray()
    while (byte := stream.read(1)) not in (b"", b"\0") and len(text) < 256:
        text += byte
    return bytes(text)


def _is_truncated(stream: BinaryIO) -> bool:
    """Whether pixels are missing, which FFmpeg would leave black: the last chunk ends behind the file's end.

    False for files of several parts, whose tables are not read.
    """
    length = stream.seek(0, 2)
    stream.seek(4)
    flags = struct.unpack("<I", stream.read(4))[0]
    if flags & (_MULTIPART | _DEEP):
        return False
    _header(stream)
    table = stream.tell()
    first = struct.unpack("<Q", stream.read(8))[0]
    count = min(max(1, (first - table) // 8), _MAX_CHUNKS)
    stream.seek(table)
    offsets = np.frombuffer(stream.read(8 * count), "<u8")
    last = int(offsets.max())
    if len(offsets) < count or not offsets.all() or last > length:
        return True
    stream.seek(last + (16 if flags & _TILED else 4))  # the chunk's place in the picture
    size = struct.unpack("<I", stream.read(4).ljust(4, b"\xff"))[0]
    return stream.tell() + int(size) > length


def read_exr(path: Path) -> np.ndarray:
    """Read an OpenEXR image as a new array (H, W, 3) uint8 sRGB, composited on black.

    Linear light becomes sRGB, and values outside 0 to 1 are clipped: the inverse of `encode_exr`. Raises InputError if
    the file is damaged or has no colour or grey channels.
    """
    import av  # other images do not need it

    size = exr_size(path)
    if check_regular(path).st_size > _MAX_FILE:
        raise InputError(f"{path}: over the limit of {_MAX_FILE >> 20} MB for an OpenEXR image; compress it")
    with decoding(path, "cannot be read as OpenEXR", "save it as scan lines with the channels R, G and B"):
        with path.open("rb") as stream:
            if _is_truncated(stream):
                raise ValueError("it is cut short")
        codec = cast(Any, av.CodecContext.create("exr", "r"))
        codec.options = {"max_pixels": str(MAX_HEAVY)}
        frames = [*codec.decode(av.Packet(path.read_bytes())), *codec.decode(None)]
        if not frames or frames[0].is_corrupt or (frames[0].height, frames[0].width) != size:
            raise ValueError("its pixels are damaged or missing")
        return by_rows(_channels(frames[0]), _to_srgb)


def _channels(frame: Any) -> np.ndarray:
    """A view of a decoded frame, (H, W, 3 or 4) of float16 or float32, or a copy."""
    kind, bits = frame.format.name.rstrip("lbe").rpartition("f")[::2]
    if kind not in _PLANES:
        raise ValueError(f"its channels are {frame.format.name}, not half or float")
    dtype = np.dtype(f"<f{int(bits) // 8}")
    planes = [np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width] for plane in frame.planes]
    return np.stack([planes[k] for k in _PLANES[kind]], axis=2)


def _to_srgb(pixels: np.ndarray) -> np.ndarray:
    """Convert premultiplied linear (..., 3 or 4) to (..., 3) uint8 sRGB on black."""
    pixels = np.nan_to_num(pixels.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0)
    if pixels.shape[2] == 3:
        return _rounded(encode_srgb(pixels.clip(0, 1)))
    alpha = pixels[..., 3:].clip(0, 1)
    colour = np.divide(pixels[..., :3], alpha, out=np.zeros_like(pixels[..., :3]), where=alpha > 0)
    return on_black(np.dstack([_rounded(encode_srgb(colour.clip(0, 1))), _rounded(alpha)]))


def _rounded(values: np.ndarray) -> np.ndarray:
    return (values * 255 + 0.5).astype(np.uint8)


def encode_srgb(linear: np.ndarray) -> np.ndarray:
    """The transfer function of sRGB (IEC 61966-2-1), for linear light from 0 to 1."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def decode_srgb(values: np.ndarray) -> np.ndarray:
    """The inverse of `encode_srgb`."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def linear_premultiplied(rgba: np.ndarray) -> np.ndarray:
    """RGBA (H, W, 4) uint8, sRGB with straight alpha, in linear light and premultiplied, float32 0..1."""
    pixels = rgba.astype(np.float32) / 255
    pixels[..., :3] = decode_srgb(pixels[..., :3]) * pixels[..., 3:]
    return pixels


def encode_exr(rgba: np.ndarray, aspect: Fraction = Fraction(1)) -> bytes:
    """Encode (H, W, 4) uint8 RGBA with straight alpha as half floats, in linear light and premultiplied.

    aspect: the width of a pixel, relative to its height.
    """
    import av

    pixels = linear_premultiplied(rgba)
    codec = cast(Any, av.CodecContext.create("exr", "w"))
    codec.height, codec.width = rgba.shape[:2]
    codec.pix_fmt = "gbrapf32le"
    codec.time_base = Fraction(1, 25)
    codec.sample_aspect_ratio = aspect
    codec.options = {"compression": "zip16", "format": "half"}
    frame = av.VideoFrame.from_ndarray(cast(Any, pixels), "gbrapf32le")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])
