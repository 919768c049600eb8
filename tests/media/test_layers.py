"""Layers come back: alpha within a level, colours within what the format holds, frames when they were."""

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from unocclude.errors import InputError
from unocclude.media.layers import CHECKER, write_layers, write_preview
from unocclude.media.source import open_source

SIZES = [(49, 65), (48, 64), (1, 1), (17, 2)]
TIMES = [0.0, 0.04, 0.08, 0.2, 0.24, 0.5]


def layers(size: tuple[int, int], count: int = 6) -> list[np.ndarray]:
    """A textured disc with an edge that is several pixels soft, moving; colour 0 where alpha is 0."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    coarse = np.random.default_rng(3).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    texture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    frames = []
    for i in range(count):
        distance = np.hypot(columns - width * (0.3 + 0.05 * i), rows - height / 2)
        alpha = (np.clip((height * 0.35 - distance) / 6 + 0.5, 0, 1) * 255).round().astype(np.uint8)
        frames.append(np.dstack([np.where(alpha[..., None] > 0, texture, 0), alpha]).astype(np.uint8))
    return frames


def decode_rgba(path: Path, decoder: str | None = None) -> list[np.ndarray]:
    """All frames as RGBA, with the alpha plane read as it is stored."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        codec = av.CodecContext.create(decoder, "r") if decoder else stream.codec_context
        frames = []
        for packet in file.demux(stream):
            for frame in codec.decode(packet if packet.size else None):
                rgba = frame.reformat(format="rgba", src_colorspace="ITU709").to_ndarray()
                plane, bits = frame.planes[3], frame.format.components[3].bits
                stored = np.frombuffer(plane, np.uint8 if bits == 8 else "<u2").reshape(plane.height, -1)
                rgba[..., 3] = np.round(stored[:, : plane.width] / (2**bits - 1) * 255)
                frames.append(rgba)
    return frames


def on(rgba: np.ndarray, grey: float) -> np.ndarray:
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + grey * (1 - alpha)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "decoder"), [("a.mov", None), ("a.webm", "libvpx-vp9")])
def test_alpha_video_comes_back(tmp_path: Path, name: str, decoder: str | None, size: tuple[int, int]) -> None:
    want = layers(size)
    assert write_layers(tmp_path / name, iter(want), fps=25) == [tmp_path / name]
    got = decode_rgba(tmp_path / name, decoder)
    assert len(got) == 6
    alpha_error = max(np.abs(g[..., 3].astype(int) - w[..., 3]).max() for g, w in zip(got, want, strict=True))
    colour_error = max(np.abs(on(g, 127) - on(w, 127)).mean() for g, w in zip(got, want, strict=True))
    assert alpha_error <= (1 if name == "a.mov" else 0)
    if name == "a.mov":
        assert colour_error < 0.3
    elif min(size) > 2:
        assert colour_error < 2.5  # 4:2:0 halves the resolution of colour; nothing else is lost
    source = open_source(tmp_path / name)  # our own reader sees the alpha, too
    assert np.abs(source.read(0) - on(want[0], 0)).mean() < 2.5 or min(size) <= 2


def test_what_editors_look_at(tmp_path: Path) -> None:
    write_layers(tmp_path / "a.mov", layers((48, 64)), fps=30000 / 1001)
    with av.open(str(tmp_path / "a.mov")) as file:
        stream = file.streams.video[0]
        codec = stream.codec_context
        assert (codec.name, codec.codec_tag, codec.profile) == ("prores", "ap4h", "4444")
        assert (codec.color_primaries, codec.color_trc, codec.colorspace, codec.color_range) == (1, 1, 1, 1)
        assert stream.average_rate == 30000 / 1001 or float(stream.average_rate or 0) == 30000 / 1001
    assert b"apl0" in (tmp_path / "a.mov").read_bytes()
    write_layers(tmp_path / "a.webm", layers((48, 64)), fps=25)
    assert b"\x53\xc0\x81\x01" in (tmp_path / "a.webm").read_bytes()  # Matroska's AlphaMode = 1, for browsers
    write_layers(tmp_path / "a.mp4", layers((48, 64)), fps=25)
    data = (tmp_path / "a.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")  # plays while it loads


def test_the_colour_at_the_edge_is_the_layers_own(tmp_path: Path) -> None:
    """A red layer stays red up to its soft edge, though the pixels beyond are black and share its chroma."""
    layer = layers((48, 64), 1)[0]
    layer[..., :3] = np.where(layer[..., 3:] > 0, [230, 40, 30], 0)
    for name, decoder in [("a.mov", None), ("a.webm", "libvpx-vp9")]:
        write_layers(tmp_path / name, [layer], fps=25)
        got = decode_rgba(tmp_path / name, decoder)[0]
        assert np.abs(got[..., :3].astype(int) - [230, 40, 30])[layer[..., 3] > 0].max() <= 4


@pytest.mark.parametrize("size", SIZES)
def test_apng_is_exact(tmp_path: Path, size: tuple[int, int]) -> None:
    want = layers(size)
    want[2][:] = 0  # empty, then full: what stays on the canvas must not shine through
    want[3][:] = 255
    write_layers(tmp_path / "a.png", iter(want), fps=25)
    with Image.open(tmp_path / "a.png") as image:
        assert getattr(image, "n_frames", 1) == 6 and image.info["loop"] == 0
        for i, frame in enumerate(want):
            image.seek(i)
            got = np.array(image.convert("RGBA"))
            assert np.array_equal(got[..., 3], frame[..., 3])
            assert np.array_equal(got[frame[..., 3] > 0], frame[frame[..., 3] > 0])


def test_gif(tmp_path: Path) -> None:
    want = layers((49, 65))
    want[2][:] = 0
    write_layers(tmp_path / "a.gif", iter(want), fps=25)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 6 and image.info["loop"] == 0
        for i, frame in enumerate(want):
            image.seek(i)
            got = np.array(image.convert("RGBA"))
            opaque = frame[..., 3] >= 128
            assert np.array_equal(got[..., 3], opaque * np.uint8(255))
            if opaque.any():
                assert np.abs(got[opaque, :3].astype(int) - frame[opaque, :3]).mean() < 8


def test_preview_over_a_checkerboard(tmp_path: Path) -> None:
    want = layers((49, 65))
    write_layers(tmp_path / "a.mp4", iter(want), fps=25)
    source = open_source(tmp_path / "a.mp4")
    assert (len(source), source.height, source.width) == (6, 50, 66)
    got = source.read(0)[:49, :65].astype(int)
    rows, columns = np.mgrid[:49, :65] // CHECKER
    board = np.where((rows + columns) % 2, 208, 240)
    assert np.abs(got.mean(axis=2) - board)[want[0][..., 3] == 0].mean() < 4
    assert np.abs(got - want[0][..., :3])[want[0][..., 3] == 255].mean() < 12


def test_preview_of_rgb(tmp_path: Path) -> None:
    frames = [np.full((31, 45, 3), 30 * i, np.uint8) for i in range(8)]
    write_preview(tmp_path / "p.mp4", iter(frames), fps=12)
    source = open_source(tmp_path / "p.mp4")
    assert (len(source), source.height, source.width, source.fps) == (8, 32, 46, 12)
    assert all(np.abs(source.read(i).astype(int) - 30 * i).max() <= 4 for i in range(8))


def test_exr_is_linear_and_premultiplied(tmp_path: Path) -> None:
    want = layers((21, 33), 3)
    files = write_layers(tmp_path / "a.exr", iter(want), fps=25)
    assert [file.name for file in files] == ["a.00000.exr", "a.00001.exr", "a.00002.exr"]
    assert sorted(tmp_path.iterdir()) == files
    for file, frame in zip(files, want, strict=True):
        with av.open(str(file)) as container:
            planes = next(container.decode(video=0)).planes  # green, blue, red, alpha; half floats
            halves = [np.frombuffer(plane, "<f2").reshape(21, -1)[:, :33] for plane in planes]
            stored = np.stack([halves[k] for k in (2, 0, 1, 3)], axis=2).astype(float)
        alpha = frame[..., 3:] / 255
        unmultiplied = stored[..., :3] / np.maximum(alpha, 1e-9)
        srgb = np.where(unmultiplied <= 0.0031308, unmultiplied * 12.92, 1.055 * unmultiplied ** (1 / 2.4) - 0.055)
        assert np.abs(stored[..., 3:] - alpha).max() < 1e-3
        assert np.abs(srgb * 255 - frame[..., :3])[frame[..., 3] > 20].max() < 0.5


@pytest.mark.parametrize("times", [None, TIMES])
@pytest.mark.parametrize("suffix", ["mov", "webm", "mp4", "gif", "png"])
def test_frames_come_when_they_should(tmp_path: Path, suffix: str, times: list[float] | None) -> None:
    path = tmp_path / f"a.{suffix}"
    write_layers(path, layers((48, 64)), 25, times)
    source = open_source(path)
    want = times or [i / 25 for i in range(6)]
    assert np.allclose(source.times, want, atol=1e-3)
    end = want[-1] + 0.04
    if suffix in ("gif", "png"):
        with Image.open(path) as image:
            total = 0.0
            for i in range(6):
                image.seek(i)
                total += image.info["duration"] / 1000
    else:
        with av.open(str(path)) as file:
            total = (file.duration or 0) / 1e6
    assert total == pytest.approx(end, abs=2e-3)


def test_a_fast_gif_is_slowed_to_what_browsers_show(tmp_path: Path) -> None:
    write_layers(tmp_path / "a.gif", layers((48, 64)), fps=120)
    assert np.allclose(open_source(tmp_path / "a.gif").times, np.arange(6) / 50)


@pytest.mark.parametrize("suffix", ["mov", "webm", "mp4", "gif", "png", "exr"])
def test_one_frame(tmp_path: Path, suffix: str) -> None:
    (path,) = write_layers(tmp_path / f"a.{suffix}", layers((48, 64), 1), fps=25)
    assert path.exists()
    if suffix != "exr":
        assert len(open_source(path)) == 1


@pytest.mark.parametrize("suffix", ["mov", "webm", "mp4", "gif", "png", "exr"])
def test_whole_or_not_at_all_and_one_frame_at_a_time(tmp_path: Path, suffix: str) -> None:
    alive = 0

    def frames() -> Iterator[np.ndarray]:
        nonlocal alive
        for frame in layers((48, 64)):
            alive += 1
            yield frame
        raise RuntimeError("the method failed")

    with pytest.raises(RuntimeError, match="the method failed"):
        write_layers(tmp_path / f"a.{suffix}", frames(), fps=25)
    assert alive == 6 and not list(tmp_path.iterdir())


def test_a_file_that_was_there_survives_a_failure(tmp_path: Path) -> None:
    write_layers(tmp_path / "a.mov", layers((48, 64)), fps=25)
    before = (tmp_path / "a.mov").read_bytes()
    frames = [*layers((48, 64), 2), np.zeros((8, 8, 4), np.uint8)]
    with pytest.raises(ValueError, match="frame 2"):
        write_layers(tmp_path / "a.mov", frames, fps=25)
    assert (tmp_path / "a.mov").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_bad_requests(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown format \.xyz; use one of .mov, .webm, .mp4, .gif, .png, .exr"):
        write_layers(tmp_path / "a.xyz", layers((48, 64)), fps=25)
    for suffix in ("mov", "exr"):
        with pytest.raises(InputError, match="no frames"):
            write_layers(tmp_path / f"a.{suffix}", [], fps=25)
    with pytest.raises(ValueError, match="channels"):
        write_layers(tmp_path / "a.mov", [np.zeros((4, 4, 3), np.uint8)], fps=25)
    assert not list(tmp_path.iterdir())
