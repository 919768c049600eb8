"""Read one mask image, or a frame of a mask video.

Images mean different things: ids (palette, integers), a matte (many grey levels, or alpha), probabilities, or one
colour per object.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from unocclude.errors import InputError
from unocclude.media.images import by_rows, open_image, orientation, to_rgb, upright
from unocclude.media.in_memory import HALF
from unocclude.media.limits import decoding

LOSSY = ("JPEG", "WEBP", "AVIF", "JPEG2000")
MAX_COLOURS = 256
"""Size of a palette. An image with more colours is not a mask."""
_FAULT, _REMEDY = "the mask is damaged", "save it again"


@dataclass(frozen=True)
class LabelImage:
    """One mask image. kind: "ids", "levels" (grey, which may be ids or a matte), "matte", "chances" (0..1), "colours"
    (0xRRGGBB), or "grey" (levels of an image that could have had colours). values: (H, W)."""

    kind: str
    values: np.ndarray


def read_label_map(path: Path) -> np.ndarray:
    """Read a mask image as an array of ids, (H, W): palette indices or integers; False and True for other masks."""
    image = read_label_image(path)
    if image.kind in ("ids", "levels", "grey"):
        return image.values
    if image.kind == "colours":
        return np.asarray(image.values != 0)
    return np.asarray(image.values >= (0.5 if image.kind == "chances" else HALF))


def read_label_image(path: Path) -> LabelImage:
    """Read a mask image; raises InputError if it is damaged, or a photo."""
    with open_image(path) as image:
        turn = orientation(image)
        if (image.format in LOSSY or image.format == "GIF") and not _has_alpha(image):
            with decoding(path, _FAULT, _REMEDY):
                return LabelImage("matte", frame_levels(upright(to_rgb(image, path), turn), path))
        label = _lossless(image, path)
    return LabelImage(label.kind, upright(label.values, turn))


def _lossless(image: Image.Image, path: Path) -> LabelImage:
    with decoding(path, _FAULT, _REMEDY):
        if image.mode in ("I", "F", "I;16", "I;16B"):
            return number_image(np.array(image), path)
        if image.mode == "1":
            return LabelImage("ids", np.array(image))
        if image.mode == "P":
            return LabelImage("ids", _palette_ids(image))
        if _has_alpha(image):
            alpha = np.array(image.convert("RGBA").getchannel("A"))
            if alpha.min() < 255:
                return LabelImage("matte", alpha)
            image = image.convert("RGB")
        if image.mode == "L":
            return LabelImage("levels", np.array(image))
        rgb = to_rgb(image, path)
    return colour_image(rgb, path)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "La", "RGBa", "PA")


def _palette_ids(image: Image.Image) -> np.ndarray:
    """Palette indices; where the only colours are black and white, True for white."""
    ids = np.array(image)
    used = np.unique(ids)
    palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    if used.max() >= len(palette):
        return ids
    colours = palette[used].astype(int)
    if not np.isin(colours, (0, 255)).all() or (colours != colours[:, :1]).any() or len(np.unique(colours)) < len(used):
        return ids
    return np.asarray(palette[:, 0] == 255)[ids]


def number_image(values: np.ndarray, path: Path) -> LabelImage:
    """An array of numbers, (H, W): bool or integers are ids, floats are chances from 0 to 1, or whole numbers are ids.

    Raises InputError for other floats.
    """
    if values.dtype.kind != "f":
        return LabelImage("levels" if values.dtype == np.uint8 else "ids", values)
    if not np.isfinite(values).all():
        raise InputError(f"{path}: holds NaN or infinity; give ids, or chances from 0 to 1")
    if (values % 1 == 0).all() and abs(values).max(initial=0) < 1 << 31:
        return LabelImage("ids", values.astype(np.int64))
    if values.min() >= 0 and values.max() <= 1:
        return LabelImage("chances", values)
    raise InputError(
        f"{path}: holds numbers from {values.min():.4g} to {values.max():.4g}, which are neither ids nor chances from "
        "0 to 1; cut them first, for example `values > 0` for logits"
    )


def colour_image(rgb: np.ndarray, path: Path) -> LabelImage:
    """An (H, W, 3) uint8 image: grey levels where all channels agree, else one colour per object."""
    if (rgb == rgb[..., :1]).all():
        return LabelImage("grey", rgb[..., 0])
    numbers = by_rows(rgb, _as_number)
    count = len(np.unique(numbers))
    if count > MAX_COLOURS:
        raise InputError(f"{path}: an image with {count} colours, not a mask; give 0 or 255, or one colour per object")
    return LabelImage("colours", numbers)


def frame_levels(rgb: np.ndarray, path: Path) -> np.ndarray:
    """Grey levels of a frame (H, W, 3) uint8 of a video or a lossy image; raises InputError if it is a picture.

    A mask is dark or bright nearly everywhere, and has no colours.
    """
    part = rgb[::2, ::2] if rgb.shape[0] * rgb.shape[1] > 100_000 else rgb
    spread = part.max(axis=2).astype(np.int16) - part.min(axis=2)
    if (spread > 64).mean() > 0.02:
        raise InputError(f"{path}: a colour picture, not a mask; give one in which the object is white on black")
    levels = by_rows(rgb, _luma)
    if ((levels > 48) & (levels < 208)).mean() > 0.5:
        raise InputError(f"{path}: a grey picture, not a mask; give one in which the object is white on black")
    return levels


def _luma(rgb: np.ndarray) -> np.ndarray:
    """BT.601 luma as integers, (H, W) uint16; grey levels are unchanged."""
    return ((rgb.astype(np.uint32) @ np.array([77, 150, 29], np.uint32)) >> 8).astype(np.uint16)


def _as_number(rgb: np.ndarray) -> np.ndarray:
    return rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
