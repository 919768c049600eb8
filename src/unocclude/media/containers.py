"""Whether a video file ends before its own headers say that it does."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def is_cut_short(path: Path) -> bool:
    """Whether an MP4, MOV, MKV, WebM or AVI file is shorter than its headers announce.

    Other containers announce no length; for them, and for what cannot be parsed, the answer is False.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(12)
        if head[:4] == b"RIFF":
            return 8 + struct.unpack("<I", head[4:8])[0] > size
        if head[:4] == _EBML:
            return _matroska_end(stream) > size
        return any(end > size for kind, end in _boxes(stream) if kind in (b"mdat", b"moov", b"moof"))


def lacks_index(path: Path) -> bool:
    """Whether a file is an MP4 or MOV without its `moov` box, the index that says where the frames are."""
    with path.open("rb") as stream:
        kinds = [kind for kind, _ in _boxes(stream)]
    return bool(kinds) and kinds[0] in (b"ftyp", b"mdat", b"wide", b"free", b"skip") and b"moov" not in kinds


def _boxes(stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Kind and announced end of each top-level MP4 box (ISO/IEC 14496-12, 4.2)."""
    start, length = 0, stream.seek(0, 2)
    while start + 8 <= length:
        stream.seek(start)
        header = stream.read(16)
        size, kind = struct.unpack(">I4s", header[:8])
        if size == 1 and len(header) == 16:  # 64-bit size behind the kind
            size = struct.unpack(">Q", header[8:])[0]
        elif size == 0:  # to the end of the file
            size = length - start
        if size < 8 or not kind.isalnum():
            return
        yield kind, start + size
        start += size


def _matroska_end(stream: BinaryIO) -> int:
    """Where a Matroska file's segment ends by its header; 0 where it does not say (RFC 8794, 6)."""
    stream.seek(4)
    stream.seek(_variable_integer(stream), 1)
    if stream.read(4) != _SEGMENT:
        return 0
    size = _variable_integer(stream)
    return stream.tell() + size if size >= 0 else 0


def _variable_integer(stream: BinaryIO) -> int:
    """EBML's variable-size integer; -1 for 'unknown', which is all ones."""
    first = (stream.read(1) or b"\x01")[0]
    length = 9 - first.bit_length() if first else 8
    value = int.from_bytes(bytes([first & ((1 << (8 - length)) - 1)]) + stream.read(length - 1), "big")
    return -1 if value == (1 << (7 * length)) - 1 else value
