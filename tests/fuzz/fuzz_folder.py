"""Folders: a sound frame, the mutated one, and a sound one."""

import sys

import harness
import unocclude
from pictures import frame
from pictures import images as seeds
from unocclude.media import masks
from unocclude.media.images import write_png

__all__ = ["seeds", "target"]


def target(data: bytes) -> None:
    with harness.as_file(data, "f2.jpg") as path:
        write_png(path.with_name("f1.png"), frame())
        write_png(path.with_name("f10.png"), frame(1))
        with harness.one_line():
            assert {picture.shape for picture in unocclude.open(path.parent)} == {frame().shape}
        with harness.one_line():
            list(masks.read_masks_of_one(path.parent))


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
