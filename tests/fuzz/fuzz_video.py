"""Video files, as FFmpeg reads them; also as a mask."""

import sys

import numpy as np

import harness
import unocclude
from pictures import videos as seeds
from unocclude.media import masks

__all__ = ["seeds", "target"]


def target(data: bytes) -> None:
    with harness.as_file(data, "a.bin") as path:
        with harness.one_line():
            clip = unocclude.open(path)
            assert np.isfinite(clip.times).all() and 0 < clip.fps <= 1000
            for i in (0, len(clip) - 1, len(clip) // 2):
                with harness.one_line():
                    assert clip[i].shape == (clip.height, clip.width, 3)
        with harness.one_line():
            next(masks.read_masks_of_one(path))


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
