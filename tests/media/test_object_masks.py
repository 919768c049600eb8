"""The masks of several objects at one path."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from unocclude import Clip, InputError
from unocclude.mask_files import read_objects_for
from unocclude.media.images import write_png
from unocclude.media.label_maps import davis_palette

LABELS = np.zeros((3, 9, 13), np.uint8)
LABELS[:, 1:4, 1:5] = 1
LABELS[1:, 5:8, 6:13] = 2  # at the border, hidden in frame 0


def objects_at(path, count=3):
    return read_objects_for(Clip.from_frames(np.zeros((count, 9, 13, 3), np.uint8), shots=[range(count)]), path)


def found(path):
    tracks = objects_at(path)
    for number, (_, track) in tracks.items():
        assert np.array_equal(np.array(list(track)), number == LABELS), number
    return sorted(tracks)


def test_id_images(tmp_path):
    for i, label in enumerate(LABELS):
        write_png(tmp_path / f"{i}.png", label, davis_palette())
    assert found(tmp_path) == [1, 2]


def test_colours_of_davis_and_others(tmp_path):
    for name, colours in (("davis", davis_palette()[:3]), ("other", np.array([(0, 0, 0), (9, 8, 7), (200, 0, 3)]))):
        (tmp_path / name).mkdir()
        for i, label in enumerate(LABELS):
            write_png(tmp_path / name / f"{i}.png", colours[label].astype(np.uint8))
        assert found(tmp_path / name) == [1, 2]


def test_a_folder_of_folders(tmp_path):
    for number, name in ((1, "dog"), (2, "man")):
        (tmp_path / name).mkdir()
        for i, label in enumerate(LABELS):
            write_png(tmp_path / name / f"{i}.png", (label == number).astype(np.uint8) * 255)
    assert found(tmp_path) == [1, 2]
    assert [name for name, _ in objects_at(tmp_path).values()] == ["dog", "man"]


def test_sa_v_json(tmp_path):
    def rle(mask):
        coded = coco.encode(np.asfortranarray(mask, np.uint8))
        return {"size": list(mask.shape), "counts": coded["counts"].decode()}

    frames = [[rle(label == 1), rle(label == 2)] for label in LABELS]
    (tmp_path / "m.json").write_text(json.dumps({"masklet": frames, "masklet_id": [0, 1]}))
    assert found(tmp_path / "m.json") == [1, 2]


def test_arrays_and_single_objects(tmp_path):
    np.save(tmp_path / "m.npy", LABELS)
    assert found(tmp_path / "m.npy") == [1, 2]
    for i, label in enumerate(LABELS):
        (tmp_path / "one").mkdir(exist_ok=True)
        write_png(tmp_path / "one" / f"{i}.png", (label == 1).astype(np.uint8) * 255)
    assert list(objects_at(tmp_path / "one")) == [1]


def test_what_is_no_masks_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    with pytest.raises(InputError, match="colours"):
        objects_at(tmp_path / "photo.png")
    write_png(tmp_path / "empty.png", np.zeros((5, 5), np.uint8))
    with pytest.raises(InputError, match="empty in all frames"):
        objects_at(tmp_path / "empty.png", 1)
    with pytest.raises(InputError, match="no such file"):
        objects_at(tmp_path / "missing")
