"""Write RGBA layers and previews as video or image files for editors, browsers and compositors."""

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
from av.video.reformatter import Colorspace
from PIL import Image

from unocclude.errors import InputError
from unocclude.media import files
from unocclude.media.exr import encode_exr
from unocclude.media.images import encode_png
from unocclude.media.limits import check_rate
from unocclude.media.nearest_fill import fill_nearest
from unocclude.media.signal import Signal
from unocclude.media.sound import Sound, SoundWriter
from unocclude.media.video import ACCURATE

BLEED = 16  # pixels: one macroblock of the codecs
CHECKER = 16  # pixels per square of the preview's checkerboard
_TICKS = 90_000  # per second: the time base for variable frame times, as in MPEG
_BT709, _BT2020, _LIMITED = 1, 9, 1  # AVCOL_PRI_, AVCOL_TRC_ and AVCOL_SPC_; AVCOL_RANGE_MPEG
_NUMBER = re.compile(r"%0(?P<digits>\d)d|##+")
_GIF_OPAQUE = 128  # minimum alpha of an opaque GIF pixel
_GIF_GAP = Fraction(2, 100)  # seconds: browsers slow down frames that are shorter


def write_layers(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: float,
    times: Sequence[float] | None = None,
    signal: Signal | None = None,
    sound: Sound | None = None,
) -> list[Path]:
    """Write (H, W, 4) uint8 RGBA frames with straight alpha as a layer; the suffix of `path` selects the format.

    - `.mov`: ProRes 4444, 10 bits, 16-bit alpha with an error of at most 2 levels, BT.709. Straight alpha.
    - `.webm`: VP9 with alpha, lossless except for the halved colour resolution (4:2:0). Straight alpha.
    - `.mp4`: H.264 over a checkerboard, for viewing; padded to even sizes.
    - `.gif`: 255 colours per frame, opaque from alpha 128 on, endless; at most 50 frames per second.
    - `.png`: APNG, exact, endless. With a number in the name (`NAME_%04d.png`, `NAME.####.png`), one PNG per frame.
    - `.exr`: one file per frame, `NAME.00000.exr` and so on or as the number in the name says, half floats: linear
      light (from sRGB), premultiplied by alpha, as is usual for OpenEXR.

    times: frame times in seconds, if they are not evenly spaced by 1 / fps; all formats but sequences store them.
    signal: the tags of the clip that the layer lies on, for videos; sequences in `.exr` keep its pixel aspect. sound:
    for videos. Frames are consumed one at a time. Files are written atomically, those of a sequence together. Returns
    the files written. Raises InputError for another suffix or no frames, ValueError for any other arrays.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    signal = signal or Signal()
    checked = _checked(frames, channels=4)
    if is_sequence(path):
        return _write_sequence(path, checked, signal)
    if suffix not in FORMATS:
        raise InputError(
            f"{path}: unknown format {suffix or '(no suffix)'}; use one of {', '.join([*FORMATS, '.exr'])}"
        )
    _write_video(path, FORMATS[suffix], checked, _Clock(fps, times, FORMATS[suffix].gap), signal, sound)
    return [path]


def write_preview(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: float,
    times: Sequence[float] | None = None,
    signal: Signal | None = None,
) -> None:
    """Write (H, W, 3) uint8 RGB frames as widely supported H.264 (`.mp4`), padded to even sizes.

    Frames are consumed one at a time; the file is written atomically. Raises InputError without any frames.
    """
    clock = _Clock(fps, times, PREVIEW.gap)
    _write_video(Path(path), PREVIEW, _checked(frames, channels=3), clock, signal or Signal(), None)


# The formats ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Format:
    """How to encode one format: FFmpeg's names and options, and the conversion of frames."""

    container: str
    codec: str
    pixels: str
    picture: Callable[[np.ndarray, Signal], av.VideoFrame]
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    gap: Fraction = Fraction(0)  # minimum time between two frames in seconds


def _yuv(rgb: np.ndarray, pixels: str, signal: Signal) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
    matrix = Colorspace(_matrix(signal))
    frame = frame.reformat(
        format=pixels, dst_colorspace=matrix, dst_color_range="MPEG", interpolation=ACCURATE, threads=1
    )
    frame.color_primaries, frame.color_trc = _colour_tags(signal)  # ProRes writes the tags of each frame
    return frame


def _yuva(rgba: np.ndarray, pixels: str, levels: int, signal: Signal) -> av.VideoFrame:
    """As `_yuv`, with alpha. The alpha plane is set here, because FFmpeg's scaler is off by one level."""
    # lossy codecs blend the colours of neighbouring pixels, so black outside would darken the edge
    frame = _yuv(fill_nearest(rgba[..., :3], rgba[..., 3] > 0, BLEED), pixels, signal)
    plane = frame.planes[3]
    dtype = np.dtype(np.uint8 if levels == 256 else "<u2")
    rows = np.zeros((plane.height, plane.line_size // dtype.itemsize), dtype)
    rows[:, : plane.width] = (rgba[..., 3].astype(np.uint32) * (levels - 1) + 127) // 255
    plane.update(rows.tobytes())
    return frame


def _even(rgb: np.ndarray) -> np.ndarray:
    """Pad to even sizes, which H.264 with 4:2:0 requires, by repeating the last row and column."""
    height, width = rgb.shape[:2]
    return cv2.copyMakeBorder(rgb, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)


def _over_checkerboard(rgba: np.ndarray) -> np.ndarray:
    rows, columns = (np.arange(size) // CHECKER for size in rgba.shape[:2])
    board = np.where((rows[:, None] + columns) % 2, 208, 240)[..., None].astype(np.uint16)
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + board * (255 - alpha) + 127) // 255).astype(np.uint8)


def _paletted(rgba: np.ndarray, _: Signal) -> av.VideoFrame:
    opaque = rgba[..., 3] >= _GIF_OPAQUE
    rgb = Image.fromarray(np.where(opaque[..., None], rgba[..., :3], 0).astype(np.uint8))
    reduced = rgb.quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    colours = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)[:255]
    palette = np.zeros((256, 4), np.uint8)  # alpha, red, green, blue; entry 255 is the transparent one
    palette[: len(colours)] = np.insert(colours, 0, 255, axis=1)
    indices = np.where(opaque, np.array(reduced), 255).astype(np.uint8)
    return av.VideoFrame.from_ndarray(cast(Any, (indices, palette)), "pal8")


def _rgba(rgba: np.ndarray, _: Signal) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(rgba), "rgba")


PREVIEW = Format(
    container="mp4",
    codec="libx264",
    pixels="yuv420p",
    picture=lambda rgb, signal: _yuv(_even(rgb), "yuv420p", signal),
    options={"preset": "veryfast", "crf": "18", "bf": "0"},  # B-frames would make the display times inexact
    container_options={"movflags": "+faststart"},
)
FORMATS = {
    ".mov": Format(
        container="mov",
        codec="prores_ks",
        pixels="yuva444p10le",
        picture=lambda rgba, signal: _yuva(rgba, "yuva444p10le", 1024, signal),
        options={"profile": "4444", "alpha_bits": "16", "vendor": "apl0"},
        container_options={"movflags": "+write_colr"},
    ),
    ".webm": Format(
        container="webm",
        codec="libvpx-vp9",
        pixels="yuva420p",
        picture=lambda rgba, signal: _yuva(rgba, "yuva420p", 256, signal),
        # libvpx encodes colour and alpha with the same settings, so exact alpha requires lossless colour.
        # Alternate reference frames would desynchronise the two.
        options={"lossless": "1", "auto-alt-ref": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"},
        metadata={"alpha_mode": "1"},
    ),
    ".mp4": Format(
        container="mp4",
        codec="libx264",
        pixels="yuv420p",
        picture=lambda rgba, signal: PREVIEW.picture(_over_checkerboard(rgba), signal),
        options=PREVIEW.options,
        container_options=PREVIEW.container_options,
    ),
    ".gif": Format(
        container="gif",
        codec="gif",
        pixels="pal8",
        picture=_paletted,
        container_options={"loop": "0"},
        gap=_GIF_GAP,
    ),
    ".png": Format(container="apng", codec="apng", pixels="rgba", picture=_rgba, container_options={"plays": "0"}),
}


# Encoding ---------------------------------------------------------------------------------------------------


def _write_video(
    path: Path,
    format: Format,
    frames: Iterator[np.ndarray],
    clock: "_Clock",
    signal: Signal,
    sound: Sound | None,
) -> None:
    first = next(frames)
    options = dict(format.container_options)
    if format.container == "apng":  # by default the last frame would get the duration of the one before
        options["final_delay"] = str(clock.frame)
    with (
        files.atomic_write_unnamed(path) as part,
        # `file:` prevents FFmpeg from parsing a name with a colon as a protocol
        av.open(f"file:{part}", "w", format=format.container, container_options=options) as file,
    ):
        stream = _video_stream(file, format, clock, signal)
        audio = SoundWriter(file, format.container, sound) if sound else None
        for i, array in enumerate(chain([first], frames)):
            frame = format.picture(array, signal)
            if i == 0:
                stream.width, stream.height = frame.width, frame.height
            frame.time_base = clock.unit
            frame.pts, frame.duration = clock.stamp(i)
            file.mux(stream.encode(frame))
            if audio:
                audio.write_until(float((frame.pts + frame.duration) * clock.unit))
        file.mux(stream.encode(None))
        if audio:
            audio.finish()


def _video_stream(file: Any, format: Format, clock: "_Clock", signal: Signal) -> Any:
    stream = file.add_stream(format.codec, rate=clock.rate, options=dict(format.options))
    stream.pix_fmt = format.pixels
    stream.metadata.update(format.metadata)
    codec = stream.codec_context
    codec.time_base = clock.unit
    codec.sample_aspect_ratio = signal.aspect
    if format.pixels.startswith("yuv"):
        codec.color_primaries, codec.color_trc = _colour_tags(signal)
        codec.colorspace = _matrix(signal)
        codec.color_range = _LIMITED
    return stream


def _colour_tags(signal: Signal) -> tuple[int, int]:
    """Primaries and transfer function: the clip's, or those of BT.709."""
    return signal.primaries or _BT709, signal.transfer or _BT709


def _matrix(signal: Signal) -> int:
    """The matrix that editors expect with the primaries."""
    return _BT2020 if signal.primaries == _BT2020 else _BT709


class _Clock:
    """The time stamps of frames: from the frame rate, or from given times if they differ from it."""

    def __init__(self, fps: float, times: Sequence[float] | None, gap: Fraction):
        self.rate = Fraction(check_rate(fps)).limit_denominator(1001)
        self.frame = 1 / self.rate  # seconds
        even = times is None or all(abs(t - times[0] - i / fps) < 0.05 / fps for i, t in enumerate(times))
        if self.frame < gap:
            self.rate, self.frame = 1 / gap, gap
        self._gap = gap
        self.unit = self.frame if even else Fraction(1, _TICKS)
        self._stamps = [] if even or times is None else self._spaced(times)

    def _spaced(self, times: Sequence[float]) -> list[int]:
        """Times in ticks from 0, at least the gap and one tick apart."""
        stamps: list[int] = []
        gap = max(1, round(self._gap * _TICKS))
        for time in times:
            stamp = round((time - times[0]) * _TICKS)
            stamps.append(max(stamp, stamps[-1] + gap) if stamps else 0)
        return stamps

    def stamp(self, i: int) -> tuple[int, int]:
        """Time stamp and duration of frame i in units; the last frame has the duration given by the rate."""
        if self.unit == self.frame:
            return i, 1
        if i >= len(self._stamps):
            raise ValueError(f"{len(self._stamps)} times for more frames")
        last = i + 1 == len(self._stamps)
        until = self._stamps[i] + round(self.frame * _TICKS) if last else self._stamps[i + 1]
        return self._stamps[i], until - self._stamps[i]


def is_sequence(path: Path) -> bool:
    """Whether a name stands for one file per frame: a `.exr`, or a `.png` with a number in its name."""
    suffix = path.suffix.lower()
    return suffix == ".exr" or (suffix == ".png" and _NUMBER.search(path.stem) is not None)


def frame_name(path: Path, i: int) -> str:
    """The name of the file of frame i of a sequence: the number replaces `%04d` or `####`, or is put before the suffix.

    Raises InputError if the name has two places for the number.
    """
    before, digits, after = _name_parts(path)
    return f"{before}{i:0{digits}d}{after}"


def is_frame_name(path: Path, name: str) -> bool:
    """Whether `name` is a file of the sequence `path`."""
    before, _, after = _name_parts(path)
    return re.fullmatch(re.escape(before) + r"\d+" + re.escape(after), name) is not None


def _name_parts(path: Path) -> tuple[str, int, str]:
    """What is before the frame number, its digits, and what is after it."""
    places = list(_NUMBER.finditer(path.stem))
    if not places:
        return f"{path.stem}.", 5, path.suffix
    if len(places) > 1:
        raise InputError(f"{path.name}: the frame number has two places in the name; keep one")
    start, end = places[0].span()
    return path.stem[:start], int(places[0]["digits"] or end - start), path.stem[end:] + path.suffix


def _write_sequence(path: Path, frames: Iterator[np.ndarray], signal: Signal) -> list[Path]:
    """Write one file per frame to a temporary folder, then move all of them next to `path`."""
    part = files.temporary(path)
    part.mkdir()
    names: list[str] = []
    try:
        for i, rgba in enumerate(frames):
            names.append(frame_name(path, i))
            exr = path.suffix.lower() == ".exr"
            (part / names[-1]).write_bytes(encode_exr(rgba, signal.aspect) if exr else encode_png(rgba))
        files.sync_tree(part)
        for name in names:
            (part / name).replace(path.with_name(name))
    finally:
        shutil.rmtree(part, ignore_errors=True)
    files.sync(path.parent)
    return [path.with_name(name) for name in names]


def _checked(frames: Iterable[np.ndarray], channels: int) -> Iterator[np.ndarray]:
    """Check that all frames are (H, W, channels) uint8 of one size; raises InputError without any."""
    shape = None
    for i, frame in enumerate(frames):
        shape = shape or frame.shape
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != channels or frame.shape != shape:
            raise ValueError(f"frame {i} is {frame.shape} {frame.dtype}, expected {shape} uint8, {channels} channels")
        yield frame
    if shape is None:
        raise InputError("there are no frames to write; give at least one")
