"""Export a finished result to files for editors and browsers."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from unocclude.completion import Completion
from unocclude.errors import InputError, UnoccludeError
from unocclude.layers.result import Layers
from unocclude.layout import LAYERS_FILE, RESULT_FILE, is_named
from unocclude.lock import Lock
from unocclude.media.files import is_temporary

FORMATS = {
    ".mov": "ProRes 4444 with alpha",
    ".webm": "VP9 with alpha",
    ".mp4": "H.264, no alpha",
    ".gif": "GIF",
    ".png": "APNG",
    ".exr": "OpenEXR",
}
"""Suffix → format."""
SEQUENCE = ".exr"
"""Suffix of the format with one file per frame."""


def export(
    result: Completion | Layers | str | Path,
    file: str | Path,
    *,
    overwrite: bool = False,
    square: int | None = None,
    background: str = "white",
    frame: int = 0,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> list[Path]:
    """Write the RGBA of a result to `file`, whose suffix selects the format (`FORMATS`); returns the files written.

    result: a finished OUT folder. Layers are written all together (`layers.files.export_layers`), of which a `.psd`
    holds `frame`. square: write crops of this many pixels on `background` to a folder instead
    (`layers.crops.export_crops`). overwrite: replace an existing file. Files are written atomically. Raises InputError
    if the result is not finished, the suffix is unknown, or the file exists, belongs to the result, or is being written
    by another process; UnoccludeError if writing fails.
    """
    file = Path(file)
    if square is not None:
        from unocclude.layers.crops import export_crops

        return export_crops(result, file, square, background=background, overwrite=overwrite, progress=progress)
    if isinstance(result, Layers) or (not isinstance(result, Completion) and (Path(result) / LAYERS_FILE).exists()):
        from unocclude.layers.files import export_layers

        return export_layers(result, file, frame=frame, overwrite=overwrite, progress=progress)
    if file.suffix.lower() not in FORMATS:
        raise InputError(f"{file}: unknown format {file.suffix!r}; use one of {', '.join(FORMATS)}")
    result = result if isinstance(result, Completion) else Completion(result)
    _check_free(result, file, overwrite)
    from unocclude.media.layers import write_layers

    lock = Lock.of_file(file)
    lock.take()
    try:
        _remove_abandoned(file)
        return write_layers(file, _frames(result, progress), result.info["fps"], result.info.get("times"))
    except OSError as error:
        raise UnoccludeError(f"could not write {file}: {error.strerror or error}") from error
    finally:
        lock.release()


def _check_free(result: Completion, file: Path, overwrite: bool) -> None:
    """Raise InputError if the export would replace a file of the result, or any file without `overwrite`."""
    folder, place = result.folder.resolve(), file.resolve()
    if place.is_relative_to(folder) and is_named(place.relative_to(folder), RESULT_FILE):
        raise InputError(f"{file} is part of the result itself; give another name")
    first = file.with_name(f"{file.stem}.00000{file.suffix}") if file.suffix.lower() == SEQUENCE else file
    if first.exists() and not overwrite:
        raise InputError(f"{first} exists; use --overwrite to replace it, or give another name")


def _remove_abandoned(file: Path) -> None:
    """Remove temporary folders of killed processes that wrote the same sequence. The caller holds its lock."""
    for folder in file.parent.glob(f".{_escaped(file.stem[:32])}.*{file.suffix}"):
        if is_temporary(folder.name) and folder.is_dir() and not folder.is_symlink():
            frame = re.compile(re.escape(file.stem) + r"\.\d{5,}" + re.escape(file.suffix))
            if all(frame.fullmatch(path.name) for path in folder.iterdir()):
                shutil.rmtree(folder, ignore_errors=True)


def _escaped(stem: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", stem)


def _frames(result: Completion, progress: Callable[[str, int, int], None]) -> Iterator[np.ndarray]:
    progress("exporting", 0, len(result))
    for i, rgba in enumerate(result.rgba):
        yield rgba
        progress("exporting", i + 1, len(result))
