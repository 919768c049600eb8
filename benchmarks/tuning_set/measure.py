"""Figures of recall, of its parts and of baselines on one clip of the tuning set."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unocclude import clip as clips
from unocclude.datasets.gt import read_truth
from unocclude.mask_files import read_masks
from unocclude.methods.recall.method import upsample
from unocclude.methods.recall.prior import ShapePrior
from unocclude.methods.recall.silhouette import Silhouette, Voter, decide, settle
from unocclude.metrics import Frame, get_metric
from unocclude.motion.hull import hull
from unocclude.scene import Scene

METHODS = ("modal", "hull", "votes", "network", "recall")
"""votes, network: recall without the shape prior, and the shape prior alone."""
METRICS = ("miou", "miou_occ", "false_area", "temporal_stability")


def measure(folder: Path) -> dict[str, Any]:
    """Figures of each of `METHODS` on the GT folder of a clip: those of `METRICS`, and `loose`, the mean number of
    pieces of the amodal mask that are apart from everything visible. NaN where a figure is undefined."""
    truth = read_truth(folder)
    assert truth.amodal is not None
    scene = open_scene(folder)
    counters = {method: {name: get_metric(name)() for name in METRICS} for method in METHODS}
    loose: dict[str, list[int]] = {method: [] for method in METHODS}
    for i, masks in enumerate(silhouettes(scene)):
        for method, mask in masks.items():
            frame = Frame(mask, truth.amodal[i], truth.visible[i])
            for counter in counters[method].values():
                counter.update(frame)
            loose[method].append(loose_pieces(mask, scene.visible(i)))
    found: dict[str, Any] = {}
    for method in METHODS:
        found[method] = {name: float(counter.compute()) for name, counter in counters[method].items()}
        found[method]["loose"] = float(np.mean(loose[method]))
    return found


def open_scene(folder: Path) -> Scene:
    """The clip as a method gets it; masks with errors, where it has some."""
    given = folder / "given_masks"
    clip = clips.open(folder / "frames")
    clip = clips.Clip.from_frames([clip[i] for i in range(len(clip))], shots=[range(len(clip))])
    return Scene(clip, read_masks(given if given.exists() else folder / "visible_masks"))


def silhouettes(scene: Scene) -> Iterator[dict[str, np.ndarray]]:
    """Amodal masks (H, W) bool of each method, frame by frame."""
    prior = ShapePrior(scene.evidence)
    voter = Voter(scene.evidence, prior=prior)
    for i in range(len(scene)):
        visible = scene.visible(i)
        votes = voter.votes(i)
        logits = prior.logits(i)

        def whole(silhouette: Silhouette, visible: np.ndarray = visible) -> np.ndarray:
            return upsample(scene, silhouette) | visible

        alone = visible if logits is None else whole(settle(1 / (1 + np.exp(-logits[0])), votes))
        yield {
            "modal": visible,
            "hull": hull(visible),
            "votes": whole(decide(votes, None)[0]),
            "network": alone,
            "recall": whole(decide(votes, logits)[0]),
        }


def loose_pieces(mask: np.ndarray, visible: np.ndarray) -> int:
    """Connected components of a mask without a visible pixel; 0 if nothing is visible."""
    if not visible.any():
        return 0
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    return count - 1 - len(np.unique(labels[visible & mask]))


def write(path: Path, figures: dict[str, Any]) -> None:
    """Write figures as JSON, NaN as null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {m: {k: None if math.isnan(v) else round(v, 5) for k, v in f.items()} for m, f in figures.items()}
    path.write_text(json.dumps(plain, indent=1) + "\n")
