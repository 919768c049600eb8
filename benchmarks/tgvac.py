"""TGVAC's tables 3 and 4 on a checkpoint of one's own, by the figures that need no published weights.

    python benchmarks/tgvac.py DATA_NAME=PATH WEIGHTS OUT [COUNT]

WEIGHTS is the pipeline/ that recipe tgvac-motion wrote, COUNT how many clips at most. Easy frames are less than half
hidden, hard ones half or more (section 4.2). Runs are kept in OUT and gone on with.
"""

import json
import sys
from pathlib import Path

import numpy as np

from unocclude.benchmark.bench import bench
from unocclude.datasets import open_dataset
from unocclude.methods.tgvac.pipeline import TGVACPipeline

WHOLE = {"text": True, "motion": True}
METRICS = ("miou_occ", "psnr_hidden", "ssim")


def main() -> None:
    name, _, path = sys.argv[1].partition("=")
    weights, out = sys.argv[2], Path(sys.argv[3])
    samples = open_dataset(path, int(sys.argv[4]) if len(sys.argv) > 4 else None)
    window = TGVACPipeline.from_pretrained(weights).length
    third = [
        (text, motion, temporal) for motion, temporal in ((False, False), (True, False), (True, True))
        for text in (False, True)
    ]  # fmt: skip
    found = {}
    for text, motion, temporal in third:
        options = {"text": text, "motion": motion, "stride": 4 if temporal else window}
        found[text, motion, temporal] = measure(name, samples, weights, options, out)
    print("Table 3\n\n| words | motion | temporal diffusion |", heading())
    print("|" + "---|" * (3 + len(heading().split("|")) - 1))
    for row, figures in found.items():
        print("|", " | ".join("yes" if part else "no" for part in row), "|", figures)
    print("\nTable 4\n\n| stride |", heading())
    print("|" + "---|" * len(heading().split("|")))
    for stride in dict.fromkeys((2, 4, 8, window)):
        print("|", stride, "|", measure(name, samples, weights, WHOLE | {"stride": stride}, out))


def heading() -> str:
    split = [f"{metric}, {part}" for part in ("easy", "hard") for metric in METRICS]
    return " | ".join(["miou", "miou_occ", *split, "temporal_stability", ""])


def measure(name: str, samples: list, weights: str, options: dict, out: Path) -> str:
    """Mean over clips of their figures, and over frames of a clip for those of easy and hard frames."""
    folder = out / ("-".join(f"{key}={value}" for key, value in options.items()))
    bench({name: samples}, folder, ["tgvac"], {"tgvac": options}, weights={"tgvac": weights}, resume=folder.exists())
    rows = []
    for sample in samples:
        figures = json.loads((folder / "figures" / name / sample.name / "tgvac.json").read_text())
        row = [figures["miou"], figures["miou_occ"]]
        for hard in (False, True):
            frames = [frame for frame in figures["frames"] if hidden(frame, hard)]
            for metric in METRICS:
                values = [frame[metric] for frame in frames if frame[metric] is not None]
                row.append(np.mean(values) if values else None)
        rows.append([*row, figures["temporal_stability"]])
    means = np.nanmean(np.array(rows, float), axis=0)
    return " | ".join(f"{mean:.3f}" for mean in means) + " |"


def hidden(frame: dict, hard: bool) -> bool:
    rate = frame["occlusion_rate"]
    return rate is not None and (rate >= 0.5) == hard


if __name__ == "__main__":
    main()
