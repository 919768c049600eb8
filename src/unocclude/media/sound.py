"""Copy the sound of a clip into the exports that lie on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av
import numpy as np

from unocclude.media.decoder import OPTIONS, OTHER_ERRORS
from unocclude.media.limits import check_regular, decoding

CODECS = {"mov": "pcm_s16le", "mp4": "aac", "webm": "libopus"}
"""Container → codec of its sound."""
_RATE = 48_000  # per second, for the codecs with few rates
_SAMPLES = "fltp"
_GAP = 0.05  # seconds


@dataclass(frozen=True)
class Sound:
    """A stretch of the sound of a file, from `start` to `end`: the file's times, in seconds."""

    path: Path
    start: float
    end: float


def find_sound(path: Path, start: float, end: float) -> Sound | None:
    """The sound of a file from `start` to `end` in seconds; None if it has none.

    Raises InputError if its sound, or the file, cannot be decoded.
    """
    with decoding(path, "its sound cannot be decoded", "convert it to AAC"), _open(path) as file:
        if not file.streams.audio:
            return None
        codec = file.streams.best("audio").codec_context
        if codec is None or not codec.sample_rate:
            raise ValueError("unknown codec")
        av.AudioLayout(codec.layout.name)  # raises for channels without a known order
        return Sound(path, start, end)


def _open(path: Path) -> Any:
    check_regular(path)
    return av.open(f"file:{path.resolve()}", options=OPTIONS, metadata_errors="replace")


class SoundWriter:
    """Adds sound to a file that is being encoded, alongside the frames.

    The sound begins at the time of the first frame and ends with the last one, to the sample; where the file has no
    sound, there is silence.
    """

    def __init__(self, file: Any, container: str, sound: Sound):
        self._file, self._sound = file, sound
        self._source = _open(sound.path)
        stream = self._source.streams.best("audio")
        codec = CODECS[container]
        lossless = codec.startswith("pcm")
        self._rate = stream.codec_context.sample_rate if lossless else _RATE
        layout = stream.codec_context.layout
        self._layout = layout.name if lossless or layout.nb_channels <= 2 else "stereo"
        self._to = cast(Any, file.add_stream(codec, rate=self._rate, layout=self._layout))
        self._done = 0  # samples written
        self._blocks = self._aligned(stream)

    def write_until(self, seconds: float) -> None:
        """Write the sound up to a time after the first frame."""
        while self._done < seconds * self._rate and (block := next(self._blocks, None)) is not None:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), _SAMPLES, self._layout)
            frame.sample_rate, frame.pts = self._rate, self._done
            self._done += block.shape[1]
            self._file.mux(self._to.encode(frame))

    def finish(self) -> None:
        """Write the rest of the sound."""
        self.write_until(self._sound.end - self._sound.start + 1)
        self._file.mux(self._to.encode(None))
        self._source.close()

    def _aligned(self, stream: Any) -> Iterator[np.ndarray]:
        """Blocks (channels, samples) without gaps, from the start to the end of the sound."""
        count = round((self._sound.end - self._sound.start) * self._rate)
        done, channels = 0, av.AudioLayout(self._layout).nb_channels
        for at, block in self._decoded(stream):
            for gap in _silence(min(at, count) - done, channels, self._rate):
                yield gap
                done += gap.shape[1]
            block = block[:, max(0, done - at) : max(0, count - at)]
            if block.size:
                yield block
                done += block.shape[1]
            if done >= count:
                return
        yield from _silence(count - done, channels, self._rate)

    def _decoded(self, stream: Any) -> Iterator[tuple[int, np.ndarray]]:
        """Decoded blocks with the place of their first sample, counted from the start of the sound."""
        resampler = av.AudioResampler(format=_SAMPLES, layout=self._layout, rate=self._rate)
        at = -self._rate  # far from any sound
        for frame in chain(_frames(self._source, stream, self._sound.start), [None]):  # None flushes the resampler
            if frame is not None and frame.pts is not None:
                due = round((float(frame.pts * frame.time_base) - self._sound.start) * self._rate)
                if abs(due - at) > _GAP * self._rate:  # a gap, not the delay of the resampler
                    at = due
            for made in resampler.resample(frame):
                yield at, made.to_ndarray()
                at += made.samples


def _frames(source: Any, stream: Any, start: float) -> Iterator[Any]:
    """Decoded audio frames from before `start` in seconds on; damaged ones are left out."""
    if start > 1:
        source.seek(int((start - 1) / stream.time_base), stream=stream, backward=True)
    for packet in source.demux(stream):
        try:
            yield from packet.decode()
        except (av.FFmpegError, *OTHER_ERRORS):
            continue


def _silence(samples: int, channels: int, rate: int) -> Iterator[np.ndarray]:
    """Silence in blocks of at most a second."""
    while samples > 0:
        yield np.zeros((channels, min(samples, rate)), np.float32)
        samples -= rate
