"""The sound of a clip reaches its exports at the same time, to the sample, and ends with the last frame."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from unocclude.errors import InputError
from unocclude.media.layers import write_layers
from unocclude.media.sound import find_sound

RATE = 44_100
FPS = 25
TOLERANCE = {".mov": 1 / RATE, ".mp4": 0.002, ".webm": 0.002}


def clicks(seconds: float, rate: int = RATE) -> np.ndarray:
    """A soft tone with a loud, short burst at the start of every tenth of a second."""
    time = np.arange(round(seconds * rate)) / rate
    burst = np.sin(2 * np.pi * 2000 * time) * np.exp(-(time % 0.1) / 0.004)
    return (burst * 0.8 + 0.01 * np.sin(2 * np.pi * 300 * time)).astype(np.float32)


def clip_with_sound(path: Path, seconds: float = 2.0, delay: float = 0.0, codec: str = "pcm_s16le") -> Path:
    """A grey clip with `clicks`, whose sound begins `delay` seconds after the first frame."""
    with av.open(str(path), "w") as file:
        video: Any = file.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio: Any = file.add_stream(codec, rate=RATE, layout="mono")
        for _ in range(round(seconds * FPS)):
            file.mux(video.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24")))
        frame = av.AudioFrame.from_ndarray(clicks(seconds - delay)[None], "fltp", "mono")
        frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
        frame.pts = round(delay * RATE)
        file.mux(audio.encode(frame))
        file.mux(audio.encode(None))
        file.mux(video.encode(None))
    return path


def heard(path: Path) -> tuple[np.ndarray, int]:
    """All samples from the time of the first frame on, placed by their time stamps, and their rate."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        rate = stream.codec_context.sample_rate
        sound = np.zeros(10 * rate, np.float32)
        end = 0
        resampler = av.AudioResampler("fltp", "mono", rate)
        for frame in file.decode(stream):
            for made in resampler.resample(frame):
                at = round(float(frame.pts * frame.time_base) * rate)
                block = made.to_ndarray()[0][max(0, -at) :]
                at = max(0, at)
                sound[at : at + len(block)] = block
                end = at + len(block)
        return sound[:end], rate


def onsets(sound: np.ndarray, rate: int) -> list[float]:
    """The times of the bursts in seconds."""
    loud = np.nonzero(np.abs(sound) > 0.25)[0]
    return [float(at) / rate for at in loud[np.diff(loud, prepend=-rate) > 0.05 * rate]]


def export(path: Path, clip: Path, start: float, end: float) -> Path:
    layer = np.full((48, 64, 4), 200, np.uint8)
    frames = [layer] * round((end - start) * FPS)
    write_layers(path, frames, FPS, sound=find_sound(clip, start, end))
    return path


@pytest.mark.parametrize("suffix", TOLERANCE)
@pytest.mark.parametrize(("start", "end"), [(0.0, 2.0), (0.48, 1.24)])
def test_sound_lies_under_its_frames(tmp_path: Path, suffix: str, start: float, end: float) -> None:
    clip = clip_with_sound(tmp_path / "clip.mov")
    path = export(tmp_path / f"layer{suffix}", clip, start, end)
    given, heard_now = onsets(*heard(clip)), onsets(*heard(path))
    want = [at - start for at in given if start <= at < end - 0.01]
    assert len(want) >= 7
    assert np.allclose(heard_now[: len(want)], want, atol=TOLERANCE[suffix])
    with av.open(str(path)) as file:
        video = file.streams.video[0]
        assert (video.start_time or 0) == 0 and len(list(file.decode(video))) == round((end - start) * FPS)
    samples, rate = heard(path)
    assert abs(len(samples) / rate - (end - start)) < (1e-4 if suffix == ".mov" else 0.03)


def test_sound_in_mov_is_the_clips_to_the_sample(tmp_path: Path) -> None:
    clip = clip_with_sound(tmp_path / "clip.mov")
    sound, _ = heard(export(tmp_path / "layer.mov", clip, 0.48, 1.24))
    whole, _ = heard(clip)
    assert np.abs(sound - whole[round(0.48 * RATE) :][: len(sound)]).max() < 1e-4


def test_silence_where_the_clip_has_no_sound(tmp_path: Path) -> None:
    clip = clip_with_sound(tmp_path / "clip.mov", delay=0.5)
    sound, rate = heard(export(tmp_path / "layer.mov", clip, 0.0, 2.0))
    assert len(sound) == 2 * rate and not sound[: rate // 2].any()
    assert np.allclose(onsets(sound, rate)[:3], [0.5, 0.6, 0.7], atol=0.001)


def test_a_compressed_clip_with_leading_samples(tmp_path: Path) -> None:
    """AAC begins with samples before time 0, which are not part of the sound."""
    clip = clip_with_sound(tmp_path / "clip.mp4", codec="aac")
    sound, rate = heard(export(tmp_path / "layer.mov", clip, 0.0, 2.0))
    assert len(sound) == 2 * rate
    assert np.allclose(onsets(sound, rate)[:5], [0.0, 0.1, 0.2, 0.3, 0.4], atol=0.002)


def test_no_sound(tmp_path: Path) -> None:
    write_layers(tmp_path / "silent.mp4", [np.zeros((48, 64, 4), np.uint8)] * 3, FPS)
    assert find_sound(tmp_path / "silent.mp4", 0.0, 1.0) is None
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(InputError, match="cannot be decoded"):
        find_sound(tmp_path / "text.mp4", 0.0, 1.0)
