"""Masks from every format give the same track, and wrong ones say what is wrong."""

import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

import unocclude
from unocclude.errors import InputError
from unocclude.media import masks
from unocclude.media.images import write_png

PALETTE = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]], np.uint8)


@pytest.fixture
def truth() -> np.ndarray:
    """Five odd-sized masks: a moving box, one pixel in a corner, nothing, everything, a box again."""
    result = np.zeros((5, 21, 33), bool)
    result[0, 3:9, 4:12] = result[1, 20, 32] = result[3] = result[4, 10:20, 20:30] = True
    return result


def rle(mask: np.ndarray) -> dict[str, Any]:
    code = coco.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": code["counts"].decode()}


def uncompressed(mask: np.ndarray) -> dict[str, Any]:
    """COCO's uncompressed form, from its definition: column by column, starting with the zeros."""
    counts, last = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != last:
            counts.append(0)
            last = pixel
        counts[-1] += 1
    return {"size": list(mask.shape), "counts": counts}


def write_folder(path: Path, truth: np.ndarray) -> Path:
    path.mkdir()
    for i, mask in enumerate(truth):
        write_png(path / f"m{i + 8}.png", mask * np.uint8(255))  # m8 .. m12: natural order, not alphabetical
    return path


def write_json(path: Path, data: Any) -> Path:
    path.write_text(json.dumps(data))
    return path


WRITERS: dict[str, Callable[[Path, np.ndarray], Path]] = {
    "folder": lambda p, t: write_folder(p / "m", t),
    "list": lambda p, t: write_json(p / "m.json", [rle(m) for m in t]),
    "nulls": lambda p, t: write_json(p / "m.json", [rle(m) if m.any() else None for m in t]),
    "uncompressed": lambda p, t: write_json(p / "m.json", {"masks": [uncompressed(m) for m in t]}),
    "segmentations": lambda p, t: write_json(p / "m.json", {"segmentations": [rle(m) for m in t]}),
    "annotations": lambda p, t: write_json(p / "m.json", {"annotations": [{"segmentation": rle(m)} for m in t]}),
    "sav": lambda p, t: write_json(p / "m.json", {"masklet": [[rle(m)] for m in t], "masklet_id": [0]}),
    "npy": lambda p, t: (np.save(p / "m.npy", t), p / "m.npy")[1],
    "npz": lambda p, t: (np.savez_compressed(p / "m.npz", masks=t.astype(np.int64)), p / "m.npz")[1],
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same_masks(tmp_path: Path, truth: np.ndarray, kind: str) -> None:
    path = WRITERS[kind](tmp_path, truth)
    got = list(masks.read(path))
    assert all(mask.dtype == bool for mask in got) and np.array_equal(got, truth)
    track = unocclude.read_masks(path)
    assert np.array_equal(list(track), truth) and track.areas.tolist() == truth.sum(axis=(1, 2)).tolist()


def test_one_png_is_one_mask(tmp_path: Path, truth: np.ndarray) -> None:
    write_png(tmp_path / "m.png", truth[1] * np.uint8(1))  # 1, not 255: non-zero counts
    assert np.array_equal(list(masks.read(tmp_path / "m.png")), truth[1:2])


def test_davis_palette(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 4, (3, 7, 9)).astype(np.uint8)
    ids[ids == 2] = 3
    ids[1, 2, 5] = 2
    for i, frame in enumerate(ids):
        write_png(tmp_path / f"{i:05d}.png", frame, PALETTE)
    assert np.array_equal(list(masks.read(tmp_path)), ids != 0)
    for k in (1, 2, 3):
        assert np.array_equal(list(masks.read(tmp_path, object_id=k)), ids == k)
    with pytest.raises(InputError, match=r"object id 9 does not occur.*: 1, 2, 3$"):
        list(masks.read(tmp_path, object_id=9))


def test_ids_as_grey_levels_and_masks_in_colour(tmp_path: Path, truth: np.ndarray) -> None:
    write_png(tmp_path / "grey.png", np.array([[0, 1, 7]], np.uint8))
    assert next(masks.read(tmp_path / "grey.png", object_id=7)).tolist() == [[False, False, True]]
    colour = np.zeros((*truth[0].shape, 3), np.uint8)
    colour[truth[0]] = [0, 9, 0]
    write_png(tmp_path / "colour.png", colour)
    assert np.array_equal(next(masks.read(tmp_path / "colour.png")), truth[0])
    Image.fromarray(truth[0]).save(tmp_path / "bits.png")
    assert np.array_equal(next(masks.read(tmp_path / "bits.png")), truth[0])
    Image.fromarray(truth[4] * np.uint8(255)).save(tmp_path / "lossy.jpg", quality=60)
    assert np.array_equal(next(masks.read(tmp_path / "lossy.jpg")), truth[4])


@pytest.mark.parametrize("name", ["m.mp4", "m.mkv", "m.gif"])
def test_mask_video(tmp_path: Path, name: str) -> None:
    truth = np.zeros((5, 48, 64), bool)
    for i in range(5):
        truth[i, 8 + 4 * i : 24 + 4 * i, 16:40] = i != 2  # hidden in the middle
    frames = [np.dstack([mask * np.uint8(255)] * 3) for mask in truth]
    if name.endswith("gif"):
        images = [Image.fromarray(frame) for frame in frames]
        images[0].save(tmp_path / name, save_all=True, append_images=images[1:], duration=40)
    else:
        codec, pixels = ("libx264", "yuv420p") if name.endswith("mp4") else ("ffv1", "gray")
        with av.open(str(tmp_path / name), "w") as file:
            stream: Any = file.add_stream(codec, rate=25)
            stream.height, stream.width, stream.pix_fmt = 48, 64, pixels
            for frame in frames:
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
            file.mux(stream.encode(None))
    assert np.array_equal(list(masks.read(tmp_path / name)), truth)


def test_the_threshold_is_128() -> None:
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert np.array_equal(masks._luma(levels)[0], np.arange(256))


def test_sav_with_several_objects(tmp_path: Path, truth: np.ndarray) -> None:
    """The fields of SA-V's release: masklet[frame][object] is an RLE, masklet_id names the objects."""
    data = {
        "video_id": "sav_000001",
        "masklet": [[rle(mask), rle(~mask)] for mask in truth[:4]] + [[rle(truth[4])]],
        "masklet_id": [0, 1],
        "masklet_num": 2,
    }
    path = write_json(tmp_path / "sav_000001_manual.json", data)
    want = ~truth
    want[4] = False  # the second object is not listed there
    assert np.array_equal(list(masks.read(path, object_id=1)), want)
    assert np.array_equal(list(masks.read(path, object_id=0)), truth)
    with pytest.raises(InputError, match=r"holds 2 objects; choose one .*0, 1"):
        masks.read(path)
    with pytest.raises(InputError, match=r"object id 5 does not occur.*0, 1"):
        masks.read(path, object_id=5)


BAD_RLES = [
    ({"size": [5, 5], "counts": [3, 4]}, "cover 7 of 5x5"),
    ({"size": [5, 5], "counts": [30, -5]}, "cover 25"),
    ({"size": [9, 9], "counts": rle(np.eye(5))["counts"]}, "cover 25 of 9x9"),
    ({"size": [5, 5], "counts": "~~~"}, "counts"),
    ({"size": [5, 5], "counts": "o"}, "end too early"),
    ({"size": [5, 5]}, "counts"),
    ([[1.0, 2.0, 3.0]], "RLE"),
    ("text", "RLE"),
]


@pytest.mark.parametrize(("entry", "words"), BAD_RLES)
def test_a_broken_rle_is_refused_before_it_is_decoded(tmp_path: Path, entry: Any, words: str) -> None:
    path = write_json(tmp_path / "m.json", [rle(np.eye(5)), entry])
    with pytest.raises(InputError, match="mask 1") as caught:
        masks.read(path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_what_cannot_be_read(tmp_path: Path, truth: np.ndarray) -> None:
    def refused(path: Path, words: str, **more: Any) -> None:
        with pytest.raises(InputError, match=words) as caught:
            list(masks.read(path, **more))
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)

    refused(tmp_path / "none", "no such file")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "holds no images")
    (tmp_path / "m.json").write_text("{")
    refused(tmp_path / "m.json", "is no JSON")
    refused(write_json(tmp_path / "n.json", {"other": 1}), "holds no list of masks")
    refused(write_json(tmp_path / "n.json", [None, None]), "all 2 masks are null")
    refused(write_json(tmp_path / "n.json", [rle(truth[0])]), "without an id", object_id=1)
    np.save(tmp_path / "f.npy", np.zeros((2, 3)))
    refused(tmp_path / "f.npy", "integers or bool")
    (tmp_path / "t.npy").write_text("text")
    refused(tmp_path / "t.npy", "cannot be read as an array")
    (tmp_path / "t.mp4").write_text("text " * 100)
    refused(tmp_path / "t.mp4", "not a video")


def test_read_masks_refuses_empty_and_uneven_tracks(tmp_path: Path, truth: np.ndarray) -> None:
    write_folder(tmp_path / "empty", np.zeros_like(truth))
    with pytest.raises(InputError, match="empty in all 5 frames"):
        unocclude.read_masks(tmp_path / "empty")
    write_png(tmp_path / "empty" / "z.png", np.ones((3, 3), np.uint8))
    with pytest.raises(InputError, match="mask 5"):
        unocclude.read_masks(tmp_path / "empty")


# Arrays -----------------------------------------------------------------------------------------------------


def npy(shape: Any, dtype: str = "|b1", data: bytes = b"", order: bool = False) -> bytes:
    header = repr({"descr": dtype, "fortran_order": order, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + data


BAD_ARRAYS = {
    "truncated": npy((5, 4, 4), data=bytes(79)),
    "megapixels": npy((1, 1 << 20, 1 << 20)),
    "frames": npy((1 << 40, 1, 1)),
    "shape \\(5, -4, 4\\)": npy((5, -4, 4), data=bytes(80)),
    "shape \\(0, 4, 4\\)": npy((0, 4, 4)),
    "shape \\(4,\\)": npy((4,), data=bytes(4)),
    "float64": npy((1, 2, 2), "<f8", bytes(32)),
    "object": npy((1, 2, 2), "|O", bytes(32)),
    "cannot be read": npy("x"),
    "cannot be read as an array": npy((2.5, 2, 2)),
    "an array": b"\x93NUMPY\2\0" + b"\xff" * 40,
    "version 3.0": b"\x93NUMPY\3\0" + b"\0" * 40,
}


@pytest.mark.parametrize("words", BAD_ARRAYS)
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_headers_of_arrays_are_not_believed(tmp_path: Path, words: str, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "npz":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.npy", BAD_ARRAYS[words])
    else:
        path.write_bytes(BAD_ARRAYS[words])
    with pytest.raises(InputError, match=words) as caught:
        list(masks.read(path))
    assert len(str(caught.value).splitlines()) == 1 and "a.np" in str(caught.value)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_arrays_in_any_order(tmp_path: Path, truth: np.ndarray, suffix: str) -> None:
    for array in (np.asfortranarray(truth), truth.astype(">i4"), np.asfortranarray(truth[0]), truth[0]):
        path = tmp_path / f"a.{suffix}"
        (np.save if suffix == "npy" else np.savez_compressed)(path, array)
        assert np.array_equal(list(masks.read(path)), truth[: array.size // truth[0].size])


def test_an_archive_is_unpacked_frame_by_frame(tmp_path: Path) -> None:
    """400 MB as int64, in an archive of 400 kB."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy((50, 1000, 1000), "<i8") + bytes(50 * 8_000_000))
    tracemalloc.start()
    assert sum(mask.any() for mask in masks.read(tmp_path / "a.npz")) == 0
    assert tracemalloc.get_traced_memory()[1] < 40e6
    tracemalloc.stop()


def test_no_more_ids_are_told_than_anybody_reads(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(40_000, dtype=np.int32).reshape(1, 200, 200))
    with pytest.raises(InputError, match="object id -1 does not occur") as caught:
        list(masks.read(tmp_path / "a.npy", object_id=-1))
    assert len(str(caught.value)) < 10_000
