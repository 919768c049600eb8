"""What the server keeps while it runs: the project, the segmenter, the queue, and pictures in memory."""

import hashlib
import shlex
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from unocclude.app import project as folders
from unocclude.app.events import EventLog
from unocclude.app.jobs import Jobs
from unocclude.app.project import ExportRequest, Job, PageObject, Project, cues_key
from unocclude.app.results import Results
from unocclude.app.segmenter import Segmenter
from unocclude.app.tasks import Complete, Export, Task, Track
from unocclude.app.tracks import StoredTrack, read_track
from unocclude.app.words import without_paths
from unocclude.clip import Clip
from unocclude.errors import InputError
from unocclude.masks import MaskTrack
from unocclude.media.files import safe_name
from unocclude.perception.objects import read_cue
from unocclude.perception.prompt import Cue
from unocclude.perception.segment import Segmentation

PICTURE_BYTES = 96 << 20
"""Memory for encoded pictures."""


class Pictures:
    """A cache of encoded pictures; the ones that were not asked for longest go first."""

    def __init__(self, most: int = PICTURE_BYTES):
        self._kept: OrderedDict[Any, bytes] = OrderedDict()
        self._bytes, self._most, self._lock = 0, most, Lock()

    def get(self, key: Any, make: Callable[[], bytes]) -> bytes:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        data = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = data
                self._bytes += len(data)
            while self._bytes > self._most:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return data


class Session:
    """A project that is open in the server."""

    def __init__(self, project: Project):
        self.project = project
        self.events = EventLog()
        self.pictures = Pictures()
        self.results = Results(project)
        self.segmenter: Segmenter | None = None
        self.objects_changed = 0  # the revision at which they last were
        self._tracks: dict[int, tuple[float, StoredTrack | None]] = {}
        self.live: dict[int, tuple[str, dict[int, bytes]]] = {}
        self.jobs = Jobs(project, self.events, self._task, self._heard, self.words)
        project.listeners.append(lambda: self.events.add("project", revision=project.state.revision))
        if project.clip is not None:
            self.open(project.clip)

    def open(self, clip: Clip) -> None:
        """Make the clip ready for clicks."""
        self.segmenter = Segmenter(clip)

    def close(self) -> None:
        self.jobs.close()
        self.project.close()

    @property
    def clip(self) -> Clip:
        """Raises InputError while there is none."""
        if self.project.clip is None:
            raise InputError("no clip is open; open one first")
        return self.project.clip

    def words(self, message: str) -> str:
        """A message without paths."""
        clip = self.project.clip
        return without_paths(message, str(self.project.folder), str(clip.path) if clip else "")

    # Clicks -----------------------------------------------------------------------------------------------------

    def segment(self, frame: int, item: PageObject) -> Segmentation:
        """The mask of an object in a frame that has a cue. Raises InputError if it has none, or it does not fit."""
        cues = self.cues(item)
        if frame not in cues:
            raise InputError(f"there is no cue in frame {frame}")
        for i, cue in cues.items():
            if not 0 <= i < len(self.clip):
                raise InputError(f"frame {i} does not exist; the clip has frames 0 to {len(self.clip) - 1}")
            cue.check(self.clip.height, self.clip.width)
        assert self.segmenter is not None
        return self.segmenter(frame, cues, self._tracked(item.id, frame))

    def cues(self, item: PageObject) -> dict[int, Cue]:
        file = self.project.folder / folders.OBJECTS
        found: dict[int, Cue] = {}
        for given in item.cues:
            cue = read_cue(file, given)
            found[given.frame] = found[given.frame].joined(cue) if given.frame in found else cue
        return found

    def _tracked(self, number: int, frame: int) -> np.ndarray | None:
        stored = self.track(number)
        return None if stored is None else stored.track[frame]

    # Tracks -----------------------------------------------------------------------------------------------------

    def track(self, number: int) -> StoredTrack | None:
        """The tracked masks of an object; None if there are none that fit the clip."""
        file = self.project.folder / folders.TRACKS / f"{int(number)}.json"
        try:
            stamp = file.stat().st_mtime
        except OSError:
            return None
        known = self._tracks.get(number)
        if known is None or known[0] != stamp:
            known = self._tracks[number] = (stamp, read_track(file))
        stored, clip = known[1], self.project.clip
        if stored is None or clip is None or len(stored.track) != len(clip):
            return None
        return stored if (stored.track.height, stored.track.width) == (clip.height, clip.width) else None

    def stale(self) -> dict[int, str]:
        """The objects with cues whose masks are out of date: id → `cues_key`."""
        wanted = {}
        for item in self.project.state.objects:
            stored = self.track(item.id)
            if item.cues and (stored is None or stored.cues != cues_key(item)):
                wanted[item.id] = cues_key(item)
        return wanted

    def mask(self, number: int, version: str, frame: int) -> tuple[np.ndarray, bool] | None:
        """An object's tracked mask, and whether it is final."""
        stored, live = self.track(number), self.live.get(number)
        if stored is not None and stored.version == version:
            return stored.track[frame], True
        if live is not None and live[0] == version and frame in live[1]:
            one = MaskTrack.from_valid_rles([{"size": [self.clip.height, self.clip.width], "counts": live[1][frame]}])
            return one[0], False
        return None

    # Jobs -------------------------------------------------------------------------------------------------------

    def _task(self, job: Job) -> Task:
        with self.project.lock:
            folder, state = self.project.folder, self.project.state
            if job.kind == "export":
                assert job.export is not None
                name = self._export_name(job.export)
                return Export(folder, folder / folders.EXPORTS / job.id, name, job.export, state.edit)
            marked = self.project.marked()
            if marked is None:
                raise InputError("nothing is marked; click an object first")
            clip, stale = self.clip.path, self.stale()
            assert clip is not None
            common = (folder, clip, marked.model_dump_json(), stale, state.settings.device)
            self.live = {number: (f"live-{job.id}", {}) for number in stale}
            return Complete(*common, state.settings) if job.kind == "complete" else Track(*common)

    def _export_name(self, asked: ExportRequest) -> str:
        clip = self.project.state.clip
        stem = Path(clip.name).stem if clip else "clip"
        item = self.project.object(asked.object) if asked.object is not None else None
        ending = {"composition": "composition", "layers": "layers"}.get(asked.what) or (item.name if item else "object")
        return safe_name(f"{stem}-{ending}".replace(".", "_").replace("%", "_").replace("#", "_")[:80])

    def _heard(self, job: str, kind: str, *content: Any) -> None:
        if kind == "mask":
            number, frame, counts = content
            version, masks = self.live.get(number, ("", {}))
            masks[frame] = counts
            self.events.add("mask", object=number, frame=frame, version=version)
        elif kind == "tracked":
            self.live.pop(content[0], None)
            stored = self.track(content[0])
            self.events.add("tracked", object=content[0], version=stored.version if stored else "")
        elif kind == "run":
            self.events.add("run", run=content[0])
        elif kind == "files":
            with self.project.changing():
                found = self.project.job(job)
                if found is not None:
                    found.files = content[0]

    # The command line -------------------------------------------------------------------------------------------

    def command(self) -> str:
        """The command that does what the page does."""
        settings, clip = self.project.state.settings, self.project.clip
        if clip is None or clip.path is None:
            return ""
        out, objects = self.project.folder / folders.LAYERS, self.project.folder / folders.OBJECTS
        words = ["unocclude", "layers", str(clip.path), "-o", str(out), "--objects", str(objects)]
        for name in ("method", "seed", "hypotheses", "pad", "device", "weights"):
            value = getattr(settings, name)
            if value != folders.Settings.model_fields[name].default:
                words += [f"--{name}", str(value)]
        for key, value in settings.options.items():
            words += ["--set", f"{key}={str(value).lower() if isinstance(value, bool) else value}"]
        if out.exists():
            words.append("--overwrite")
        return shlex.join(words)

    def edit_key(self) -> str:
        """A hash of the edit."""
        return hashlib.sha256(self.project.state.edit.model_dump_json().encode()).hexdigest()[:16]
