"""Paste occluders over the whole objects of real clips: composites with exact truth, for tuning `recall`.

    python benchmarks/tuning_set.py CLIPS OUT

Reads clips (frames/ and visible_masks/ each), writes folders in our GT layout. Only stretches in which nothing
hides the object are used. The occluders are cut-outs of other clips' objects and textured shapes, static, crossing,
swaying or following the object. 34 composites with fixed seeds.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np

# clip, first and last frame of a stretch in which the object is whole (looked at by eye)
OBJECTS = [
    ("beachboy-behind", 0, 8),
    ("beachboy-behind", 26, 39),
    ("bmx-trees", 0, 11),
    ("bmx-trees", 28, 44),
    ("dogs-jump-person", 17, 41),
    ("kite-walk", 0, 15),
]
OCCLUDERS = ["kite-walk", "dogs-jump-person", "beachboy-behind", "blob", "pole", "blob"]
MOTIONS = ["cross", "static", "sway", "cross-back", "slow", "follow"]
COUNT = 34


def read_clip(folder: Path, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    frames = [cv2.imread(str(folder / "frames" / f"{i:05d}.jpg")) for i in range(first, last + 1)]
    masks = [cv2.imread(str(folder / "visible_masks" / f"{i:05d}.png"), 0) > 127 for i in range(first, last + 1)]
    return np.stack(frames), np.stack([without_specks(mask) for mask in masks])


def without_specks(mask: np.ndarray) -> np.ndarray:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    keep = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= 0.02 * mask.sum()]
    return np.isin(labels, keep)


def cut_out(kind: str, real: Path, height: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An occluder about `height` pixels high: BGR pictures (N, h, w, 3) and opacities (N, h, w) in 0..1."""
    if kind in ("blob", "pole"):
        source = cv2.imread(str(real / rng.choice(["horse", "person", "birdcage"]) / "frames" / "00010.jpg"))
        h, w = (4 * height, max(6, height // 4)) if kind == "pole" else (height, height)
        if kind == "pole":
            row = cv2.GaussianBlur(source[source.shape[0] // 2, 100:101], (1, 1), 0)
            shade = np.sin(np.linspace(0.2, np.pi - 0.2, w))[None, :, None]
            picture = np.clip(row * 0.4 + 120 * shade + rng.normal(0, 3, (h, w, 1)), 0, 255)
            return picture.astype(np.uint8)[None], np.ones((1, h, w), np.float32)
        y, x = rng.integers(0, source.shape[0] - 150), rng.integers(0, source.shape[1] - 150)
        picture = cv2.resize(source[y : y + 150, x : x + 150], (w, h), interpolation=cv2.INTER_LINEAR)
        angle = np.arctan2(*np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j])
        radius = 0.75 + sum(0.25 / k * np.sin(k * angle + rng.uniform(0, 6.3)) * rng.uniform(0, 1) for k in (2, 3, 5))
        inside = np.hypot(*np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]) < radius
        return picture[None], inside[None].astype(np.float32)
    frames, masks = read_clip(real / kind, 30 if kind != "kite-walk" else 0, 39 if kind != "kite-walk" else 12)
    boxes = [cv2.boundingRect(m.astype(np.uint8)) for m in masks]
    x0, y0 = min(b[0] for b in boxes), min(b[1] for b in boxes)
    x1, y1 = max(b[0] + b[2] for b in boxes), max(b[1] + b[3] for b in boxes)
    scale = height / (y1 - y0)
    size = (max(2, round((x1 - x0) * scale)), max(2, height))
    pictures = [cv2.resize(f[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA) for f in frames]
    cuts = [cv2.resize(m[y0:y1, x0:x1].astype(np.float32), size, interpolation=cv2.INTER_AREA) for m in masks]
    return np.stack(pictures), np.stack(cuts)


def place(motion: str, t: np.ndarray, boxes: np.ndarray, width: float, rng: np.random.Generator) -> np.ndarray:
    """Centre of the occluder in each frame, (T, 2)."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    size = boxes[:, 2:] - boxes[:, :2]
    reach = (width + size[:, 0].mean()) * 0.75
    phase = rng.uniform(0.35, 0.65)
    x = {
        "cross": centre[:, 0] + (t - phase) * 2 * reach * rng.choice([-1, 1]),
        "cross-back": centre[:, 0] + np.abs(t - phase) * 3 * reach - 0.1 * width,
        "slow": centre[:, 0] + (t - phase) * reach * rng.choice([-1, 1]),
        "static": np.full(len(t), centre[int(phase * (len(t) - 1)), 0]),
        "sway": centre[:, 0] + np.sin(t * 7 + phase * 9) * reach * 0.8,
        "follow": centre[:, 0] + width * 0.35 + np.sin(t * 5) * 0.1 * width,
    }[motion]
    y = centre[:, 1] + rng.uniform(-0.25, 0.25) * size[:, 1].mean()
    if motion == "static":
        y = np.full(len(t), y.mean())
    return np.stack([x, y], axis=1)


def paste(frame: np.ndarray, picture: np.ndarray, opacity: np.ndarray, centre: np.ndarray) -> tuple:
    h, w = frame.shape[:2]
    move = np.float32([[1, 0, centre[0] - picture.shape[1] / 2], [0, 1, centre[1] - picture.shape[0] / 2]])
    cut = cv2.GaussianBlur(cv2.warpAffine(opacity, move, (w, h)), (0, 0), 0.7)
    laid = cv2.warpAffine(picture, move, (w, h), borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    mixed = frame * (1 - cut[..., None]) + laid * cut[..., None]
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8), cut >= 0.5


def write(folder: Path, number: int, real: Path) -> None:
    rng = np.random.default_rng(1000 + number)
    name, first, last = OBJECTS[number % len(OBJECTS)]
    kinds = [kind for kind in OCCLUDERS if kind != name]
    kind = kinds[(number * 5 + number // 6) % len(kinds)]
    motion = MOTIONS[(number + number // len(OBJECTS)) % len(MOTIONS)]
    frames, masks = read_clip(real / name, first, last)
    boxes = np.array([cv2.boundingRect(m.astype(np.uint8)) for m in masks])
    boxes[:, 2:] += boxes[:, :2]
    grows = (0.5, 0.9) if motion in ("static", "follow") else (0.7, 1.5)
    height = float((boxes[:, 3] - boxes[:, 1]).mean()) * rng.uniform(*grows)
    pictures, cuts = cut_out(kind, real, round(height), rng)
    centres = place(motion, np.linspace(0, 1, len(frames)), boxes, pictures.shape[2], rng)
    for part in ("frames", "visible_masks", "amodal_masks", "amodal_rgb"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    rates = []
    for i, (frame, amodal) in enumerate(zip(frames, masks, strict=True)):
        k = i % (2 * len(pictures) - 1)
        k = min(k, 2 * len(pictures) - 2 - k)  # back and forth
        mixed, hidden = paste(frame, pictures[k], cuts[k], centres[i])
        visible = amodal & ~hidden
        rates.append(round(1 - visible.sum() / amodal.sum(), 4))
        cv2.imwrite(str(folder / "frames" / f"{i:05d}.jpg"), mixed, [cv2.IMWRITE_JPEG_QUALITY, 95])
        for part, image in (
            ("visible_masks", visible.astype(np.uint8) * 255),
            ("amodal_masks", amodal.astype(np.uint8) * 255),
            ("amodal_rgb", frame * amodal[..., None]),
        ):
            cv2.imwrite(str(folder / part / f"{i:05d}.png"), image)
    meta = {
        "object": name,
        "frames": [first, last],
        "occluder": kind,
        "motion": motion,
        "occlusion_rate": rates,
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1))
    print(f"{folder.name}: {name} {first}-{last} behind {kind}, {motion}; hidden {np.round(rates, 2).tolist()}")


def main() -> None:
    real, out = Path(sys.argv[1]), Path(sys.argv[2])
    for number in range(COUNT):
        write(out / f"{number:02d}", number, real)


if __name__ == "__main__":
    main()
