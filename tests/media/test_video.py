"""Video files: every frame once, the same bits in any order, upright, in the right colours."""

import io
import os
import random
import struct
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

import unocclude
from unocclude.errors import InputError, UnoccludeError
from unocclude.media import decoder
from unocclude.media.decoder import Decoder, Packet, index_packets
from unocclude.media.layers import write_layers
from unocclude.media.source import open_source
from unocclude.media.video import ACCURATE, VideoFrames


def scene(i: int, height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    frame = np.roll(cv2.resize(coarse, (width, height)), 3 * i, axis=1)
    frame[2:8, 2 : 2 + i] = 255
    return frame


def encode(
    path: Path,
    codec: str,
    frames: Iterable[np.ndarray],
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    times: list[int] | None = None,
    setup: Callable[[Any], None] = lambda stream: None,
    container_options: dict[str, str] | None = None,
    layout: str = "rgb24",
) -> Path:
    """A plain encoder; `times` are in milliseconds."""
    with av.open(str(path), "w", container_options=container_options or {}) as file:
        stream: Any = file.add_stream(codec, rate=25, options=options or {})
        stream.pix_fmt = pixels
        setup(stream)
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i, array in enumerate(frames):
            if i == 0:
                stream.height, stream.width = array.shape[:2]
            frame = av.VideoFrame.from_ndarray(array, layout)
            if times:
                frame.pts, frame.time_base = times[i], Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def clip(path: Path, codec: str, count: int = 24, size: tuple[int, int] = (50, 66), **more: Any) -> Path:
    return encode(path, codec, (scene(i, *size) for i in range(count)), **more)


def sequential(path: Path) -> list[np.ndarray]:
    """All frames by the shortest program there is."""
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="gbrp", interpolation=ACCURATE) for frame in file.decode(video=0)]


X264 = {"preset": "ultrafast", "bf": "3", "b-pyramid": "none", "b_strategy": "0", "g": "8"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=8:bframes=3:open-gop=1"}
KINDS = [
    ("h264.mp4", "libx264", "yuv420p", X264),
    (
        "open.mkv",
        "libx264",
        "yuv420p",
        {"x264-params": "open-gop=1:bframes=3:keyint=8", "preset": "ultrafast"},
    ),
    ("refresh.mp4", "libx264", "yuv420p", {"x264-params": "intra-refresh=1:keyint=8", "preset": "ultrafast"}),
    ("h264.ts", "libx264", "yuv420p", X264),
    ("raw.h264", "libx264", "yuv420p", X264),
    ("ten.mov", "libx265", "yuv420p10le", X265),
    ("plain.avi", "mpeg4", "yuv420p", {"g": "7"}),
    ("b.avi", "mpeg4", "yuv420p", {"g": "7", "bf": "2"}),
    ("b.mpg", "mpeg2video", "yuv420p", {"g": "7", "bf": "2"}),
    ("vp9.webm", "libvpx-vp9", "yuv420p", {"g": "8", "lag-in-frames": "8", "cpu-used": "8"}),
    ("vp8.webm", "libvpx", "yuv420p", {"g": "8", "auto-alt-ref": "1", "lag-in-frames": "8"}),
    ("prores.mov", "prores_ks", "yuv422p10le", {"profile": "0"}),
    ("ffv1.mkv", "ffv1", "yuv420p", {"g": "5"}),
    ("grey.mkv", "ffv1", "gray", {"g": "5"}),
    ("rgb.mkv", "ffv1", "bgr0", {}),
]


@pytest.mark.parametrize(("name", "codec", "pixels", "options"), KINDS, ids=[kind[0] for kind in KINDS])
def test_any_order_gives_the_same_bits(tmp_path: Path, name: str, codec: str, pixels: str, options: dict) -> None:
    size = (49, 65) if codec in ("libvpx-vp9", "prores_ks", "ffv1") and pixels != "yuv422p10le" else (50, 66)
    path = clip(tmp_path / name, codec, size=size, pixels=pixels, options=options)
    want = sequential(path)
    video = VideoFrames(path)
    assert len(video) == len(want) == 24 and (video.height, video.width) == size
    assert np.allclose(video.times, np.arange(24) / 25, atol=1e-3) and video.fps == 25
    order = [*random.Random(0).sample(range(24), 24), 23, 0, 12, *reversed(range(24))]
    for k, i in enumerate(order):
        if k % 3:
            video._recent.clear()  # without what it keeps, it has to decode
        frame = video.read(i)
        assert frame.dtype == np.uint8 and frame.flags.c_contiguous and frame.flags.writeable
        assert np.array_equal(frame, want[i]), (k, i)
    assert not np.array_equal(want[0], want[1])


def test_few_packets_are_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = VideoFrames(clip(tmp_path / "a.mp4", "libx264", 48, options=X264))
    begun: list[int] = []
    restart = Decoder.restart
    monkeypatch.setattr(Decoder, "restart", lambda self, place: (begun.append(place), restart(self, place)))
    for i in range(48):
        video.read(i)
    assert begun == []  # forwards, never again
    for i in reversed(range(48)):
        video.read(i)
    assert begun == []  # small frames are all kept
    video._recent.clear()
    video.read(41)
    assert begun == [40]  # the keyframe before it, not the beginning
    begun.clear()
    for i in range(1, 30):  # one reader walks behind another
        for j in (i, i + 18):
            video._recent.clear()
            video.read(j)
    assert len(begun) == 2


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unocclude.media.video.RECENT_BYTES", 30_000)
    video = VideoFrames(clip(tmp_path / "a.mp4", "libx264", 48, options=X264))
    for i in range(48):
        video.read(i)
        assert len(video._recent) <= 6


def test_a_video_of_one_frame(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", "libx264", 1)
    video = open_source(path)
    assert len(video) == 1 and list(video.times) == [0.0] and np.array_equal(video.read(0), sequential(path)[0])


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx-vp9")])
def test_variable_frame_rate_keeps_every_frame(tmp_path: Path, name: str, codec: str) -> None:
    times = [0, 33, 66, 100, 400, 410, 1000, 1033]
    path = clip(tmp_path / name, codec, 8, times=times)
    video = VideoFrames(path)
    assert len(video) == 8 and np.allclose(video.times, np.array(times) / 1000, atol=2e-3)
    want = sequential(path)
    assert all(np.array_equal(video.read(i), want[i]) for i in (7, 0, 4, 3, 5))


# Rotation ---------------------------------------------------------------------------------------------------

QUARTERS = np.zeros((48, 64, 3), np.uint8)
QUARTERS[:24, :32], QUARTERS[:24, 32:], QUARTERS[24:, :32] = 250, 160, 80
# The matrices that ISO/IEC 14496-12 puts into `tkhd`: (x, y) becomes (a x + c y, b x + d y).
TURNS = {
    "none": ((1, 0, 0, 1), QUARTERS),
    "a quarter clockwise": ((0, 1, -1, 0), np.rot90(QUARTERS, -1)),
    "half": ((-1, 0, 0, -1), np.rot90(QUARTERS, 2)),
    "a quarter counterclockwise": ((0, -1, 1, 0), np.rot90(QUARTERS, 1)),
    "mirrored": ((-1, 0, 0, 1), np.fliplr(QUARTERS)),
}


@pytest.mark.parametrize("name", TURNS)
def test_rotation_is_applied(tmp_path: Path, name: str) -> None:
    (a, b, c, d), want = TURNS[name]
    path = encode(tmp_path / "a.mp4", "libx264", [QUARTERS] * 3)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: the matrix lies 40 bytes behind the name
    assert struct.unpack(">9i", data[at : at + 36]) == (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    video = VideoFrames(path)
    assert (video.height, video.width) == want.shape[:2]
    assert np.abs(video.read(1).astype(int) - want).mean() < 6


# Colour -----------------------------------------------------------------------------------------------------


def yuv_frame(size: tuple[int, int], y: int, u: int, v: int) -> np.ndarray:
    height, width = size
    flat = [np.full(height * width, y), np.full(height * width // 4, u), np.full(height * width // 4, v)]
    return np.concatenate(flat).astype(np.uint8).reshape(-1, width)


def plain_rgb(y: float, u: float, v: float, red: float, blue: float, full: bool) -> np.ndarray:
    """YCbCr to RGB straight from the definition in BT.601 and BT.709, with their red and blue weights."""
    luma = y / 255 if full else (y - 16) / 219
    cb, cr = ((chroma - 128) / (255 if full else 224) for chroma in (u, v))
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.array([r, g, b]) * 255, 0, 255)


BT601, BT709, BT2020 = (0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593)


@pytest.mark.parametrize(("orientation", "corner"), [(1, (5, 5)), (3, (-6, -6)), (6, (5, -6)), (8, (-6, 5))])
def test_photos_in_a_video_are_turned_by_their_exif(tmp_path: Path, orientation: int, corner: tuple[int, int]) -> None:
    """FFmpeg's decoder gives EXIF as side data, of which PyAV knows nothing."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:12, :12] = 255
    exif, data = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(data, "JPEG", exif=exif, quality=95)
    with av.open(str(tmp_path / "a.avi"), "w") as file:
        stream: Any = file.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for i in range(3):
            packet = av.Packet(data.getvalue())
            packet.pts = packet.dts = i
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, True
            file.mux(packet)
    video = VideoFrames(tmp_path / "a.avi")
    assert len(video) == 3 and (video.height, video.width) == ((64, 48) if orientation in (6, 8) else (48, 64))
    frame = video.read(2)
    assert frame[corner].min() > 200 and frame.mean() < 30


COLOURS = [  # lines, matrix tag, range tag, weights, full range
    (48, 2, 1, BT601, False),
    (720, 2, 1, BT709, False),
    (48, 1, 1, BT709, False),
    (720, 6, 1, BT601, False),
    (720, 5, 2, BT601, True),
    (48, 1, 2, BT709, True),
    (48, 9, 1, BT2020, False),
]


@pytest.mark.parametrize(("lines", "matrix", "reach", "weights", "full"), COLOURS)
def test_matrix_and_range(
    tmp_path: Path, lines: int, matrix: int, reach: int, weights: tuple[float, float], full: bool
) -> None:
    def tag(stream: Any) -> None:
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = reach

    y, u, v = 110, 90, 180
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream: Any = file.add_stream("libx264", rate=25, options={"preset": "ultrafast", "qp": "0"})
        stream.height, stream.width, stream.pix_fmt = lines, 64, "yuv420p"
        tag(stream)
        file.mux(stream.encode(av.VideoFrame.from_ndarray(yuv_frame((lines, 64), y, u, v), "yuv420p")))
        file.mux(stream.encode(None))
    frame = VideoFrames(tmp_path / "a.mp4").read(0)
    assert (frame == frame[0, 0]).all()
    assert np.abs(frame[0, 0] - plain_rgb(y, u, v, *weights, full)).max() <= 0.55


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"])
def test_flat_colours_are_within_half_a_level(tmp_path: Path, pixels: str) -> None:
    deep = 4 if "10" in pixels else 1
    samples = [[deep * value for value in yuv] for yuv in [(235, 128, 128), (126, 128, 128), (92, 105, 190)]]

    def picture(yuv: list[int]) -> av.VideoFrame:
        frame = av.VideoFrame(64, 48, pixels)
        for plane, value in zip(frame.planes, yuv, strict=True):
            dtype = np.dtype("<u2" if deep == 4 else "u1")
            plane.update(np.full(plane.buffer_size // dtype.itemsize, value, dtype).tobytes())
        return frame

    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        stream: Any = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        stream.codec_context.colorspace = stream.codec_context.color_range = 1
        for yuv in samples:
            file.mux(stream.encode(picture(yuv)))
        file.mux(stream.encode(None))
    video = VideoFrames(tmp_path / "a.mkv")
    for i, yuv in enumerate(samples):
        want = plain_rgb(*(value / deep for value in yuv), 0.2126, 0.0722, False)
        assert np.abs(video.read(i) - want).max() <= 0.55


def test_ten_bits_come_down_to_eight(tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0, 65535, 64).astype(np.uint16)[None, :, None], 48, axis=0).repeat(3, axis=2)
    path = encode(tmp_path / "a.mkv", "ffv1", [ramp], pixels="yuv444p10le", layout="rgb48le")
    assert np.abs(VideoFrames(path).read(0) - ramp / 257).max() <= 2


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "options"),
    [
        ("a.webm", "libvpx-vp9", "yuva420p", {"lossless": "1", "auto-alt-ref": "0"}),
        ("a.mov", "prores_ks", "yuva444p10le", {"profile": "4444", "alpha_bits": "16"}),
        ("a.mkv", "ffv1", "bgra", {}),
    ],
)
def test_alpha_is_composited_on_black(tmp_path: Path, name: str, codec: str, pixels: str, options: dict) -> None:
    grey = np.full((48, 64, 4), 200, np.uint8)
    grey[..., 3] = np.linspace(0, 255, 64).round()

    def tag(stream: Any) -> None:
        if name.endswith("webm"):
            stream.metadata["alpha_mode"] = "1"

    path = encode(tmp_path / name, codec, [grey] * 2, pixels=pixels, options=options, setup=tag, layout="rgba")
    assert np.abs(VideoFrames(path).read(1) - 200 * (grey[..., 3:] / 255)).max() <= 3


# What cannot be read ----------------------------------------------------------------------------------------


def test_truncated_without_its_index(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", "libx264", options=X264)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"truncated.*moov.*export it again") as caught:
        open_source(path)
    assert "\n" not in str(caught.value)


def test_truncated_with_its_index_in_front(tmp_path: Path) -> None:
    flags = {"movflags": "faststart"}
    path = clip(tmp_path / "a.mp4", "libx264", 40, options=X264, container_options=flags)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"mdat") + 4 + (len(whole) - whole.index(b"mdat") - 4) // 2])
    with pytest.raises(InputError, match=r"truncated.* only (\d+) of its 40 frames can be read.*ffmpeg") as caught:
        open_source(path)
    readable = int(str(caught.value).split("only ")[1].split()[0])
    with av.open(str(path)) as file:
        assert 1 <= readable < 40
        packets = [p for p in file.demux(video=0) if p.size and not p.is_corrupt]
        assert len(packets) == readable


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libx264"), ("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4")])
def test_other_containers_cut_short(tmp_path: Path, name: str, codec: str) -> None:
    path = clip(tmp_path / name, codec, 40)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
    with pytest.raises(InputError, match=r"truncated.* only \d+ "):
        open_source(path)


def test_sound_without_pictures(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.wav"), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        file.mux(stream.encode(sound))
    with pytest.raises(InputError, match="holds no video"):
        open_source(tmp_path / "a.wav")


def test_a_container_without_frames(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.avi"), "w") as file:
        stream: Any = file.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        file.start_encoding()
    with pytest.raises(InputError, match=r"a\.avi"):
        open_source(tmp_path / "a.avi")


def test_a_frame_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clip(tmp_path / "a.mp4", "libx264", 2)
    monkeypatch.setattr("unocclude.media.video.MAX_PIXELS", 66 * 50 - 1)
    with pytest.raises(InputError, match=r"66x50 is over the limit.*scale it down"):
        VideoFrames(path)


def test_a_damaged_frame_is_named(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", "libx264", 12, options={**X264, "g": "1"})
    want = sequential(path)
    with av.open(str(path)) as file:
        packet = [p for p in file.demux(video=0) if p.size][7]
        content = bytes(packet)
    data = bytearray(path.read_bytes())
    at = data.index(content)
    data[at + len(content) // 2 : at + len(content)] = bytes(len(content) - len(content) // 2)
    path.write_bytes(data)
    video = VideoFrames(path)
    with pytest.raises(UnoccludeError, match="frame 7 of 12 is damaged") as caught:
        video.read(7)
    assert not isinstance(caught.value, InputError) and "\n" not in str(caught.value)
    for i in (6, 8, 0, 11):
        assert np.array_equal(video.read(i), want[i])


# The index --------------------------------------------------------------------------------------------------


def packet(pts: int | None, key: bool = False, hidden: bool = False) -> Packet:
    return Packet(pts, None, key, hidden)


def test_frames_are_decoded_from_a_keyframe_not_shown_after_them() -> None:
    # In decode order I0 P3 B1 B2 | I6 B4 B5 P8 B7: 4 and 5 lie behind the second keyframe, and lean on P3.
    packets = [packet(0, True), *map(packet, (3, 1, 2)), packet(6, True), *map(packet, (4, 5, 8, 7))]
    index = index_packets(packets)
    assert index is not None
    assert index.pts.tolist() == list(range(9)) and index.starts.tolist() == [0] * 6 + [4] * 3


def test_hidden_and_undecodable_packets_do_not_count() -> None:
    packets = [packet(-1), packet(0, True, hidden=True), packet(1), packet(2, True), packet(3)]
    index = index_packets(packets)
    assert index is not None and index.pts.tolist() == [1, 2, 3] and index.starts.tolist() == [1, 3, 3]


def test_no_index_without_unique_time_stamps() -> None:
    assert index_packets([packet(0, True), packet(None)]) is None
    assert index_packets([packet(0, True), packet(0)]) is None
    assert index_packets([packet(0), packet(1)]) is None


# Hostile files ----------------------------------------------------------------------------------------------


LISTS = {
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n",
    "a.ffconcat": "ffconcat version 1.0\nfile '{}'\n",
    "a.mp4": "ffconcat version 1.0\nfile '{}'\n",
    "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n# {}\n",
    "a.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    "<Representation><BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>",
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_other_files_are_refused(tmp_path: Path, name: str) -> None:
    secret = clip(tmp_path / "secret.ts", "libx264", 2)
    (tmp_path / name).write_text(LISTS[name].format(secret))
    os.utime(secret, (1, 1))
    with pytest.raises(InputError, match="not a video or image file that can be read"):
        open_source(tmp_path / name)
    assert secret.stat().st_atime == 1  # nobody has read it


@pytest.mark.parametrize("name", ["a%d.png", "concat:secret.ts|secret.ts", "subfile,,start,1,end,0,,:secret.ts"])
def test_names_that_mean_something_to_ffmpeg(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clip(tmp_path / "secret.ts", "libx264", 2)
    with pytest.raises(InputError, match="no such file"):
        open_source(name)
    Path(name).write_text("no video")
    with pytest.raises(InputError, match="can be read"):
        open_source(name)


def test_a_video_named_as_an_image_is_read(tmp_path: Path) -> None:
    clip(tmp_path / "a.mp4", "libx264", 3).rename(tmp_path / "a.jpg")
    assert len(open_source(tmp_path / "a.jpg")) == 3


def grown(path: Path) -> Path:
    """An IVF whose header says 64x64, and whose frames are larger."""
    data = bytearray(clip(path, "libvpx", 2, size=(480, 640)).read_bytes())
    data[12:16] = struct.pack("<HH", 64, 64)
    path.write_bytes(data)
    return path


def test_frames_larger_than_the_header_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_source(grown(tmp_path / "a.ivf")).read(1).shape == (480, 640, 3)
    monkeypatch.setattr("unocclude.media.decoder.MAX_PIXELS", 480 * 640 - 1)  # for decoders without a limit
    with pytest.raises(InputError, match="640x480 is over the limit"):
        open_source(tmp_path / "a.ivf")


def test_the_decoder_itself_keeps_to_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(decoder.OPTIONS, "max_pixels", "200000")
    monkeypatch.setitem(decoder.CODEC_OPTIONS, "max_pixels", "200000")
    with pytest.raises(UnoccludeError, match="decode"):
        open_source(grown(tmp_path / "a.ivf"))


@pytest.mark.parametrize("fragments", [False, True])
def test_an_index_larger_than_the_file_is_refused(tmp_path: Path, fragments: bool) -> None:
    flags = {"movflags": "frag_keyframe+empty_moov"} if fragments else {}
    data = bytearray(clip(tmp_path / "a.mp4", "libx264", 4, container_options=flags).read_bytes())
    many = struct.pack(">I", 1 << 25)
    if fragments:
        at = data.index(b"trun")
        data[at + 4 : at + 12] = struct.pack(">I", 1) + many  # no field but the offset of all
    else:
        at = data.index(b"stsz")
        data[at + 8 : at + 16] = struct.pack(">I", 1) + many
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(InputError, match="announces 33554432 samples"):
        open_source(tmp_path / "a.mp4")


def test_a_slow_video_can_be_written_again(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", "libx264", 3, times=[0, 7_200_000, 14_400_000])
    slow = unocclude.open(path)
    assert np.allclose(slow.times, [0, 7200, 14400]) and slow.fps == 0.001
    layer = np.full((48, 64, 4), 200, np.uint8)
    for suffix in (".mov", ".webm", ".mp4", ".png"):
        (written,) = write_layers(tmp_path / f"b{suffix}", [layer, layer // 2, layer], slow.fps, slow.times)
        assert np.allclose(unocclude.open(written).times, slow.times), suffix


def test_absurd_time_stamps_are_refused(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mkv", "libx264", 3, times=[0, 40, 10**10])
    with pytest.raises(InputError, match="frame 2 comes 2778 hours after the one before"):
        open_source(path)


def test_tags_that_are_not_utf8_are_no_obstacle(tmp_path: Path) -> None:
    def tag(stream: Any) -> None:
        stream.metadata["title"] = "TITEL"

    path = clip(tmp_path / "a.mkv", "libx264", 2, setup=tag)
    path.write_bytes(path.read_bytes().replace(b"TITEL", b"T\xe4\xf6\xfc\xff"))
    assert len(open_source(path)) == 2


def test_a_video_that_is_replaced_is_told(tmp_path: Path) -> None:
    source = open_source(clip(tmp_path / "a.mp4", "libx264", 30, options=X264))
    source.read(1)
    clip(tmp_path / "b.mp4", "libx264", 30).replace(tmp_path / "a.mp4")
    with pytest.raises(UnoccludeError, match=r"frame 25 changed while it was being read: .*a\.mp4") as caught:
        source.read(25)
    assert caught.value.exit_code == 1
