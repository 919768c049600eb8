"""Readers of published layouts: every fixture is written here, in the layout that the reader's docstring shows."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from unocclude import weights as checkpoints
from unocclude.benchmark.study import Study
from unocclude.cli import main
from unocclude.clip import Clip
from unocclude.datasets import DATASETS, captions, get_reader, lasot, open_dataset, pix2gestalt
from unocclude.datasets.lasot import read_boxes
from unocclude.datasets.movi import enlarged_box
from unocclude.datasets.tabe51 import read_levels
from unocclude.datasets.view import sequences
from unocclude.errors import InputError
from unocclude.masks import MaskTrack
from unocclude.synthesis import rigid_world, write_world

FRAMES, WIDTH, HEIGHT = 4, 48, 40


@pytest.fixture(scope="module")
def world():
    return rigid_world(2, "affine", FRAMES, WIDTH, HEIGHT, occluders=["pole"])


def save(path: Path, array: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def palette(path: Path, labels: np.ndarray) -> None:
    image = Image.fromarray(labels.astype(np.uint8), "P")
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def rle(mask: np.ndarray) -> dict:
    code = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(code["size"]), "counts": code["counts"].decode()}


def jpegs(folder: Path, world, first: int = 0) -> list[Path]:
    return [save(folder / f"{first + i:05d}.jpg", f, quality=95) for i, f in enumerate(world.frames)]


def check(sample, world, *, exact=True, amodal=True):
    """A sample's clip, masks and truth are the world's."""
    assert (len(sample.clip), sample.clip.height, sample.clip.width) == (len(world), HEIGHT, WIDTH)
    for i in range(len(world)):
        difference = np.abs(sample.clip[i].astype(int) - world.frames[i])
        assert (difference.max() == 0) if exact else (difference.mean() < 6), i
        assert np.array_equal(sample.visible[i], world.visible[i])
        if amodal:
            assert np.array_equal(sample.truth.visible[i], world.visible[i])
            assert np.array_equal(sample.truth.amodal[i], world.amodal[i])
    assert sample.has_truth == amodal


def test_davis(world, tmp_path):
    for name in ("bear", "two-cats"):
        jpegs(tmp_path / "JPEGImages/480p" / name, world)
        for i, (mask, other) in enumerate(zip(world.visible, world.visible[::-1], strict=True)):
            labels = np.where(mask, 1, np.where(other, 3, 0)) if name == "two-cats" else mask * 1
            palette(tmp_path / f"Annotations/480p/{name}/{i:05d}.png", labels)
    (tmp_path / "ImageSets/2017").mkdir(parents=True)
    (tmp_path / "ImageSets/2017/val.txt").write_text("bear\ntwo-cats\n")
    samples = open_dataset(f"davis:{tmp_path}")
    assert [s.name for s in samples] == ["bear-1", "two-cats-1", "two-cats-3"]
    check(samples[1], world, exact=False, amodal=False)
    assert np.array_equal(samples[2].visible[0], world.visible[-1] & ~world.visible[0])
    with pytest.raises(InputError, match=r"train\.txt is missing"):
        open_dataset(f"davis:{tmp_path}?split=train")
    with pytest.raises(InputError, match="has no option frames; it has split, year, resolution"):
        open_dataset(f"davis:{tmp_path}?frames=3")


def test_davis_2016_has_one_object_of_255(world, tmp_path):
    jpegs(tmp_path / "JPEGImages/480p/bear", world)
    for i, mask in enumerate(world.visible):
        save(tmp_path / f"Annotations/480p/bear/{i:05d}.png", mask.astype(np.uint8) * 255)
    listing = tmp_path / "ImageSets/2016/val.txt"
    listing.parent.mkdir(parents=True)
    listing.write_text(
        "".join(f"/JPEGImages/480p/bear/{i:05d}.jpg /Annotations/480p/bear/{i:05d}.png\n" for i in range(4))
    )
    (sample,) = open_dataset(f"davis:{tmp_path}?year=2016")
    assert sample.name == "bear-255"
    check(sample, world, exact=False, amodal=False)


def test_youtube_vos(world, tmp_path):
    split = tmp_path / "valid"
    for i in range(5 * FRAMES):  # every fifth frame is annotated
        save(split / f"JPEGImages/003/{i:05d}.jpg", world.frames[i // 5], quality=95)
    for i, mask in enumerate(world.visible):
        palette(split / f"Annotations/003/{5 * i:05d}.png", mask * 2)
    meta = {"videos": {"003": {"objects": {"2": {"category": "cat", "frames": ["00000"]}}}}}
    (split / "meta.json").write_text(json.dumps(meta))
    (sample,) = open_dataset(f"youtube-vos:{tmp_path}?split=valid")
    assert (sample.name, sample.text) == ("003-2", "cat")
    check(sample, world, exact=False, amodal=False)


def test_sail_vos(world, tmp_path):
    jpegs(tmp_path / "images" / "a", world)
    clip = {
        "segmentation": [rle(m) for m in world.amodal],
        "visible_mask": [rle(m) for m in world.visible],
        "image_file_names": [f"/a/{i:05d}.jpg" for i in range(FRAMES)],
        "obj_id": 9,
        "category_id": 1,
    }
    file = tmp_path / "clips.json"
    file.write_text(json.dumps([clip]))
    (sample,) = open_dataset(f"sail-vos:{file}?images={tmp_path / 'images'}")
    check(sample, world, exact=False)
    with pytest.raises(InputError, match=r"00000\.jpg is missing"):
        _ = open_dataset(f"sail-vos:{file}")[0].clip
    file.write_text(json.dumps([{"segmentation": []}]))
    with pytest.raises(InputError, match=r"clips\.json: 0\.visible_mask: is missing; download it again"):
        open_dataset(f"sail-vos:{file}")
    file.write_text("[{")
    with pytest.raises(InputError, match="is no JSON"):
        open_dataset(f"sail-vos:{file}")
    with pytest.raises(InputError, match="is a folder; give the JSON file"):
        open_dataset(f"sail-vos:{tmp_path}")


@pytest.fixture
def tao(world, tmp_path):
    jpegs(tmp_path / "frames", world)
    boxes = [[-5.0, 3.0, 30.0, 20.0 + i] for i in range(FRAMES)]
    track = {
        "track_id": 7, "category_id": 1, "video_id": 2, "height": HEIGHT, "width": WIDTH,
        "file_names": [f"frames/{i:05d}.jpg" for i in range(FRAMES)],
        "rles": [rle(m)["counts"] for m in world.visible], "amodal_bboxes": boxes,
    }  # fmt: skip
    file = tmp_path / "tracks.json"
    file.write_text(json.dumps([track]))
    return file, boxes


def test_tao_amodal(world, tao):
    file, boxes = tao
    (sample,) = open_dataset(f"tao-amodal:{file}")
    assert (sample.name, sample.pad) == ("2-7", 0.25) and sample.truth.amodal is None
    assert np.array_equal(sample.truth.boxes, boxes) and np.array_equal(sample.visible[1], world.visible[1])
    assert open_dataset(f"tao-amodal:{file}?protocol=plain")[0].pad == 0
    with pytest.raises(InputError, match="protocol is wide, expected padded or plain"):
        open_dataset(f"tao-amodal:{file}?protocol=wide")


def test_bench_measures_boxes_on_the_padded_canvas(world, tao, tmp_path):
    file, boxes = tao
    out = tmp_path / "out"
    assert main(["bench", f"TAO-Amodal=tao-amodal:{file}", "-o", str(out), "--methods", "modal", "--quiet"]) == 0
    figures = json.loads((out / "figures/TAO-Amodal/2-7/modal.json").read_text())
    ious = []
    for mask, (x, y, w, h) in zip(world.visible, boxes, strict=True):
        rows, columns = np.nonzero(mask)
        grid = np.zeros((3 * HEIGHT, 3 * WIDTH), int)  # pixel counting, the frame in the middle
        grid[HEIGHT + rows.min() : HEIGHT + rows.max() + 1, WIDTH + columns.min() : WIDTH + columns.max() + 1] += 1
        grid[HEIGHT + int(y) : HEIGHT + int(y + h), WIDTH + int(x) : WIDTH + int(x + w)] += 2
        ious.append((grid == 3).sum() / (grid > 0).sum())
    for threshold in (25, 50, 75):
        expected = np.mean(np.array(ious) > threshold / 100)
        assert figures[f"ap{threshold}_published"] == pytest.approx(expected)
    assert figures["miou"] is None
    assert "Diffusion-VAS, Top-1" in (out / "table.md").read_text()


def kubric_scene(folder: Path, world, picture: str, labels: str, k: int, whole: bool = True) -> None:
    for i in range(FRAMES):
        rgba = np.dstack([world.frames[i], np.full((HEIGHT, WIDTH), 255, np.uint8)])
        save(folder / f"{picture}_{i:05d}.png", rgba)
        palette(folder / f"{labels}_{i:05d}.png", world.visible[i] * (k + 1))
        if whole:
            palette(folder / f"segmentation_{k}_{i:05d}.png", world.amodal[i] * (k + 1))
    about = {"metadata": {"num_frames": FRAMES, "height": HEIGHT, "width": WIDTH}, "instances": [{}] * (k + 1)}
    (folder / "metadata.json").write_text(json.dumps(about))


def test_kubric(world, tmp_path):
    kubric_scene(tmp_path / "s1", world, "rgba", "segmentation", 1)
    samples = open_dataset(f"kubric:{tmp_path}")
    assert [s.name for s in samples] == ["s1-0", "s1-1"] and not samples[0].has_truth
    check(samples[1], world)
    with pytest.raises(InputError, match="does not tell the whole object"):
        _ = samples[0].truth


def test_movi_whole_and_cropped(world, tmp_path):
    kubric_scene(tmp_path / "test/v7", world, "rgba_full", "segmentation_full", 2)
    np.save(tmp_path / "test/instance_list.npy", np.array(["v7-2"]))
    (sample,) = open_dataset(f"movi:{tmp_path}")
    assert sample.name == "v7-2"
    check(sample, world)
    (cropped,) = open_dataset(f"movi:{tmp_path}?protocol=crop2x&size=64")
    assert (cropped.clip.height, cropped.clip.width) == (64, 64)
    seen = [i for i in range(FRAMES) if world.visible[i].any()]
    assert len(cropped.clip) == len(cropped.visible) == len(cropped.truth) == len(seen)
    ys, xs = np.nonzero(world.visible[seen[0]])
    rows, columns = enlarged_box(world.visible[seen[0]])
    assert (rows.start, columns.start) == (
        max(0, (ys.min() + ys.max() + 1) // 2 - (ys.max() + 1 - ys.min())),
        max(0, (xs.min() + xs.max() + 1) // 2 - (xs.max() + 1 - xs.min())),
    )
    share = world.amodal[seen[0]][rows, columns].mean()
    assert cropped.truth.amodal[0].mean() == pytest.approx(share, abs=0.03)
    with pytest.raises(InputError, match="protocol is half"):
        open_dataset(f"movi:{tmp_path}?protocol=half")


def test_fishbowl(world, tmp_path):
    root = tmp_path / "test_data"
    for i, frame in enumerate([world.frames[0], *world.frames]):  # the object enters in frame 1
        save(root / f"test_frames/12/{i:05d}.png", frame)
    entries = {}
    for i in range(FRAMES):
        masks = {"FM": world.amodal[i], "VM": world.visible[i]}
        entries[i + 1] = {k: coco.encode(np.asfortranarray(m[..., None], np.uint8)) for k, m in masks.items()}
    (root / "test_data.pkl").write_bytes(pickle.dumps({"12_3": entries}))
    (sample,) = open_dataset(f"fishbowl:{root}")
    assert sample.name == "12_3"
    check(sample, world)


def test_a_pickle_must_not_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "owned",))

    root = tmp_path / "test_data"
    root.mkdir()
    (root / "test_data.pkl").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError, match="is not the pickle of FISHBOWL"):
        open_dataset(f"fishbowl:{root}")
    assert not (tmp_path / "owned").exists()


def test_lasot_boxes_are_segmented(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    folder = tmp_path / "cat" / "cat-3"
    truth = np.zeros((60, 80), bool)
    truth[20:40, 30:55] = True
    for i in range(3):
        frame = rng.integers(40, 60, (60, 80, 3), dtype=np.uint8)
        frame[truth] = (220, 90, 30)
        save(folder / f"img/{i + 1:08d}.jpg", frame, quality=95)
    (folder / "groundtruth.txt").write_text("31,21,25,20\n31,21,25,20\n31,21,25,20\n")
    (folder / "full_occlusion.txt").write_text("0,1,0")
    (folder / "out_of_view.txt").write_text("0,0,0")
    (sample,) = open_dataset(f"lasot:{tmp_path}")
    assert (sample.name, sample.text, sample.has_truth) == ("cat-3", "cat", False)
    masks = sample.visible
    assert not masks[1].any() and "without weights" in masks.origin
    for i in (0, 2):
        assert (masks[i] & truth).sum() / (masks[i] | truth).sum() > 0.9
    asked = []

    def sam(image, cues):
        asked.append(cues[0].boxes[0])
        return np.stack([truth & (np.arange(80) % 2 > 0)]), np.ones(1)

    monkeypatch.setattr(lasot, "_sam", lambda: sam)
    masks = open_dataset(f"lasot:{tmp_path}")[0].visible
    assert asked == [(30, 20, 55, 40)] * 2 and "by SAM" in masks.origin
    assert np.array_equal(masks[0], truth & (np.arange(80) % 2 > 0)) and not masks[1].any()


def square(x0, y0, x1, y1):
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def test_cocoa(tmp_path):
    save(tmp_path / "img/COCO_1.jpg", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    whole = np.zeros((HEIGHT, WIDTH), bool)
    whole[5:25, 10:30] = True
    seen = whole.copy()
    seen[5:25, 20:30] = False
    regions = [
        {"segmentation": square(10, 5, 30, 25), "visible_mask": rle(seen), "name": "dish", "order": 2},
        {"segmentation": square(0, 0, 9, 9), "name": "cup", "order": 1},
        {"segmentation": square(0, 0, 48, 40), "name": "table", "isStuff": 1, "order": 3},
    ]
    content = {"images": [{"id": 4, "file_name": "COCO_1.jpg"}], "annotations": [{"image_id": 4, "regions": regions}]}
    file = tmp_path / "a.json"
    file.write_text(json.dumps(content))
    dish, cup = open_dataset(f"cocoa:{file}?images={tmp_path / 'img'}")
    assert (dish.text, dish.name, len(dish.clip)) == ("dish", "COCO_1-0", 1)
    assert np.array_equal(dish.visible[0], seen) and np.array_equal(dish.truth.amodal[0], whole)
    assert np.array_equal(cup.visible[0], cup.truth.amodal[0]) and cup.visible.areas[0] == 81
    assert len(open_dataset(f"cocoa:{file}?images={tmp_path / 'img'}&stuff=yes")) == 3


@pytest.mark.parametrize("keys", [("a_segm", "i_segm"), ("segmentation", "inmodal_seg")])
def test_kins(tmp_path, keys):
    save(tmp_path / "000007.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    seen = np.zeros((HEIGHT, WIDTH), bool)
    seen[5:15, 10:30] = True
    instance = {"image_id": 1, "id": 5, "category_id": 3, keys[0]: [square(10, 5, 30, 25)], keys[1]: rle(seen)}
    content = {
        "images": [{"id": 1, "file_name": "000007.png", "height": HEIGHT, "width": WIDTH}],
        "annotations": [instance],
        "categories": [{"id": 3, "name": "car"}],
    }
    file = tmp_path / "k.json"
    file.write_text(json.dumps(content))
    (sample,) = open_dataset(f"kins:{file}")
    assert (sample.name, sample.text) == ("000007-5", "car")
    assert np.array_equal(sample.visible[0], seen) and sample.truth.amodal.areas[0] == 400
    del instance[keys[1]]
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match="instance 0 has neither i_segm nor inmodal_seg"):
        open_dataset(f"kins:{file}")


def test_pix2gestalt(world, tmp_path, monkeypatch):
    for k in range(2):
        save(tmp_path / f"occlusion/{k}_occlusion.png", world.frames[k])
        save(tmp_path / f"visible_object_mask/{k}_visible_mask.png", world.visible[k].astype(np.uint8) * 255)
        save(tmp_path / f"whole/{k}_whole.png", world.amodal_rgb[k])
        save(tmp_path / f"whole_mask/{k}_whole_mask.png", world.amodal[k].astype(np.uint8) * 255)
    samples = open_dataset(f"pix2gestalt:{tmp_path}")
    assert [s.name for s in samples] == ["0_occlusion", "1_occlusion"]
    assert np.array_equal(samples[1].visible[0], world.visible[1])
    assert np.array_equal(samples[1].truth.rgba(0)[..., :3], world.amodal_rgb[1])
    assert "caption" not in samples[1].truth.notes
    (tmp_path / "captions.json").write_text('{"1_occlusion": "a red ball"}')
    samples = open_dataset(f"pix2gestalt:{tmp_path}?captions={tmp_path / 'captions.json'}")
    assert captions.of_truth(samples[1].truth) == "a red ball" and captions.of_truth(samples[0].truth) == ""
    monkeypatch.setattr(checkpoints, "resolve_checkpoint", lambda *_: tmp_path)
    monkeypatch.setattr(pix2gestalt, "_captioner", lambda: lambda picture: f"white is {int(picture[0, 0, 0])}")
    (first, _) = open_dataset(f"pix2gestalt:{tmp_path}?captions=blip2")
    assert captions.of_truth(first.truth) == "white is 255"
    (tmp_path / "captions.json").write_text('{"1_occlusion": 3}')
    with pytest.raises(InputError, match=r"captions\.json"):
        open_dataset(f"pix2gestalt:{tmp_path}?captions={tmp_path / 'captions.json'}")
    (tmp_path / "whole/1_whole.png").unlink()
    with pytest.raises(InputError, match="1 in whole, 2 in whole_mask; there must be as many"):
        open_dataset(f"pix2gestalt:{tmp_path}")


@pytest.fixture
def tabe(world, tmp_path):
    video = tmp_path / "TABE-51/data/ball_roll"
    jpegs(video / "frames", world)
    for i in range(FRAMES):
        save(video / f"visible_masks/{i:05d}.png", world.visible[i].astype(np.uint8) * 255)
        save(video / f"gt_masks/{i:05d}.png", world.amodal[i].astype(np.uint8) * 255)
    levels = ["no_occlusion", "slight_occlusion", 0, None]
    (video / "annos.json").write_text(json.dumps({"occlusion": [{"level": v, "amount": 0.5} for v in levels]}))
    return tmp_path / "TABE-51"


def test_tabe_51(world, tabe, tmp_path):
    (sample,) = open_dataset(f"tabe-51:{tabe}")
    check(sample, world, exact=False)
    assert sample.truth.notes["occluded"].tolist() == [False, True, True, True]
    assert read_levels(tabe / "data/ball_roll/annos.json").tolist() == [2, 1, 0, 3]
    out = tmp_path / "out"
    assert main(["bench", f"tabe-51:{tabe}", "-o", str(out), "--methods", "convex", "--quiet"]) == 0
    figures = json.loads((out / "figures/tabe-51/ball_roll/convex.json").read_text())
    from unocclude import Completion

    pred = Completion(out / "runs/tabe-51/ball_roll/convex").amodal_masks
    ious, hidden = [], []
    for i in range(FRAMES):  # as released, in signed numbers
        p, a, m = (np.asarray(x).astype(int) for x in (pred[i], world.amodal[i], world.visible[i]))
        union = np.logical_or(a, p).sum()
        ious.append(np.logical_and(a, p).sum() / union if union else 0)
        if (a - m).sum() > 0:
            hidden.append(np.logical_and(a - m, p - m).sum() / np.logical_or(a - m, p - m).sum())
    assert figures["tabe_miou"] == pytest.approx(np.mean(ious))
    assert figures["tabe_miou_fo"] == pytest.approx(np.mean(ious[1:]))
    assert figures["tabe_miou_occ"] == pytest.approx(np.mean(hidden))


def test_open_world(tmp_path):
    save(tmp_path / "images/a.jpg", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    content = {
        "annotations": [{"filename": "images/a.jpg", "labels": ["cat", "red cup"]}, {"filename": "b", "labels": ["x"]}]
    }
    file = tmp_path / "q.json"
    file.write_text(json.dumps(content))
    (tmp_path / "list.txt").write_text("images/a.jpg\n")
    cat, cup = open_dataset(f"open-world:{file}?names={tmp_path / 'list.txt'}")
    assert (cat.text, cup.text, cup.name, len(cup.clip)) == ("cat", "red cup", "a-1", 1)
    with pytest.raises(InputError, match="comes with words"):
        _ = cup.visible
    code = main(["bench", f"open-world:{file}", "-o", str(tmp_path / "out"), "--methods", "modal"])
    assert code == 2 and not (tmp_path / "out").exists()


def test_long_videos_are_cut_at_shots(world):
    grey = [np.full((40, 48, 3), v, np.uint8) for v in [20] * 60 + [230] * 30]
    masks = [np.zeros((40, 48), bool) for _ in grey]
    for i in [*range(0, 40), *range(60, 90)]:
        masks[i][5:15, i % 20 : i % 20 + 10] = True
    clip, track = Clip.from_frames(grey), MaskTrack.from_masks(masks)
    from unocclude.datasets import Sample, Truth

    long = Sample("v", lambda: clip, lambda: track, lambda: Truth("v", track, track, rgb=lambda i: grey[i]))
    parts = sequences(long)
    assert [p.name for p in parts] == ["v-00000", "v-00025", "v-00060"]  # 50 to 59 is too short, and across a cut
    assert all(len(p.clip) == len(p.truth) == 25 for p in parts)
    assert np.array_equal(parts[1].visible[3], masks[28]) and np.array_equal(parts[1].truth.amodal[3], masks[28])
    assert parts[2].clip[0].mean() == 230 and parts[2].truth.rgba(0)[..., 0].mean() == 230
    assert [p.name for p in sequences(long, 10)][:6] == [
        "v-00000",
        "v-00010",
        "v-00020",
        "v-00030",
        "v-00060",
        "v-00070",
    ]


def test_specs(tmp_path):
    with pytest.raises(InputError, match="unknown kind of data movy; choose one of gt, davis"):
        open_dataset("movy:/somewhere")
    with pytest.raises(InputError, match="there is no such file or folder"):
        open_dataset(f"cocoa:{tmp_path / 'no.json'}")
    with pytest.raises(InputError, match="holds no sample of lasot"):
        open_dataset(f"lasot:{tmp_path}")
    with pytest.raises(InputError, match="split has no value"):
        open_dataset(f"davis:{tmp_path}?split")
    assert all(callable(get_reader(kind)) for kind in DATASETS)


def test_a_study_finds_its_data_again(tabe, tmp_path):
    out = tmp_path / "out"
    assert main(["bench", f"tabe-51:{tabe}", "-o", str(out), "--methods", "modal,convex", "--quiet"]) == 0
    study = Study(out)
    (trial,) = study.trials("ann")
    assert study.video(trial, "input").stat().st_size > 0


def test_ids_and_names_from_files_stay_in_their_folders(tao, tmp_path):
    file, _ = tao
    (track,) = json.loads(file.read_text())
    odd = [track | {"track_id": name} for name in ("/tmp/x", "_tmp_x", "../x")]
    file.write_text(json.dumps(odd))
    names = [sample.name for sample in open_dataset(f"tao-amodal:{file}")]
    assert names[1] == "2-_tmp_x" and len(set(names)) == 3
    assert all(Path(tmp_path, name).resolve().parent == tmp_path.resolve() for name in names)
    file.write_text(json.dumps([track, track]))
    with pytest.raises(InputError, match="holds 2 samples called 2-7"):
        open_dataset(f"tao-amodal:{file}")
    file.write_text(json.dumps([track | {"file_names": ["a/../../x.png"]}]))
    with pytest.raises(InputError, match="which is not in"):
        open_dataset(f"tao-amodal:{file}")
    for text in ("image,query\n/etc/x.png,cat\n", "image,masks\na.png,../m.png\n"):
        (tmp_path / "q.csv").write_text(text)
        with pytest.raises(InputError, match="which is not in"):
            open_dataset(f"open-world:{tmp_path / 'q.csv'}")


def test_what_is_wrong_is_named_with_its_place(tao):
    file, _ = tao
    (track,) = json.loads(file.read_text())

    def refused(words, **changes):
        file.write_text(json.dumps([track | changes]))
        with pytest.raises(InputError, match=words) as caught:
            sample = open_dataset(f"tao-amodal:{file}")[0]
            _ = sample.truth
        assert str(caught.value).isprintable() and str(file) in str(caught.value)

    refused(r"0\.height: Input should be a valid integer", height="tall")
    refused(r"0\.amodal_bboxes\.1\.3: Input should be", amodal_bboxes=[[1, 2, 3, 4], [1, 2, 3, 1e300]])
    refused("4 visible masks, 1 boxes", amodal_bboxes=[[1, 2, 3, 4]])
    refused(r"track 7: mask 0 is not a COCO RLE .*cover", width=WIDTH + 1)
    refused(r"0\.track_id: Input should be", track_id=None)


def test_images_that_several_people_annotated(tmp_path):
    regions = [{"segmentation": square(0, 0, 9, 9), "name": name} for name in ("cup", "dish")]
    annotations = [{"image_id": 4, "regions": regions}, {"image_id": 4, "regions": regions[:1]}]
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"images": [{"id": 4, "file_name": "c.jpg"}], "annotations": annotations}))
    assert [sample.name for sample in open_dataset(f"cocoa:{file}")] == ["c-0", "c-1", "c-2"]


def test_lists_of_names_and_boxes_that_are_damaged(tmp_path):
    listing = tmp_path / "ImageSets/2017/val.txt"
    listing.parent.mkdir(parents=True)
    for data, words in (
        (b"\xff\n", "not in UTF-8"),
        (b"..\n", "which is not in"),
        (b"a\0b\n", "which is no file name"),
    ):
        listing.write_bytes(data)
        with pytest.raises(InputError, match=words):
            open_dataset(f"davis:{tmp_path}")
    boxes = tmp_path / "cat-1/groundtruth.txt"
    boxes.parent.mkdir()
    for text, words in (
        ("a,b\n", "no number|other than numbers"),
        ("1,2,3\n", "x,y,w,h"),
        ("1,1,inf,1\n", "has a coordinate beyond"),
        ("", "x,y,w,h"),
    ):
        boxes.write_text(text)
        with pytest.raises(InputError, match=words):
            read_boxes(boxes.parent)
    boxes.write_text("1,1,4,4\n")
    (boxes.parent / "out_of_view.txt").write_text("0,1")
    with pytest.raises(InputError, match="2 numbers for 1 frames"):
        read_boxes(boxes.parent)


@pytest.mark.parametrize(
    "listing",
    [
        np.array([{"v": 1}], dtype=object), np.arange(3), np.array(["v-x"]), np.array(["../v-0"]),
        np.array(["v-99999"]), np.zeros(0, "U3"), np.zeros(5, "U0"), np.array([0x7FFFFFFF], np.uint32).view("U1"),
    ],
)  # fmt: skip
def test_lists_of_instances_that_are_damaged(tmp_path, listing):
    (tmp_path / "test").mkdir()
    np.save(tmp_path / "test/instance_list.npy", listing)
    with pytest.raises(InputError) as caught:
        open_dataset(f"movi:{tmp_path}")
    assert str(caught.value).isprintable()
    with pytest.raises(InputError, match="size is 1e9, expected a whole number of pixels"):
        open_dataset(f"movi:{tmp_path}?protocol=crop2x&size=1e9")


def test_the_colours_of_a_large_object_are_counted_in_a_part_of_it(monkeypatch):
    rgb = np.zeros((20, 30, 3), np.uint8)
    rgb[:, :18], rgb[:, 18:] = (200, 35, 35), (50, 90, 200)
    looks = [(rgb, np.ones((20, 30), bool))]
    assert captions.caption({"class": "cup"}, looks) == "a red and blue cup"
    monkeypatch.setattr(captions, "MAX_PIXELS", 50)
    assert captions.caption({"class": "cup"}, looks) == "a red and blue cup"


def test_gt_folders_by_their_split(world, tmp_path):
    for k, split in enumerate(("train", "val", "train")):
        world.about["split"] = split
        write_world(world, tmp_path / f"{k:05d}")
    world.about.pop("split")
    names = lambda query: [sample.name for sample in open_dataset(f"gt:{tmp_path}{query}")]  # noqa: E731
    assert names("?split=train") == ["00000", "00002"] and names("?split=val") == ["00001"] and len(names("")) == 3
    write_world(world, tmp_path / "00003")
    for query, said in (("?split=val", "names no split"), ("?split=test", "expected one of all, train, val")):
        with pytest.raises(InputError, match=said):
            names(query)


def test_long_videos_are_cut_into_sequences(tmp_path):
    long = rigid_world(2, "affine", 11, WIDTH, HEIGHT, occluders=["pole"])
    write_world(long, tmp_path / "clip")
    parts = open_dataset(f"gt:{tmp_path}?sequences=5")
    assert [part.name for part in parts] == ["clip-00000", "clip-00005"] and all(len(part.clip) == 5 for part in parts)
    assert np.array_equal(parts[1].truth.amodal[0], long.amodal[5])
    with pytest.raises(InputError, match="sequences is none, expected a number of frames"):
        open_dataset(f"gt:{tmp_path}?sequences=none")
