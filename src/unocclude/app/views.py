"""What the server tells the page, as types for its OpenAPI description."""

from typing import Any

from pydantic import BaseModel

from unocclude.app.project import Job, PageEdit, PageObject, Settings


class ClipView(BaseModel):
    """The clip. id: part of the addresses of its frames. times: of the frames, in seconds. shots: [start, end)."""

    id: str
    name: str
    frames: int
    width: int
    height: int
    fps: float


class TrackView(BaseModel):
    """The tracked masks of an object. current: whether its cues are still those that they were tracked from.

    visible: per frame, whether anything of it is. doubtful: [start, end).
    """

    object: int
    version: str
    current: bool
    origin: str
    visible: list[bool]
    doubtful: list[tuple[int, int]]


class ObjectResult(BaseModel):
    """An object in a result. ready: how many frames from the first can be shown. occlusion: rate per frame, 0 to 1."""

    id: int
    ready: int
    occlusion: list[float]
    doubtful: list[tuple[int, int]]


class ResultView(BaseModel):
    """A result. order: [start, end, ids back to front]. offset: of the frame on the canvas, x and y."""

    run: str
    finished: bool
    hypotheses: int
    width: int
    height: int
    offset: tuple[int, int]
    plate: int
    objects: list[ObjectResult]
    order: list[tuple[int, int, list[int]]]


class ProjectView(BaseModel):
    """All that the page shows. edit_key: changes with the edit. command: what does the same on the command line."""

    revision: int
    folder: str
    version: str
    clip: ClipView | None
    objects: list[PageObject]
    settings: Settings
    edit: PageEdit
    edit_key: str
    jobs: list[Job]
    tracks: list[TrackView]
    results: list[ResultView]
    command: str
    tracker: str


class MethodView(BaseModel):
    """A method. options: the JSON schema of its options."""

    name: str
    summary: str
    missing: str
    samples: bool
    takes_weights: bool
    options: dict[str, Any]


class ObjectsChange(BaseModel):
    """All objects, front to back. revision: of the project that they are a change of."""

    revision: int
    objects: list[PageObject]


class Saved(BaseModel):
    """The project was written."""

    revision: int


class SegmentRequest(BaseModel):
    """The frame to segment, and the object with its cues."""

    frame: int
    object: PageObject


class MaskStored(BaseModel):
    """A painted mask was stored; `mask` goes into a cue."""

    mask: str


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str
