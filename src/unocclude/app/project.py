"""A project: the folder where the page keeps its clip, cues, edits and jobs beside the results.

PROJECT/project.json   everything below; written whole or not at all
PROJECT/objects.json   the objects as `--objects` takes them
PROJECT/masks/         masks that were painted
PROJECT/uploads/       the clip, if it was dropped on the page
PROJECT/tracks/        tracked masks by object
PROJECT/layers/        the OUT folder of `unocclude layers`
PROJECT/exports/       exported files
"""

import hashlib
import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from unocclude.clip import Clip
from unocclude.clip import open as open_clip
from unocclude.errors import InputError, UnoccludeError
from unocclude.layers.compose import Edit
from unocclude.lock import Lock
from unocclude.media.files import write_bytes
from unocclude.media.jsonfile import read_json
from unocclude.perception.objects import CueEntry, ObjectEntry, ObjectsFile

SCHEMA = 1
FILE = "project.json"
OBJECTS = "objects.json"
FOLDERS = MASKS, UPLOADS, TRACKS, LAYERS, EXPORTS = "masks", "uploads", "tracks", "layers", "exports"
MAX_OBJECTS, MAX_CUES, MAX_POINTS, MAX_JOBS = 100, 10_000, 200, 40
WEIGHTS_ID = r"^[A-Za-z0-9][\w-]*(\.[\w-]+)*(/[A-Za-z0-9][\w-]*(\.[\w-]+)*)?$"
MASK_NAME = rf"^{MASKS}/[0-9a-f]{{32}}\.png$"


class PageCue(CueEntry):
    """A cue of the page: its mask is one that was painted there."""

    points: Annotated[
        list[Annotated[list[int | float], Field(min_length=2, max_length=3)]], Field(max_length=MAX_POINTS)
    ] = []  # noqa: RUF012 - pydantic copies it
    mask: Annotated[str, Field(pattern=MASK_NAME)] | None = None


class PageObject(ObjectEntry):
    """An object of the page. colour: of its mask. shown: whether its mask is drawn. locked: clicks leave it alone."""

    name: Annotated[str, Field(max_length=100)] = ""
    cues: Annotated[list[PageCue], Field(max_length=MAX_CUES)] = []  # type: ignore[assignment]  # noqa: RUF012
    colour: Annotated[str, Field(pattern="^#[0-9a-f]{6}$")] = "#e0662f"
    shown: bool = True
    locked: bool = False


class Settings(BaseModel):
    """How objects are completed; see `unocclude layers`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    method: Annotated[str, Field(max_length=100)] = "recall"
    options: dict[Annotated[str, Field(max_length=100)], bool | int | float | str | None] = {}
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    hypotheses: Annotated[int, Field(ge=1, le=64)] = 1
    pad: Annotated[float, Field(ge=0, le=1)] = 0.0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    weights: Annotated[str, Field(pattern=WEIGHTS_ID, max_length=100)] | None = None


class PageEdit(Edit):
    """An edit of the layers. No file can be its background."""

    background: Annotated[str, Field(pattern="^(plate|none|#[0-9a-fA-F]{6})$")] = "plate"


class ExportRequest(BaseModel):
    """What to export: the composition as edited, one object's layer, or all layers.

    start, end: the frames, end exclusive. frame: of a .psd.
    """

    model_config = ConfigDict(extra="forbid")

    what: Literal["composition", "object", "layers"]
    format: Literal[".mov", ".webm", ".mp4", ".gif", ".png", ".exr", ".otio", ".psd", "folder"]
    object: int | None = None
    start: Annotated[int, Field(ge=0)] = 0
    end: Annotated[int, Field(ge=1)] | None = None
    frame: Annotated[int, Field(ge=0)] = 0


JobState = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]


class Job(BaseModel):
    """A piece of work. stage, done, total: how far it is. seconds_left: of the stage, None while unknown.

    export: what it exports. files: the names of what it exported.
    """

    id: str = Field(default_factory=lambda: secrets.token_hex(8))
    kind: Literal["track", "complete", "export"]
    state: JobState = "queued"
    stage: str = ""
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    message: str = ""
    export: ExportRequest | None = None
    files: list[str] = []


class ClipRecord(BaseModel):
    """The clip. path: relative to the project if it was uploaded. id: its fingerprint."""

    path: str
    name: str
    id: str
    frames: int
    width: int
    height: int
    fps: float


class ProjectFile(BaseModel):
    """The content of project.json."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    schema_version: int = Field(SCHEMA, alias="schema", serialization_alias="schema")
    revision: int = 0
    clip: ClipRecord | None = None
    objects: Annotated[list[PageObject], Field(max_length=MAX_OBJECTS)] = []
    settings: Settings = Settings()
    edit: PageEdit = PageEdit()
    jobs: list[Job] = []


class Project:
    """An open project. Only one process at a time has it open.

    folder: its path. state: the content of project.json; change it only in `changing`. clip: None until there is one.
    Raises InputError if the folder holds something else, another process has it open, or its clip is gone or changed.
    """

    def __init__(self, folder: str | Path, source: str | Path | None = None):
        self.folder = Path(folder).resolve()
        self.lock = RLock()
        self.clip: Clip | None = None
        self.listeners: list[Callable[[], None]] = []
        file = self.folder / FILE
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{folder} is a file; give a folder for --project")
        known = file.is_file()
        if not known and self.folder.is_dir() and any(path.name != ".lock" for path in self.folder.iterdir()):
            raise InputError(f"{folder} is no project, and not empty; give another folder for --project")
        self.state = _read(file) if known else ProjectFile.model_validate({})
        opened = None if source is None else open_clip(source)
        if opened is not None and self.state.clip and opened.fingerprint != self.state.clip.id:
            raise InputError(f"{folder} is a project of another clip, {self.state.clip.name}; give another --project")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._held = Lock.of_folder(self.folder)
        self._held.take()
        for name in FOLDERS:
            if name != LAYERS:
                (self.folder / name).mkdir(exist_ok=True)
        for job in self.state.jobs:
            if job.state in ("queued", "running"):
                job.state = "interrupted"
        if opened is None and self.state.clip:
            opened = self._reopened(self.state.clip)
        if opened is not None:
            self.take(opened)
        else:
            self.save()

    def close(self) -> None:
        """Let other processes open the project."""
        self._held.release()

    def take(self, clip: Clip, name: str | None = None) -> None:
        """Make `clip`, which has a path, the project's clip. name: to show, if not that of its file."""
        assert clip.path is not None
        path = clip.path.resolve()
        inside = path.is_relative_to(self.folder)
        name = name or (self.state.clip.name if inside and self.state.clip else path.name)
        with self.changing():
            self.clip = clip
            self.state.clip = ClipRecord(
                path=path.relative_to(self.folder).as_posix() if inside else str(path),
                name=name, id=clip.fingerprint, frames=len(clip), width=clip.width, height=clip.height, fps=clip.fps,
            )  # fmt: skip

    def _reopened(self, record: ClipRecord) -> Clip:
        clip = open_clip(self.folder / record.path)
        if clip.fingerprint != record.id:
            raise InputError(f"{record.path} has changed since the project was made; give another --project")
        return clip

    def changing(self) -> "_Change":
        """A context in which `state` may be changed: it is locked, and written at the end."""
        return _Change(self)

    def save(self) -> None:
        """Write project.json and objects.json."""
        with self.lock:
            self.state.revision += 1
            if marked := self.marked():
                write_bytes(self.folder / OBJECTS, marked.model_dump_json(indent=1, exclude_defaults=True).encode())
            write_bytes(self.folder / FILE, self.state.model_dump_json(indent=1, by_alias=True).encode())
        for listener in self.listeners:
            listener()

    def marked(self) -> ObjectsFile | None:
        """The objects that have cues, as `--objects` takes them; None if there are none."""
        objects = [item for item in self.state.objects if item.cues]
        ids = {item.id for item in objects}
        if not objects:
            return None
        keep = ObjectEntry.model_fields
        entries = [
            {
                **{name: value for name, value in item.model_dump(exclude_defaults=True).items() if name in keep},
                "in_front_of": [other for other in item.in_front_of if other in ids],
            }
            for item in objects
        ]
        return ObjectsFile.model_validate({"objects": entries})

    def job(self, number: str) -> Job | None:
        return next((job for job in self.state.jobs if job.id == number), None)

    def object(self, number: int) -> PageObject | None:
        return next((item for item in self.state.objects if item.id == number), None)

    def store_mask(self, data: bytes) -> str:
        """Store a painted mask, PNG; returns its name, by its content."""
        name = f"{MASKS}/{hashlib.sha256(data).hexdigest()[:32]}.png"
        if not (self.folder / name).exists():
            write_bytes(self.folder / name, data)
        return name


class _Change:
    def __init__(self, project: Project):
        self._project = project

    def __enter__(self) -> ProjectFile:
        self._project.lock.acquire()
        self._before = self._project.state.model_copy(deep=True)
        return self._project.state

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._project.save()
        except OSError as error:
            self._project.state = self._before
            raise UnoccludeError(f"the project cannot be written: {error.strerror or error}") from error
        finally:
            self._project.lock.release()


def _read(file: Path) -> ProjectFile:
    content: Any = read_json(file, 64 << 20, "restore it from a copy, or give another --project")
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{file} has schema {schema}, this version reads {SCHEMA}; give another --project")
    try:
        return ProjectFile.model_validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{file}: {where}: {first['msg']}; restore it from a copy, or give another --project"
        ) from None


def cues_key(item: PageObject) -> str:
    """A hash of an object's cues."""
    cues = sorted((cue.model_dump(mode="json") for cue in item.cues), key=lambda cue: cue["frame"])
    return content_id(cues)


def content_id(content: Any) -> str:
    """A short hash of what can be written as JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def remove_quietly(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
