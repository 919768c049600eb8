"""Best, median and worst clips of a bench as pictures.

    python benchmarks/pictures.py FIGURES_OUT DATA_NAME=PATH METHOD PICTURE.jpg [COUNT]

Ranked by mIoU_occ. A column a frame: the frame with the true outline; the masks (grey seen, white right, red too much,
blue missed); the RGBA on grey.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np

HEIGHT, COLUMNS = 96, 8


def strip(truth: Path, pred: Path, name: str) -> np.ndarray:
    names = sorted(path.name for path in (truth / "frames").iterdir())
    columns = []
    for i in np.linspace(0, len(names) - 1, COLUMNS).round().astype(int):
        frame = cv2.imread(str(truth / "frames" / names[i]))
        amodal, visible, found = (
            cv2.imread(str(folder / f"{i:05d}.png"), 0) > 127
            for folder in (truth / "amodal_masks", truth / "visible_masks", pred / "amodal_masks")
        )
        rgba = cv2.imread(str(pred / "rgba" / f"{i:05d}.png"), -1)
        masks = np.zeros_like(frame)
        masks[found & amodal], masks[found & ~amodal], masks[amodal & ~found] = (255,) * 3, (0, 0, 255), (255, 120, 0)
        masks[visible] = 110
        share = rgba[..., 3:] / 255
        look = (127 * (1 - share) + rgba[..., :3] * share).astype(np.uint8)
        contours, _ = cv2.findContours(amodal.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(frame, contours, -1, (0, 220, 255), 1)
        size = (round(HEIGHT * frame.shape[1] / frame.shape[0]), HEIGHT)
        columns.append(
            np.vstack([cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (frame, masks, look)])
        )
    row = np.hstack(columns)
    cv2.putText(row, name, (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
    return np.pad(row, ((0, 4), (0, 0), (0, 0)), constant_values=255)


def main() -> None:
    out, (data, _, path), method, picture = Path(sys.argv[1]), sys.argv[2].partition("="), sys.argv[3], sys.argv[4]
    count = int(sys.argv[5]) if len(sys.argv) > 5 else 5
    figures = {}
    for file in (out / "figures" / data).glob(f"*/{method}.json"):
        content = json.loads(file.read_text())
        value = content.get("figures", content)["miou_occ"]
        if value is not None:
            figures[file.parent.name] = value
    ranked = sorted(figures, key=lambda clip: -figures[clip])
    middle = (len(ranked) - count) // 2
    chosen = [*ranked[:count], *ranked[middle : middle + count], *ranked[-count:]]
    rows = [
        strip(Path(path) / clip, out / "runs" / data / clip / method, f"{clip}  {figures[clip]:.2f}") for clip in chosen
    ]
    cv2.imwrite(picture, np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 75])


if __name__ == "__main__":
    main()
