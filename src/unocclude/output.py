"""Writing the OUT folder: claimed once, frame by frame, resumable after kill -9."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from unocclude.completion import PROVENANCE_NAMES, PROVENANCE_PALETTE, RESULT_FILE, SCHEMA, FrameResult
from unocclude.errors import InputError
from unocclude.media.files import is_temporary, sweep, write_bytes
from unocclude.media.images import read_png, write_png

RUN_FILE = "run.json"
"""Present while a run is unfinished: what it was asked to do, so that only the same run resumes it."""

# provenance comes last: a frame whose provenance is there is whole
KINDS = ("amodal_masks", "rgba", "provenance")


class OutFolder:
    """One OUT folder on disk.

    `identity` is everything that decides the result (input, prompt, method, options, seed, ...). `finished` and
    `frames_done` say what an earlier run of the same identity left. Nothing is written before `claim`.
    Raises InputError where the folder exists and neither `resume` nor `overwrite` allows going on.
    """

    def __init__(self, path: str | Path, identity: dict[str, Any], *, resume: bool, overwrite: bool):
        self.path = Path(path)
        self.identity = json.loads(json.dumps(identity))
        self.overwrite = overwrite
        self.finished = False
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file; give a folder for -o")
        if not self.path.exists() or self._is_empty():
            if self.path.exists() and not (resume or overwrite):
                raise InputError(f"{self.path} exists; use --resume or --overwrite, or another folder")
            return
        if resume:
            earlier = self._identity_on_disk()
            if earlier is None:
                raise InputError(f"{self.path} is not a run of this tool; give another folder")
            differing = [k for k in sorted({*earlier, *self.identity}) if earlier.get(k) != self.identity.get(k)]
            if differing:
                raise InputError(
                    f"{self.path} holds a run with other arguments ({', '.join(differing)}); "
                    "give the same arguments, or --overwrite"
                )
            self.finished = (self.path / RESULT_FILE).exists() and not (self.path / RUN_FILE).exists()
        elif overwrite:
            if self._identity_on_disk() is None:
                raise InputError(f"{self.path} was not made by this tool, so it is not replaced; give another folder")
        else:
            raise InputError(f"{self.path} exists; use --resume to finish it or --overwrite to replace it")

    def _is_empty(self) -> bool:
        return all(is_temporary(child.name) for child in self.path.iterdir())

    def _identity_on_disk(self) -> dict[str, Any] | None:
        for name in (RUN_FILE, RESULT_FILE):
            try:
                content = json.loads((self.path / name).read_text())
                if content["schema"] == SCHEMA:
                    return content["identity"]
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return None

    def claim(self) -> None:
        """Create the folder, or empty it where it is to be replaced, and mark it as this run's."""
        self.path.mkdir(parents=True, exist_ok=True)
        sweep(self.path)
        if self.overwrite or not (self.path / RUN_FILE).exists():
            # before anything is deleted, so that a killed --overwrite still leaves a folder of ours
            self._write_json(RUN_FILE, {"schema": SCHEMA, "identity": self.identity})
        if self.overwrite:
            for child in self.path.iterdir():
                if child.is_dir() and not child.is_symlink():
                    shutil.rmtree(child)
                elif child.name != RUN_FILE:
                    child.unlink()

    def masks_done(self, count: int) -> bool:
        """Whether all visible masks of an earlier run are there."""
        return (self.path / "visible_masks" / f"{count - 1:05d}.png").exists()

    def write_visible(self, masks: Iterator[np.ndarray]) -> None:
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

    def finish(self, info: dict[str, Any], extras: list[Callable[[Path], None]]) -> None:
        """Write what a person looks at (`extras`), then result.json, whose presence means finished."""
        content = {"schema": SCHEMA, **info, "identity": self.identity}
        for extra in extras:
            extra(self.path)
        self._write_json(RESULT_FILE, content)
        (self.path / RUN_FILE).unlink(missing_ok=True)

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        write_bytes(self.path / name, (json.dumps(content, indent=1) + "\n").encode())


def frame_figures(provenance: np.ndarray, visible_area: int) -> dict[str, Any]:
    """visible_area and amodal_area in pixels, occlusion_rate = 1 - |M| / |A|, and of which provenance the object is."""
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
