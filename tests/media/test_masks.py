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
from scipy.ndimage import gaussian_filter

import unocclude
from unocclude.errors import InputError
from unocclude.mask_files import SomeMasks, read_for, read_objects_for, read_union
from unocclude.media import label_images, label_maps, masks
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
    got = list(masks.read_masks_of_one(path))
    assert all(mask.dtype == bool for mask in got) and np.array_equal(got, truth)
    track = unocclude.read_masks(path)
    assert np.array_equal(list(track), truth) and track.areas.tolist() == truth.sum(axis=(1, 2)).tolist()


def test_one_png_is_one_mask(tmp_path: Path, truth: np.ndarray) -> None:
    write_png(tmp_path / "m.png", truth[1] * np.uint8(1))  # 1, not 255: non-zero counts
    assert np.array_equal(list(masks.read_masks_of_one(tmp_path / "m.png")), truth[1:2])


def test_davis_palette(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 4, (3, 7, 9)).astype(np.uint8)
    ids[ids == 2] = 3
    ids[1, 2, 5] = 2
    for i, frame in enumerate(ids):
        write_png(tmp_path / f"{i:05d}.png", frame, PALETTE)
    with pytest.raises(InputError, match=r"holds 3 objects; choose one with the object id: 1, 2, 3$"):
        unocclude.read_masks(tmp_path)
    with pytest.raises(InputError, match="object id 0 is the background"):
        unocclude.read_masks(tmp_path, object_id=0)
    assert np.array_equal(list(read_union(tmp_path)), ids != 0)
    for k in (1, 2, 3):
        assert np.array_equal(list(masks.read_masks_of_one(tmp_path, object_id=k)), ids == k)
    with pytest.raises(InputError, match=r"object id 9 does not occur.*: 1, 2, 3$"):
        list(masks.read_masks_of_one(tmp_path, object_id=9))


def test_ids_as_grey_levels_and_masks_in_colour(tmp_path: Path, truth: np.ndarray) -> None:
    write_png(tmp_path / "grey.png", np.array([[0, 1, 7]], np.uint8))
    assert next(masks.read_masks_of_one(tmp_path / "grey.png", object_id=7)).tolist() == [[False, False, True]]
    colour = np.zeros((*truth[0].shape, 3), np.uint8)
    colour[truth[0]] = [0, 9, 0]
    write_png(tmp_path / "colour.png", colour)
    assert np.array_equal(next(masks.read_masks_of_one(tmp_path / "colour.png")), truth[0])
    Image.fromarray(truth[0]).save(tmp_path / "bits.png")
    assert np.array_equal(next(masks.read_masks_of_one(tmp_path / "bits.png")), truth[0])
    Image.fromarray(truth[4] * np.uint8(255)).save(tmp_path / "lossy.jpg", quality=60)
    assert np.array_equal(next(masks.read_masks_of_one(tmp_path / "lossy.jpg")), truth[4])


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
    assert np.array_equal(list(masks.read_masks_of_one(tmp_path / name)), truth)


def test_the_threshold_is_128() -> None:
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert np.array_equal(label_images._luma(levels)[0], np.arange(256))


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
    assert np.array_equal(list(masks.read_masks_of_one(path, object_id=1)), want)
    assert np.array_equal(list(masks.read_masks_of_one(path, object_id=0)), truth)
    with pytest.raises(InputError, match=r"holds 2 objects; choose one .*0, 1"):
        masks.read_masks_of_one(path)
    with pytest.raises(InputError, match=r"object id 5 does not occur.*0, 1"):
        masks.read_masks_of_one(path, object_id=5)


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
        masks.read_masks_of_one(path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_what_cannot_be_read(tmp_path: Path, truth: np.ndarray) -> None:
    def refused(path: Path, words: str, **more: Any) -> None:
        with pytest.raises(InputError, match=words) as caught:
            list(masks.read_masks_of_one(path, **more))
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)

    refused(tmp_path / "none", "no such file")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "holds no images")
    (tmp_path / "m.json").write_text("{")
    refused(tmp_path / "m.json", "is no JSON")
    refused(write_json(tmp_path / "n.json", {"other": 1}), "holds no list of masks")
    refused(write_json(tmp_path / "n.json", [None, None]), "all 2 masks are null")
    refused(write_json(tmp_path / "n.json", [rle(truth[0])]), "without an id", object_id=1)
    np.save(tmp_path / "f.npy", np.array([[-3.5, 2.25]]))
    refused(tmp_path / "f.npy", "-3.5 to 2.25.*logits")
    np.save(tmp_path / "f.npy", np.array([[np.nan, 0.5]]))
    refused(tmp_path / "f.npy", "NaN")
    np.save(tmp_path / "f.npy", np.zeros((2, 3), complex))
    refused(tmp_path / "f.npy", "integers, bool or floats")
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
    "complex128": npy((1, 2, 2), "<c16", bytes(64)),
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
        list(masks.read_masks_of_one(path))
    assert len(str(caught.value).splitlines()) == 1 and "a.np" in str(caught.value)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_arrays_in_any_order(tmp_path: Path, truth: np.ndarray, suffix: str) -> None:
    for array in (np.asfortranarray(truth), truth.astype(">i4"), np.asfortranarray(truth[0]), truth[0]):
        path = tmp_path / f"a.{suffix}"
        (np.save if suffix == "npy" else np.savez_compressed)(path, array)
        assert np.array_equal(list(masks.read_masks_of_one(path)), truth[: array.size // truth[0].size])


def test_an_archive_is_unpacked_frame_by_frame(tmp_path: Path) -> None:
    """400 MB as int64, in an archive of 400 kB."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy((50, 1000, 1000), "<i8") + bytes(50 * 8_000_000))
    tracemalloc.start()
    assert sum(mask.any() for mask in masks.read_masks_of_one(tmp_path / "a.npz")) == 0
    assert tracemalloc.get_traced_memory()[1] < 40e6
    tracemalloc.stop()


def test_no_more_ids_are_told_than_anybody_reads(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(40_000, dtype=np.int32).reshape(1, 200, 200))
    with pytest.raises(InputError, match="object id -1 does not occur") as caught:
        list(masks.read_masks_of_one(tmp_path / "a.npy", object_id=-1))
    assert len(str(caught.value)) < 10_000


# What mask images mean --------------------------------------------------------------------------------------


def disc(size: int = 60, radius: float = 17) -> np.ndarray:
    ys, xs = np.mgrid[:size, : size + 9]
    return np.asarray((xs - 30) ** 2 + (ys - 28) ** 2 < radius**2)


def soft(mask: np.ndarray, sigma: float = 2) -> np.ndarray:
    return gaussian_filter(mask * 255.0, sigma).round().astype(np.uint8)


@pytest.mark.parametrize("sigma", [0.6, 2, 6])
def test_a_matte_is_cut_at_half(tmp_path: Path, sigma: float) -> None:
    levels = soft(disc(), sigma)
    write_png(tmp_path / "m.png", levels)
    track = unocclude.read_masks(tmp_path / "m.png")
    assert np.array_equal(track[0], levels >= 128) and track.notes == ("soft masks were cut at level 128",)


def test_noise_around_a_matte_is_background(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    levels = np.maximum(soft(disc()), (rng.random(disc().shape) < 0.3) * rng.integers(1, 4, disc().shape))
    write_png(tmp_path / "m.png", levels.astype(np.uint8))
    assert np.array_equal(unocclude.read_masks(tmp_path / "m.png")[0], levels >= 128)


def test_a_clip_of_mattes_with_hard_and_empty_frames(tmp_path: Path) -> None:
    frames = [soft(disc()), disc() * np.uint8(255), disc() * np.uint8(0), soft(disc())]
    for i, levels in enumerate(frames):
        write_png(tmp_path / f"{i}.png", levels)
    assert np.array_equal(list(unocclude.read_masks(tmp_path)), [levels >= 128 for levels in frames])


@pytest.mark.parametrize("values", [(1, 2, 3), (38, 75, 113, 140), (10, 20, 200, 250)])
def test_levels_in_flat_regions_are_ids(tmp_path: Path, values: tuple[int, ...]) -> None:
    ids = np.zeros((40, 50), np.uint8)
    for k, value in enumerate(values):
        ids[5:25, 2 + 11 * k : 12 + 11 * k] = value
    write_png(tmp_path / "m.png", ids)
    with pytest.raises(InputError, match=", ".join(map(str, values))):
        unocclude.read_masks(tmp_path / "m.png")
    for value in values:
        assert np.array_equal(unocclude.read_masks(tmp_path / "m.png", object_id=value)[0], ids == value)


def test_void_is_no_object(tmp_path: Path) -> None:
    ids = np.zeros((20, 30), np.uint8)
    ids[4:15, 4:15], ids[6:12, 6:12] = 255, 1
    write_png(tmp_path / "m.png", ids, label_maps.davis_palette())
    track = unocclude.read_masks(tmp_path / "m.png")
    assert np.array_equal(track[0], ids == 1) and "void" in track.notes[0]
    assert np.array_equal(unocclude.read_masks(tmp_path / "m.png", object_id=255)[0], ids == 255)


@pytest.mark.parametrize("flip", [False, True])
def test_a_black_and_white_palette_counts_by_colour(tmp_path: Path, flip: bool) -> None:
    image = Image.fromarray((disc() ^ flip).astype(np.uint8), "P")
    image.putpalette([255, 255, 255, 0, 0, 0] if flip else [0, 0, 0, 255, 255, 255])
    image.save(tmp_path / "m.png")
    assert np.array_equal(unocclude.read_masks(tmp_path / "m.png")[0], disc())


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_the_mask(tmp_path: Path, mode: str) -> None:
    rng = np.random.default_rng(0)
    rgba = np.dstack([rng.integers(0, 256, (*disc().shape, 3), np.uint8), disc() * np.uint8(255)])
    Image.fromarray(rgba).convert(mode).save(tmp_path / "m.png")
    track = unocclude.read_masks(tmp_path / "m.png")
    assert np.array_equal(track[0], disc()) and track.notes == ()


def test_opaque_alpha_says_nothing(tmp_path: Path) -> None:
    rgba = np.dstack([disc() * np.uint8(255)] * 3 + [np.full(disc().shape, 255, np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "m.png")
    assert np.array_equal(unocclude.read_masks(tmp_path / "m.png")[0], disc())


def test_alpha_of_a_video_is_the_mask(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cuts = [np.roll(disc(48), 2 * i, 1)[:, :56] for i in range(4)]
    with av.open(str(tmp_path / "m.mov"), "w") as file:
        stream: Any = file.add_stream("prores_ks", rate=24, options={"profile": "4444"})
        stream.height, stream.width, stream.pix_fmt = 48, 56, "yuva444p10le"
        for cut in cuts:
            rgba = np.dstack([rng.integers(0, 256, (48, 56, 3), np.uint8), cut * np.uint8(255)])
            frame = av.VideoFrame.from_ndarray(rgba, "rgba")
            # with several threads, FFmpeg's scaler gets some pixels of the alpha plane wrong
            file.mux(stream.encode(frame.reformat(format=stream.pix_fmt, threads=1)))
        file.mux(stream.encode(None))
    assert np.array_equal(list(unocclude.read_masks(tmp_path / "m.mov")), cuts)


@pytest.mark.parametrize("kind", ["jpg", "mp4"])
@pytest.mark.parametrize("colour", [True, False])
def test_pictures_are_no_masks(tmp_path: Path, kind: str, colour: bool) -> None:
    ys, xs = np.mgrid[:48, :64]
    picture = np.dstack([80 + xs, 90 + ys, 100 + 0 * xs]).astype(np.uint8)
    picture[10:30, 10:40] = (220, 40, 30) if colour else (120, 120, 120)
    if not colour:
        picture = np.repeat(picture[..., 1:2], 3, 2)
    if kind == "jpg":
        Image.fromarray(picture).save(tmp_path / "m.jpg", quality=95)
    else:
        with av.open(str(tmp_path / "m.mp4"), "w") as file:
            stream: Any = file.add_stream("libx264", rate=24)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            file.mux(stream.encode(None))
    with pytest.raises(InputError, match=f"a {'colour' if colour else 'grey'} picture, not a mask"):
        unocclude.read_masks(tmp_path / f"m.{kind}")


def colour_coded(background: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    ids = np.zeros((30, 40), np.uint8)
    ids[5:20, 5:15], ids[10:25, 20:35] = 1, 2
    return ids, np.array([background, (10, 200, 30), (240, 20, 20)], np.uint8)[ids]


@pytest.mark.parametrize("background", [(0, 0, 0), (255, 255, 255), (30, 60, 90)])
def test_a_colour_for_each_object(tmp_path: Path, background: tuple[int, int, int]) -> None:
    ids, rgb = colour_coded(background)
    write_png(tmp_path / "0.png", rgb)
    write_png(tmp_path / "1.png", np.full_like(rgb, background))  # grey, if the background is
    with pytest.raises(InputError, match=r"1 \(#0ac81e\), 2 \(#f01414\)"):
        unocclude.read_masks(tmp_path)
    for k in (1, 2):
        track = unocclude.read_masks(tmp_path, object_id=k)
        assert np.array_equal(list(track), [ids == k, ids == 3])
        assert any("background is #" in note for note in track.notes) == any(background)
    with pytest.raises(InputError, match=r"id 3 does not occur.*: 1, 2"):
        unocclude.read_masks(tmp_path, object_id=3)


def test_colours_of_the_davis_palette_keep_their_ids(tmp_path: Path) -> None:
    ids = colour_coded((0, 0, 0))[0] * 2  # 2 and 4
    write_png(tmp_path / "m.png", label_maps.davis_palette()[ids])
    assert np.array_equal(unocclude.read_masks(tmp_path / "m.png", object_id=4)[0], ids == 4)
    assert label_maps.davis_palette()[[1, 2, 3, 9, 255]].tolist() == [
        [128, 0, 0], [0, 128, 0], [128, 128, 0], [192, 0, 0], [224, 224, 192],
    ]  # fmt: skip


def test_blends_at_coloured_edges_go_to_the_nearest_colour(tmp_path: Path) -> None:
    share = gaussian_filter(disc().astype(float), 0.7)[..., None]
    rgb = (share * (10, 200, 30) + (1 - share) * (0, 0, 0)).round().astype(np.uint8)
    rgb[0:20, 50:65] = (240, 20, 20)
    write_png(tmp_path / "m.png", rgb)
    found = unocclude.read_masks(tmp_path / "m.png", object_id=1)[0]
    assert (found & disc()).sum() / (found | disc()).sum() > 0.93


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_number_tiffs_are_ids(tmp_path: Path, dtype: type) -> None:
    ids = (disc() * 300).astype(dtype)
    ids[:5, :5] = 7
    Image.fromarray(ids).save(tmp_path / "m.tif")
    with pytest.raises(InputError, match="7, 300"):
        unocclude.read_masks(tmp_path / "m.tif")
    assert np.array_equal(unocclude.read_masks(tmp_path / "m.tif", object_id=300)[0], disc())


@pytest.mark.parametrize("name", ["m.npy", "m.tif"])
def test_probabilities_are_cut_at_half(tmp_path: Path, name: str) -> None:
    chances = (soft(disc()) / 255).astype(np.float32)
    if name == "m.npy":
        np.save(tmp_path / name, chances[None])
    else:
        Image.fromarray(chances).save(tmp_path / name)
    track = unocclude.read_masks(tmp_path / name)
    assert np.array_equal(track[0], chances >= 0.5) and track.notes == ("probabilities were cut at 0.5",)


def test_a_folder_for_each_object(tmp_path: Path, truth: np.ndarray) -> None:
    write_folder(tmp_path / "2", truth)
    write_folder(tmp_path / "5", ~truth)
    assert np.array_equal(list(unocclude.read_masks(tmp_path, object_id=5)), ~truth)
    with pytest.raises(InputError, match="2, 5"):
        unocclude.read_masks(tmp_path)


# Which frames masks belong to -------------------------------------------------------------------------------


def frames_of(folder: Path, names: list[str]) -> unocclude.Clip:
    folder.mkdir()
    for name in names:
        write_png(folder / f"{name}.png", np.zeros((21, 33, 3), np.uint8))
    return unocclude.open(folder)


def named(folder: Path, names: list[str], truth: np.ndarray) -> Path:
    folder.mkdir()
    for name, mask in zip(names, truth, strict=True):
        write_png(folder / f"{name}.png", mask * np.uint8(255))
    return folder


VIDEO = unocclude.Clip.from_frames(np.zeros((12, 21, 33, 3), np.uint8), shots=[range(12)])


@pytest.mark.parametrize(
    ("clip_names", "names", "frames"),
    [
        ([f"{i:05d}" for i in range(9)], ["00002", "00007"], [2, 7]),
        ([f"frame_{i}" for i in range(1, 10)], ["mask_1", "mask_9"], [0, 8]),
        (["a", "b", "c"], ["c", "a"], [0, 2]),
        ([f"shot2_{i:03d}" for i in range(5)], ["shot2_003"], [3]),
    ],
)
def test_masks_of_some_frames_go_where_their_names_say(
    tmp_path: Path, truth: np.ndarray, clip_names: list[str], names: list[str], frames: list[int]
) -> None:
    clip = frames_of(tmp_path / "clip", clip_names)
    some = read_for(clip, named(tmp_path / "masks", names, truth[3 : 3 + len(names)]))
    assert isinstance(some, SomeMasks) and sorted(some.masks) == frames and "tracked in the others" in some.notes[0]
    assert some.masks[frames[0]].dtype == bool


def test_masks_of_some_frames_of_a_video(tmp_path: Path, truth: np.ndarray) -> None:
    some = read_for(VIDEO, named(tmp_path / "a", ["00000", "00005", "00010"], truth[:3]))
    assert isinstance(some, SomeMasks) and sorted(some.masks) == [0, 5, 10] and not some.masks[10].any()
    assert np.array_equal(some.masks[5], truth[1])
    one = read_for(VIDEO, named(tmp_path / "b", ["1", "12"], truth[:2]))
    assert isinstance(one, SomeMasks) and sorted(one.masks) == [0, 11]
    with pytest.raises(InputError, match="mask 13 is beyond the 12 frames"):
        read_for(VIDEO, named(tmp_path / "c", ["1", "13"], truth[:2]))
    with pytest.raises(InputError, match="2 masks for 12 frames"):
        read_for(VIDEO, named(tmp_path / "d", ["a", "b"], truth[:2]))


def test_numbers_that_disagree_are_said(tmp_path: Path, truth: np.ndarray) -> None:
    clip = frames_of(tmp_path / "clip", ["0", "1", "2", "4", "5"])
    with pytest.raises(InputError, match="frame 2 has no mask, and mask 3 no frame"):
        read_for(clip, named(tmp_path / "masks", ["0", "1", "3", "4", "5"], truth))
    shifted = read_for(clip, named(tmp_path / "shifted", ["10", "11", "12", "14", "15"], truth))
    assert np.array_equal(list(shifted), truth) and "numbered from 10" in shifted.notes[0]
    with pytest.raises(InputError, match="no frame 9"):
        read_for(clip, named(tmp_path / "surplus", ["0", "9"], truth[:2]))


def test_sav_has_every_fourth_frame(tmp_path: Path, truth: np.ndarray) -> None:
    path = write_json(tmp_path / "m.json", {"masklet": [[rle(m)] for m in truth[:3]], "video_frame_count": 12.0})
    some = read_for(VIDEO, path)
    assert isinstance(some, SomeMasks) and sorted(some.masks) == [0, 4, 8]
    write_json(path, {"masklet": [[rle(m)] for m in truth[:3]], "video_frame_count": 99})
    with pytest.raises(InputError, match="a video with 99 frames, the clip has 12"):
        read_for(VIDEO, path)
    every_third = read_for(VIDEO, write_json(path, [rle(m) for m in truth[[0, 0, 1, 1]]]))
    assert isinstance(every_third, SomeMasks) and sorted(every_third.masks) == [0, 3, 6, 9]


# Data sets in JSON ------------------------------------------------------------------------------------------


def data_set(truth: np.ndarray, **more: Any) -> dict[str, Any]:
    return {
        "images": [{"id": i + 7, "file_name": f"d/{i:03d}.png", "height": 21, "width": 33} for i in range(len(truth))],
        "categories": [{"id": 1, "name": "ball"}, {"id": 2, "name": "wall"}],
        "annotations": [
            {"id": i, "image_id": i + 7, "category_id": 1, "segmentation": rle(mask), **more}
            for i, mask in reversed([*enumerate(truth)])
        ],
    }


def test_annotations_go_to_their_images(tmp_path: Path, truth: np.ndarray) -> None:
    clip = frames_of(tmp_path / "clip", [f"{i:03d}" for i in range(5)])
    path = write_json(tmp_path / "m.json", data_set(truth))
    assert np.array_equal(list(read_for(clip, path)), truth)


def test_polygons_of_a_data_set(tmp_path: Path, truth: np.ndarray) -> None:
    data = data_set(truth)
    for item in data["annotations"]:
        item["segmentation"] = [[4, 3, 12, 3, 12, 9, 4, 9]]
    track = unocclude.read_masks(write_json(tmp_path / "m.json", data))
    assert all(np.array_equal(mask, truth[0]) for mask in track)


def test_several_objects_of_a_data_set(tmp_path: Path, truth: np.ndarray) -> None:
    clip = frames_of(tmp_path / "clip", [f"{i:03d}" for i in range(5)])
    data = data_set(truth)
    data["annotations"] = [item for item in data["annotations"] if item["image_id"] != 11]  # says nothing of frame 4
    data["annotations"] += [{"id": 9, "image_id": 9, "category_id": 2, "segmentation": rle(~truth[2])}]
    path = write_json(tmp_path / "m.json", data)
    with pytest.raises(InputError, match=r"1 \(ball\), 2 \(wall\)"):
        read_for(clip, path)
    wall = read_for(clip, path, 2)
    assert isinstance(wall, SomeMasks) and sorted(wall.masks) == [0, 1, 2, 3]
    assert wall.masks[2].all() and not wall.masks[0].any()  # hidden where others are annotated
    assert {i: name for i, (name, _) in read_objects_for(clip, path).items()} == {1: "ball", 2: "wall"}


def test_tracks_tell_objects_of_one_category_apart(tmp_path: Path, truth: np.ndarray) -> None:
    data = data_set(truth, track_id=4)
    data["annotations"] += [{**item, "track_id": 8, "id": 50 + k} for k, item in enumerate(data["annotations"])]
    assert np.array_equal(list(unocclude.read_masks(write_json(tmp_path / "m.json", data), object_id=8)), truth)
    for item in data["annotations"]:
        del item["track_id"]
    with pytest.raises(InputError, match=r"several annotations of category 1.*track_id"):
        unocclude.read_masks(write_json(tmp_path / "m.json", data))


def test_youtube_vis(tmp_path: Path, truth: np.ndarray) -> None:
    codes = [rle(mask) if mask.any() else None for mask in truth]
    data = {
        "videos": [{"id": 1, "length": 5, "height": 21, "width": 33}],
        "annotations": [{"id": 3, "video_id": 1, "category_id": 1, "segmentations": codes}],
    }
    assert np.array_equal(list(unocclude.read_masks(write_json(tmp_path / "m.json", data))), truth)
    data["videos"].append({"id": 2})
    with pytest.raises(InputError, match="2 videos"):
        unocclude.read_masks(write_json(tmp_path / "m.json", data))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["annotations"][0].update(image_id=99), "image 99, which is not there"),
        (lambda d: d["annotations"][0].pop("segmentation"), "annotation 0 has no segmentation"),
        (lambda d: d["annotations"][0].update(segmentation={"size": [3, 3], "counts": [9]}), "it is 3x3"),
        (lambda d: d["images"][0].update(id=8), "two images have the same id"),
        (lambda d: d["images"][0].pop("id"), "image 0 has no id"),
        (lambda d: d.update(annotations=[]), "no annotations"),
        (lambda d: d["annotations"].append(3), "annotation 5 is no object"),
    ],
)
def test_damaged_data_sets(tmp_path: Path, truth: np.ndarray, change: Callable, words: str) -> None:
    data = data_set(truth)
    change(data)
    with pytest.raises(InputError, match=words) as caught:
        unocclude.read_masks(write_json(tmp_path / "m.json", data))
    assert "\n" not in str(caught.value)
