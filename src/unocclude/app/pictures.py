"""Pictures for the page: frames as WebP, masks and provenance as PNGs that are transparent where there is nothing."""

import io

import numpy as np
from PIL import Image

from unocclude.completion import PROVENANCE_PALETTE
from unocclude.report.draw import fit_size, shrink

QUALITY = 90
_MASK = np.array([(0, 0, 0), (255, 255, 255)], np.uint8)


def frame_webp(frame: np.ndarray, long_side: int | None = None) -> bytes:
    """An (H, W, 3) or (H, W, 4) uint8 picture as lossy WebP, scaled down to `long_side` pixels."""
    if long_side:
        frame = shrink(frame, fit_size(frame.shape[0], frame.shape[1], long_side))
    data = io.BytesIO()
    Image.fromarray(frame).save(data, "WEBP", quality=QUALITY, method=0)
    return data.getvalue()


def mask_png(mask: np.ndarray) -> bytes:
    """An (H, W) bool mask: white on it, transparent elsewhere."""
    return _palette_png(mask.astype(np.uint8), _MASK, bits=1)


def provenance_png(provenance: np.ndarray) -> bytes:
    """(H, W) provenance in the colours of the report, transparent where there is nothing."""
    return _palette_png(provenance, PROVENANCE_PALETTE, bits=2)


def _palette_png(indices: np.ndarray, palette: np.ndarray, bits: int) -> bytes:
    picture = Image.fromarray(indices)
    picture.putpalette(palette.tobytes())
    data = io.BytesIO()
    picture.save(data, "PNG", transparency=0, bits=bits, compress_level=3)
    return data.getvalue()
