"""Random access to the frames of a video file (PyAV, that is FFmpeg)."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, dropwhile, pairwise
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.reformatter import Colorspace, VideoReformatter

from unocclude.errors import InputError, UnoccludeError
from unocclude.media.containers import is_cut_short, lacks_index
from unocclude.media.folder import DEFAULT_FPS
from unocclude.media.images import MAX_PIXELS, on_black, too_large

NEAR = 12  # frames: decoding on over so few is cheaper than seeking
REORDER = 16  # frames: the most by which a decoder may deliver out of order (H.264 and HEVC)
RECENT_BYTES = 48 << 20  # decoded frames kept, so that walking backwards does not decode a whole GOP per frame
# FFmpeg's own decoders of these leave the alpha channel out.
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
# Their packets may hold no frame that is shown, so that only decoding can count frames.
HIDDEN_FRAMES = ("vp8", "libvpx", "mpeg4")
_UNTAGGED = 2  # AVCOL_SPC_UNSPECIFIED


class Packet(NamedTuple):
    """What the container tells of a packet; `hidden` ones are decoded but not shown (edit lists)."""

    pts: int | None
    dts: int | None
    key: bool
    hidden: bool


@dataclass
class PacketIndex:
    """What demuxing alone tells of a video: where its frames are, and from where each can be decoded.

    `pts`: (T,) int64, the frames' time stamps in presentation order. `starts`: (T,) int64, for each frame
    the place in decode order of the keyframe that it is decoded from. `places`: a packet's time stamp to its
    place. `keys`: the place of a keyframe to its own time stamp and the one to seek to.
    """

    pts: np.ndarray
    starts: np.ndarray
    places: dict[int, int]
    keys: dict[int, tuple[int, int]]


class VideoFrames:
    """The frames of a video file: (H, W, 3) uint8 RGB, upright, on black where they are transparent.

    Every frame counts once, whatever its duration; `times` are its time stamps in seconds, the first one 0.
    `read(i)` gives the same bits in whatever order frames are read: it decodes from the keyframe before i, or
    on from where the decoder stands. The colour matrix and range are the stream's tags; untagged video is
    BT.709 from 720 lines (or 1280 columns) on and BT.601 below. HDR transfer curves and non-square pixels are
    left as they are.

    Raises InputError when the file is no video, has no frames, is truncated, or has over 100 megapixels per
    frame.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._recent: OrderedDict[int, av.VideoFrame] = OrderedDict()
        self._reformatter = VideoReformatter()
        self._index: PacketIndex | None = None
        self._container: Any = None
        self._began = self._sent = self._next = self._from = 0  # where the decoder stands: see `_restart`
        self._decoding: Iterator[av.VideoFrame] = iter(())
        self._open()
        stream = self._stream
        if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
            raise InputError(f"{self.path}: {too_large(f'{stream.width}x{stream.height}')}")
        packets, damaged = self._demux_all()
        self._check_whole(packets, damaged)
        self._index = index_packets(packets)
        self._restart(0)
        if self._index is None or self._codec.name in HIDDEN_FRAMES:
            stamps: list[int | None] = self._decode_all()
            known = [stamp for stamp in stamps if stamp is not None]
            self._index = index_packets(packets, known) if len(known) == len(stamps) else None
            self._restart(0)
        else:
            stamps = self._index.pts.tolist()
        if not stamps:
            raise InputError(f"{self.path}: the video has no frames that can be decoded; export it again")
        self._count = len(stamps)
        self.fps = self._rate(stamps)
        self.times: Sequence[float] = self._seconds(stamps)

        first = self._decode_to(0)
        self._size = (first.width, first.height)
        self._turn = _display_turn(first)
        self.height, self.width = self._size[::-1] if self._turn[0] else self._size

    def __len__(self) -> int:
        return self._count

    def read(self, i: int) -> np.ndarray:
        """Frame i, (H, W, 3) uint8 RGB, a fresh array; UnoccludeError, naming it, when it does not decode."""
        frame = self._recent.get(i)
        return self._to_rgb(self._decode_to(i) if frame is None else frame)

    # Opening ------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._container is not None:
            # it is part of a reference cycle, and would keep its pool of frame buffers until that is collected
            self._container.close()
        try:
            # `file:` keeps FFmpeg from taking a colon in the name for a protocol.
            self._container = av.open(f"file:{self.path.resolve()}")
        except (av.FFmpegError, ValueError, OSError) as error:
            if lacks_index(self.path):
                raise InputError(
                    f"{self.path}: the file is truncated: its index (moov, at the end) is missing, "
                    "so none of its frames can be read; copy or export it again"
                ) from None
            raise InputError(
                f"{self.path}: not a video or image file that can be read ({_reason(error)}); "
                "give a video, an image or a folder of frames"
            ) from None
        streams = [s for s in self._container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not streams or self._container.format.name == "tty":  # FFmpeg renders plain text as video, too
            raise InputError(f"{self.path}: holds no video; give a video, an image or a folder of frames")
        self._stream = streams[0]
        self._codec: Any = self._stream.codec_context
        if self._codec is None:
            raise InputError(f"{self.path}: its video codec is unknown; convert it to H.264 first")
        tags = {key.lower(): value for key, value in self._stream.metadata.items()}
        if tags.get("alpha_mode") == "1" and self._codec.name in ALPHA_DECODERS:
            self._codec = av.CodecContext.create(ALPHA_DECODERS[self._codec.name], "r")
        self._codec.thread_type = "AUTO"

    def _demux_all(self) -> tuple[list[Packet], int]:
        """All whole packets in decode order; how many are damaged."""
        packets: list[Packet] = []
        damaged = 0
        try:
            for packet in self._container.demux(self._stream):
                if packet.size and packet.is_corrupt:
                    damaged += 1
                elif packet.size:
                    packets.append(Packet(packet.pts, packet.dts, packet.is_keyframe, packet.is_discard))
        except av.FFmpegError:  # an error in the middle: what came before it is what can be read
            damaged += 1
        return packets, damaged

    def _check_whole(self, packets: list["Packet"], damaged: int) -> None:
        """Refuse a truncated file: half a clip without a word would be worse than none."""
        announced, readable = self._stream.frames, len(packets)
        if not (damaged or is_cut_short(self.path)) or (announced and readable >= announced):
            return
        shown = sum(not packet.hidden for packet in packets)
        of = f"of its {announced} frames " if announced else "frames "
        raise InputError(
            f"{self.path}: the file is truncated or damaged: only {shown} {of}can be read; copy or export "
            f"it again, or keep the readable part: ffmpeg -i {self.path.name} -frames:v {shown} part.mp4"
        )

    def _decode_all(self) -> list[int | None]:
        """Time stamps of all frames, by decoding them once."""
        return [frame.pts for frame in self._decoding]

    def _rate(self, stamps: Sequence[int | None]) -> float:
        rate = self._stream.average_rate or self._stream.guessed_rate
        if rate and 0 < rate <= 1000:
            return float(rate)
        seconds = self._stamps_to_seconds(stamps)
        return (len(stamps) - 1) / seconds[-1] if seconds and seconds[-1] > 0 else DEFAULT_FPS

    def _seconds(self, stamps: Sequence[int | None]) -> list[float]:
        return self._stamps_to_seconds(stamps) or [i / self.fps for i in range(len(stamps))]

    def _stamps_to_seconds(self, stamps: Sequence[int | None]) -> list[float]:
        """Seconds since the first frame; empty where time stamps are missing or do not grow."""
        known = [stamp for stamp in stamps if stamp is not None]
        if len(known) < len(stamps) or any(b <= a for a, b in pairwise(known)):
            return []
        unit = self._stream.time_base or Fraction(1)
        return [float((stamp - known[0]) * unit) for stamp in known]

    # Decoding -----------------------------------------------------------------------------------------------

    def _decode_to(self, i: int) -> av.VideoFrame:
        """Frame i from the decoder; the frames passed on the way are kept while there is room."""
        start = int(self._index.starts[i]) if self._index else 0
        if i < self._next or (start > self._sent and i > self._next + NEAR):
            self._restart(start)
        found = self._advance(i)
        if found is None and self._began > 0:
            # Some files call a frame a keyframe that cannot be decoded alone. Decoding from the start is
            # always right; where it helps, seeking in this file is given up.
            self._restart(0)
            found = self._advance(i)
            if found is not None and self._index:
                self._index.starts[:] = 0
        if found is None:
            raise UnoccludeError(
                f"{self.path}: frame {i} of {len(self)} is damaged and does not decode; repair the file "
                f"first, for example: ffmpeg -i {self.path.name} -crf 12 repaired.mp4"
            )
        return found

    def _advance(self, i: int) -> av.VideoFrame | None:
        """Decode on until frame i comes; None when it does not come, or comes damaged."""
        for frame in self._decoding:
            j = self._number(frame)
            if j is None:
                continue
            self._next = max(self._next, j + 1)
            if not frame.is_corrupt:
                self._remember(j, frame)
            if j == i or j > i + REORDER:
                break
        return self._recent.get(i)

    def _number(self, frame: av.VideoFrame) -> int | None:
        """Which frame of the clip this is; None for one that is not shown."""
        if self._index is None:
            return self._next
        if frame.pts is None:
            return None
        i = int(np.searchsorted(self._index.pts, frame.pts))
        return i if i < self._count and self._index.pts[i] == frame.pts and frame.pts >= self._from else None

    def _remember(self, i: int, frame: av.VideoFrame) -> None:
        room = max(2, RECENT_BYTES // sum(plane.buffer_size for plane in frame.planes))
        self._recent[i] = frame
        self._recent.move_to_end(i)
        while len(self._recent) > room:
            self._recent.popitem(last=False)

    def _restart(self, place: int) -> None:
        """Let the decoder begin at the packet at `place` in decode order: the first one, or a keyframe."""
        self._began, self._sent, self._next, self._from = place, place - 1, 0, -(1 << 62)
        if place:
            assert self._index is not None
            self._from, stamp = self._index.keys[place]
            self._next = int(np.searchsorted(self._index.pts, self._from))
            self._container.seek(stamp, stream=self._stream, backward=True)
            self._codec.flush_buffers()
        else:
            self._decoding = iter(())
            self._open()
        self._decoding = self._decode_from(place)

    def _decode_from(self, place: int) -> Iterator[av.VideoFrame]:
        for packet in chain(self._packets_from(place), [None]):  # None: hand out what is still inside
            self._sent += 1
            try:
                yield from self._codec.decode(packet)
            except av.FFmpegError:  # the frame that it should have given stays missing; `_decode_to` says so
                continue

    def _packets_from(self, place: int) -> Iterable[av.Packet]:
        """Packets in decode order from `place` on.

        Containers seek only roughly: the packets up to the wanted one are skipped, and where seeking landed
        behind it, this reads from the beginning.
        """
        packets = self._packets()
        if place == 0:
            return packets
        assert self._index is not None
        places = self._index.places
        for packet in packets:
            here = place + 1 if packet.pts is None else places.get(packet.pts, place + 1)
            if here == place:
                return chain([packet], packets)
            if here > place:
                break
        self._open()
        wanted = self._index.keys[place][0]
        return dropwhile(lambda packet: packet.pts != wanted, self._packets())

    def _packets(self) -> Iterator[av.Packet]:
        try:
            yield from (packet for packet in self._container.demux(self._stream) if packet.size)
        except av.FFmpegError:
            return

    # Pixels -------------------------------------------------------------------------------------------------

    def _to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        width, height = self._size  # streams may change their size midway; players scale, and so do we
        untagged = frame.colorspace == _UNTAGGED and not frame.format.is_rgb
        matrix = Colorspace.ITU709 if untagged and (height >= 720 or width >= 1280) else None
        alpha = any(component.is_alpha for component in frame.format.components)
        converted = self._reformatter.reformat(
            frame, width, height, "rgba" if alpha else "rgb24", src_colorspace=matrix, threads=1
        )
        array = on_black(converted.to_ndarray()) if alpha else converted.to_ndarray()
        upright, down, right = self._turn
        array = array if upright else array.swapaxes(0, 1)
        return np.ascontiguousarray(array[::down, ::right])


def index_packets(packets: Sequence[Packet], shown: Sequence[int] | None = None) -> PacketIndex | None:
    """The index of a video's packets in decode order; None where time stamps are missing or not unique.

    `shown`, where known, are the time stamps of the frames that decoding gives, in its order. Frames before
    the first keyframe (a recording that was cut in the middle) cannot be decoded and do not count.
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
    # A frame is decoded from the last keyframe, in decode order, that is not shown after it: what follows a
    # keyframe in the file but is shown before it may lean on the pictures before that keyframe ("open GOP").
    by_time = sorted((pts, place) for place, (pts, _) in keys.items())
    key_pts, key_places = np.array(by_time, dtype=np.int64).T
    pts = np.array(shown, dtype=np.int64)
    latest = np.searchsorted(key_pts, pts, side="right") - 1
    starts = np.maximum.accumulate(key_places)[np.maximum(latest, 0)]
    return PacketIndex(pts, starts, places, keys)


def _display_turn(frame: av.VideoFrame) -> tuple[bool, int, int]:
    """How a frame lies, by its display matrix: (rows stay rows, row step, column step), steps being 1 or -1.

    The matrix maps a pixel (x, y) to (a x + c y, b x + d y), 16.16 fixed point (libavutil/display.h). Only
    quarter turns and mirrorings are followed.
    """
    side_data = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return True, 1, 1
    a, b, _, c, d = np.frombuffer(bytes(cast(SideData, side_data)), dtype=np.int32)[:5].tolist()
    if abs(a) >= abs(b):
        return True, -1 if d < 0 else 1, -1 if a < 0 else 1
    return False, -1 if b < 0 else 1, -1 if c < 0 else 1


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).splitlines()[0]
