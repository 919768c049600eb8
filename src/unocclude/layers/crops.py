"""Square crops around an object, with one scale for the clip: the input of multi-view generators and avatar tools."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

import cv2
import numpy as np

from unocclude.completion import Completion
from unocclude.errors import InputError
from unocclude.layers.compose import NONE, read_colour
from unocclude.layers.result import Layers
from unocclude.layers.stack import Stack
from unocclude.layers.target import check_target, whole_folder, writing
from unocclude.layout import LAYERS_FILE
from unocclude.media.files import write_bytes
from unocclude.media.images import write_png
from unocclude.types import Progress, no_progress

MARGIN = 0.1
"""Free space around the largest silhouette, as a fraction of the square."""
LARGEST = 4096
COLOURS = {"white": "#ffffff", "black": "#000000", "grey": "#7f7f7f"}


@dataclass(frozen=True)
class Crop:
    """One frame's crop. box: x0, y0, x1, y1 in pixels of the canvas, ends exclusive; may reach outside it. rgba: (S, S,
    4) uint8 with straight alpha."""

    box: tuple[int, int, int, int]
    rgba: np.ndarray


def export_crops(
    result: Completion | Layers | str | Path,
    folder: str | Path,
    square: int,
    *,
    background: str = "white",
    frames: int | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> list[Path]:
    """Write square crops of an object, of `square` pixels, to a folder; returns the files written.

    result: a finished OUT folder of `complete`, or of `layers`, whose objects get a folder each. In a folder: rgb/ with
    the object on `background` ("white", "black", "grey", "#rrggbb", or "none" for a transparent one), masks/ (0 or
    255), named as the source frames are, and crops.json: `square`, `scale` (pixels of the crop per pixel of the
    canvas), `background`, `fps`, and for each frame `name` and `box` [x0, y0, x1, y1] on the canvas. The scale is the
    same in all frames, and the object's amodal box is in the middle; where it is absent, the box stays where it was.
    frames: write so many only, evenly spaced from the first to the last.

    Raises InputError for a size or colour that does not exist, more frames than there are, or if the folder exists or
    belongs to the result;
    UnoccludeError if writing fails.
    """
    folder = Path(folder)
    if not 8 <= square <= LARGEST:
        raise InputError(f"--square {square}: give 8 to {LARGEST} pixels")
    colour = None if background == NONE else read_colour(COLOURS.get(background, background))
    if isinstance(result, str | Path):
        result = Layers(result) if (Path(result) / LAYERS_FILE).exists() else Completion(result)
    chosen = _evenly(len(result), frames)
    check_target(result.folder, folder, overwrite)
    objects = {"": result} if isinstance(result, Completion) else _objects(result)
    names = _names(result)
    with writing(folder), whole_folder(folder) as part:
        for name, completion in objects.items():
            _write(completion, part / name, square, colour, background, names, chosen, progress)
        written = sorted(path.relative_to(part) for path in part.rglob("*") if path.is_file())
    return [folder / path for path in written]


def _evenly(count: int, wanted: int | None) -> list[int]:
    """`wanted` of `count` frames, evenly spaced with both ends; all for None."""
    if wanted is None:
        return list(range(count))
    if not 1 <= wanted <= count:
        raise InputError(f"--frames {wanted}: give 1 to {count}, the number of frames that the result has")
    return [round(k * (count - 1) / max(1, wanted - 1)) for k in range(wanted)]


def _objects(result: Layers) -> dict[str, Completion]:
    slugs = Stack(result).objects
    return {slugs[layer.id].slug: layer.completion for layer in result.objects}


def _names(result: Completion | Layers) -> list[str]:
    if isinstance(result, Layers):
        return Stack(result).frame_names()
    stems = [PurePath(name).stem for name in result.info.get("names") or ()]
    return stems if len(set(stems)) == len(result) else [f"{i:05d}" for i in range(len(result))]


def crops(result: Completion, square: int, frames: Collection[int] | None = None) -> Iterator[Crop]:
    """The crops of an object in all frames, or in those with these numbers; see `export_crops`."""
    boxes = [cv2.boundingRect(mask.astype(np.uint8)) for mask in result.amodal_masks]
    longest = max((max(w, h) for _, _, w, h in boxes), default=0)
    side = max(1, round(longest / (1 - MARGIN)))
    middle = next(((x + w / 2, y + h / 2) for x, y, w, h in boxes if w), (0.0, 0.0))
    for i, (x, y, w, h) in enumerate(boxes):
        middle = (x + w / 2, y + h / 2) if w else middle
        left, top = (round(centre - side / 2) for centre in middle)
        if frames is None or i in frames:
            yield Crop((left, top, left + side, top + side), _resized(_cut(result.rgba[i], left, top, side), square))


def _cut(rgba: np.ndarray, left: int, top: int, side: int) -> np.ndarray:
    """A square part of an image, transparent outside it."""
    height, width = rgba.shape[:2]
    part: np.ndarray = np.zeros((side, side, 4), np.uint8)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + side), min(height, top + side)
    if x1 > x0 and y1 > y0:
        part[y0 - top : y1 - top, x0 - left : x1 - left] = rgba[y0:y1, x0:x1]
    return part


def _resized(rgba: np.ndarray, square: int) -> np.ndarray:
    """Scale RGBA to a square, with premultiplied alpha, so that transparent black does not darken edges."""
    if len(rgba) == square:
        return rgba
    layer: np.ndarray = rgba.astype(np.float32)
    layer[..., :3] *= layer[..., 3:] / np.float32(255)
    method = cv2.INTER_AREA if len(rgba) > square else cv2.INTER_CUBIC
    layer = cv2.resize(layer, (square, square), interpolation=method)
    layer[..., :3] = layer[..., :3] * 255 / np.maximum(layer[..., 3:], 1e-3)
    layer[layer[..., 3] < 0.5] = 0
    return np.clip(np.rint(layer), 0, 255).astype(np.uint8)


def _write(
    result: Completion,
    folder: Path,
    square: int,
    colour: tuple[int, int, int] | None,
    background: str,
    names: list[str],
    chosen: list[int],
    progress: Progress,
) -> None:
    for kind in ("rgb", "masks"):
        (folder / kind).mkdir(parents=True)
    boxes = []
    progress("cropping", 0, len(chosen))
    for k, (i, crop) in enumerate(zip(chosen, crops(result, square, chosen), strict=True)):
        picture = crop.rgba if colour is None else _on(crop.rgba, colour)
        write_png(folder / "rgb" / f"{names[i]}.png", picture)
        write_png(folder / "masks" / f"{names[i]}.png", np.where(crop.rgba[..., 3] >= 128, 255, 0).astype(np.uint8))
        boxes.append(list(crop.box))
        progress("cropping", k + 1, len(chosen))
    step = (len(result) - 1) / (len(chosen) - 1) if len(chosen) > 1 else 1.0
    about = {
        "square": square,
        "scale": square / (boxes[0][2] - boxes[0][0]),
        "background": background,
        "fps": result.info["fps"] / step,
        "frames": [{"name": f"{names[i]}.png", "box": box} for i, box in zip(chosen, boxes, strict=True)],
    }
    write_bytes(folder / "crops.json", (json.dumps(about, indent=1) + "\n").encode())


def _on(rgba: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    alpha = rgba[..., 3:].astype(np.uint16)
    ground = np.array(colour, np.uint16)
    return ((rgba[..., :3] * alpha + ground * (255 - alpha) + 127) // 255).astype(np.uint8)
