"""Random access to the frames of a video file with PyAV (FFmpeg)."""

from collections import OrderedDict
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from unocclude.errors import InputError, UnoccludeError
from unocclude.media.containers import is_truncated
from unocclude.media.decoder import Decoder, Packet, index_packets
from unocclude.media.folder import DEFAULT_FPS
from unocclude.media.limits import (
    MAX_PIXELS,
    MAX_RATE,
    MIN_RATE,
    check_regular,
    check_times,
    check_unchanged,
    clamp_rate,
    decoding,
    identity,
    too_large_message,
)
from unocclude.media.pixels import on_black
from unocclude.media.signal import notes, read_signal

RECENT_BYTES = 32 << 20  # cache of decoded frames, so that reading backwards does not decode a whole GOP per frame
MAX_RECENT = 256  # maximum number of cached frames
DECODERS = 2  # so that two readers at different positions do not make one decoder seek back and forth
# Packets of these codecs may contain no visible frame, so frames can be counted only by decoding.
HIDDEN_FRAMES = ("vp8", "libvpx", "mpeg4")
_UNTAGGED = 2  # AVCOL_SPC_UNSPECIFIED
# By default FFmpeg's scaler repeats chroma samples and rounds down: 2 levels too dark in 8 bits, 3 in 10 bits.
ACCURATE = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


class VideoFrames:
    """The frames of a video file: (H, W, 3) uint8 RGB, upright, composited on black.

    Each frame counts once, whatever its duration. times: time stamps in seconds, the first is 0. `read(i)` returns the
    same bits in any order of reading; it decodes from the keyframe before i, or continues from the current position.
    The colour matrix and range are those tagged in the stream; untagged video is BT.709 from 720 rows or 1280 columns
    on, else BT.601. HDR transfer curves and non-square pixels are not converted.

    Raises InputError if the file is not a video, has no frames, is truncated, or has over 100 megapixels per frame.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._found = identity(check_regular(self.path))
        self._recent: OrderedDict[int, av.VideoFrame] = OrderedDict()
        self._reformatter = VideoReformatter()
        with decoding(self.path, "the video is damaged", "export it again"):
            self._probe()

    def _probe(self) -> None:
        """Find the number of frames, their times and their size."""
        decoder = Decoder(self.path)
        self._decoders = [decoder]
        codec = decoder.codec
        if codec.width * codec.height > MAX_PIXELS:
            raise InputError(f"{self.path}: {too_large_message(f'{codec.width}x{codec.height}')}")
        packets, damaged = decoder.demux()
        self._check_complete(packets, damaged)
        decoder.index = index_packets(packets)
        if decoder.index is None or codec.name in HIDDEN_FRAMES:
            stamps = decoder.decode_all()
            known = [stamp for stamp in stamps if stamp is not None]
            decoder.index = index_packets(packets, known) if len(known) == len(stamps) else None
        else:
            stamps = decoder.index.pts.tolist()
        if not stamps:
            raise InputError(f"{self.path}: the video has no frames that can be decoded; export it again")
        self._count = len(stamps)
        self.fps = self._rate(stamps)
        self.times: Sequence[float] = self._seconds(stamps)
        self.origin = float((stamps[0] or 0) * (self._stream.time_base or 0))

        first = self._decode_to(0)
        self._size = (first.width, first.height)
        self._turn = _display_turn(first)
        self.height, self.width = self._size[::-1] if self._turn[0] else self._size
        self.signal = read_signal(first, self._stream, sideways=not self._turn[0])
        self.notes = notes(self.signal, bool(first.interlaced_frame), self.path.name)

    def __reduce__(self) -> tuple[type["VideoFrames"], tuple[Path]]:
        """For worker processes, which open the file again."""
        return VideoFrames, (self.path,)

    def __len__(self) -> int:
        return self._count

    def read(self, i: int) -> np.ndarray:
        """Frame i, a new array (H, W, 3) uint8 RGB; raises UnoccludeError if it cannot be decoded."""
        check_unchanged(self.path, self._found, i)
        frame = self._recent.get(i)
        with decoding(self.path, f"frame {i} is damaged", "repair or export the video again"):
            return self._to_rgb(self._decode_to(i) if frame is None else frame)

    def read_alpha(self, i: int) -> np.ndarray:
        """Alpha of frame i, (H, W) uint8; 255 everywhere where the video has none."""
        check_unchanged(self.path, self._found, i)
        frame = self._recent.get(i)
        with decoding(self.path, f"frame {i} is damaged", "repair or export the video again"):
            return self._to_alpha(self._decode_to(i) if frame is None else frame)

    # Opening ------------------------------------------------------------------------------------------------

    @property
    def _stream(self) -> av.VideoStream:
        return self._decoders[0].stream

    def _check_complete(self, packets: list[Packet], damaged: int) -> None:
        """Raise InputError for a truncated file, instead of silently reading a part of the clip."""
        announced, readable = self._stream.frames, len(packets)
        if not (damaged or is_truncated(self.path)) or (announced and readable >= announced):
            return
        shown = sum(not packet.hidden for packet in packets)
        of = f"of its {announced} frames " if announced else "frames "
        raise InputError(
            f"{self.path}: the file is truncated or damaged: only {shown} {of}can be read; copy or export "
            f"it again, or keep the readable part: ffmpeg -i {self.path.name} -frames:v {shown} part.mp4"
        )

    def _rate(self, stamps: Sequence[int | None]) -> float:
        rate = self._stream.average_rate or self._stream.guessed_rate
        if rate and MIN_RATE <= rate <= MAX_RATE:
            return float(rate)
        seconds = self._stamps_to_seconds(stamps)
        return clamp_rate((len(stamps) - 1) / seconds[-1]) if seconds and seconds[-1] > 0 else DEFAULT_FPS

    def _seconds(self, stamps: Sequence[int | None]) -> list[float]:
        return self._stamps_to_seconds(stamps) or [i / self.fps for i in range(len(stamps))]

    def _stamps_to_seconds(self, stamps: Sequence[int | None]) -> list[float]:
        """Seconds since the first frame; empty if time stamps are missing or not increasing."""
        known = [stamp for stamp in stamps if stamp is not None]
        if len(known) < len(stamps) or any(b <= a for a, b in pairwise(known)):
            return []
        unit = self._stream.time_base or Fraction(1)
        seconds = [float((stamp - known[0]) * unit) for stamp in known]
        check_times(self.path, seconds)
        return seconds

    # Decoding -----------------------------------------------------------------------------------------------

    def _decode_to(self, i: int) -> av.VideoFrame:
        """Decode frame i; frames decoded on the way are cached."""
        if not self._decoder_for(i).advance(i, self._remember):
            raise UnoccludeError(
                f"{self.path}: frame {i} of {len(self)} is damaged and does not decode; repair the file "
                f"first, for example: ffmpeg -i {self.path.name} -crf 12 repaired.mp4"
            )
        return self._recent[i]

    def _decoder_for(self, i: int) -> Decoder:
        """The nearest decoder that can continue to frame i, else a new one or the least recently used one."""
        ahead = [decoder for decoder in self._decoders if decoder.passes(i)]
        if ahead:
            chosen = max(ahead, key=lambda decoder: decoder.next)
        elif len(self._decoders) < DECODERS:
            chosen = Decoder(self.path, self._decoders[0].index)
        else:
            chosen = self._decoders[0]
        self._decoders = [*(decoder for decoder in self._decoders if decoder is not chosen), chosen]
        return chosen

    def _remember(self, i: int, frame: av.VideoFrame) -> None:
        room = min(MAX_RECENT, max(2, RECENT_BYTES // sum(plane.buffer_size for plane in frame.planes)))
        self._recent[i] = frame
        self._recent.move_to_end(i)
        while len(self._recent) > room:
            self._recent.popitem(last=False)

    # Pixels -------------------------------------------------------------------------------------------------

    def _to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        width, height = self._size  # the size may change within a stream; scale to the first one, as players do
        untagged = frame.colorspace == _UNTAGGED and not frame.format.is_rgb
        matrix = Colorspace.ITU709 if untagged and (height >= 720 or width >= 1280) else None
        alpha = _has_alpha(frame)
        converted = self._reformatter.reformat(
            frame,
            width,
            height,
            "gbrap" if alpha else "gbrp",  # four times as fast as packed pixels with these flags
            src_colorspace=matrix,
            interpolation=ACCURATE,
            threads=1,
        )
        return self._turned(on_black(converted.to_ndarray()) if alpha else converted.to_ndarray())

    def _to_alpha(self, frame: av.VideoFrame) -> np.ndarray:
        width, height = self._size
        if not _has_alpha(frame):
            return np.full((self.height, self.width), 255, np.uint8)
        return self._turned(self._reformatter.reformat(frame, width, height, "rgba", threads=1).to_ndarray()[..., 3])

    def _turned(self, array: np.ndarray) -> np.ndarray:
        upright, down, right = self._turn
        array = array if upright else array.swapaxes(0, 1)
        return np.ascontiguousarray(array[::down, ::right])


def _has_alpha(frame: av.VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components)


# Quarter turns counter-clockwise, as `_display_turn` returns them.
_QUARTER_TURNS = ((True, 1, 1), (False, -1, 1), (True, -1, -1), (False, 1, -1))


def _display_turn(frame: av.VideoFrame) -> tuple[bool, int, int]:
    """The orientation of a frame from its display matrix: (whether rows stay rows, row step, column step).

    Steps are 1 or -1. The matrix maps a pixel (x, y) to (a x + c y, b x + d y), 16.16 fixed point
    (libavutil/display.h). Only quarter turns and reflections are applied.
    """
    try:
        side_data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV cannot list side data of kinds that it does not know, such as EXIF
        return _QUARTER_TURNS[round(frame.rotation / 90) % 4]
    if side_data is None:
        return True, 1, 1
    a, b, _, c, d = np.frombuffer(bytes(cast(SideData, side_data)), dtype=np.int32)[:5].tolist()
    if abs(a) >= abs(b):
        return True, -1 if d < 0 else 1, -1 if a < 0 else 1
    return False, -1 if b < 0 else 1, -1 if c < 0 else 1
