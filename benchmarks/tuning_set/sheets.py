"""Pictures of the tuning set, to look at."""

import json
from pathlib import Path

import cv2
import numpy as np

TILE = (200, 150)
COLUMNS = 3


def sheet(out: Path, names: list[str]) -> np.ndarray:
    """Three frames of each clip, from least to most hidden: visible part outlined green, amodal mask red; BGR."""
    cells = [_clip(out / "clips" / name) for name in names if (out / "clips" / name / "meta.json").exists()]
    while len(cells) % COLUMNS:
        cells.append(np.zeros_like(cells[0]))
    return np.vstack([np.hstack(cells[k : k + COLUMNS]) for k in range(0, len(cells), COLUMNS)])


def _clip(folder: Path) -> np.ndarray:
    about = json.loads((folder / "meta.json").read_text())
    rates = np.array(about["occlusion_rate"])
    order = np.argsort(rates)
    tiles = []
    for i in (0, int(order[len(order) // 2]), int(order[-1])):
        picture = cv2.imread(str(folder / "frames" / f"{i:05d}.png"))
        for part, colour in (("amodal_masks", (0, 0, 255)), ("visible_masks", (0, 255, 0))):
            mask = cv2.imread(str(folder / part / f"{i:05d}.png"), cv2.IMREAD_GRAYSCALE)
            outline, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, outline, -1, colour, 1)
        tiles.append(cv2.resize(picture, TILE, interpolation=cv2.INTER_AREA))
    row = np.hstack(tiles)
    levels = [str(v) for k, v in about["cell"].items() if k not in ("half", "kind")]
    text = f"{folder.name}: {', '.join(levels)}"
    for colour, thick in ((0, 0, 0), 3), ((255, 255, 255), 1):
        cv2.putText(row, text[:100], (3, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.33, colour, thick, cv2.LINE_AA)
    return row
