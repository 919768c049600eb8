"""What a video means its pixels to be: kept in exports, and said where it is not converted."""

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import unocclude
from unocclude.media.layers import write_layers
from unocclude.media.signal import Signal

HDR10 = {"primaries": 9, "transfer": 16}


def video(path: Path, setup: Callable[[Any], None], options: dict[str, str] | None = None) -> Path:
    """A plain encoder: three grey frames of 64x48."""
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=25, options={"preset": "ultrafast", **(options or {})})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        setup(stream)
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24")))
        file.mux(stream.encode(None))
    return path


def tag(primaries: int, transfer: int, matrix: int) -> Callable[[Any], None]:
    def setup(stream: Any) -> None:
        codec = stream.codec_context
        codec.color_primaries, codec.color_trc, codec.colorspace, codec.color_range = primaries, transfer, matrix, 1

    return setup


def anamorphic(stream: Any) -> None:
    stream.codec_context.sample_aspect_ratio = Fraction(4, 3)


@pytest.mark.parametrize(
    ("setup", "options", "told"),
    [
        (lambda stream: None, {"x264-params": "tff=1"}, "interlaced.*bwdif"),
        (tag(9, 16, 9), None, r"HDR \(PQ\).*tonemap"),
        (tag(9, 18, 9), None, r"HDR \(HLG\).*tonemap"),
        (tag(12, 1, 1), None, "Display P3"),
        (anamorphic, None, r"not square \(4:3\)"),
    ],
)
def test_doubtful_clips_say_so(tmp_path: Path, setup: Any, options: dict[str, str] | None, told: str) -> None:
    clip = unocclude.open(video(tmp_path / "clip.mp4", setup, options))
    assert len(clip.notes) == 1 and "\n" not in clip.notes[0]
    assert re.search(told, clip.notes[0])
    assert clip[1:].notes == clip.notes and unocclude.open(tmp_path / "clip.mp4", start=1).notes == clip.notes


def test_ordinary_clips_say_nothing(tmp_path: Path) -> None:
    assert unocclude.open(video(tmp_path / "a.mp4", lambda stream: None)).notes == ()
    assert unocclude.open(video(tmp_path / "b.mp4", tag(1, 1, 1))).notes == ()


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".webm"])
@pytest.mark.parametrize(("setup", "want"), [(tag(9, 16, 9), (9, 16, 9)), (tag(6, 6, 6), (6, 6, 1))])
def test_exports_have_the_clips_tags(tmp_path: Path, suffix: str, setup: Any, want: tuple[int, int, int]) -> None:
    clip = unocclude.open(video(tmp_path / "clip.mp4", setup))
    layer = np.full((48, 64, 4), 255, np.uint8)
    write_layers(tmp_path / f"layer{suffix}", [layer] * 3, clip.fps, signal=clip.signal)
    with av.open(str(tmp_path / f"layer{suffix}")) as file:
        frame = next(file.decode(video=0))
        assert (int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace)) == want


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".exr"])
def test_exports_have_the_clips_pixel_aspect(tmp_path: Path, suffix: str) -> None:
    clip = unocclude.open(video(tmp_path / "clip.mp4", anamorphic))
    files = write_layers(
        tmp_path / f"layer{suffix}", [np.full((48, 64, 4), 255, np.uint8)] * 3, clip.fps, signal=clip.signal
    )
    if suffix == ".exr":
        data = files[0].read_bytes()
        at = data.index(b"pixelAspectRatio\0float\0") + len(b"pixelAspectRatio\0float\0") + 4
        assert np.frombuffer(data[at : at + 4], "<f4")[0] == pytest.approx(4 / 3)
    else:
        assert unocclude.open(files[0]).signal.aspect == Fraction(4, 3)


def test_a_turned_clip_has_turned_pixels(tmp_path: Path) -> None:
    def setup(stream: Any) -> None:
        anamorphic(stream)
        stream.set_display_rotation(90)

    clip = unocclude.open(video(tmp_path / "clip.mp4", setup))
    assert (clip.height, clip.width) == (64, 48) and clip.signal.aspect == Fraction(3, 4)


def test_as_json() -> None:
    for signal in [Signal(), Signal(Fraction(10, 11)), Signal(primaries=9, transfer=16)]:
        assert Signal.from_json(signal.to_json()) == signal
    assert Signal().to_json() == {} and Signal(primaries=9, transfer=16).to_json() == HDR10
