"""Still images: as frames, as masks and as they are stored."""

import sys

import harness
from pictures import images as seeds
from unocclude.media import images, label_images
from unocclude.media.source import open_source

__all__ = ["seeds", "target"]


def target(data: bytes) -> None:
    with harness.as_file(data, "a.png") as path:
        for read in (images.read_image, images.image_size, images.read_png, label_images.read_label_map):
            with harness.one_line():
                read(path)
        with harness.one_line():
            source = open_source(path)
            assert source.read(0).shape == (source.height, source.width, 3)


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
