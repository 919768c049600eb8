"""Fit the tracker's confidence (unocclude/perception/confidence.py) on generated clips, and measure it.

    unocclude synth sprites -o SPRITES --count 20 --seed 900
    unocclude synth worlds -o WORLDS --count 10 --seed 900
    python benchmarks/track_confidence.py SPRITES WORLDS

Each clip is followed in both directions from its best frame of the first third, once from the exact mask and once from
its box. The weights are fitted on every other clip; calibration and AUROC are of the rest.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from track_score import auroc, good_frame, iou, read_clip, tight_box

from unocclude.clip import Clip
from unocclude.perception.confidence import expected_iou
from unocclude.perception.follower import Follower
from unocclude.perception.prompt import Cue
from unocclude.perception.segment import segment

RIDGE = 1.0


def rows(clip: Clip, truth: list[np.ndarray]) -> Iterator[tuple[np.ndarray, float, float]]:
    """Signs, IoU and confidence of every followed frame of a clip."""
    start = good_frame(truth)
    if truth[start].sum() < 30:
        return
    for cue in (Cue(mask=truth[start]), Cue(boxes=[tight_box(truth[start])])):
        first = segment(clip, start, cue)
        for order in (range(start + 1, len(clip)), range(start - 1, -1, -1)):
            follower = Follower(clip[start], first.mask, first.score)
            for i in order:
                follower.step(clip[i - order.step], clip[i])
                yield follower.signs.row, iou(follower.mask, truth[i]), expected_iou(follower.signs)


def fit(signs: np.ndarray, overlaps: np.ndarray) -> np.ndarray:
    """Weights of a logistic regression of the IoU, by Newton's method with a ridge penalty."""
    weights = np.zeros(signs.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-signs @ weights))
        slope = signs.T @ (overlaps - chance) - RIDGE * weights
        bend = (signs * (chance * (1 - chance))[:, None]).T @ signs + RIDGE * np.eye(len(weights))
        weights += np.linalg.solve(bend, slope)
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, help="folders of clips in the GT layout")
    parser.add_argument("--most", type=int, default=60, help="clips used, evenly spaced")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    clips = [clip for folder in options.folders for clip in sorted(folder.iterdir()) if (clip / "frames").is_dir()]
    clips = clips[:: max(1, len(clips) // options.most)][: options.most]
    found: list[list[tuple[np.ndarray, float, float]]] = [[], []]
    for k, folder in enumerate(clips):
        found[k % 2] += rows(*read_clip(folder))
        print(f"{folder.name} {len(found[0]) + len(found[1])} frames", flush=True)
    signs, overlaps = (np.array([row[j] for row in found[0]]) for j in (0, 1))
    weights = fit(signs, overlaps)
    print("WEIGHTS =", np.round(weights, 3).tolist())
    signs, overlaps = (np.array([row[j] for row in found[1]]) for j in (0, 1))
    confidence = 1 / (1 + np.exp(-signs @ weights))
    bad = overlaps < 0.6
    print(f"{len(bad)} frames not used for the fit, {bad.mean():.0%} with IoU < .6: AUROC {auroc(confidence, bad):.3f}")
    for low in np.arange(0, 1, 0.1):
        here = (confidence >= low) & (confidence < low + 0.1)
        if here.any():
            print(f"confidence {low:.1f} to {low + 0.1:.1f}: {here.sum():5d} frames, IoU {overlaps[here].mean():.2f}")


if __name__ == "__main__":
    main()
