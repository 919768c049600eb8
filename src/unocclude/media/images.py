"""Read and write still images."""

import io
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from unocclude.errors import InputError
from unocclude.media import icc
from unocclude.media.exr import exr_size, is_exr, read_exr
from unocclude.media.files import write_bytes
from unocclude.media.limits import (
    BLOCK_PIXELS,
    LARGE_PIXELS,
    MAX_DECODED,
    MAX_HEAVY,
    MAX_PIXELS,
    check_regular,
    decoding,
    too_large_message,
)
from unocclude.media.pixels import by_rows, on_black

# Pillow's MPEG, PDF and other plugins also "open" files that are not images, so only these formats are tried.
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000", "TGA")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".ppm", ".pgm", ".pnm", ".pbm", ".gif",
            ".avif", ".jp2", ".tga", ".jfif", ".jpe", ".apng", ".exr", ".heic", ".heif")  # fmt: skip
PNG_START = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS = 1_000_000  # encoders write one for every 8 kB or more
HEAVY = ("JPEG2000",)  # slow to decode, with over 12 bytes of memory per pixel
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # brands
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)


def read_image(path: str | Path) -> np.ndarray:
    """Read a still image as a new array (H, W, 3) uint8 RGB.

    Applies the EXIF orientation, converts embedded colour profiles and OpenEXR's linear light to sRGB, composites
    transparency on black (opaque pixels are unchanged), and scales 16 bits so that 65535 becomes 255. Of an animation,
    reads the first frame. Raises InputError if the file is not an image, is damaged, is a floating-point TIFF, or has
    over 100 megapixels.
    """
    path = Path(path)
    check_regular(path)
    if is_exr(path):
        return read_exr(path)
    with open_image(path) as image, decoding(path, "the image is damaged", "save it again"):
        return upright(to_rgb(image, path, managed=True), orientation(image))


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width of the result of `read_image`, from the header only.

    Raises InputError if the file is not an image or has over 100 megapixels.
    """
    path = Path(path)
    check_regular(path)
    if is_exr(path):
        return exr_size(path)
    with open_image(path) as image:
        width, height = image.size
        return (width, height) if orientation(image) in _SIDEWAYS else (height, width)


def open_image(path: str | Path) -> Image.Image:
    """Open an image with Pillow, reading only its header.

    Raises InputError if the path is not a regular file or not an image, or the image has over 100 megapixels.
    """
    path = Path(path)
    check_regular(path)
    with decoding(path, "cannot be read as an image", "save it again as PNG or JPEG"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow warns about damaged tags and large images
                image = Image.open(path, formats=FORMATS)
        except UnidentifiedImageError:
            kind = "a HEIC image, which is not supported" if is_heif(path) else "not an image that can be read"
            raise InputError(f"{path}: {kind}; save it as PNG or JPEG") from None
        except Image.DecompressionBombError:
            raise InputError(f"{path}: {too_large_message()}") from None
    most = MAX_HEAVY if image.format in HEAVY else MAX_PIXELS
    if image.width * image.height > most:
        size = f"{image.width}x{image.height}"
        image.close()
        raise InputError(f"{path}: {too_large_message(size, most)}")
    return image


def is_heif(path: Path) -> bool:
    """Whether the content of a regular file is HEIC or another HEIF that Pillow does not read."""
    with path.open("rb") as stream:
        head = stream.read(12)
    return head[4:8] == b"ftyp" and head[8:] in _HEIF


def to_rgb(image: Image.Image, path: Path, *, managed: bool = False) -> np.ndarray:
    """Convert the current frame of an open image to (H, W, 3) uint8 RGB, composited on black.

    managed: convert its colour profile, if it has one, to sRGB.
    """
    if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):
        raise InputError(f"{path}: floating-point or 32-bit image; save it with 8 or 16 bits per channel")
    profile = icc.to_srgb(image) if managed else None
    if profile is not None:
        return _pixels(_shallow(image, path), lambda part: _converted(part, *profile))
    if image.mode.startswith("I"):  # 16-bit grey; for a PPM, Pillow uses "I" and scales to 65535
        return _pixels(image, lambda part: np.repeat(_eight_bits(np.asarray(part))[..., None], 3, axis=2))
    if _has_deep_colour(image):
        return by_rows(_read_deep(path), _deep_to_rgb)
    if image.has_transparency_data:
        return _pixels(image, lambda part: on_black(np.asarray(part.convert("RGBA"))))
    return _pixels(image, lambda part: np.array(part.convert("RGB")))


def _shallow(image: Image.Image, path: Path) -> Image.Image:
    """An image with 8 bits per channel, which is all that Pillow's colour management takes."""
    if image.mode.startswith("I"):
        return Image.fromarray(by_rows(np.asarray(image), _eight_bits))
    return Image.fromarray(by_rows(_read_deep(path), _eight_bits)) if _has_deep_colour(image) else image


def _converted(part: Image.Image, mode: str, convert: icc.Convert) -> np.ndarray:
    """Convert colours to sRGB, then composite on black."""
    if not part.has_transparency_data:
        return np.array(convert(part.convert(mode)))
    rgba = part.convert("RGBA")
    colours = convert(rgba.convert(mode))
    return on_black(np.dstack([np.asarray(colours), np.asarray(rgba.getchannel("A"))]))


def _pixels(image: Image.Image, convert: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
    """Apply `convert` to an image, in blocks of rows if it is large."""
    if image.width * image.height <= LARGE_PIXELS:
        return convert(image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's limit on the size is lower than ours
        image.load()
    rows = max(1, BLOCK_PIXELS // image.width)
    result = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        result[top:bottom] = convert(image.crop((0, top, image.width, bottom)))
    return result


def orientation(image: Image.Image) -> int:
    """The EXIF orientation that must still be applied, 1 to 8, from the header only.

    1 (unchanged) if the tag is damaged; viewers ignore it as well.
    """
    if image.format == "TIFF":  # Pillow and OpenCV apply it themselves; the size in the header is the final one
        return 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if image.format == "PNG":  # getexif() would decode the pixels of a PNG to find a chunk after them
                exif = Image.Exif()
                exif.load(image.info.get("exif") or b"")
            else:
                exif = image.getexif()
            turn = int(exif.get(_ORIENTATION, 1))
    except Exception:  # see `limits.decoding`
        return 1
    return turn if 1 <= turn <= 8 else 1


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation to an array (H, W, ...); returns a contiguous array."""
    if orientation in _SIDEWAYS:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def write_png(path: str | Path, array: np.ndarray, palette: np.ndarray | None = None) -> None:
    """Write a PNG atomically. The same array always gives the same bytes.

    array: uint8 or uint16: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA with straight alpha. palette: (N, 3) uint8 RGB;
    `array` is then (H, W) indices below N, and the file is a palette PNG. Raises ValueError for any other array.
    """
    is_image = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype not in (np.uint8, np.uint16) or not is_image:
        raise ValueError(f"a PNG takes (H, W), (H, W, 3) or (H, W, 4) uint8 or uint16, got {array.shape} {array.dtype}")
    write_bytes(path, png_bytes(array, palette))


def png_bytes(array: np.ndarray, palette: np.ndarray | None = None) -> bytes:
    """Encode a PNG as `write_png` does."""
    return encode_png(array) if palette is None else _encode_palette_png(array, palette)


def is_complete_png(path: Path, size: tuple[int, int]) -> bool:
    """Whether a file has the header of a PNG of `size` (height, width) and the end of a PNG; without decoding it."""
    try:
        with path.open("rb") as stream:
            head = stream.read(24)
            stream.seek(-12, 2)
            return (
                head[:8] == b"\x89PNG\r\n\x1a\n"
                and stream.read()[4:8] == b"IEND"
                and ((int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")) == size)
            )
    except OSError:
        return False


def read_png(path: str | Path) -> np.ndarray:
    """Read a PNG exactly as stored: (H, W) grey or palette indices, (H, W, 3) RGB or (H, W, 4) RGBA.

    uint8, or uint16 for a 16-bit file; a 1-bit file gives 0 and 255. Raises InputError if the file is not a PNG or
    damaged.
    """
    path = Path(path)
    with open_image(path) as image, decoding(path, "the image is damaged", "save it again"):
        if image.format != "PNG":
            raise InputError(f"{path}: not a PNG; save it as PNG")
        if _has_deep_colour(image):
            return _read_deep(path)
        array = np.array(image)
    return array * np.uint8(255) if array.dtype == bool else array


def encode_png(array: np.ndarray) -> bytes:
    """Encode (H, W), (H, W, 3) or (H, W, 4) uint8 as PNG."""
    if array.ndim == 3:
        array = cv2.cvtColor(array, cv2.COLOR_RGB2BGR if array.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    # level 1 with a fixed filter: twice as fast as the defaults, and hardly larger for mostly empty layers
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    done, data = cv2.imencode(".png", array, options)
    if not done:
        raise ValueError(f"OpenCV cannot encode {array.shape} as PNG")
    return data.tobytes()


def _encode_palette_png(indices: np.ndarray, palette: np.ndarray) -> bytes:
    if indices.ndim != 2 or palette.ndim != 2 or palette.shape[1] != 3 or not 0 < len(palette) <= 256:
        raise ValueError(f"a palette PNG takes (H, W) and (N, 3), got {indices.shape} and {palette.shape}")
    if indices.size and indices.max() >= len(palette):
        raise ValueError(f"index {indices.max()} is outside the palette of {len(palette)}")
    image = Image.fromarray(np.ascontiguousarray(indices))
    image.putpalette(palette.astype(np.uint8).tobytes())
    data = io.BytesIO()
    image.save(data, "PNG", compress_level=1)
    return data.getvalue()


def _eight_bits(array: np.ndarray) -> np.ndarray:
    """Scale 0 to 65535 to 0 to 255, rounded."""
    return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _has_deep_colour(image: Image.Image) -> bool:
    """Whether the file has several 16-bit channels, which Pillow would truncate to 8 bits."""
    tiles: Any = getattr(image, "tile", ())
    return image.format in ("PNG", "TIFF") and image.mode in ("RGB", "RGBA", "LA") and ";16" in str(tiles)


def _read_deep(path: Path) -> np.ndarray:
    """Read a 16-bit colour PNG or TIFF with OpenCV, (H, W, 3 or 4) uint16."""
    if check_regular(path).st_size > MAX_DECODED:
        raise InputError(f"{path}: over the limit of {MAX_DECODED >> 30} GB for a 16-bit image; compress it")
    data = path.read_bytes()
    if data.startswith(PNG_START):
        pixels = png_pixels(data)
        if not pixels:
            raise InputError(f"{path}: the image is damaged (it is cut short); save it again")
        if pixels > MAX_PIXELS:  # Pillow and OpenCV may read different headers
            raise InputError(f"{path}: {too_large_message()}")
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.ndim != 3 or array.dtype != np.uint16:
        raise InputError(f"{path}: this kind of 16-bit image cannot be read; save it with 8 bits per channel")
    rows = max(1, BLOCK_PIXELS // array.shape[1])
    for block in (array[top : top + rows] for top in range(0, len(array), rows)):  # in place, because it may be 800 MB
        block[...] = cv2.cvtColor(block, cv2.COLOR_BGR2RGB if array.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return array


def png_pixels(data: bytes) -> int:
    """Number of pixels of a PNG according to its header; 0 if the data are not a PNG or are truncated.

    Guards OpenCV, which allocates as many bytes as a chunk claims before it reads them.
    """
    if len(data) < 24 or not data.startswith(PNG_START):
        return 0
    at = len(PNG_START)
    for _ in range(_MAX_CHUNKS):
        size, kind = struct.unpack_from(">I4s", data, at)
        at += 12 + size
        if kind == b"IEND":
            width, height = struct.unpack_from(">II", data, 16)
            return int(width * height)
        if at + 8 > len(data):
            return 0
    return 0


def _deep_to_rgb(array: np.ndarray) -> np.ndarray:
    """Convert (H, W, 3 or 4) uint16 to (H, W, 3) uint8, composited on black."""
    if array.shape[2] == 4:
        array = (array[..., :3].astype(np.uint32) * array[..., 3:] + 32767) // 65535  # just fits into 32 bits
    return _eight_bits(array)
