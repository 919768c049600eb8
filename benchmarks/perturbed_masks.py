"""Complete clips from visible masks with the errors that segmentation networks make, and compare with the exact ones.

    python benchmarks/perturbed_masks.py GT ... [--method recall] [--kinds exact edge ...]

GT: folders in our GT layout (frames/, visible_masks/, amodal_masks/), or folders of such. Prints mIoU and mIoU_occ for
each clip and kind of error, then means over the clips and their difference from exact masks. The hidden part is that of
the exact masks, so an error of the visible mask itself counts against mIoU, and only what it does to the completion
against mIoU_occ.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

import unocclude
from unocclude.metrics.base import Frame
from unocclude.metrics.iou import HiddenIoU, MeanIoU

EDGE = 2.0
"""Standard deviation, in pixels, by which the noise moves the contour."""
WAVELENGTH = 8.0
"""Standard deviation of the blur that makes the noise smooth, in pixels."""
SPECKS = 3

Perturb = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def dilated(mask: np.ndarray, _: np.random.Generator) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), disc(2)) > 0


def eroded(mask: np.ndarray, _: np.random.Generator) -> np.ndarray:
    return cv2.erode(mask.astype(np.uint8), disc(2), borderValue=1) > 0


def disc(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)


def wobbling(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move the contour by smooth noise: the noise is added to the signed distance from it."""
    if not mask.any():
        return mask
    noise = cv2.GaussianBlur(rng.normal(size=mask.shape), (0, 0), WAVELENGTH)
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(inside - outside + EDGE * noise / noise.std() > np.where(mask, 0.5, -0.5))


def specked(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add squares of 1 to 3 pixels at random places."""
    mask = mask.copy()
    for side in rng.integers(1, 4, SPECKS):
        y, x = rng.integers(0, mask.shape[0]), rng.integers(0, mask.shape[1])
        mask[y : y + side, x : x + side] = True
    return mask


KINDS: dict[str, Perturb] = {
    "exact": lambda mask, _: mask,
    "dilated": dilated,
    "eroded": eroded,
    "edge": wobbling,
    "specks": specked,
}


def find_clips(given: list[Path]) -> list[Path]:
    """The GT folders among `given` and one level below."""
    below = [child for path in given for child in (path, *sorted(path.iterdir())) if child.is_dir()]
    return [path for path in below if (path / "amodal_masks").is_dir()]


def score(folder: Path, perturb: Perturb, method: str, seed: int) -> tuple[float, float]:
    """mIoU and mIoU_occ of one clip."""
    clip = unocclude.open(folder / "frames")
    visible, amodal = (list(unocclude.read_masks(folder / f"{kind}_masks")) for kind in ("visible", "amodal"))
    rng = np.random.default_rng(seed)
    given = [perturb(mask, rng) for mask in visible]
    whole, hidden = MeanIoU(), HiddenIoU()
    for result in unocclude.stream(clip, given, method=method):
        frame = Frame(result.amodal, amodal[result.index], visible[result.index])
        whole.update(frame)
        hidden.update(frame)
    return float(whole.compute()), float(hidden.compute())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="+", type=Path, metavar="GT")
    parser.add_argument("--method", default="recall")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    means: dict[str, np.ndarray] = {}
    print(f"{'masks':8s} {'clip':24s} {'mIoU':>6s} {'_occ':>6s} {'s':>5s}")
    for kind in options.kinds:
        rows = []
        for folder in find_clips(options.data):
            started = time.perf_counter()
            rows.append(score(folder, KINDS[kind], options.method, options.seed))
            seconds = time.perf_counter() - started
            print(f"{kind:8s} {folder.name:24s} {rows[-1][0]:6.3f} {rows[-1][1]:6.3f} {seconds:5.0f}", flush=True)
        means[kind] = np.mean(rows, axis=0)
    print()
    for kind, mean in means.items():
        change = "".join(f" {now - then:+6.3f}" for now, then in zip(mean, means.get("exact", mean), strict=True))
        print(f"{kind:8s} {'mean':24s} {mean[0]:6.3f} {mean[1]:6.3f}  {change}")


if __name__ == "__main__":
    main()
