"""Measure methods on generated clips, whose hidden parts are known.

python examples/compare_methods.py 5 modal convex-r recall
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import unocclude
from unocclude.synthesis import sprite_world, write_world

count, *methods = sys.argv[1:]
figures: dict[str, list[list[float]]] = {method: [] for method in methods}

with tempfile.TemporaryDirectory() as folder:
    for seed in range(int(count)):
        truth = Path(folder) / str(seed)
        write_world(sprite_world(seed, frames=12, width=160, height=120), truth)
        clip, track = unocclude.open(truth / "frames"), unocclude.read_masks(truth / "visible_masks")
        for method in methods:
            measured = unocclude.evaluate(unocclude.complete(clip, track, method=method), truth)
            figures[method].append([measured["miou"], measured["miou_occ"]])

print(f"{'method':16} {'mIoU':>6} {'mIoU_occ':>9}")
for method, rows in figures.items():
    miou, miou_occ = np.nanmean(rows, axis=0)
    print(f"{method:16} {miou:6.3f} {miou_occ:9.3f}")
