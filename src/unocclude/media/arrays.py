"""Read masks from .npy and .npz files frame by frame, in bounded memory.

numpy.load is not used: it trusts the header, decompresses all of an .npz, and maps an .npy into memory, where the
process dies of SIGBUS if the file is truncated meanwhile. Only numpy's header parser is used.
"""

import io
import struct
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.lib import format as npy

from unocclude.errors import InputError
from unocclude.media.limits import MAX_DECODED, MAX_FRAMES, MAX_PIXELS, check_regular, decoding, too_large_message

_FAULT = "cannot be read as an array"
_REMEDY = "save it with numpy.save"
_MAX_HEADER = 16 << 10  # bytes; numpy itself refuses one of over 10,000
_MAX_LISTED = 1 << 20  # bytes of a zip archive's central directory, which is read as a whole


class _Header(NamedTuple):
    """The header of an array (T, H, W). by_columns: Fortran order. flat: the array is (H, W), and T = 1."""

    shape: tuple[int, int, int]
    dtype: np.dtype
    by_columns: bool
    flat: bool

    @property
    def frame_bytes(self) -> int:
        return self.shape[1] * self.shape[2] * self.dtype.itemsize


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """Yield the frames of a .npy, or of the first array in a .npz: (H, W) integers, bool or floats each.

    The header is checked at once, the data when they are read. Raises InputError for any other array, for frames of
    over 100 megapixels, and for a truncated file.
    """
    check_regular(path)
    opened = ExitStack()
    with decoding(path, _FAULT, _REMEDY):
        try:
            stream, length = _open_member(path, opened) if path.suffix.lower() == ".npz" else _open_plain(path, opened)
            header = _read_header(path, stream)
            _check_header(path, header, length)
        except BaseException:
            opened.close()
            raise
    return _frames(path, stream, header, opened)


def _open_plain(path: Path, opened: ExitStack) -> tuple[IO[bytes], int]:
    return opened.enter_context(path.open("rb")), path.stat().st_size


def _open_member(path: Path, opened: ExitStack) -> tuple[IO[bytes], int]:
    """Open the first array of an archive; returns the stream and its length in bytes."""
    if _listed_bytes(path) > _MAX_LISTED:
        raise InputError(f"{path}: the archive has too many members; {_REMEDY}")
    archive = opened.enter_context(zipfile.ZipFile(path))
    members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
    if not members:
        raise InputError(f"{path}: holds no array; {_REMEDY}")
    if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{path}: compressed with a method that numpy does not use; {_REMEDY}z_compressed")
    return opened.enter_context(archive.open(members[0])), members[0].file_size


def _listed_bytes(path: Path) -> int:
    """Size of a zip archive's central directory, from its end record (APPNOTE.TXT 4.3.14 and 4.3.16)."""
    with path.open("rb") as stream:
        stream.seek(-min(stream.seek(0, 2), 70_000), 2)
        tail = stream.read()
    at = tail.rfind(b"PK\5\6")
    size = struct.unpack("<I", tail[at + 12 : at + 16].ljust(4, b"\0"))[0] if at >= 0 else 0
    at = tail.rfind(b"PK\6\6")
    if size == 0xFFFFFFFF and at >= 0:
        size = struct.unpack("<Q", tail[at + 40 : at + 48].ljust(8, b"\0"))[0]
    return int(size)


def _read_header(path: Path, stream: IO[bytes]) -> _Header:
    """Read the header; leaves `stream` at the start of the data."""
    head = io.BytesIO(stream.read(_MAX_HEADER))  # numpy would read a header of any claimed length
    version = npy.read_magic(head)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:  # 3.0 is for names of fields, which masks do not have
        raise InputError(f"{path}: {_FAULT} (version {version[0]}.{version[1]}); {_REMEDY}")
    shape, by_columns, dtype = read(head)
    stream.seek(head.tell())
    if len(shape) not in (2, 3) or dtype.kind not in "buif" or not all(type(n) is int and n > 0 for n in shape):
        raise InputError(f"{path}: holds {dtype} of shape {shape}; give (T, H, W) integers, bool or floats")
    flat = len(shape) == 2
    count, height, width = (1, *shape) if flat else shape
    return _Header((count, height, width), dtype, by_columns, flat)


def _check_header(path: Path, header: _Header, length: int) -> None:
    count, height, width = header.shape
    if height * width > MAX_PIXELS:
        raise InputError(f"{path}: {too_large_message(f'{width}x{height}')}")
    if count > MAX_FRAMES:
        raise InputError(f"{path}: holds {count} frames, over the limit of {MAX_FRAMES}; cut it into shorter ones")
    if header.frame_bytes * count > length:
        raise InputError(f"{path}: the file is truncated: its header announces {header.shape}; save it again")
    if header.by_columns and header.frame_bytes * count > MAX_DECODED:
        raise InputError(
            f"{path}: over {MAX_DECODED >> 30} GB in Fortran order, which must be read as a whole; "
            "save numpy.ascontiguousarray of it"
        )


def _frames(path: Path, stream: IO[bytes], header: _Header, opened: ExitStack) -> Iterator[np.ndarray]:
    count, height, width = header.shape
    with opened:
        if header.by_columns:
            shape = (width, height) if header.flat else (width, height, count)
            turned = _read(path, stream, header, prod(shape)).reshape(shape).T
            yield from (turned[None] if header.flat else turned)
            return
        for _ in range(count):
            yield _read(path, stream, header, height * width).reshape(height, width)


def _read(path: Path, stream: IO[bytes], header: _Header, items: int) -> np.ndarray:
    wanted = items * header.dtype.itemsize
    with decoding(path, _FAULT, _REMEDY):
        data = stream.read(wanted)
    if len(data) < wanted:
        raise InputError(f"{path}: the file is truncated: its header announces {header.shape}; save it again")
    return np.frombuffer(data, header.dtype)
