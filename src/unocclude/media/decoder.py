"""A video decoder with a position: an index of the file's packets, and seeking to frames."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, dropwhile, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from unocclude.errors import InputError
from unocclude.media.containers import FORMATS, check_sample_tables, lacks_index
from unocclude.media.limits import MAX_FRAMES, MAX_PIXELS, check_regular, reason, too_large_message

NEAR = 12  # frames: decoding up to this many is cheaper than seeking
REORDER = 16  # frames: maximum reordering by a decoder (H.264 and HEVC)
# Restrict FFmpeg: playlists open other files, demuxers use other protocols, and decoders allocate without limits.
OPTIONS = {
    "format_whitelist": ",".join(FORMATS),
    "protocol_whitelist": "file",
    "max_pixels": str(MAX_PIXELS),
    "max_streams": "100",  # each one opens a decoder
    "enable_drefs": "0",  # no media of a MOV in other files (FFmpeg's default as well)
}
CODEC_OPTIONS = {"max_pixels": str(MAX_PIXELS)}
THREAD_BYTES = 256 << 20  # each thread of a decoder holds a frame
# FFmpeg's native decoders of these codecs ignore the alpha channel.
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


# PyAV's exceptions besides FFmpeg's errors, for time stamps and sizes that overflow.
OTHER_ERRORS = (ValueError, OverflowError, MemoryError)


class Packet(NamedTuple):
    """A packet's metadata in the container. hidden: decoded but not shown (edit lists)."""

    pts: int | None
    dts: int | None
    key: bool
    hidden: bool


@dataclass
class PacketIndex:
    """An index of a video from demuxing: the time stamps of its frames and the keyframes to decode them from.

    pts: (T,) int64, time stamps of the frames in presentation order. starts: (T,) int64, for each frame, the position
    in decode order of the keyframe to start decoding from. places: time stamp of a packet → its position in decode
    order. keys: position of a keyframe → (its time stamp, the time stamp to seek to).
    """

    pts: np.ndarray
    starts: np.ndarray
    places: dict[int, int]
    keys: dict[int, tuple[int, int]]


class Decoder:
    """An open video file with a decoding position.

    index: without it, frames can only be decoded from the start. next: the next frame, if known. Raises InputError if
    the file is not a video.
    """

    def __init__(self, path: Path, index: PacketIndex | None = None):
        self.path, self.index = path, index
        self._container: Any = None
        self.next = 0  # the frame expected next
        self._began = self._sent = self._from = 0  # see `restart`
        self._decoding: Iterator[av.VideoFrame] | None = None
        self._open()

    def demux(self) -> tuple[list[Packet], int]:
        """All complete packets in decode order, and the number of damaged ones."""
        packets: list[Packet] = []
        damaged = 0
        try:
            for packet in self._container.demux(self.stream):
                if packet.size and packet.is_corrupt:
                    damaged += 1
                elif packet.size:
                    packets.append(Packet(packet.pts, packet.dts, packet.is_keyframe, packet.is_discard))
                if len(packets) > MAX_FRAMES:
                    raise InputError(f"{self.path}: over {MAX_FRAMES} frames; cut it into shorter clips")
        except (av.FFmpegError, *OTHER_ERRORS):  # only the packets before the error can be read
            damaged += 1
        return packets, damaged

    def decode_all(self) -> list[int | None]:
        """Decode all frames and return their time stamps."""
        self.restart(0)
        decoding, self._decoding = self._decoding, None
        return [frame.pts for frame in decoding or ()]

    def passes(self, i: int) -> bool:
        """Whether frame i is ahead and near enough to continue decoding instead of seeking."""
        skips = self._start(i) > self._sent and i > self.next + NEAR
        return self._decoding is not None and i >= self.next and not skips

    def advance(self, i: int, passed: Callable[[int, av.VideoFrame], None]) -> bool:
        """Decode up to frame i, from here or from the keyframe before it.

        passed: called with the number and each decoded frame. Returns False if frame i is missing or damaged.
        """
        if not self.passes(i):
            self.restart(self._start(i))
        if self._advance(i, passed):
            return True
        if self._began == 0:
            return False
        # Some files mark frames as keyframes that cannot be decoded alone. Decoding from the start always works; if it
        # helps, seeking in this file is disabled.
        self.restart(0)
        found = self._advance(i, passed)
        if found and self.index:
            self.index.starts[:] = 0
        return found

    def restart(self, place: int) -> None:
        """Restart decoding at the packet at `place` in decode order: the first one, or a keyframe."""
        self._began, self._sent, self.next, self._from = place, place - 1, 0, -(1 << 62)
        if place:
            assert self.index is not None
            self._from, stamp = self.index.keys[place]
            self.next = int(np.searchsorted(self.index.pts, self._from))
            self._container.seek(stamp, stream=self.stream, backward=True)
            self.codec.flush_buffers()
        else:
            self._decoding = None
            self._open()
        self._decoding = self._decode_from(place)

    def _start(self, i: int) -> int:
        return int(self.index.starts[i]) if self.index else 0

    def _advance(self, i: int, passed: Callable[[int, av.VideoFrame], None]) -> bool:
        assert self._decoding is not None
        found = False
        for frame in self._decoding:
            j = self._number(frame)
            if j is None:
                continue
            self.next = max(self.next, j + 1)
            if not frame.is_corrupt:
                passed(j, frame)
                found |= j == i
            if j == i or j > i + REORDER:
                break
        return found

    def _number(self, frame: av.VideoFrame) -> int | None:
        """The number of a decoded frame in the clip; None if it is not shown."""
        if self.index is None:
            return self.next
        if frame.pts is None:
            return None
        i = int(np.searchsorted(self.index.pts, frame.pts))
        return i if i < len(self.index.pts) and self.index.pts[i] == frame.pts and frame.pts >= self._from else None

    def _open(self) -> None:
        if self._container is not None:
            # it is part of a reference cycle and would keep its frame buffers until garbage collection
            self._container.close()
        check_regular(self.path)
        if self._container is None:
            check_sample_tables(self.path)
        try:
            # `file:` prevents FFmpeg from parsing a name with a colon as a protocol
            self._container = av.open(f"file:{self.path.resolve()}", options=OPTIONS, metadata_errors="replace")
        except (av.FFmpegError, OSError, *OTHER_ERRORS) as error:
            if lacks_index(self.path):
                raise InputError(
                    f"{self.path}: the file is truncated: its index (moov, at the end) is missing, "
                    "so none of its frames can be read; copy or export it again"
                ) from None
            # FFmpeg has no better message for a container that is not in the whitelist
            told = "its format is not supported" if isinstance(error, av.error.ArgumentError) else reason(error)
            raise InputError(
                f"{self.path}: not a video or image file that can be read ({told}); "
                "give a video, an image or a folder of frames"
            ) from None
        streams = [s for s in self._container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not streams:
            raise InputError(f"{self.path}: holds no video; give a video, an image or a folder of frames")
        self.stream = streams[0]
        self.codec: Any = self.stream.codec_context
        if self.codec is None:
            raise InputError(f"{self.path}: its video codec is unknown; convert it to H.264 first")
        tags = {key.lower(): value for key, value in self.stream.metadata.items()}
        if tags.get("alpha_mode") == "1" and self.codec.name in ALPHA_DECODERS:
            self.codec = av.CodecContext.create(ALPHA_DECODERS[self.codec.name], "r")
        self.codec.options = CODEC_OPTIONS
        self.codec.thread_type = "AUTO"
        if size := self.codec.width * self.codec.height * 4:
            self.codec.thread_count = max(1, THREAD_BYTES // size) if size * 16 > THREAD_BYTES else 0

    def _decode_from(self, place: int) -> Iterator[av.VideoFrame]:
        for packet in chain(self._packets_from(place), [None]):  # None flushes the decoder
            self._sent += 1
            try:
                frames = self.codec.decode(packet)
            except (av.FFmpegError, *OTHER_ERRORS):  # this frame stays missing
                continue
            for frame in frames:
                if frame.width * frame.height > MAX_PIXELS:  # some decoders ignore max_pixels
                    raise InputError(f"{self.path}: {too_large_message(f'{frame.width}x{frame.height}')}")
                yield frame

    def _packets_from(self, place: int) -> Iterable[av.Packet]:
        """Packets in decode order from `place` on.

        Seeking is inexact: packets before the wanted one are skipped, and if seeking went too far, the file is read
        from the beginning.
        """
        packets = self._packets()
        if place == 0:
            return packets
        assert self.index is not None
        places = self.index.places
        for packet in packets:
            here = place + 1 if packet.pts is None else places.get(packet.pts, place + 1)
            if here == place:
                return chain([packet], packets)
            if here > place:
                break
        self._open()
        wanted = self.index.keys[place][0]
        return dropwhile(lambda packet: packet.pts != wanted, self._packets())

    def _packets(self) -> Iterator[av.Packet]:
        try:
            yield from (packet for packet in self._container.demux(self.stream) if packet.size)
        except (av.FFmpegError, *OTHER_ERRORS):
            return


def index_packets(packets: Sequence[Packet], shown: Sequence[int] | None = None) -> PacketIndex | None:
    """Index the packets of a video, given in decode order; None if time stamps are missing or not unique.

    shown: time stamps of the decoded frames in order, if known. Frames before the first keyframe (as in a cut
    recording) cannot be decoded and do not count.
    """
    places = {packet.pts: place for place, packet in enumerate(packets) if packet.pts is not None}
    keys = {
        place: (packet.pts, packet.pts if packet.dts is None else packet.dts)
        for place, packet in enumerate(packets)
        if packet.key and packet.pts is not None
    }
    if len(places) < len(packets) or not keys:
        return None
    if shown is None:
        first = min(keys)
        visible = [pts for pts, place in places.items() if place >= first and not packets[place].hidden]
        shown = sorted(pts for pts in visible if pts >= keys[first][0])
    elif any(b <= a for a, b in pairwise(shown)) or not set(shown) <= set(places):
        return None
    # Decode a frame from the last keyframe, in decode order, that is not shown after it: frames that follow a keyframe
    # in the file but are shown before it may depend on frames before that keyframe ("open GOP").
    by_time = sorted((pts, place) for place, (pts, _) in keys.items())
    key_pts, key_places = np.array(by_time, dtype=np.int64).T
    pts = np.array(shown, dtype=np.int64)
    latest = np.searchsorted(key_pts, pts, side="right") - 1
    starts = np.maximum.accumulate(key_places)[np.maximum(latest, 0)]
    return PacketIndex(pts, starts, places, keys)
