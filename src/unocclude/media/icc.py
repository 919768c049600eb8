"""Convert colours from embedded ICC profiles to sRGB."""

import io
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # ICC's names → Pillow's
_SAME = 3  # levels: profiles of sRGB differ by up to this much between vendors

Convert = Callable[[Image.Image], Image.Image]


def to_srgb(image: Image.Image) -> tuple[str, Convert] | None:
    """The mode that the profile of an image is for (RGB, L or CMYK), and a conversion from that mode to sRGB.

    None if there is no conversion to do: no profile, one of sRGB, or one that is damaged or does not fit the image.
    """
    profile = image.info.get("icc_profile")
    found = _transform(profile) if isinstance(profile, bytes) and profile else None
    if found is None or found[0] not in _suitable(image.mode):
        return None
    mode, transform = found
    return mode, lambda part: ImageCms.applyTransform(part, transform) or part


def _suitable(mode: str) -> tuple[str, ...]:
    if mode == "CMYK":
        return ("CMYK",)
    return ("L",) if mode in ("1", "L", "LA") or mode.startswith("I") else ("RGB",)


@lru_cache(maxsize=8)
def _transform(data: bytes) -> tuple[str, ImageCms.ImageCmsTransform] | None:
    try:
        profile = ImageCms.getOpenProfile(io.BytesIO(data))
        mode = _SPACES[profile.profile.xcolor_space]
        made = ImageCms.buildTransform(
            profile, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )  # fmt: skip
    except (ImageCms.PyCMSError, OSError, KeyError, ValueError):
        return None  # viewers ignore such a profile as well
    return None if mode != "CMYK" and _changes_nothing(mode, made) else (mode, made)


def _changes_nothing(mode: str, transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether all colours stay as they are, so that the pixels of an sRGB image are not rounded again."""
    steps = np.linspace(0, 255, 18).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(18, -1, 3)
    given = Image.fromarray(grid if mode == "RGB" else grid[..., 0])
    converted = ImageCms.applyTransform(given, transform) or given
    return bool(np.abs(np.asarray(converted).astype(int) - np.asarray(given.convert("RGB"))).max() <= _SAME)
