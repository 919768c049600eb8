"""The interface of data sets: samples, each a clip with one object, its visible masks and its ground truth."""

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from unocclude.clip import Clip
from unocclude.errors import InputError
from unocclude.masks import MaskTrack
from unocclude.media import jsonfile
from unocclude.media.files import safe_name
from unocclude.media.folder import FolderFrames
from unocclude.media.images import MAX_PIXELS
from unocclude.media.rle import segmentation_to_rle
from unocclude.names import is_inside

T = TypeVar("T")
_NO_PLACES = (
    "[key]",
    "int",
    "float",
    "str",
    "constrained-int",
    "constrained-str",
)  # added to locations by pydantic for the members of a union
MAX_ENTRIES = 200_000
"""Maximum number of annotations, clips or objects in one file; KINS, one of the largest, has about 100,000."""
MAX_TEXT = 16 << 20
"""Maximum size of a text file with names, boxes or the like."""

Many = Annotated[list[T], Field(max_length=MAX_ENTRIES), FailFast()]
"""A list in a data set's file. Validation stops at the first invalid entry."""
Id = Annotated[int, Field(ge=-(10**18), le=10**18)] | Annotated[str, Field(max_length=1_000)]
Text = Annotated[str, Field(max_length=10_000)]
FileName = Annotated[str, Field(min_length=1, max_length=1_000)]
Side = Annotated[int, Field(ge=1, le=MAX_PIXELS)]


def _polygons_or_runs(given: Any) -> Any:
    if not isinstance(given, list | dict):
        raise PydanticCustomError("outline", "a mask must be polygons or run lengths")
    return given


Segmentation = Annotated[Any, AfterValidator(_polygons_or_runs)]
"""A mask in COCO's format. Its content is checked when it is read (`track_from_segmentation`, `track_from_rles`)."""


class Entry(BaseModel):
    """Base class of the entries in a data set's files; unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")


@dataclass(frozen=True)
class Truth:
    """The ground truth of an object in all T frames.

    visible, amodal: masks. boxes: (T, 4) float, amodal boxes as x, y, width, height in pixels, which may extend beyond
    the image, if the data set has no amodal masks. rgb: frame number → (H, W, 3) uint8, the object's appearance, valid
    on its amodal mask; None if unknown. notes: further annotations. where: the path, for messages. names: those of the
    frames' files, if known.

    Raises InputError if lengths or sizes differ.
    """

    where: str
    visible: MaskTrack
    amodal: MaskTrack | None = None
    boxes: np.ndarray | None = None
    rgb: Callable[[int], np.ndarray] | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        known = {"amodal masks": self.amodal, "boxes": self.boxes}
        for what, given in known.items():
            if given is not None and len(given) != len(self):
                raise InputError(
                    f"{self.where}: {len(self)} visible masks, {len(given)} {what}; give one of each per frame"
                )
        if self.amodal is not None and _size(self.amodal) != _size(self.visible):
            raise InputError(
                f"{self.where}: visible masks are {_size(self.visible)}, amodal masks {_size(self.amodal)}; "
                "they must be the same size"
            )

    def __len__(self) -> int:
        return len(self.visible)

    @property
    def amodal_boxes(self) -> np.ndarray:
        """The object's amodal box in every frame, (T, 4) float: x0, y0, x1, y1, ends exclusive, at least a pixel wide.

        Where amodal masks are empty it is the whole frame. Raises InputError if the whole object is not known.
        """
        if self.boxes is not None:
            return np.concatenate([self.boxes[:, :2], self.boxes[:, :2] + np.maximum(self.boxes[:, 2:], 1)], 1)
        if self.amodal is None:
            raise InputError(f"{self.where} has neither amodal boxes nor amodal masks")
        frame = [0, 0, self.amodal.width, self.amodal.height]
        return np.where(self.amodal.areas[:, None] > 0, self.amodal.boxes, frame).astype(float)

    def rgba(self, i: int) -> np.ndarray:
        """The object's true appearance in frame i, (H, W, 4) uint8, alpha its amodal mask."""
        if self.rgb is None or self.amodal is None:
            raise InputError(f"{self.where} has no amodal RGB")
        return np.dstack([self.rgb(i), self.amodal[i].astype(np.uint8) * 255])


class Sample:
    """One object of one clip. `clip`, `visible` and `truth` are read on first access.

    name: unique within its data set, and a valid file name. text: a description of the object, used as prompt if there
    are no masks. pad: padding of the canvas for objects that extend beyond the frame, as in `--pad`. options: options
    of methods, by method, that the published evaluation on this data set uses. origin: the argument of `open_dataset`.
    """

    def __init__(
        self,
        name: str,
        clip: Callable[[], Clip],
        visible: Callable[[], MaskTrack] | None = None,
        truth: Callable[[], Truth] | None = None,
        *,
        text: str | None = None,
        pad: float = 0.0,
        options: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ):
        self.options = options
        self.name, self.text, self.pad, self.origin = safe_name(name), text, pad, ""
        self._clip, self._visible, self._truth = clip, visible, truth

    def __reduce_ex__(self, protocol: Any) -> Any:
        """For worker processes, which open the data set again: readers may keep functions that cannot be sent."""
        if not self.origin:
            return super().__reduce_ex__(protocol)
        from unocclude.datasets import find_sample

        return find_sample, (self.origin, self.name)

    def __repr__(self) -> str:
        return f"Sample({self.name!r} of {self.origin!r})"

    @property
    def has_truth(self) -> bool:
        """Whether there is ground truth: amodal masks or boxes."""
        return self._truth is not None

    @property
    def has_masks(self) -> bool:
        """Whether there are visible masks, and not only a text."""
        return self._visible is not None

    @cached_property
    def clip(self) -> Clip:
        return self._clip()

    @cached_property
    def visible(self) -> MaskTrack:
        if self._visible is None:
            raise InputError(f"{self.name} comes with words ({self.text!r}), but has no masks")
        return self._visible()

    @cached_property
    def truth(self) -> Truth:
        if self._truth is None:
            raise InputError(
                f"{self.name}: this data set does not tell the whole object, so there is nothing to evaluate against"
            )
        return self._truth()


def image_clip(paths: Sequence[Path], fps: float) -> Clip:
    """A clip of image files; raises InputError if one is missing or differs in size."""
    for path in paths:
        require(path)
    return Clip(FolderFrames(paths, fps))


def require(path: Path, what: str = "") -> Path:
    """Return `path`; raises InputError if it does not exist. what: what it should be, for the message."""
    try:
        there = path.exists()
    except (OSError, ValueError):  # not a valid file name
        there = False
    if not there:
        raise InputError(f"{path} is missing{f': {what}' if what else ''}; check that the data set is complete")
    return path


def path_inside(folder: Path, name: str, file: Path) -> Path:
    """Return `folder / name`, `name` from `file`; raises InputError if it leaves the folder or is no file name."""
    if not name.strip() or not name.isprintable():
        raise InputError(f"{file} names a file {shorten(name)}, which is no file name; correct that file")
    if not is_inside(posixpath.normpath(name)):  # published lists have names such as ./a and a/../b
        raise InputError(f"{file} names a file {shorten(name)}, which is not in {folder}; use names relative to it")
    return folder / name


def read_json(path: Path, what: str = "", *, finite: bool = True) -> Any:
    """Read a JSON file; raises InputError if it is missing or invalid (see `media.jsonfile`)."""
    return jsonfile.read_json(require(path, what), finite=finite)


def read_lines(path: Path, what: str = "") -> list[str]:
    """Read the non-blank lines of a text file; raises InputError if it is missing or not text."""
    return [line for line in jsonfile.read_text(require(path, what), MAX_TEXT).splitlines() if line.strip()]


def validate(schema: type[T], content: Any, file: Path | str, remedy: str = "download it again") -> T:
    """Validate the content of a file against `schema`, a model or type.

    Raises InputError with the file, the location of the fault in it and the remedy.
    """
    try:
        found: T = TypeAdapter(schema).validate_python(content)
        return found
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part not in _NO_PLACES) or "its content"
        problem = "is missing" if first["type"] == "missing" else first["msg"]
        raise InputError(f"{file}: {shorten(place)}: {problem}; {remedy}") from None


def shorten(text: str, most: int = 200) -> str:
    """Shorten text from a file and replace unprintable characters, for a one-line message."""
    shown = "".join(c if c.isprintable() else "?" for c in text[:most])
    return shown + "..." * (len(text) > most)


def _size(track: MaskTrack) -> str:
    return f"{track.width}x{track.height}"


def track_from_rles(where: str, rles: Iterable[Any]) -> MaskTrack:
    """Build a track from COCO RLEs, {size: [h, w], counts: compressed string or bytes} each, of one size.

    where: file and entry, for the InputError if one is invalid.
    """
    try:
        return MaskTrack.from_rles(rles)
    except InputError as error:
        raise InputError(f"{where}: {error}; download it again") from None


def track_from_segmentation(where: str, given: Any, size: tuple[int, int]) -> MaskTrack:
    """Build a track of one frame from a COCO segmentation of an (H, W) image (`media.rle.segmentation_to_rle`)."""
    try:
        return MaskTrack.from_rles([segmentation_to_rle(given, size)])
    except (InputError, ValueError) as error:
        raise InputError(f"{where}: {error}; download it again") from None
