"""Small valid files of each kind, made by code: what fuzzing starts from."""

import io
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image


def frame(i: int = 0, size: tuple[int, int] = (16, 24)) -> np.ndarray:
    coarse = np.random.default_rng(i).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, size[::-1])


def saved(array: np.ndarray, kind: str, **options: Any) -> bytes:
    data = io.BytesIO()
    Image.fromarray(array).save(data, kind, **options)
    return data.getvalue()


@cache
def images() -> list[bytes]:
    rgb, exif = frame(), Image.Exif()
    exif[0x0112] = 6
    rgba = np.dstack([rgb, rgb[..., :1]])
    kinds = ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000", "TGA"]
    made = [saved(rgb, kind) for kind in kinds]
    made += [saved(rgb, kind, exif=exif.tobytes()) for kind in ("JPEG", "PNG", "WEBP")]
    made += [saved(rgba, kind) for kind in ("PNG", "WEBP", "TIFF")]
    made += [saved(rgb[..., 0], kind) for kind in ("PNG", "TIFF", "PPM", "JPEG")]
    made += [saved(rgb[..., 0] > 99, "PNG"), saved(rgb, "TIFF", compression="tiff_lzw")]
    made += [saved(rgb, "TIFF", compression="jpeg"), saved(rgb, "JPEG", progressive=True)]
    deep = rgba.astype(np.uint16) * 257
    for array in (deep, deep[..., :3], deep[..., 0]):
        made += [cv2.imencode(suffix, array)[1].tobytes() for suffix in (".png", ".tif")]
    return made


@cache
def animations() -> list[bytes]:
    first, *rest = (Image.fromarray(frame(i)) for i in range(4))
    made = []
    for kind, more in (("GIF", {}), ("GIF", {"disposal": 2}), ("PNG", {}), ("PNG", {"default_image": True}),
                       ("WEBP", {}), ("AVIF", {})):  # fmt: skip
        data = io.BytesIO()
        first.save(data, kind, save_all=True, append_images=rest, duration=[40, 70, 40, 10], **more)
        made.append(data.getvalue())
    return made


VIDEOS = [
    ("a.mp4", "libx264", "yuv420p", {"movflags": "faststart"}),
    ("a.mp4", "libx264", "yuv420p", {"movflags": "frag_keyframe+empty_moov"}),
    ("a.mov", "libx265", "yuv420p", {}),
    ("a.mov", "prores_ks", "yuva444p10le", {}),
    ("a.mkv", "ffv1", "bgra", {}),
    ("a.webm", "libvpx-vp9", "yuva420p", {}),
    ("a.ivf", "libvpx", "yuv420p", {}),
    ("a.avi", "mpeg4", "yuv420p", {}),
    ("a.avi", "mjpeg", "yuvj420p", {}),
    ("a.mpg", "mpeg2video", "yuv420p", {}),
    ("a.ts", "libx264", "yuv420p", {}),
    ("a.flv", "flv1", "yuv420p", {}),
    ("a.wmv", "wmv2", "yuv420p", {}),
    ("a.nut", "mpeg4", "yuv420p", {}),
    ("a.mxf", "mpeg2video", "yuv420p", {}),
    ("a.y4m", "wrapped_avframe", "yuv420p", {}),
    ("a.h264", "libx264", "yuv420p", {}),
    ("a.ogv", "libtheora", "yuv420p", {}),
]


@cache
def videos() -> list[bytes]:
    with TemporaryDirectory() as folder:
        return [video(Path(folder) / kind[0], *kind[1:]) for kind in VIDEOS if kind[1] in av.codecs_available]


def video(path: Path, codec: str, pixels: str, options: dict[str, str], count: int = 4) -> bytes:
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    with av.open(str(path), "w", container_options=options) as file:
        stream: Any = file.add_stream(codec, rate=25, options=quiet)
        stream.height, stream.width, stream.pix_fmt = 48, 64, pixels
        for i in range(count):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame(i, (48, 64)), "rgb24")))
        file.mux(stream.encode(None))
    return path.read_bytes()


@cache
def arrays() -> list[bytes]:
    masks = np.zeros((3, 9, 12), bool)
    masks[1:, 2:6, 3:8] = True
    made = []
    for array in (masks, masks[1], masks.astype(np.int64), np.asfortranarray(masks), masks.astype(">u2")):
        for save in (np.save, np.savez, np.savez_compressed):
            data = io.BytesIO()
            save(data, array)
            made.append(data.getvalue())
    return made


@cache
def shards() -> list[bytes]:
    from unocclude.media.images import write_png
    from unocclude.synthesis.shards import write_shard

    with TemporaryDirectory() as name:
        clips = [Path(name) / f"{k:05d}" for k in range(2)]
        for clip in clips:
            for part in ("frames", "visible_masks", "amodal_masks", "amodal_rgb"):
                (clip / part).mkdir(parents=True)
                picture = frame()[..., 0] if part.endswith("masks") else frame()
                write_png(clip / part / "00000.png", picture)
            (clip / "meta.json").write_text('{"class": "cat"}')
        write_shard(Path(name) / "a.tar", clips)
        return [(Path(name) / "a.tar").read_bytes()]
