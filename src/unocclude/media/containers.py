"""Supported video containers, and checks of their headers for truncated or hostile files."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from unocclude.errors import InputError
from unocclude.media.limits import MAX_FRAMES

# FFmpeg's demuxers of single-file videos. Excluded are playlists (hls, concat, dash, sdp, imf, image2), which open
# other files, devices, subtitles, and plain text (tty, which would render it as a video). The last two lines, image
# formats that Pillow does not read and audio, are included only for better error messages.
FORMATS = (
    "mov", "matroska", "avi", "ogg", "mpegts", "mpeg", "mpegvideo", "flv", "asf", "mxf", "nut", "rm", "dv", "gxf",
    "wtv", "ivf", "yuv4mpegpipe", "gif", "apng", "mjpeg", "m4v", "h261", "h263", "h264", "hevc", "vvc", "av1", "obu",
    "avs2", "avs3", "cavsvideo", "dirac", "dnxhd", "vc1", "vc1test", "ivr", "nsv", "pva", "pmp", "dhav", "lmlm4",
    "ty", "mjpeg_2000", "mods", "moflex", "bink", "smk", "roq", "flic", "amv",
    "jpegxl_anim", "jpegxl_pipe", "qoi_pipe", "dpx_pipe", "sgi_pipe", "psd_pipe",
    "wav", "mp3", "flac", "aac", "aiff",
)  # fmt: skip
_NESTED = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf")
_MAX_BOXES = 500_000  # several times the fragments of a whole day at one per second

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def is_truncated(path: Path) -> bool:
    """Whether an MP4, MOV, MKV, WebM or AVI file is shorter than its headers state.

    False for other containers, which state no length, and for files that cannot be parsed.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(12)
        if head[:4] == b"RIFF" and len(head) == 12:
            return 8 + struct.unpack("<I", head[4:8])[0] > size
        if head[:4] == _EBML:
            return _matroska_end(stream) > size
        return any(end > size for kind, _, end in _boxes(stream) if kind in (b"mdat", b"moov", b"moof"))


def lacks_index(path: Path) -> bool:
    """Whether a file is an MP4 or MOV without its `moov` box, the index of its frames."""
    with path.open("rb") as stream:
        kinds = [kind for kind, _, _ in _boxes(stream)]
    return bool(kinds) and kinds[0] in (b"ftyp", b"mdat", b"wide", b"free", b"skip") and b"moov" not in kinds


def check_sample_tables(path: Path) -> None:
    """Raise InputError for an MP4 or MOV whose tables list more samples than fit into the file.

    FFmpeg allocates an index entry for each, so a file of 1 kB could make it allocate gigabytes.
    """
    with path.open("rb") as stream:
        room = stream.seek(0, 2)
        announced = 0
        for kind, body, _ in _boxes(stream, _NESTED):
            if kind in (b"stsz", b"stz2", b"trun"):
                stream.seek(body)
                header = stream.read(12).ljust(12, b"\0")
                count = struct.unpack(">I", header[4:8] if kind == b"trun" else header[8:12])[0]
                if kind == b"stsz":
                    size = struct.unpack(">I", header[4:8])[0]
                    announced += count if count * size > room else 0
                elif kind == b"trun" and not header[2] & 0x0F:  # samples have no fields of their own
                    announced += count
        if announced > MAX_FRAMES:
            raise InputError(
                f"{path}: the file is truncated or damaged: it announces {announced} samples, more than it has; copy "
                "or export it again"
            )


def _boxes(stream: BinaryIO, nested: tuple[bytes, ...] = ()) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start of the content and stated end of each MP4 box (ISO/IEC 14496-12, 4.2).

    Includes the top-level boxes and those inside boxes of the `nested` kinds.
    """
    todo = [(0, stream.seek(0, 2))]
    for _ in range(_MAX_BOXES):
        start, length = todo.pop()
        while start + 8 > length:
            if not todo:
                return
            start, length = todo.pop()
        stream.seek(start)
        header = stream.read(16)
        size, kind = struct.unpack(">I4s", header[:8])
        body = start + 8
        if size == 1 and len(header) == 16:  # 64-bit size after the kind
            size = struct.unpack(">Q", header[8:])[0]
            body = start + 16
        elif size == 0:  # to the end of the file
            size = length - start
        if size < 8 or not kind.isalnum():
            todo.append((length, length))
            continue
        yield kind, body, start + size
        todo.append((start + size, length))
        if kind in nested:
            todo.append((body, min(start + size, length)))


def _matroska_end(stream: BinaryIO) -> int:
    """End of a Matroska file's segment according to its header; 0 if unknown (RFC 8794, 6)."""
    stream.seek(4)
    stream.seek(_variable_integer(stream), 1)
    if stream.read(4) != _SEGMENT:
        return 0
    size = _variable_integer(stream)
    return stream.tell() + size if size >= 0 else 0


def _variable_integer(stream: BinaryIO) -> int:
    """Read a variable-size integer of EBML; -1 for 'unknown', which is all ones."""
    first = (stream.read(1) or b"\x01")[0]
    length = 9 - first.bit_length() if first else 8
    value = int.from_bytes(bytes([first & ((1 << (8 - length)) - 1)]) + stream.read(length - 1), "big")
    return -1 if value == (1 << (7 * length)) - 1 else value
