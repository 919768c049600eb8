"""Embed data and pictures into a page that opens from disk."""

import base64
import io
import json
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
from PIL import Image


def for_script(data: dict[str, Any]) -> str:
    """JSON escaped for a script element, so that it cannot end the element."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def colours() -> str:
    """The style sheet with the colours that reports and the page share."""
    return (files("unocclude.report") / "colours.css").read_text("utf-8").strip()


def nearest(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale an image of labels to `size` (height, width)."""
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def webp_address(image: np.ndarray) -> str:
    """A lossy data URL of an RGB or RGBA image."""
    return _address("webp", Image.fromarray(image), quality=78, method=1)


def png_address(image: np.ndarray, palette: np.ndarray | None = None) -> str:
    """A lossless data URL of a grey or palette image; entry 0 of a palette is transparent."""
    picture = Image.fromarray(image)
    if palette is not None:
        picture.putpalette(palette.tobytes())
        return _address("png", picture, transparency=0)
    return _address("png", picture, optimize=True)


def _address(kind: str, picture: Image.Image, **options: Any) -> str:
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"
