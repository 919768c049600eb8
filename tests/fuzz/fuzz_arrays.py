""".npy and .npz as masks."""

import sys

import harness
from pictures import arrays as seeds
from unocclude.media import masks

__all__ = ["seeds", "target"]


def target(data: bytes) -> None:
    with harness.as_file(data, "a.npz" if data.startswith(b"PK") else "a.npy") as path:
        for object_id in (None, 1):
            with harness.one_line():
                for mask in masks.read_masks_of_one(path, object_id=object_id):
                    assert mask.dtype == bool and mask.ndim == 2


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
