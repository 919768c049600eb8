"""Write preview.mp4, a quick view of layers."""

from collections.abc import Iterator

import numpy as np

from unocclude.clip import Clip
from unocclude.layers.draw import outlines
from unocclude.layers.result import Layers
from unocclude.media.layers import write_preview as encode
from unocclude.report.draw import fit_size, shrink
from unocclude.types import Progress

LONG_SIDE = 960
NAME = "preview.mp4"


def write_preview(layers: Layers, clip: Clip, progress: Progress) -> None:
    """Write preview.mp4 of layers: left the clip with the objects' amodal outlines, right the clean plate.

    H.264, at most 960 pixels on the longer side. Raises OSError if it cannot be written.
    """
    encode(layers.folder / NAME, _pictures(layers, clip, progress), clip.fps, clip.times)


def _pictures(layers: Layers, clip: Clip, progress: Progress) -> Iterator[np.ndarray]:
    height, width = fit_size(*layers.size, LONG_SIDE // 2)
    size = (max(2, height // 2 * 2), max(2, width // 2 * 2))
    progress("preview", 0, len(layers))
    for i in range(len(layers)):
        yield np.hstack([outlines(layers, clip, i, size), shrink(layers.background[i], size)])
        progress("preview", i + 1, len(layers))
