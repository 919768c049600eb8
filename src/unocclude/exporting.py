"""Export a finished result to files for editors and browsers."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unocclude.completion import Completion
from unocclude.errors import InputError, UnoccludeError
from unocclude.layers.result import Layers
from unocclude.layers.target import frame_range, times_of
from unocclude.layout import LAYERS_FILE
from unocclude.lock import Lock
from unocclude.media.files import is_temporary

if TYPE_CHECKING:
    from unocclude.media.sound import Sound

FORMATS = {
    ".mov": "ProRes 4444 with alpha",
    ".webm": "VP9 with alpha",
    ".mp4": "H.264, no alpha",
    ".gif": "GIF",
    ".png": "APNG",
    ".exr": "OpenEXR",
}
"""Suffix → format."""
PICTURES = (".png", ".gif", ".exr")
"""Suffixes of image files, which a folder of frames may hold."""
WITH_SOUND = (".mov", ".webm", ".mp4")
"""Suffixes of the formats that take the clip's sound."""
WITH_ASPECT = (".mov", ".mp4", ".exr")
"""Suffixes of the formats that take the clip's pixel aspect. (PyAV cannot set it for Matroska's muxer.)"""


def export(
    result: Completion | Layers | str | Path,
    file: str | Path,
    *,
    overwrite: bool = False,
    fps: float | None = None,
    square: int | None = None,
    background: str = "white",
    frame: int = 0,
    frames: int | None = None,
    start: int = 0,
    end: int | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
    note: Callable[[str], None] = lambda sentence: None,
) -> list[Path]:
    """Write the RGBA of a result to `file`, whose suffix selects the format (`FORMATS`); returns the files written.

    A `.mov` lies exactly over its clip: same size, frames, times, pixel aspect and colour tags. Videos also get the
    clip's sound. `NAME_%04d.png`, `NAME.####.exr` and the like write one file per frame. Layers are written all
    together (`layers.files.export_layers`), of which a `.psd` holds `frame`.

    result: a finished OUT folder. square: write crops of this many pixels on `background` to a folder instead, of
    `frames` evenly spaced frames or of all (`layers.crops.export_crops`). overwrite: replace existing files. fps:
    frames per second, for a clip of images. start, end: the frames to write, from `start` to before `end`. note: called
    with what was left out, one sentence each. Files are written atomically. Raises InputError if the result is not
    finished, the suffix is unknown, `fps` is given for a video, or a file exists, is in the result's folder, is the
    clip, or is being written by another process; UnoccludeError if writing fails.
    """
    file = Path(file)
    if square is not None:
        from unocclude.layers.crops import export_crops

        return export_crops(
            result, file, square, background=background, frames=frames, overwrite=overwrite, progress=progress
        )
    if frames is not None:
        raise InputError("--frames is for square crops; give --square PIXELS as well")
    if isinstance(result, Layers) or (not isinstance(result, Completion) and (Path(result) / LAYERS_FILE).exists()):
        from unocclude.layers.files import export_layers

        return export_layers(result, file, frame=frame, start=start, end=end, overwrite=overwrite, progress=progress)
    if file.suffix.lower() not in FORMATS:
        raise InputError(f"{file}: unknown format {file.suffix!r}; use one of {', '.join(FORMATS)}")
    result = result if isinstance(result, Completion) else Completion(result)
    from unocclude.media.layers import write_layers
    from unocclude.media.signal import Signal

    part = frame_range(start, end, len(result))
    clip = _SourceClip(result.info, part)
    if fps is not None and clip.is_video:
        raise InputError(f"{clip.path}: has its own frame rate; --fps is only for images, leave it out")
    _check_free(result, clip, file, overwrite, len(part))
    times = times_of(result.info.get("times") if fps is None else None, part)
    signal = Signal.from_json(result.info.get("signal", {}))
    if signal.aspect != 1 and file.suffix.lower() not in WITH_ASPECT:
        note(f"{file.name} has square pixels, the clip does not; {', '.join(WITH_ASPECT)} keep the clip's")
    lock = Lock.of_file(file)
    lock.take()
    try:
        _remove_abandoned(file)
        sound = clip.sound(note) if file.suffix.lower() in WITH_SOUND else None
        return write_layers(file, _frames(result, part, progress), fps or result.info["fps"], times, signal, sound)
    except OSError as error:
        raise UnoccludeError(f"could not write {file}: {error.strerror or error}") from error
    finally:
        lock.release()


class _SourceClip:
    """The clip that a result was made from, as far as it is still there."""

    def __init__(self, info: dict[str, Any], part: range):
        self._info, self._part = info, part
        self.path = Path(info["input"]) if info.get("input") else None

    @property
    def is_video(self) -> bool:
        """Whether the clip is a file that has its own rate, and perhaps sound."""
        from unocclude.media.source import is_image

        return self.path is not None and self.path.is_file() and not is_image(self.path)

    def sound(self, note: Callable[[str], None]) -> "Sound | None":
        """The sound of the frames to export; None if there is none, or if the clip has changed."""
        if self.path is not None and not self.path.exists():
            note(f"the clip's sound, if it has any, was left out: {self.path} is not there")
        if not self.is_video or self.path is None:
            return None
        from unocclude.clip import Clip
        from unocclude.media.sound import find_sound
        from unocclude.media.source import open_source

        start, end = self._info.get("source_range") or (0, None)
        try:
            source: Any = open_source(self.path, start=start, end=end)
            if Clip(source, self.path).fingerprint != self._info["identity"]["input"]:
                raise InputError(f"{self.path} has changed since the run")
            first, last = (source.origin + source.times[i] for i in (self._part[0], self._part[-1]))
            return find_sound(self.path, first, last + 1 / source.fps)
        except InputError as error:
            note(f"the clip's sound, if it has any, was left out: {error}")
            return None


def _check_free(result: Completion, clip: _SourceClip, file: Path, overwrite: bool, count: int) -> None:
    """Raise InputError if the export would write into the result or its clip, or over any file without `overwrite`."""
    folder = file.parent.resolve()
    if (folder / file.name).resolve().is_relative_to(result.folder.resolve()):
        raise InputError(f"{file} is in the folder of the result itself; give another one")
    targets = _targets(file, count)
    if clip.path is not None and clip.path.exists():
        source = clip.path.resolve()
        if any(target.resolve() == source or _same(target, source) for target in targets):
            raise InputError(f"{file} is the clip itself; give another name")
        if folder == source and file.suffix.lower() in PICTURES:
            raise InputError(f"{file} is in the folder of the clip's frames and would become one; give another folder")
    taken = next((target for target in targets if target.exists()), None)
    if taken and not overwrite:
        raise InputError(f"{taken} exists; use --overwrite to replace it, or give another name")


def _targets(file: Path, count: int) -> list[Path]:
    """The files that an export of `count` frames writes."""
    from unocclude.media.layers import frame_name, is_sequence

    return [file.with_name(frame_name(file, i)) for i in range(count)] if is_sequence(file) else [file]


def _same(a: Path, b: Path) -> bool:
    return a.exists() and a.samefile(b)


def _remove_abandoned(file: Path) -> None:
    """Remove temporary folders of killed processes that wrote the same sequence. The caller holds its lock."""
    from unocclude.media.layers import is_frame_name

    for folder in file.parent.glob(f".{_escaped(file.stem[:32])}.*{file.suffix}"):
        ours = is_temporary(folder.name) and folder.is_dir() and not folder.is_symlink()
        if ours and all(is_frame_name(file, path.name) for path in folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)


def _escaped(stem: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", stem)


def _frames(result: Completion, part: range, progress: Callable[[str, int, int], None]) -> Iterator[np.ndarray]:
    progress("exporting", 0, len(part))
    for done, i in enumerate(part, 1):
        yield result.rgba[i]
        progress("exporting", done, len(part))
