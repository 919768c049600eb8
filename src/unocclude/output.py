"""Writing the OUT folder: claimed once, frame by frame, resumable after kill -9."""

import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from unocclude.completion import PROVENANCE_NAMES, PROVENANCE_PALETTE, RESULT_FILE, SCHEMA, FrameResult
from unocclude.errors import InputError
from unocclude.lock import FolderLock
from unocclude.media.files import is_temporary, sweep, write_bytes
from unocclude.media.images import read_png, write_png

RUN_FILE = "run.json"
"""Present while a run is unfinished: what it was asked to do, so that only the same run resumes it."""

TRACK_FILE = "track.json"
"""What `unocclude track` writes last, as result.json is for `complete`."""

SYNTH_FILE = "synth.json"
"""What `unocclude synth` writes last."""

TRAIN_FILE = "train.json"
"""What `unocclude train` writes last."""

# provenance comes last: a frame whose provenance is there is whole
KINDS = ("amodal_masks", "rgba", "provenance")


def check_out(path: str | Path, *, resume: bool, overwrite: bool) -> None:
    """What can be said of an OUT folder before any work: raise InputError where it cannot be written, where
    it exists and neither `resume` nor `overwrite` allows going on, or where it is not a folder that this tool
    made."""
    path = Path(path)
    if resume and overwrite:
        raise InputError("give --resume or --overwrite, not both")
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; give a folder for -o")
    nearest = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: no permission in {nearest}, or not a folder; give another -o")
    if not path.exists():
        return
    if not (resume or overwrite):
        raise InputError(f"{path} exists; use --resume to finish it, --overwrite to replace it, or another folder")
    if not _is_empty(path) and _read_marks(path) is None:
        raise InputError(f"{path} was not made by this tool, so it is left alone; give another folder")


def _is_empty(path: Path) -> bool:
    return all(is_temporary(child.name) for child in path.iterdir())


def _read_marks(path: Path) -> dict[str, Any] | None:
    """What this tool wrote of a run into a folder; None where it did not make the folder."""
    for name in (RUN_FILE, RESULT_FILE, TRACK_FILE, SYNTH_FILE, TRAIN_FILE):
        try:
            content = json.loads((path / name).read_text())
            if content["schema"] == SCHEMA and isinstance(content["identity"], dict):
                return content
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


class OutFolder:
    """One OUT folder on disk.

    `identity` is everything that decides the result (input, prompt, method, options, seed, ...); `result` is
    the file whose presence means finished. `finished`, `masks_done` and `frames_done` say what an earlier run
    of the same identity left; `tracker` is where its visible masks came from. Nothing is written before
    `claim`; what is unfinished is locked against other processes until `release`. Raises InputError as
    `check_out` does, where `resume` meets a run of another identity, and where another process is at work.
    """

    def __init__(
        self,
        path: str | Path,
        identity: dict[str, Any],
        *,
        resume: bool,
        overwrite: bool,
        result: str = RESULT_FILE,
    ):
        check_out(path, resume=resume, overwrite=overwrite)
        self.path = Path(path)
        self.identity = json.loads(json.dumps(identity))
        self.result = result
        self.finished = False
        self.tracker = ""
        self._clear = overwrite
        self._lock = FolderLock(self.path)
        self._found = _read_marks(self.path)
        if resume and self._found is not None:
            self._take_up(self._found)
        if self.path.exists() and not self.finished:
            self._lock.take()

    def _take_up(self, marks: dict[str, Any]) -> None:
        """Go on with what an earlier run left."""
        earlier = marks["identity"]
        differing = [k for k in sorted({*earlier, *self.identity}) if earlier.get(k) != self.identity.get(k)]
        if differing:
            raise InputError(
                f"{self.path} holds a run with other arguments ({', '.join(differing)}); "
                "give the same arguments, or --overwrite"
            )
        self.finished = (self.path / self.result).exists() and not (self.path / RUN_FILE).exists()
        self.tracker = marks.get("tracker", "")
        self._clear = bool(marks.get("clearing"))

    def claim(self, tracker: str) -> None:
        """Create the folder, or empty it where it is to be replaced, and mark it as this run's.

        Raises InputError where another process is at work in it, or has been since this object was made.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock.take()
        if _read_marks(self.path) != self._found:
            raise InputError(f"{self.path} was written by another run meanwhile; give another folder for -o")
        sweep(self.path)
        marks = {"schema": SCHEMA, "identity": self.identity, "tracker": tracker}
        if self._clear:
            # said before anything is deleted: a kill in between leaves a folder of ours, whose old frames
            # nobody takes for this run's
            self._write_json(RUN_FILE, {**marks, "clearing": True})
            for child in self.path.iterdir():
                if child.is_dir() and not child.is_symlink():
                    shutil.rmtree(child)
                elif child.name != RUN_FILE:
                    child.unlink()
            self._clear = False
        self._write_json(RUN_FILE, marks)

    def release(self) -> None:
        """Let other processes have the folder."""
        self._lock.release()

    def masks_done(self, count: int) -> bool:
        """Whether all visible masks of an earlier run are there."""
        return not self._clear and (self.path / "visible_masks" / f"{count - 1:05d}.png").exists()

    def visible(self, i: int) -> np.ndarray:
        """Visible mask i of an earlier run, canvas-sized (H, W) bool."""
        return read_png(self.path / "visible_masks" / f"{i:05d}.png") > 127

    def write_visible(self, masks: Iterable[np.ndarray]) -> None:
        """Write all visible masks, canvas-sized (H, W) bool, in order."""
        for i, mask in enumerate(masks):
            self._write("visible_masks", i, _grey(mask))

    def frames_done(self) -> int:
        """How many frames, from the first on, are whole."""
        folder = self.path / KINDS[-1]
        count = 0
        while (folder / f"{count:05d}.png").exists():
            count += 1
        return count

    def write_frame(self, result: FrameResult) -> None:
        """Write one frame's pictures; its provenance last, which marks the frame as whole."""
        for k, hypothesis in enumerate(result.hypotheses, start=1):
            self._write_pictures(f"hypotheses/{k}/", hypothesis)
        if result.hypotheses:
            self._write("disagreement", result.index, result.disagreement)
        self._write_pictures("", result)

    def _write_pictures(self, prefix: str, result: FrameResult) -> None:
        self._write(prefix + KINDS[0], result.index, _grey(result.amodal))
        self._write(prefix + KINDS[1], result.index, result.rgba)
        self._write(prefix + KINDS[2], result.index, result.provenance, PROVENANCE_PALETTE)

    def _write(self, kind: str, i: int, image: np.ndarray, palette: np.ndarray | None = None) -> None:
        folder = self.path / kind
        folder.mkdir(parents=True, exist_ok=True)
        write_png(folder / f"{i:05d}.png", image, palette)

    def figures(self, i: int, visible_area: int) -> dict[str, Any]:
        """Figures of a frame that is already on disk."""
        provenance = read_png(self.path / "provenance" / f"{i:05d}.png")
        return frame_figures(provenance, visible_area)

    def finish(self, info: dict[str, Any], extras: Iterable[Callable[[Path], None]] = ()) -> None:
        """Write what a person looks at (`extras`), then result.json, whose presence means finished."""
        for extra in extras:
            extra(self.path)
        content = {"schema": SCHEMA, **info, "identity": self.identity}
        self._write_json(self.result, content)
        (self.path / RUN_FILE).unlink(missing_ok=True)

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        write_bytes(self.path / name, (json.dumps(content, indent=1) + "\n").encode())


def frame_figures(provenance: np.ndarray, visible_area: int) -> dict[str, Any]:
    """visible_area and amodal_area in pixels, occlusion_rate = 1 - |M| / |A|, and of which provenance the
    object is."""
    counts = np.bincount(provenance.ravel(), minlength=len(PROVENANCE_NAMES))
    area = int(counts[1:].sum())
    return {
        "visible_area": int(visible_area),
        "amodal_area": area,
        "occlusion_rate": round(1 - visible_area / area, 6) if area else 0.0,
        "provenance": {
            name: round(int(count) / area, 6) if area else 0.0
            for name, count in zip(PROVENANCE_NAMES[1:], counts[1:], strict=False)
        },
    }


def _grey(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.uint8) * 255
