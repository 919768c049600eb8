"""Contact sheets of generated clips."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from unocclude.media.images import write_png

OUTLINE = (255, 200, 0)


@dataclass(frozen=True)
class Row:
    """Some frames of a clip: frames and amodal_rgb (H, W, 3) uint8, amodal (H, W) bool."""

    name: str
    frames: Sequence[np.ndarray]
    amodal: Sequence[np.ndarray]
    amodal_rgb: Sequence[np.ndarray]


def spread(count: int, columns: int) -> list[int]:
    """`columns` frame numbers evenly spaced over a clip of `count` frames, fewer if the clip is shorter."""
    return np.linspace(0, count - 1, min(columns, count)).round().astype(int).tolist()


def contact_sheet(rows: Sequence[Row], height: int = 112) -> np.ndarray:
    """A contact sheet, (H, W, 3) uint8 RGB, with one row per clip and one column per frame.

    Each tile shows the frame with the outline of the amodal mask, and the amodal RGB below it. height: of a frame in
    the sheet, in pixels.
    """
    strips = []
    for row in rows:
        tiles = []
        for frame, amodal, rgb in zip(row.frames, row.amodal, row.amodal_rgb, strict=True):
            size = (max(1, round(frame.shape[1] * height / frame.shape[0])), height)
            way = cv2.INTER_AREA if frame.shape[0] > height else cv2.INTER_LINEAR
            picture = cv2.resize(frame, size, interpolation=way)
            mask = cv2.resize(amodal.astype(np.uint8) * 255, size, interpolation=way) > 127
            contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, contours, -1, OUTLINE, 1)
            tile = np.vstack([picture, cv2.resize(rgb, size, interpolation=way)])
            tiles.append(cv2.copyMakeBorder(tile, 1, 3, 1, 1, cv2.BORDER_CONSTANT, value=(255, 255, 255)))
        strips.append(np.hstack(tiles))
    width = max(strip.shape[1] for strip in strips)
    return np.vstack([np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in strips])


def write_sheet(path: str | Path, rows: Sequence[Row]) -> None:
    """Write a contact sheet as PNG, atomically."""
    write_png(path, contact_sheet(rows))
