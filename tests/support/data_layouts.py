"""Small data sets in published layouts, one object each; every writer returns the argument of `bench`."""

import json

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from unocclude.synthesis import rigid_world

WORLD = {"frames": 5, "width": 64, "height": 48, "occluders": ["pole"]}


def _rle(mask):
    code = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(code["size"]), "counts": code["counts"].decode()}


def _save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def sail_vos(folder, seed=2):
    """One clip of SAIL-VOS, in the JSON of Diffusion-VAS."""
    world = rigid_world(seed, **WORLD)
    for i, frame in enumerate(world.frames):
        _save(folder / f"{i:05d}.png", frame)
    clip = {
        "segmentation": [_rle(m) for m in world.amodal],
        "visible_mask": [_rle(m) for m in world.visible],
        "image_file_names": [f"{i:05d}.png" for i in range(len(world))],
        "obj_id": 1,
    }
    (folder / "clips.json").write_text(json.dumps([clip]))
    return f"sail-vos:{folder / 'clips.json'}"


def tao_amodal(folder, seed=3):
    """One track of TAO-Amodal, in the JSON of Diffusion-VAS; its boxes reach beyond the frame."""
    world = rigid_world(seed, **WORLD)
    for i, frame in enumerate(world.frames):
        _save(folder / f"{i:05d}.png", frame)
    boxes = []
    for mask in world.amodal:
        rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
        left, top = int(columns[0]) - 6, int(rows[0]) - 2
        boxes.append([left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 3 - top])
    track = {
        "track_id": 7, "category_id": 1, "video_id": 4, "height": 48, "width": 64,
        "file_names": [f"{i:05d}.png" for i in range(len(world))],
        "rles": [_rle(m)["counts"] for m in world.visible], "amodal_bboxes": boxes,
    }  # fmt: skip
    (folder / "tracks.json").write_text(json.dumps([track]))
    return f"tao-amodal:{folder / 'tracks.json'}"


def movi(folder, seed=5):
    """One instance of MOVi, as EoRaS exported it."""
    world = rigid_world(seed, **WORLD)
    scene = folder / "test/v7"
    for i, frame in enumerate(world.frames):
        _save(scene / f"rgba_full_{i:05d}.png", np.dstack([frame, np.full(frame.shape[:2], 255, np.uint8)]))
        _save(scene / f"segmentation_full_{i:05d}.png", world.visible[i].astype(np.uint8))
        _save(scene / f"segmentation_0_{i:05d}.png", world.amodal[i].astype(np.uint8))
    about = {"metadata": {"num_frames": len(world)}, "instances": [{"category": "teapot"}]}
    (scene / "metadata.json").write_text(json.dumps(about))
    np.save(folder / "test/instance_list.npy", np.array(["v7-0"]))
    return f"movi:{folder}"


def davis(folder, seeds=(11, 12)):
    """Videos of DAVIS with one object each, unoccluded, in colours of their own."""
    (folder / "ImageSets/2017").mkdir(parents=True)
    names = []
    for seed in seeds:
        world = rigid_world(seed, frames=6, width=64, height=48, occluders=[])
        names.append(f"video{seed}")
        for i, (frame, mask) in enumerate(zip(world.frames, world.amodal, strict=True)):
            _save(folder / f"JPEGImages/480p/{names[-1]}/{i:05d}.jpg", frame)
            labels = Image.fromarray(mask.astype(np.uint8), "P")
            labels.putpalette([0, 0, 0, 200, 30, 30] + [0] * 762)
            path = folder / f"Annotations/480p/{names[-1]}/{i:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            labels.save(path)
    (folder / "ImageSets/2017/val.txt").write_text("\n".join(names) + "\n")
    return f"davis:{folder}"
