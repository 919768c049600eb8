"""How the evidence of generated clips compares with that of composites: a fusion learnt on one fits the other only as
far as these figures agree."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from measure import open_scene

from unocclude.datasets.gt import read_truth
from unocclude.methods.recall.silhouette import Voter
from unocclude.motion.evidence import BACKGROUND, FOREIGN, STILL, UNKNOWN

LABELS = {"background": BACKGROUND, "still": STILL, "foreign": FOREIGN, "unknown": UNKNOWN}
EVERY = 4
"""One frame in so many is looked at."""


def compare(groups: Mapping[str, Sequence[Path]]) -> str:
    """A table in Markdown with a column for each group of GT folders.

    Rows: P(object | label) of pixels that are not visible, and each label's share of the hidden pixels; mean and
    deviation of the references' alignment errors (grey levels), and the share of frames whose references are aligned
    precisely; contact of the visible outline with what is foreign; visible area relative to the largest nearby, in
    frames that hide something.
    """
    found = {name: measure(folders) for name, folders in groups.items() if folders}
    rows = list(next(iter(found.values())))
    lines = ["| | " + " | ".join(found) + " |", "|---|" + "---|" * len(found)]
    lines += [f"| {row} | " + " | ".join(f"{figures[row]:.3f}" for figures in found.values()) + " |" for row in rows]
    return "\n".join(lines)


def measure(folders: Sequence[Path]) -> dict[str, float]:
    """The rows of `compare` for one group."""
    pixels, inside, hidden = (dict.fromkeys(LABELS, 0) for _ in range(3))
    errors, precise, contact, ratio = list[float](), list[bool](), list[float](), list[float]()
    for folder in folders:
        scene, truth = open_scene(folder), read_truth(folder)
        assert truth.amodal is not None
        evidence = scene.evidence
        voter = Voter(evidence)
        for i in range(0, len(scene), EVERY):
            votes = voter.votes(i)
            if not votes.labels.size:
                continue
            whole = evidence.work.shrink(truth.amodal[i])[votes.window]
            lost = whole & ~evidence.work.shrink(truth.visible[i])[votes.window]
            for name, label in LABELS.items():
                here = (votes.labels == label) & ~votes.visible
                pixels[name] += int(here.sum())
                inside[name] += int((here & whole).sum())
                hidden[name] += int((here & lost).sum())
            errors += [a.error for _, a in votes.references if np.isfinite(a.error)]
            precise.append(votes.rigid)
            contact.append(evidence.contact[i])
            if lost.sum() > 0.01 * whole.sum():
                ratio.append(float(evidence.trajectory.ratio[i]))
    total = max(1, sum(hidden.values()))
    return {
        **{f"P(object given {name})": inside[name] / max(1, pixels[name]) for name in LABELS},
        **{f"hidden pixels, {name}": hidden[name] / total for name in LABELS},
        "alignment error": float(np.mean(errors)),
        "its deviation": float(np.std(errors)),
        "aligned precisely": float(np.mean(precise)),
        "contact": float(np.mean(contact)),
        "visible ratio": float(np.mean(ratio)) if ratio else float("nan"),
    }
