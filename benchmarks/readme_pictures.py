"""Draw the two pictures at the top of README from the clip of `make demo`.

    make demo
    python benchmarks/readme_pictures.py demo/input demo/out docs/pictures

Writes teaser.png, three panels of the frame in which most of the object is hidden (input frame, visible mask, completed
object), and teaser.gif, the same three panels for the whole clip.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from unocclude.completion import Completion

TITLES = ("input frame", "visible mask", "completed object")
CAPTION, GAP, TILE = 34, 8, 12
FONT = cv2.FONT_HERSHEY_DUPLEX


def checkerboard(height: int, width: int) -> np.ndarray:
    """(H, W, 3) float, the usual sign for transparency."""
    y, x = np.mgrid[:height, :width] // TILE
    return np.where((x + y) % 2, 222.0, 250.0)[..., None].repeat(3, axis=2)


def panels(frame: np.ndarray, visible: np.ndarray, rgba: np.ndarray) -> list[np.ndarray]:
    """The three panels of one frame, (H, W, 3) uint8 RGB each."""
    alpha = rgba[..., 3:] / 255.0
    completed = alpha * rgba[..., :3] + (1 - alpha) * checkerboard(*visible.shape)
    return [frame, np.dstack([visible.astype(np.uint8) * 255] * 3), completed.round().astype(np.uint8)]


def surroundings(masks: np.ndarray, margin: int = 24) -> tuple[slice, slice]:
    """Rows and columns that hold the object in all of (T, H, W) masks, and a margin in pixels."""
    found = masks.any(axis=0)
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    return (
        slice(max(0, rows[0] - margin), rows[-1] + margin),
        slice(max(0, columns[0] - margin), columns[-1] + margin),
    )


def strip(images: list[np.ndarray], scale: float) -> np.ndarray:
    """Panels side by side, each under its title, on white."""
    columns = []
    for title, image in zip(TITLES, images, strict=True):
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        head = np.full((CAPTION, size[0], 3), 255, np.uint8)
        (width, height), _ = cv2.getTextSize(title, FONT, 0.55, 1)
        place = ((size[0] - width) // 2, (CAPTION + height) // 2)
        cv2.putText(head, title, place, FONT, 0.55, (40, 40, 40), 1, cv2.LINE_AA)
        columns += [np.full((CAPTION + size[1], GAP, 3), 255, np.uint8), np.vstack([head, image])]
    return np.hstack(columns[1:])


def save_gif(path: Path, images: list[np.ndarray], fps: float, colours: int = 64) -> None:
    """An endless GIF with one palette for all frames, so that what stands still takes no space."""
    sheet = Image.fromarray(np.vstack(images[:: max(1, len(images) // 8)]))
    chosen = sheet.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    table = np.array(chosen.getpalette(), np.uint8).reshape(-1, 3)
    table[(table >= 250).all(axis=1)] = 255  # the page's own white
    palette = Image.new("P", (1, 1))
    palette.putpalette(table.tobytes())
    frames = [Image.fromarray(image).quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=round(1000 / fps), loop=0, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("truth", type=Path, metavar="GT", help="folder that benchmarks/demo_clip.py wrote")
    parser.add_argument("result", type=Path, metavar="OUT", help="folder that `unocclude complete` wrote")
    parser.add_argument("pictures", type=Path, metavar="PICTURES", help="folder for teaser.png and teaser.gif")
    args = parser.parse_args()
    result = Completion(args.result)
    all_panels = [
        panels(
            cv2.cvtColor(cv2.imread(str(args.truth / "frames" / f"{i:05d}.png")), cv2.COLOR_BGR2RGB),
            result.visible_masks[i],
            result.rgba[i],
        )
        for i in range(len(result))
    ]
    most_hidden = max(range(len(result)), key=lambda i: result.frames[i]["occlusion_rate"])
    amodal = np.stack(list(result.amodal_masks))
    crop = surroundings(amodal[most_hidden : most_hidden + 1], 48)
    still = strip([image[crop] for image in all_panels[most_hidden]], 1.0)
    still = Image.fromarray(still).quantize(192, dither=Image.Dither.FLOYDSTEINBERG)
    still.save(args.pictures / "teaser.png", optimize=True)
    crop = surroundings(amodal)
    strips = [strip([image[crop] for image in images], 0.5) for images in all_panels[::3]]
    save_gif(args.pictures / "teaser.gif", strips, result.info["fps"] / 3)
    print(f"frame {most_hidden}, {result.frames[most_hidden]['occlusion_rate']:.0%} hidden")


if __name__ == "__main__":
    main()
