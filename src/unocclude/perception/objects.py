"""Read the objects of a clip and their cues from a JSON file, as the page writes it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from unocclude.errors import InputError
from unocclude.mask_files import read_track
from unocclude.masks import MaskTrack
from unocclude.media.jsonfile import read_json
from unocclude.perception.prompt import Cue, Prompt

MAX_BYTES = 16 << 20
"""Maximum size of the file; masks are files of their own."""
_REMEDY = 'give {"objects": [{"id": 1, "cues": [{"frame": 0, "box": [x0, y0, x1, y1]}]}]}'


@dataclass(frozen=True)
class ObjectPrompt:
    """One object: its id, its name, what marks it, and the ids of objects that it is known to be in front of."""

    id: int
    name: str
    prompt: Prompt | MaskTrack
    in_front_of: tuple[int, ...] = ()


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


_Number = int | float
_Id = Annotated[int, Field(ge=1, le=65_535)]


class CueEntry(_Model):
    """What marks an object in one frame; see `read_objects`."""

    frame: Annotated[int, Field(ge=0)] = 0
    box: Annotated[list[_Number], Field(min_length=4, max_length=4)] | None = None
    points: list[Annotated[list[_Number], Field(min_length=2, max_length=3)]] = []
    mask: str | None = None
    hidden: bool = False


class ObjectEntry(_Model):
    """One object of the file."""

    id: _Id
    name: str = ""
    cues: Annotated[list[CueEntry], Field(min_length=1)]
    in_front_of: list[_Id] = []


class ObjectsFile(_Model):
    """What the file holds."""

    objects: Annotated[list[ObjectEntry], Field(min_length=1)]


def read_objects(path: str | Path) -> list[ObjectPrompt]:
    """Read the objects of a JSON file.

    It holds `{"objects": [{"id": 1, "name": "dancer", "cues": [{"frame": 0, "box": [x0, y0, x1, y1], "points":
    [[x, y, 1], [x, y, 0]], "mask": "file.png", "hidden": false}], "in_front_of": [2]}]}`, in pixels. The third number
    of a point is 1 on the object (also if it is left out) and 0 elsewhere. A mask is a path relative to the JSON file;
    an empty one says that the object is hidden.

    Raises InputError if the file cannot be read, or an object is given twice or contradicts itself.
    """
    path = Path(path)
    try:
        read = ObjectsFile.model_validate(read_json(path, MAX_BYTES, _REMEDY))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{path}: {where}: {first['msg'][0].lower()}{first['msg'][1:]}; {_REMEDY}") from None
    return objects_of(path, read)


def objects_of(path: Path, read: ObjectsFile) -> list[ObjectPrompt]:
    """The objects of a file whose content is known; masks are relative to `path`. Raises InputError as above."""
    ids = [item.id for item in read.objects]
    for item in read.objects:
        if ids.count(item.id) > 1:
            raise InputError(f"{path}: object {item.id} is given twice; put its cues together")
        if unknown := [other for other in item.in_front_of if other not in ids or other == item.id]:
            raise InputError(f"{path}: object {item.id} is in front of {unknown[0]}, which is no other object there")
    return [_parsed(path, item) for item in read.objects]


def _parsed(path: Path, item: ObjectEntry) -> ObjectPrompt:
    prompt = Prompt()
    try:
        for given in item.cues:
            prompt = prompt.cue(given.frame, read_cue(path, given))
    except InputError as error:
        raise InputError(f"{path}: object {item.id}: {error}") from None
    return ObjectPrompt(item.id, item.name or f"object {item.id}", prompt, tuple(item.in_front_of))


def read_cue(path: Path, given: CueEntry) -> Cue:
    """The cue of an entry of the file `path`, with its mask."""
    mask = None if given.mask is None else read_one_mask(path.parent / given.mask)
    empty = mask is not None and not mask.any()
    return Cue(
        points=[(float(x), float(y)) for x, y, *_ in given.points],
        labels=[bool(sign[0]) if sign else True for _, _, *sign in given.points],
        boxes=[tuple(map(float, box)) for box in [given.box] if box],  # type: ignore[misc]
        mask=None if empty else mask,
        hidden=given.hidden or empty,
    )


def read_one_mask(path: Path) -> np.ndarray:
    """Read a file that holds the mask of one frame, (H, W) bool; raises InputError if it holds several."""
    track = read_track(path)
    if len(track) != 1:
        raise InputError(f"{path} holds {len(track)} masks; give an image with the mask of one frame")
    return track[0]
