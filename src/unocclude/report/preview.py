"""Write preview.mp4, a quick view of a result."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from unocclude.media.images import read_png
from unocclude.media.layers import write_preview as encode
from unocclude.report.draw import fit_size, on_checkerboard, overlay, shrink
from unocclude.scene import Scene

LONG_SIDE = 960
NAME = "preview.mp4"


def write_preview(path: Path, scene: Scene, progress: Callable[[str, int, int], None]) -> None:
    """Write `path`/preview.mp4 for an OUT folder with all frames.

    Left: the clip with the visible mask tinted and the amodal mask outlined. Right: the completed object on a
    checkerboard. H.264, at most 960 pixels on the longer side. Raises OSError if it cannot be written.
    """
    encode(path / NAME, _pictures(path, scene, progress), scene.clip.fps, scene.clip.times, scene.clip.signal)


def _pictures(path: Path, scene: Scene, progress: Callable[[str, int, int], None]) -> Iterator[np.ndarray]:
    # two images side by side, each of even size as H.264 requires
    height, width = fit_size(scene.height, scene.width, LONG_SIDE)
    height, width = fit_size(height, width, LONG_SIDE // 2) if width > LONG_SIDE // 2 else (height, width)
    size = (max(2, height // 2 * 2), max(2, width // 2 * 2))
    progress("preview", 0, len(scene))
    for i in range(len(scene)):
        amodal = shrink(read_png(path / "amodal_masks" / f"{i:05d}.png") > 127, size)
        left = overlay(shrink(scene.frame(i), size), shrink(scene.visible(i), size), amodal)
        right = on_checkerboard(shrink(read_png(path / "rgba" / f"{i:05d}.png"), size))
        yield np.hstack([left, right])
        progress("preview", i + 1, len(scene))
