"""Animated GIF, APNG, WebP and AVIF."""

import sys

import numpy as np

import harness
from pictures import animations as seeds
from unocclude.media.folder import AnimatedFrames, is_animated

__all__ = ["seeds", "target"]


def target(data: bytes) -> None:
    with harness.as_file(data, "a.gif") as path, harness.one_line():
        is_animated(path)
        source = AnimatedFrames(path)
        assert np.isfinite(source.times).all() and 0 < source.fps <= 1000
        for i in (0, len(source) - 1, len(source) // 2):
            assert source.read(i).shape == (source.height, source.width, 3)


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
