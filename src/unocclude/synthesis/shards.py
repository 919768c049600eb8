"""WebDataset shards: plain tar files of clips.

Members are called CLIP.PART.FRAME.png, as in `00007.visible_masks.00003.png`, and CLIP.meta.json. WebDataset uses the
part before the first dot as the key of a sample, so each clip is one sample. The same clips always give the same bytes.
"""

import io
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np

from unocclude.errors import InputError
from unocclude.media.files import atomic_write
from unocclude.media.images import png_pixels
from unocclude.media.limits import MAX_DECODED, MAX_FRAMES, MAX_PIXELS, check_regular, decoding, too_large_message

_NAME = re.compile(r"[^/\\:\x00-\x1f\x7f\ud800-\udfff]+")  # clip names become folder names


def write_shard(path: str | Path, clips: Sequence[Path]) -> None:
    """Pack folders in the GT layout into one tar file, atomically. Members are sorted; times and owners are 0."""
    with atomic_write(path) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for clip in sorted(clips, key=lambda p: p.name):
            files = {".".join((clip.name, *p.relative_to(clip).parts)): p for p in clip.rglob("*") if p.is_file()}
            for name in sorted(files):
                data = files[name].read_bytes()
                info = tarfile.TarInfo(name)
                info.size, info.mtime, info.mode = len(data), 0, 0o644
                tar.addfile(info, io.BytesIO(data))


class Member(NamedTuple):
    """Start and size of a file in a shard, in bytes."""

    start: int
    size: int


def list_shard(path: str | Path) -> dict[str, dict[str, Member]]:
    """Clips and their members in order, as in {"00007": {"frames.00000.png": ..., "meta.json": ...}}.

    Reads only headers. Links, sparse files (which can claim any size) and extended headers are refused; `write_shard`
    writes none. Raises InputError if the file is not a shard.
    """
    path = Path(path)
    length = check_regular(path).st_size
    clips: dict[str, dict[str, Member]] = {}
    with decoding(path, "not a readable shard", "make it again"), path.open("rb") as stream:
        for count, info in enumerate(_headers(stream)):
            start = stream.tell()
            if info.isdir():
                continue
            if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                raise InputError(f"{path}: {info.name!a} is no plain file; make the shard again")
            clip, _, member = info.name.partition(".")
            if not _NAME.fullmatch(info.name) or not clip or not member:
                raise InputError(f"{path}: {info.name!a} is not named CLIP.PART.FRAME.png; make the shard again")
            if info.size < 0 or start + info.size > length:
                raise InputError(f"{path}: the shard is truncated in {info.name}; make it again")
            if count >= MAX_FRAMES:
                raise InputError(f"{path}: over {MAX_FRAMES} files in one shard; make smaller ones")
            clips.setdefault(clip, {})[member] = Member(start, info.size)
            stream.seek(start + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)
    return clips


def _headers(stream: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """Yield the remaining tar headers. The caller must move the stream past the data of each."""
    while (block := stream.read(tarfile.BLOCKSIZE)).strip(b"\0"):
        # tarfile.open would read extended headers and sparse maps of any size
        yield tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")


def read_clip(path: str | Path, name: str, members: Mapping[str, Member]) -> dict[str, bytes]:
    """Read the members of one clip, as listed by `list_shard`; raises InputError if they are too large."""
    path = Path(path)
    if sum(member.size for member in members.values()) > MAX_DECODED:
        raise InputError(f"{path}: clip {name} is over {MAX_DECODED >> 30} GB; make shorter clips")
    check_regular(path)
    with decoding(path, f"clip {name} cannot be read", "make it again"), path.open("rb") as stream:
        return {key: _read(stream, *member) for key, member in members.items()}


def _read(stream: BinaryIO, start: int, size: int) -> bytes:
    stream.seek(start)
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("it is truncated")
    return data


def read_shard(path: str | Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield each clip's name and members in order, as in {"frames.00000.png": bytes, "meta.json": bytes}.

    Raises InputError if the file is not a shard.
    """
    for name, members in list_shard(path).items():
        yield name, read_clip(path, name, members)


def read_picture(data: bytes) -> np.ndarray:
    """Decode a PNG member, (H, W) grey or (H, W, 3) RGB; raises InputError if it is not a PNG or damaged."""
    pixels = png_pixels(data)
    if pixels > MAX_PIXELS:
        raise InputError(f"a picture of the shard is too large: {too_large_message()}")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if pixels else None
    except cv2.error:
        image = None
    if image is None or (image.ndim == 3 and image.shape[2] != 3):
        raise InputError("a picture of the shard is damaged; make it again")
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
