"""Exports: they lie exactly over their clip, and are written neither over it nor into the result."""

import json
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import unocclude
from support import small_clip
from support.small_clip import COUNT, HEIGHT, WIDTH, assert_one_line, run
from unocclude.errors import InputError
from unocclude.media import files
from unocclude.media.video import ACCURATE

RATE = Fraction(30_000, 1001)


@pytest.fixture
def clip(tmp_path, monkeypatch):
    small_clip.register(monkeypatch)
    return small_clip.make(tmp_path / "clip")


@pytest.fixture
def result(clip, tmp_path):
    """A result of a folder of frames, in tmp_path/out."""
    return unocclude.complete(
        unocclude.open(clip / "frames"),
        unocclude.read_masks(clip / "visible_masks"),
        method="modal",
        out=tmp_path / "out",
        pictures=False,
    )


def video_of(path: Path, matrix: int, reach: int, pixels: str, size: tuple[int, int], sound: bool = False) -> Path:
    """A moving gradient as H.264 with B-frames, so that its time stamps do not begin at 0."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=RATE, options={"crf": "14", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        codec = stream.codec_context
        codec.colorspace, codec.color_range, codec.color_primaries, codec.color_trc = matrix, reach, 1, 1
        audio = file.add_stream("aac", rate=48_000, layout="mono") if sound else None
        for i in range(9):
            wave = np.stack([columns + 5 * i, rows * 2 + 40, (columns + rows) + 9 * i], axis=2) % 256
            smooth = (np.abs(wave - 128) + 60).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(smooth, "rgb24").reformat(
                format=pixels, dst_colorspace=matrix, dst_color_range="JPEG" if reach == 2 else "MPEG"
            )
            frame.pts = None
            file.mux(stream.encode(frame))
        if audio:
            tone = np.sin(np.arange(14_400) / 10).astype(np.float32)[None]
            block = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
            block.sample_rate = 48_000
            file.mux(audio.encode(block))
            file.mux(audio.encode(None))
        file.mux(stream.encode(None))
    return path


def shown(path: Path) -> tuple[dict, np.ndarray]:
    """What a player sees: size, rate, times of the frames, and their colours by the tags in the file."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        frames = list(file.decode(stream))
        pixels = "rgba" if "yuva" in frames[0].format.name else "rgb24"
        colours = [frame.to_ndarray(format=pixels, interpolation=ACCURATE) for frame in frames]
        times = [round(float(frame.pts * frame.time_base), 4) for frame in frames]
        about = {"size": colours[0].shape[:2], "rate": stream.average_rate, "times": times}
        return about, np.stack(colours)


@pytest.mark.parametrize(
    ("matrix", "reach", "pixels"),
    [(1, 1, "yuv420p"), (5, 1, "yuv420p"), (1, 2, "yuvj420p"), (1, 1, "yuv420p10le")],
    ids=["709", "601", "full", "10-bit"],
)
def test_a_mov_lies_exactly_over_its_clip(tmp_path, monkeypatch, matrix, reach, pixels):
    small_clip.register(monkeypatch)
    path = video_of(tmp_path / "clip.mp4", matrix, reach, pixels, (96, 128))
    clip = unocclude.open(path)
    masks = np.zeros((9, 96, 128), bool)
    masks[:, 20:80, 30:100] = True
    unocclude.complete(clip, masks, method="modal", out=tmp_path / "out", pictures=False)
    unocclude.export(tmp_path / "out", tmp_path / "layer.mov")
    source, layer = shown(path), shown(tmp_path / "layer.mov")
    assert layer[0] == source[0] and layer[0]["rate"] == RATE and len(layer[1]) == 9
    inside = (slice(None), slice(24, 76), slice(34, 96))
    assert (layer[1][inside][..., 3] == 255).all() and not layer[1][:, :18, :, 3].any()
    difference = np.abs(layer[1][inside][..., :3].astype(int) - source[1][inside])
    assert difference.max() <= 2 and difference.mean() < 0.5
    assert np.abs(np.diff(source[1][inside].astype(int), axis=0)).mean() > 2  # a frame late would be seen


def test_the_clips_sound(tmp_path, monkeypatch, capsys):
    small_clip.register(monkeypatch)
    path = video_of(tmp_path / "clip.mp4", 1, 1, "yuv420p", (48, 64), sound=True)
    masks = np.ones((9, 48, 64), bool)
    whole = unocclude.complete(unocclude.open(path), masks, method="modal", out=tmp_path / "out", pictures=False)
    part = unocclude.complete(
        unocclude.open(path, start=3, end=8), masks[:5], method="modal", out=tmp_path / "part", pictures=False
    )
    for result, count in [(whole, 9), (part, 5)]:
        notes = []
        unocclude.export(result, tmp_path / "layer.mov", overwrite=True, note=notes.append)
        with av.open(str(tmp_path / "layer.mov")) as file:
            samples = sum(frame.samples for frame in file.decode(audio=0))
        assert samples == round(count / RATE * 48_000) and not notes
    shutil.move(path, tmp_path / "moved.mp4")
    code, _, err = run(capsys, "export", tmp_path / "out", tmp_path / "silent.mov")
    assert code == 0 and "note: " in err and "sound" in err
    with av.open(str(tmp_path / "silent.mov")) as file:
        assert not file.streams.audio
    video_of(path, 1, 1, "yuv420p", (48, 62), sound=True)  # another clip in its place
    notes = []
    unocclude.export(whole, tmp_path / "other.mov", note=notes.append)
    assert len(notes) == 1 and "has changed" in notes[0]


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("layer_%04d.png", "layer_0005.png"),
        ("layer.####.exr", "layer.0005.exr"),
        ("##_x.png", "05_x.png"),
        ("a.exr", "a.00005.exr"),
    ],
)
def test_numbered_names(result, tmp_path, name, last):
    place = tmp_path / "place"
    place.mkdir()
    written = unocclude.export(result, place / name)
    assert len(written) == COUNT and written[-1] == place / last and sorted(place.iterdir()) == written
    if last.endswith("png"):
        assert np.array_equal(np.array(Image.open(written[3])), result.rgba[3])
    written[0].unlink()
    before = written[-1].read_bytes()
    with pytest.raises(InputError, match="exists; use --overwrite"):  # whichever of the files is there
        unocclude.export(result, place / name)
    assert not written[0].exists() and written[-1].read_bytes() == before
    assert unocclude.export(result, place / name, overwrite=True) == written


def test_a_number_needs_one_place(result, tmp_path):
    with pytest.raises(InputError, match="two places"):
        unocclude.export(result, tmp_path / "a##_%02d.png")
    for name in ("take ##3.mov", "100%done.png", "take #3.png"):  # no number
        assert unocclude.export(result, tmp_path / name) == [tmp_path / name]


@pytest.mark.parametrize("suffix", [".mov", ".webm", ".mp4", ".gif", ".png", ".exr"])
@pytest.mark.parametrize("named", [True, False])
def test_colons_in_names(result, tmp_path, monkeypatch, suffix, named):
    if named:  # as on systems without nameless files
        monkeypatch.setattr(files, "atomic_write_unnamed", files.atomic_write)
    monkeypatch.chdir(tmp_path)
    written = unocclude.export(result, Path(f"take:12:30{suffix}"))
    assert all(path.stat().st_size for path in written)
    assert {path.name for path in tmp_path.iterdir()} == {"clip", "out", *(path.name for path in written)}


def test_never_into_the_result(result, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "out")
    for place in ["out/layer.mov", "out/rgba/%05d.png", "link/layer.mov", "out/new/../layer.gif"]:
        (tmp_path / "out" / "new").mkdir(exist_ok=True)
        with pytest.raises(InputError, match="the result itself"):
            unocclude.export(result, tmp_path / place, overwrite=True)


def test_never_onto_the_clip(result, clip, tmp_path, monkeypatch):
    before = {path: path.read_bytes() for path in (clip / "frames").iterdir()}
    for name in ["%05d.png", "new.png", "new.exr", "new.gif"]:
        with pytest.raises(InputError, match="clip's frames"):
            unocclude.export(result, clip / "frames" / name, overwrite=True)
    assert {path: path.read_bytes() for path in (clip / "frames").iterdir()} == before
    path = video_of(tmp_path / "clip.mov", 1, 1, "yuv420p", (48, 64))
    made = unocclude.complete(
        unocclude.open(path), np.ones((9, 48, 64), bool), method="modal", out=tmp_path / "of_video", pictures=False
    )
    (tmp_path / "hard.mov").hardlink_to(path)
    (tmp_path / "soft.mov").symlink_to(path)
    content = path.read_bytes()
    for name in ["clip.mov", "hard.mov", "soft.mov"]:
        with pytest.raises(InputError, match="clip itself"):
            unocclude.export(made, tmp_path / name, overwrite=True)
    assert path.read_bytes() == content


def test_the_rate_of_a_folder(result, tmp_path, capsys):
    assert run(capsys, "export", tmp_path / "out", tmp_path / "a.mov", "--fps", "12", "--quiet") == (0, "", "")
    assert unocclude.open(tmp_path / "a.mov").fps == 12
    path = video_of(tmp_path / "clip.mp4", 1, 1, "yuv420p", (48, 64))
    unocclude.complete(
        unocclude.open(path), np.ones((9, 48, 64), bool), method="modal", out=tmp_path / "of_video", pictures=False
    )
    code, _, err = run(capsys, "export", tmp_path / "of_video", tmp_path / "b.mov", "--fps", "12")
    assert code == 2
    assert_one_line(err, "its own frame rate")


def test_pixels_that_are_not_square(result, tmp_path):
    file = tmp_path / "out" / "result.json"
    info = json.loads(file.read_text())
    file.write_text(json.dumps({**info, "signal": {"pixel_aspect": [4, 3]}}))
    notes = []
    unocclude.export(tmp_path / "out", tmp_path / "a.mov", note=notes.append)
    assert not notes and unocclude.open(tmp_path / "a.mov").signal.aspect == pytest.approx(4 / 3)
    unocclude.export(tmp_path / "out", tmp_path / "a.gif", note=notes.append)
    assert len(notes) == 1 and "square pixels" in notes[0]
    assert Image.open(tmp_path / "a.gif").size == (WIDTH, HEIGHT)
