"""Score the first mask, the object's visible mask from one cue, and the evidence that it is made of.

    python benchmarks/first_mask.py --generated 60
    python benchmarks/first_mask.py --data ../shared/data

Columns: IoU of the ellipse inscribed in the box, of GrabCut, colours and motion without the network, of the network
alone, of all (what users get), and the score that comes with it. Clips are those of `track_score.py`, with the tight
box of the true visible mask in the same frame. Generated: crowds and sprite worlds of seeds never trained on; boxes
with their sides moved by 3 %; `points` has one point on the object instead.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from track_score import DATA, good_frame, iou, read_clip, tight_box

from unocclude.clip import Clip
from unocclude.perception import segment as module
from unocclude.perception.mask_network import NOWHERE, Marks, View, best_level, log_odds
from unocclude.perception.prompt import Cue
from unocclude.perception.segment import segment
from unocclude.synthesis.crowds import crowd
from unocclude.synthesis.sprites import sprite_world

SEED = 77_000_000
COLUMNS = ("ellipse", "grabcut", "network", "all")


class Case(NamedTuple):
    """An object in a frame of a clip: its cue and its true visible mask (H, W) bool."""

    name: str
    clip: Clip
    frame: int
    cue: Cue
    truth: np.ndarray


def from_folders(data: Path) -> Iterator[Case]:
    """The clips of `real` and `composites`."""
    for folder in [*sorted((data / "real").glob("*")), *sorted((data / "composites").glob("*"))]:
        clip, truth = read_clip(folder)
        frame = good_frame(truth)
        yield Case(folder.name, clip, frame, Cue(boxes=[tight_box(truth[frame])]), truth[frame])


def generated(count: int, points: bool = False) -> Iterator[Case]:
    """`count` crowds and `count` sprite worlds."""
    for number in range(count):
        rng = np.random.default_rng([SEED, number])
        made = crowd(SEED + number)
        sizes = np.bincount(made.labels.ravel(), minlength=2)
        masks = [made.labels == k for k in np.flatnonzero(sizes[1:] > 150) + 1]
        if masks:
            truth = masks[int(rng.integers(len(masks)))]
            clip = Clip.from_frames([made.picture], shots=[range(1)])
            yield Case("crowds", clip, 0, _cue(truth, points, rng), truth)
        world = sprite_world(SEED + number, frames=5)
        if world.visible[2].sum() > 150:
            clip = Clip.from_frames(world.frames, shots=[range(5)])
            yield Case("sprites", clip, 2, _cue(world.visible[2], points, rng), world.visible[2])


def _cue(truth: np.ndarray, points: bool, rng: np.random.Generator) -> Cue:
    if points:
        ys, xs = np.nonzero(truth)
        k = int(rng.integers(len(ys)))
        return Cue(points=[(float(xs[k]), float(ys[k]))])
    x0, y0, x1, y1 = tight_box(truth)
    moved = np.array([x0, y0, x1, y1]) + rng.normal(0, 0.03, 4) * (x1 - x0, y1 - y0, x1 - x0, y1 - y0)
    height, width = truth.shape
    return Cue(boxes=[tuple(np.clip(moved, 0, (width, height, width, height)).tolist())])


def judge(case: Case) -> tuple[list[float], float, float]:
    """The IoU of each of COLUMNS, the score of the last one, and the seconds it took."""
    clip, frame, cue, truth = case.clip, case.frame, case.cue, case.truth
    started = time.perf_counter()
    found = segment(clip, frame, cue)
    seconds = time.perf_counter() - started
    if not cue.boxes:
        return [0.0, 0.0, 0.0, iou(found.mask, truth)], found.score, seconds
    with patch.multiple(module, NETWORK=0.0, VOTE=1.0, COLOURS=1.0, ELLIPSE=0.0):
        without = segment(clip, frame, cue).mask
    view = View.around(cue.boxes[0])
    marks = Marks(cue.boxes)
    answer = log_odds(clip[frame], marks, [view])[0]
    level = best_level(view.take(module._possible(marks, truth.shape)) / (1 + np.exp(-answer)))
    alone = view.put(answer, truth.shape, NOWHERE) > np.log(level / (1 - level))
    masks = (module._ellipses(cue.boxes, truth.shape), without, alone, found.mask)
    return [iou(mask, truth) for mask in masks], found.score, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--generated", type=int, default=0, help="number of scenes of each kind, instead of --data")
    parser.add_argument("--points", action="store_true", help="one point on the object instead of a box")
    options = parser.parse_args()
    cases = generated(options.generated, options.points) if options.generated else from_folders(options.data)
    rows: dict[str, list[list[float]]] = {}
    print(f"{'':20s} " + " ".join(f"{name:>8s}" for name in (*COLUMNS, "score", "seconds")))
    for case in cases:
        figures, score, seconds = judge(case)
        rows.setdefault(case.name, []).append([*figures, score, seconds])
    rows["mean"] = [row for found in rows.values() for row in found]
    for name, found in rows.items():
        print(f"{name:20s} " + " ".join(f"{value:8.3f}" for value in np.mean(found, axis=0)))


if __name__ == "__main__":
    main()
