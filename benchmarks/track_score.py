"""Score the weight-free tracker on the development clips (in UNOCCLUDE_TEST_DATA, or ../shared/data).

The prompt is the tight box of the true visible mask (or the mask itself) in the frame of the first third with
the largest visible area. IoU is the mean over all frames, 1 where both masks are empty. Baselines start from
the same first mask: `hold` keeps it, `flow` only warps it along dense optical flow. The last line says how well the
confidence tells frames with an IoU under `DOUBTFUL` from the others.
"""

import argparse
import os
import time
from pathlib import Path

import cv2
import numpy as np

from unocclude.clip import Clip
from unocclude.masks import DOUBTFUL
from unocclude.perception.flow import dense_flow, pixels, sample
from unocclude.perception.locate import track
from unocclude.perception.window import Window

DATA = Path(os.environ.get("UNOCCLUDE_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")


def read_clip(folder: Path) -> tuple[Clip, list[np.ndarray]]:
    """The frames of a development clip and its true visible masks."""
    frames = [cv2.imread(str(path))[..., ::-1] for path in sorted((folder / "frames").iterdir())]
    paths = sorted((folder / "visible_masks").iterdir())
    clip = Clip.from_frames(frames, shots=[range(len(frames))])
    return clip, [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 127 for path in paths]


def good_frame(truth: list[np.ndarray]) -> int:
    """The frame of the first third where most of the object is visible."""
    return int(np.argmax([mask.sum() for mask in truth[: max(1, len(truth) // 3)]]))


def tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of a mask, ends exclusive."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return x, y, x + width, y + height


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union; 1 when both are empty."""
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 1.0


def auroc(confidence: np.ndarray, bad: np.ndarray) -> float:
    """Chance that a bad frame has the lower confidence of a bad and a good one; nan without both."""
    if bad.all() or not bad.any():
        return float("nan")
    low, high = confidence[bad], confidence[~bad]
    return float((low[:, None] < high).mean() + 0.5 * (low[:, None] == high).mean())


def flow_only(clip: Clip, mask: np.ndarray, frame: int) -> list[np.ndarray]:
    """The baseline: `mask` of frame `frame` warped from frame to frame."""
    window = Window.around((0, 0, clip.width, clip.height), (clip.height, clip.width), side=432)
    masks = [mask] * len(clip)
    for order in (range(frame + 1, len(clip)), range(frame - 1, -1, -1)):
        soft = window.take(mask.astype(np.float32))
        for i in order:
            flow = dense_flow(window.take(clip[i]), window.take(clip[i - order.step]))
            soft = sample(soft, pixels(soft.shape) + flow)
            masks[i] = cv2.resize(soft, (clip.width, clip.height)) > 0.5
    return masks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clips", nargs="*", help="names; all when none is given")
    parser.add_argument("--prompt", choices=("box", "mask"), default="box")
    options = parser.parse_args()
    folders = [*sorted((DATA / "real").glob("*")), *sorted((DATA / "composites").glob("*"))]
    rows = []
    confidence: list[float] = []
    overlaps: list[float] = []
    print(f"{'clip':20s} {'frame':>5s} {'IoU':>6s} {'first':>6s} {'hold':>6s} {'flow':>6s} {'fps':>5s}")
    for folder in folders:
        if options.clips and folder.name not in options.clips:
            continue
        clip, truth = read_clip(folder)
        frame = good_frame(truth)
        prompt = {"box": tight_box(truth[frame])} if options.prompt == "box" else {"mask": truth[frame]}
        started = time.perf_counter()
        found = track(clip, frame=frame, **prompt)
        masks = list(found)
        speed = len(clip) / (time.perf_counter() - started)
        of_frames = [iou(a, b) for a, b in zip(masks, truth, strict=True)]
        confidence += found.confidence.tolist()
        overlaps += of_frames
        ours = float(np.mean(of_frames))
        hold = float(np.mean([iou(masks[frame], b) for b in truth]))
        flow = float(np.mean([iou(a, b) for a, b in zip(flow_only(clip, masks[frame], frame), truth, strict=True)]))
        rows.append((ours, iou(masks[frame], truth[frame]), hold, flow, speed))
        figures = " ".join(f"{v:6.3f}" for v in rows[-1][:4])
        print(f"{folder.name:20s} {frame:5d} {figures} {speed:5.1f}", flush=True)
    if rows:
        print(f"{'mean':26s} " + " ".join(f"{v:6.3f}" for v in np.mean(rows, axis=0)[:4]))
        bad, called = np.array(overlaps) < DOUBTFUL, np.array(confidence) < DOUBTFUL
        print(
            f"frames with IoU < {DOUBTFUL}: {bad.mean():.1%}; called doubtful: {called.mean():.1%}; "
            f"AUROC {auroc(np.array(confidence), bad):.3f}"
        )


if __name__ == "__main__":
    main()
