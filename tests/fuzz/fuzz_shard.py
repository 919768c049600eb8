"""WebDataset shards, read back and as a source to learn from."""

import sys

import harness
from pictures import shards as seeds
from unocclude.synthesis.shards import read_shard
from unocclude.training.sources import ClipSource

__all__ = ["seeds", "target"]


def target(data: bytes) -> None:
    with harness.as_file(data, "a.tar") as path:
        with harness.one_line():
            assert all(members for _, members in read_shard(path))
        with harness.one_line():
            source = ClipSource(f"shards:{path.parent}")
            for i in range(min(source.count, 3)):
                with harness.one_line():
                    source.make(i)


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
