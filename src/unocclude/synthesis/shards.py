"""WebDataset shards: plain tar files of whole clips.

A member is called CLIP.PART.FRAME.png, as in `00007.visible_masks.00003.png`, and CLIP.meta.json: WebDataset takes what
is before the first dot as the sample's key, so that a clip is one sample. The same clips always give the same bytes.
"""

import io
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from unocclude.errors import InputError
from unocclude.media.files import whole


def write_shard(path: str | Path, clips: Sequence[Path]) -> None:
    """Pack folders in our GT layout into one tar, whole or not at all; members are sorted, times and owners are 0."""
    with whole(path) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for clip in sorted(clips, key=lambda p: p.name):
            files = {".".join((clip.name, *p.relative_to(clip).parts)): p for p in clip.rglob("*") if p.is_file()}
            for name in sorted(files):
                data = files[name].read_bytes()
                info = tarfile.TarInfo(name)
                info.size, info.mtime, info.mode = len(data), 0, 0o644
                tar.addfile(info, io.BytesIO(data))


def read_shard(path: str | Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield every clip's name and its members, as in {"frames.00000.png": bytes, "meta.json": bytes}, in order.

    Raises InputError for what is no shard.
    """
    name, members = "", dict[str, bytes]()
    try:
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                clip, _, member = info.name.partition(".")
                if clip != name and members:
                    yield name, members
                    members = {}
                data = tar.extractfile(info)
                name = clip
                members[member] = data.read() if data else b""
    except tarfile.TarError as error:
        raise InputError(f"{path} is not a shard that can be read ({error}); make it again") from None
    if members:
        yield name, members


def read_picture(data: bytes) -> np.ndarray:
    """A member's picture, (H, W) grey or (H, W, 3) RGB; raises InputError where it is damaged."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise InputError("a picture of the shard is damaged; make it again")
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
