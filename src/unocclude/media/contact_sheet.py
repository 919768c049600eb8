"""Contact sheets: a row of small pictures as HTML, which notebooks show for a clip, a track or a result."""

import base64
import html
import io

import numpy as np
from PIL import Image

from unocclude.types import Images

MAX_SHOWN = 6
SIDE = 160
"""The longer side of a picture in pixels."""
_CHECKERBOARD = "background: repeating-conic-gradient(#aaa 0% 25%, #ccc 0% 50%) 0 0 / 16px 16px"


def contact_sheet(pictures: Images, title: str) -> str:
    """HTML with at most `MAX_SHOWN` of the pictures, evenly spaced, as PNG data URLs, under a title.

    pictures: (H, W) bool, (H, W, 3) or (H, W, 4) uint8 each; only those that are shown are read.
    """
    shown = "".join(_figure(pictures[i], i) for i in choose(len(pictures), MAX_SHOWN))
    return f'<div>{html.escape(title)}<div style="display: flex; gap: 4px; flex-wrap: wrap">{shown}</div></div>'


def choose(count: int, most: int) -> list[int]:
    """Choose at most `most` of the frames 0 to count - 1, evenly spaced, including the first and the last."""
    if count <= most:
        return list(range(count))
    return [round(k * (count - 1) / (most - 1)) for k in range(most)]


def data_url(picture: Image.Image, kind: str, **options: object) -> str:
    """An image as a data URL. kind: a format of PIL, "png" or "webp". options: those of its encoder."""
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"


def _figure(picture: np.ndarray, number: int) -> str:
    small = Image.fromarray(picture.astype(np.uint8) * 255 if picture.dtype == bool else picture)
    small.thumbnail((SIDE, SIDE))
    style = f"margin: 0; {_CHECKERBOARD if small.mode == 'RGBA' else ''}"
    image = f'<img src="{data_url(small, "png")}" width="{small.width}" height="{small.height}" style="{style}">'
    return f'<figure style="margin: 0">{image}<figcaption>{number}</figcaption></figure>'
