"""Write RGBA layers and previews as video or image files for editors, browsers and compositors."""

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
from PIL import Image

from unocclude.errors import InputError
from unocclude.media import files
from unocclude.media.limits import check_rate
from unocclude.media.nearest_fill import fill_nearest

BLEED = 16  # pixels: one macroblock of the codecs
CHECKER = 16  # pixels per square of the preview's checkerboard
_TICKS = 90_000  # per second: the time base for variable frame times, as in MPEG
_BT709, _LIMITED = 1, 1  # AVCOL_PRI_, AVCOL_TRC_, AVCOL_SPC_BT709; AVCOL_RANGE_MPEG
_GIF_OPAQUE = 128  # minimum alpha of an opaque GIF pixel
_GIF_GAP = Fraction(2, 100)  # seconds: browsers slow down frames that are shorter


def write_layers(
    path: str | Path, frames: Iterable[np.ndarray], fps: float, times: Sequence[float] | None = None
) -> list[Path]:
    """Write (H, W, 4) uint8 RGBA frames with straight alpha as a layer; the suffix of `path` selects the format.

    - `.mov`: ProRes 4444, 10 bits, 16-bit alpha with an error of at most 2 levels, BT.709. Straight alpha.
    - `.webm`: VP9 with alpha, lossless except for the halved colour resolution (4:2:0). Straight alpha.
    - `.mp4`: H.264 over a checkerboard, for viewing; padded to even sizes.
    - `.gif`: 255 colours per frame, opaque from alpha 128 on, endless; at most 50 frames per second.
    - `.png`: APNG, exact, endless.
    - `.exr`: one file per frame, `NAME.00000.exr` and so on, half floats: linear light (from sRGB),
      premultiplied by alpha, as is usual for OpenEXR.

    times: frame times in seconds, if they are not evenly spaced by 1 / fps; all formats except `.exr` store them.
    Frames are consumed one at a time. Files are written atomically, those of a sequence together. Returns the files
    written. Raises InputError for another suffix or no frames, ValueError for any other arrays.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".exr":
        return _write_exr(path, _checked(frames, channels=4))
    if suffix not in FORMATS:
        raise InputError(
            f"{path}: unknown format {suffix or '(no suffix)'}; use one of {', '.join([*FORMATS, '.exr'])}"
        )
    _write_video(path, FORMATS[suffix], _checked(frames, channels=4), fps, times)
    return [path]


def write_preview(
    path: str | Path, frames: Iterable[np.ndarray], fps: float, times: Sequence[float] | None = None
) -> None:
    """Write (H, W, 3) uint8 RGB frames as widely supported H.264 (`.mp4`), padded to even sizes.

    Frames are consumed one at a time; the file is written atomically. Raises InputError without any frames.
    """
    _write_video(Path(path), PREVIEW, _checked(frames, channels=3), fps, times)


# The formats ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Format:
    """How to encode one format: FFmpeg's names and options, and the conversion of frames."""

    container: str
    codec: str
    pixels: str
    picture: Callable[[np.ndarray], av.VideoFrame]
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    gap: Fraction = Fraction(0)  # minimum time between two frames in seconds


def _yuv(rgb: np.ndarray, pixels: str) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
    return frame.reformat(format=pixels, dst_colorspace="ITU709", dst_color_range="MPEG", threads=1)


def _yuva(rgba: np.ndarray, pixels: str, levels: int) -> av.VideoFrame:
    """As `_yuv`, with alpha. The alpha plane is set here, because FFmpeg's scaler is off by one level."""
    # lossy codecs blend the colours of neighbouring pixels, so black outside would darken the edge
    frame = _yuv(fill_nearest(rgba[..., :3], rgba[..., 3] > 0, BLEED), pixels)
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


def _paletted(rgba: np.ndarray) -> av.VideoFrame:
    opaque = rgba[..., 3] >= _GIF_OPAQUE
    rgb = Image.fromarray(np.where(opaque[..., None], rgba[..., :3], 0).astype(np.uint8))
    reduced = rgb.quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    colours = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)[:255]
    palette = np.zeros((256, 4), np.uint8)  # alpha, red, green, blue; entry 255 is the transparent one
    palette[: len(colours)] = np.insert(colours, 0, 255, axis=1)
    indices = np.where(opaque, np.array(reduced), 255).astype(np.uint8)
    return av.VideoFrame.from_ndarray(cast(Any, (indices, palette)), "pal8")


def _rgba(rgba: np.ndarray) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(rgba), "rgba")


PREVIEW = Format(
    container="mp4",
    codec="libx264",
    pixels="yuv420p",
    picture=lambda rgb: _yuv(_even(rgb), "yuv420p"),
    options={"preset": "veryfast", "crf": "18", "bf": "0"},  # B-frames would make the display times inexact
    container_options={"movflags": "+faststart"},
)
FORMATS = {
    ".mov": Format(
        container="mov",
        codec="prores_ks",
        pixels="yuva444p10le",
        picture=lambda rgba: _yuva(rgba, "yuva444p10le", levels=1024),
        options={"profile": "4444", "alpha_bits": "16", "vendor": "apl0"},
        container_options={"movflags": "+write_colr"},
    ),
    ".webm": Format(
        container="webm",
        codec="libvpx-vp9",
        pixels="yuva420p",
        picture=lambda rgba: _yuva(rgba, "yuva420p", levels=256),
        # libvpx encodes colour and alpha with the same settings, so exact alpha requires lossless colour.
        # Alternate reference frames would desynchronise the two.
        options={"lossless": "1", "auto-alt-ref": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"},
        metadata={"alpha_mode": "1"},
    ),
    ".mp4": Format(
        container="mp4",
        codec="libx264",
        pixels="yuv420p",
        picture=lambda rgba: PREVIEW.picture(_over_checkerboard(rgba)),
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
    path: Path, format: Format, frames: Iterator[np.ndarray], fps: float, times: Sequence[float] | None
) -> None:
    clock = _Clock(fps, times, format.gap)
    first = next(frames)
    options = dict(format.container_options)
    if format.container == "apng":  # by default the last frame would get the duration of the one before
        options["final_delay"] = str(clock.frame)
    with (
        files.atomic_write_unnamed(path) as part,
        av.open(str(part), "w", format=format.container, container_options=options) as file,
    ):
        stream = cast(Any, file.add_stream(format.codec, rate=clock.rate, options=dict(format.options)))
        stream.pix_fmt = format.pixels
        stream.metadata.update(format.metadata)
        codec = stream.codec_context
        codec.time_base = clock.unit
        codec.sample_aspect_ratio = Fraction(1)
        if format.pixels.startswith("yuv"):
            codec.color_primaries = codec.color_trc = codec.colorspace = _BT709
            codec.color_range = _LIMITED
        for i, array in enumerate(chain([first], frames)):
            frame = format.picture(array)
            if i == 0:
                stream.width, stream.height = frame.width, frame.height
            frame.time_base = clock.unit
            frame.pts, frame.duration = clock.stamp(i)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


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


def _write_exr(path: Path, frames: Iterator[np.ndarray]) -> list[Path]:
    """Write one file per frame to a temporary folder, then move all of them next to `path`."""
    part = files.temporary(path)
    part.mkdir()
    names: list[str] = []
    try:
        for i, rgba in enumerate(frames):
            names.append(f"{path.stem}.{i:05d}{path.suffix}")
            (part / names[-1]).write_bytes(_encode_exr(rgba))
        files.sync_tree(part)
        for name in names:
            (part / name).replace(path.with_name(name))
    finally:
        shutil.rmtree(part, ignore_errors=True)
    files.sync(path.parent)
    return [path.with_name(name) for name in names]


def linear_premultiplied(rgba: np.ndarray) -> np.ndarray:
    """RGBA (H, W, 4) uint8, sRGB with straight alpha, as OpenEXR has it: linear light, premultiplied, float32 0..1."""
    pixels = rgba.astype(np.float32) / 255
    rgb = pixels[..., :3]  # apply the inverse transfer function of sRGB (IEC 61966-2-1)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    pixels[..., :3] = linear * pixels[..., 3:]
    return pixels


def _encode_exr(rgba: np.ndarray) -> bytes:
    pixels = linear_premultiplied(rgba)
    codec = cast(Any, av.CodecContext.create("exr", "w"))
    codec.height, codec.width = rgba.shape[:2]
    codec.pix_fmt = "gbrapf32le"
    codec.time_base = Fraction(1, 25)
    codec.options = {"compression": "zip16", "format": "half"}
    frame = av.VideoFrame.from_ndarray(cast(Any, pixels), "gbrapf32le")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


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
