"""Damaged data sets: a reader gives samples or says in one line what is wrong; nothing else, and soon.

`python tests/fuzz/test_fuzz_datasets.py READER... COUNT` tries more and counts what fails.
"""

import json
import pickle
import random
import shutil
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

import unocclude
from json_mutations import mutated_bytes, mutated_json
from unocclude.datasets import captions, open_dataset
from unocclude.errors import UnoccludeError
from unocclude.media import plain_pickle, rle

FRAMES, WIDTH, HEIGHT = 2, 12, 10
SECONDS = 10.0
WHOLE = np.zeros((HEIGHT, WIDTH), np.uint8)
WHOLE[2:8, 3:9] = 1
SEEN = WHOLE.copy()
SEEN[:, 6:] = 0
SQUARE = [3, 2, 9, 2, 9, 8, 3, 8]


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    code = coco.encode(np.asfortranarray(mask))
    return {"size": list(code["size"]), "counts": code["counts"].decode()}


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def picture(path: Path) -> str:
    save(path, np.full((HEIGHT, WIDTH, 3), 90, np.uint8) + WHOLE[..., None] * np.uint8(100))
    return path.name


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


# Tiny data sets: each gives what open_dataset takes, and the file that is damaged --------------------------------


def gt(root: Path) -> tuple[str, Path]:
    for i in range(FRAMES):
        picture(root / f"a/frames/{i}.png")
        picture(root / f"a/amodal_rgb/{i}.png")
        save(root / f"a/visible_masks/{i}.png", SEEN * 255)
        save(root / f"a/amodal_masks/{i}.png", WHOLE * 255)
    return f"gt:{root}", write(root / "a/meta.json", {"class": "cup", "caption": "", "fps": 24, "rates": [0.5, 0.5]})


def davis(root: Path) -> tuple[str, Path]:
    for i in range(FRAMES):
        picture(root / f"JPEGImages/480p/bear/{i}.png")
        save(root / f"Annotations/480p/bear/{i}.png", SEEN)
    return f"davis:{root}", write(root / "ImageSets/2017/val.txt", "bear\n")


def youtube_vos(root: Path) -> tuple[str, Path]:
    for i in range(FRAMES):
        picture(root / f"valid/JPEGImages/v/{i}.jpg")
        save(root / f"valid/Annotations/v/{i}.png", SEEN)
    videos = {"v": {"objects": {"1": {"category": "cat", "frames": ["0"]}}}}
    return f"youtube-vos:{root}?split=valid", write(root / "valid/meta.json", {"videos": videos})


def sail_vos(root: Path) -> tuple[str, Path]:
    names = [f"/{picture(root / f'{i}.png')}" for i in range(FRAMES)]
    clip = {
        "segmentation": [run_lengths(WHOLE)] * FRAMES, "visible_mask": [run_lengths(SEEN)] * FRAMES,
        "image_file_names": names, "obj_id": 9, "category_id": 1,
    }  # fmt: skip
    return f"sail-vos:{root / 'x.json'}", write(root / "x.json", [clip, clip])


def tao_amodal(root: Path) -> tuple[str, Path]:
    track = {
        "track_id": 7, "category_id": 1, "video_id": 2, "height": HEIGHT, "width": WIDTH,
        "file_names": [picture(root / f"{i}.png") for i in range(FRAMES)],
        "rles": [run_lengths(SEEN)["counts"]] * FRAMES, "amodal_bboxes": [[-5.0, 3.0, 30.0, 20.0]] * FRAMES,
    }  # fmt: skip
    return f"tao-amodal:{root / 'x.json'}", write(root / "x.json", [track, track | {"track_id": 8}])


def scene(folder: Path, name: str, labels: str) -> Path:
    for i in range(FRAMES):
        picture(folder / f"{name}_{i:05d}.png")
        save(folder / f"{labels}_{i:05d}.png", SEEN)
        save(folder / f"segmentation_0_{i:05d}.png", WHOLE)
    about = {"num_frames": FRAMES, "height": HEIGHT, "width": WIDTH}
    return write(folder / "metadata.json", {"metadata": about, "instances": [{"asset_id": "x"}]})


def kubric(root: Path) -> tuple[str, Path]:
    return f"kubric:{root}", scene(root / "s", "rgba", "segmentation")


def movi(root: Path) -> tuple[str, Path]:
    file = scene(root / "test/v", "rgba_full", "segmentation_full")
    np.save(root / "test/instance_list.npy", np.array(["v-0"]))
    return f"movi:{root}?protocol=crop2x&size=16", file


def movi_list(root: Path) -> tuple[str, Path]:
    spec, _ = movi(root)
    return spec, root / "test/instance_list.npy"


def fishbowl(root: Path) -> tuple[str, Path]:
    def entry() -> dict[str, Any]:
        masks = {"FM": WHOLE, "VM": SEEN}
        return {k: coco.encode(np.asfortranarray(m[..., None])) for k, m in masks.items()} | {"box": np.arange(4)}

    for i in range(FRAMES):
        picture(root / f"test_data/test_frames/12/{i}.png")
    file = root / "test_data/test_data.pkl"
    file.write_bytes(pickle.dumps({"12_3": {np.int64(i): entry() for i in range(FRAMES)}}))
    return f"fishbowl:{file.parent}", file


def lasot(root: Path) -> tuple[str, Path]:
    for i in range(FRAMES):
        picture(root / f"cat/cat-3/img/{i}.png")
    write(root / "cat/cat-3/full_occlusion.txt", "0,1")
    return f"lasot:{root}", write(root / "cat/cat-3/groundtruth.txt", "4,3,6,6\n4,3,6,6\n")


def lasot_occlusion(root: Path) -> tuple[str, Path]:
    spec, file = lasot(root)
    return spec, file.with_name("full_occlusion.txt")


def cocoa(root: Path) -> tuple[str, Path]:
    region = {"segmentation": SQUARE, "visible_mask": run_lengths(SEEN), "name": "dish", "order": 2, "isStuff": 0}
    regions = [region, {"segmentation": SQUARE, "name": "cup", "order": 1}]
    annotations = [{"image_id": 4, "regions": regions}]
    content = {"images": [{"id": 4, "file_name": picture(root / "a.png")}], "annotations": annotations}
    return f"cocoa:{root / 'x.json'}", write(root / "x.json", content)


def kins(root: Path) -> tuple[str, Path]:
    given = {"a_segm": [SQUARE], "i_segm": run_lengths(SEEN)}
    content = {
        "images": [{"id": 1, "file_name": picture(root / "7.png"), "height": HEIGHT, "width": WIDTH}],
        "annotations": [{"image_id": 1, "id": k, "category_id": 3, **given} for k in range(2)],
        "categories": [{"id": 3, "name": "car"}],
    }
    return f"kins:{root / 'x.json'}", write(root / "x.json", content)


def pix2gestalt(root: Path) -> tuple[str, Path]:
    picture(root / "occlusion/0.png"), picture(root / "whole/0.png")
    file = save(root / "visible_object_mask/0.png", SEEN * 255)
    save(root / "whole_mask/0.png", WHOLE * 255)
    return f"pix2gestalt:{root}", file


def tabe51(root: Path) -> tuple[str, Path]:
    for i in range(FRAMES):
        picture(root / f"ball/frames/{i}.png")
        save(root / f"ball/visible_masks/{i}.png", SEEN * 255)
        save(root / f"ball/gt_masks/{i}.png", WHOLE * 255)
    levels = [{"level": level, "amount": 0.5} for level in ("slight", 2)]
    return f"tabe-51:{root}", write(root / "ball/annos.json", {"occlusion": levels})


def open_world(root: Path) -> tuple[str, Path]:
    annotations = [{"filename": picture(root / "a.png"), "labels": ["cat", "red cup"]}]
    return f"open-world:{root / 'x.json'}", write(root / "x.json", {"annotations": annotations})


def open_world_table(root: Path) -> tuple[str, Path]:
    picture(root / "a.png"), save(root / "m.png", SEEN * 255)
    return f"open-world:{root / 'x.csv'}", write(root / "x.csv", "image,query,masks\na.png,cat,\na.png,,m.png\n")


SEEDS: dict[str, Callable[[Path], tuple[str, Path]]] = {
    seed.__name__: seed
    for seed in (
        gt, davis, youtube_vos, sail_vos, tao_amodal, kubric, movi, movi_list, fishbowl, lasot, lasot_occlusion, cocoa,
        kins, pix2gestalt, tabe51, open_world, open_world_table,
    )
}  # fmt: skip


# Targets: bytes that may be anything → success or one line -------------------------------------------------------


class Target:
    """`target(data)` asserts what must hold of a reader whose file holds `data`."""

    def __init__(self, folder: Path, name: str):
        self.spec, self.file = SEEDS[name](folder)
        self.seed = self.file.read_bytes()

    def __call__(self, data: bytes) -> None:
        self.file.write_bytes(data)
        orderly(lambda: use(self.spec))


class Masks:
    """A JSON of masks; the polygons and run lengths of it go through `media.rle` as well."""

    def __init__(self, folder: Path):
        self.file = folder / "m.json"
        counts = [int(SEEN.size)]
        masks = [run_lengths(SEEN), None, {"segmentation": {"size": [HEIGHT, WIDTH], "counts": counts}}]
        self.seed = json.dumps({"masklet": [[mask] for mask in masks], "masklet_id": [0]}).encode()

    def __call__(self, data: bytes) -> None:
        self.file.write_bytes(data)
        for object_id in (None, 0):
            orderly(lambda object_id=object_id: unocclude.read_masks(self.file, object_id=object_id).areas)


class Runs:
    """The counts of one mask, as text."""

    def __init__(self, folder: Path):
        self.seed = run_lengths(SEEN)["counts"].encode()

    def __call__(self, data: bytes) -> None:
        for counts in (data, data.decode("latin-1")):
            try:
                code = rle.to_compressed_rle({"size": [HEIGHT, WIDTH], "counts": counts})
            except ValueError as error:
                assert str(error).isprintable()
            else:
                mask = coco.decode(code)
                assert mask.shape == (HEIGHT, WIDTH) and mask.sum() == coco.area(code)


class Pickles:
    """A pickle alone, whatever is in it."""

    def __init__(self, folder: Path):
        self.file = folder / "x.pkl"
        content = {"a": [1, -2.5, None, True, 2**70, b"x", (1, (2,))], 3: np.eye(2), "s": np.float32(2)}
        self.seed = pickle.dumps(content, protocol=2)

    def __call__(self, data: bytes) -> None:
        self.file.write_bytes(data)
        orderly(lambda: plain_pickle.read_pickle(self.file))


def target(name: str, folder: Path) -> Any:
    own = {"masks": Masks, "runs": Runs, "pickles": Pickles}
    return own[name](folder) if name in own else Target(folder, name)


def use(spec: str) -> None:
    """Everything of every sample, as the commands read it."""
    for sample in open_dataset(spec)[:5]:
        assert "/" not in sample.name and sample.name.isprintable()
        trials = [lambda s=sample: s.clip[len(s.clip) - 1]]
        trials += [lambda s=sample: s.visible[0]] * sample.has_masks
        trials += [lambda s=sample: (s.truth.visible[-1], captions.of_truth(s.truth))] * sample.has_truth
        for trial in trials:
            orderly(trial)


def orderly(trial: Callable[[], Any]) -> None:
    try:
        trial()
    except UnoccludeError as error:
        message = str(error)
        assert message.isprintable() and len(message) < 1500, message[:3000]


def damaged(name: str, seed: bytes, rng: random.Random) -> bytes:
    if seed[:1] in (b"{", b"["):
        return mutated_json(seed, rng)
    return mutated_bytes(seed, rng)


def attempt(name: str, folder: Path, count: int, start: int = 0) -> Counter[str]:
    """How often each kind of failure occurred in `count` damaged files."""
    check = target(name, folder)
    failures: Counter[str] = Counter()
    check(check.seed)
    for k in range(start, start + count):
        data = damaged(name, check.seed, random.Random(zlib.crc32(f"{name}-{k}".encode())))
        begun = time.perf_counter()
        try:
            check(data)
        except Exception as error:
            line = traceback.extract_tb(error.__traceback__)[-1]
            failures[f"{type(error).__name__} in {Path(line.filename).name}:{line.lineno}: {str(error)[:100]}"] += 1
        if time.perf_counter() - begun > SECONDS:
            failures[f"slow: number {k}"] += 1
    return failures


NAMES = [*SEEDS, "masks", "runs", "pickles"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_damaged_files(name: str, tmp_path: Path) -> None:
    assert attempt(name, tmp_path, 15) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_many_damaged_files(name: str, tmp_path: Path) -> None:
    assert attempt(name, tmp_path, 600, start=15) == {}


@pytest.mark.parametrize("name", NAMES)
def test_seeds_are_whole(name: str, tmp_path: Path) -> None:
    if name in SEEDS:
        spec, _ = SEEDS[name](tmp_path)
        for sample in open_dataset(spec):
            assert len(sample.clip) and (not sample.has_masks or sample.visible.areas.any())
            assert not sample.has_truth or len(sample.truth)


if __name__ == "__main__":
    import resource

    warnings.simplefilter("ignore")
    *chosen, amount = sys.argv[1:]
    for name in chosen or NAMES:
        folder = Path(tempfile.mkdtemp())
        begun = time.perf_counter()
        found = attempt(name, folder, int(amount), start=1000)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(f"{name}: {amount} tried, {sum(found.values())} failed, {time.perf_counter() - begun:.0f} s, {memory} MB")
        for kind, times in found.most_common(8):
            print(f"    {times} x {kind}")
        shutil.rmtree(folder)
