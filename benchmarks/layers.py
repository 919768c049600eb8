"""Measure layers on physics worlds: the order, completing with known others, the clean plate, and time and memory.

    python benchmarks/layers.py order --seeds 300-309
    python benchmarks/layers.py known --seeds 300-304
    python benchmarks/layers.py plate --seeds 300-309
    python benchmarks/layers.py cost

The worlds have all their objects; needs MuJoCo. `cost` completes 1, 2, 5 and 10 objects of one world.
"""

import argparse
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import combinations

import cv2
import numpy as np

import unocclude
from unocclude import Clip, MaskTrack
from unocclude.layers import order
from unocclude.layers.plate import Plate, grown
from unocclude.synthesis.world import World
from unocclude.synthesis.worlds import physics_worlds

OVERLAP = 0.01
"""Two objects overlap where their amodal masks share this fraction of the smaller one."""


def scenes(seeds: range, frames: int = 24) -> Iterator[tuple[int, list[World], Clip, list[MaskTrack]]]:
    """The objects, clip and visible masks of each world."""
    for seed in seeds:
        worlds = physics_worlds(seed, frames, every=True)
        clip = Clip.from_frames(worlds[0].frames, worlds[0].fps, shots=[range(frames)])
        yield seed, worlds, clip, [MaskTrack.from_masks(world.visible) for world in worlds]


def measure_order(seeds: range) -> None:
    """Pairs, and pairs in single frames, whose order is right."""
    right, total = np.zeros(2, int), np.zeros(2, int)
    for seed, worlds, clip, tracks in scenes(seeds):
        found = order.ordered(order.relations(clip, tracks), range(len(worlds)), tracks)
        ranks = np.array([[r.ids.index(k) for r in found for _ in range(r.start, r.end)] for k in range(len(worlds))])
        for a, b in combinations(range(len(worlds)), 2):
            truth = np.array([true_side(worlds[a], worlds[b], i) for i in range(len(clip))])
            said = np.sign(ranks[b] - ranks[a])
            if truth.sum():
                right += [
                    np.sign((said * np.abs(truth)).sum()) == np.sign(truth.sum()),
                    (said == truth)[truth != 0].sum(),
                ]
                total += [1, (truth != 0).sum()]
        print(f"seed {seed}: {len(worlds)} objects, {right[0]} of {total[0]} pairs so far", flush=True)
    print(f"order: {right[0]} of {total[0]} pairs ({right[0] / total[0]:.3f}), {right[1]} of {total[1]} frames "
          f"({right[1] / total[1]:.3f})")  # fmt: skip


def true_side(a: World, b: World, i: int) -> int:
    """1 if b hides more of a in frame i than a hides of b, -1 if less, 0 if they do not overlap."""
    shared = (a.amodal[i] & b.amodal[i]).sum()
    if shared < max(8, OVERLAP * min(a.amodal[i].sum(), b.amodal[i].sum())):
        return 0
    over_a, over_b = (a.amodal[i] & b.visible[i]).sum(), (b.amodal[i] & a.visible[i]).sum()
    return int(np.sign(int(over_a) - int(over_b)))


def measure_known(seeds: range) -> None:
    """mIoU_occ of recall, each object alone and with the others known."""
    scores: dict[str, list[float]] = {"alone": [], "known": []}
    for seed, worlds, clip, tracks in scenes(seeds):
        known = unocclude.layers(clip, tracks).objects
        for world, track, layer in zip(worlds, tracks, known, strict=True):
            alone = unocclude.complete(clip, track)
            for name, result in (("alone", alone), ("known", layer.completion)):
                scores[name] += hidden_ious(world, result.amodal_masks)
        print(f"seed {seed}: " + ", ".join(f"{k} {np.mean(v):.4f}" for k, v in scores.items()), flush=True)


def hidden_ious(world: World, masks: list[np.ndarray]) -> list[float]:
    """IoU of the hidden part in every frame in which over 1 % is hidden."""
    ious = []
    for i in np.flatnonzero(np.array(world.occlusion_rate) > 0.01):
        truth, found = (mask & ~world.visible[i] for mask in (world.amodal[i], masks[i]))
        ious.append(float((truth & found).sum() / max(1, (truth | found).sum())))
    return ious


def measure_plate(seeds: range) -> None:
    """PSNR over the background behind objects: ours, OpenCV's inpainting, and the median over all frames."""
    errors: dict[str, np.ndarray] = {}
    for seed, worlds, clip, tracks in scenes(seeds):
        plate = Plate(clip, tracks)
        median = np.median(worlds[0].frames, axis=0)
        for i, frame in enumerate(worlds[0].frames):
            hidden = np.any([world.visible[i] for world in worlds], axis=0)
            hole = grown(hidden).astype(np.uint8)
            ours = plate[i]
            results = {
                "ours": ours.rgb,
                "Telea": cv2.inpaint(frame, hole, 3, cv2.INPAINT_TELEA),
                "Navier-Stokes": cv2.inpaint(frame, hole, 3, cv2.INPAINT_NS),
                "median": median,
            }
            for where, mask in (("all", hidden), ("recalled", hidden & (ours.provenance == 2))):
                for name, picture in results.items():
                    square = (picture[mask].astype(float) - worlds[0].background[i][mask]) ** 2
                    total = errors.setdefault(f"{name}, {where}", np.zeros(2))
                    total += [square.sum(), square.size]
        stands = "stands" if plate.stands(clip.shots[0]) else "moves"
        print(
            f"seed {seed}, camera {stands}: " + "; ".join(f"{k} {psnr(v):.2f}" for k, v in errors.items()), flush=True
        )


def psnr(error: np.ndarray) -> float:
    return 10 * math.log10(255**2 * error[1] / max(error[0], 1e-9))


def measure_cost() -> None:
    """CPU time and memory of 1, 2, 5 and 10 objects, each count in a process of its own."""
    for count in (1, 2, 5, 10):
        subprocess.run([sys.executable, __file__, "one-cost", "--count", str(count)], check=True)


def one_cost(count: int) -> None:
    *_, clip, tracks = next(scenes(range(112, 113)))
    chosen = (tracks * 2)[:count]  # the world has eight objects
    together = cpu_seconds(lambda: unocclude.layers(clip, chosen))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    alone = sum(cpu_seconds(lambda t=track: unocclude.complete(clip, t)) for track in chosen)
    print(f"{count} objects: {together:.1f} s of CPU time, at most {memory:.0f} MB; "
          f"completed one by one, without order and plate: {alone:.1f} s", flush=True)  # fmt: skip


def cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("order", "known", "plate", "cost", "one-cost"))
    parser.add_argument("--seeds", default="300-309")
    parser.add_argument("--count", type=int, default=1)
    given = parser.parse_args()
    first, last = map(int, given.seeds.split("-"))
    seeds = range(first, last + 1)
    if given.what == "cost":
        measure_cost()
    elif given.what == "one-cost":
        one_cost(given.count)
    else:
        {"order": measure_order, "known": measure_known, "plate": measure_plate}[given.what](seeds)


if __name__ == "__main__":
    main()
