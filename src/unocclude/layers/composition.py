"""Write a composition of layers to a picture or video."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unocclude.errors import InputError
from unocclude.layers.compose import Edit
from unocclude.layers.result import Layers
from unocclude.layers.target import check_target, frame_range, times_of, writing
from unocclude.media.files import write_bytes
from unocclude.media.images import on_black, write_png
from unocclude.media.layers import FORMATS, write_layers
from unocclude.types import Progress, no_progress

SEQUENCE = ".exr"
JPEG = (".jpg", ".jpeg")


def write_composition(
    result: Layers | str | Path,
    file: str | Path,
    edit: Edit | dict[str, Any] | str | Path | None = None,
    *,
    start: int = 0,
    end: int | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> list[Path]:
    """Write layers, put together as edited, to `file`, whose suffix selects the format; returns the files written.

    result: a finished OUT folder of `layers`. A single frame is written as PNG or JPEG, several as in `export`. edit:
    see `Layers.compose`. start, end: the frames to write, from `start` to before `end`.

    Raises InputError if the result is not finished, the edit or the suffix does not fit, or the
    file exists or belongs to the result; UnoccludeError if writing fails.
    """
    file = Path(file)
    suffix = file.suffix.lower()
    result = result if isinstance(result, Layers) else Layers(result)
    part = frame_range(start, end, len(result))
    known = (*FORMATS, SEQUENCE, *(JPEG if len(part) == 1 else ()))
    if suffix not in known:
        raise InputError(f"{file}: unknown format {suffix or '(no suffix)'}; use one of {', '.join(known)}")
    frames = result.compose(edit)[part.start : part.stop]
    check_target(
        result.folder,
        file,
        overwrite,
        file.with_name(f"{file.stem}.00000{file.suffix}") if suffix == SEQUENCE else None,
    )
    with writing(file):
        if len(frames) == 1 and suffix in (".png", *JPEG):
            _write_picture(file, frames[0])
            return [file]
        return write_layers(file, _opaque(frames, progress), result.info.fps, times_of(result.info.times, part))


def _write_picture(file: Path, picture: np.ndarray) -> None:
    if file.suffix.lower() == ".png":
        write_png(file, picture)
        return
    data = io.BytesIO()
    rgb = on_black(picture) if picture.shape[2] == 4 else picture
    Image.fromarray(rgb).save(data, "JPEG", quality=95, subsampling=0)
    write_bytes(file, data.getvalue())


def _opaque(frames: Sequence[np.ndarray], progress: Progress) -> Iterator[np.ndarray]:
    """The frames as RGBA."""
    progress("composing", 0, len(frames))
    for i, frame in enumerate(frames):
        opaque = np.full((*frame.shape[:2], 1), 255, np.uint8)
        yield frame if frame.shape[2] == 4 else np.concatenate([frame, opaque], axis=2)
        progress("composing", i + 1, len(frames))
