"""Prompts: what names an object, as cues in one or more frames or as a text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from unocclude.clip import Clip
from unocclude.errors import InputError
from unocclude.geometry import bounding_box, clip_box, looks_like_xywh, looks_normalised
from unocclude.media.in_memory import to_mask
from unocclude.perception.text_prompt import check_text, check_weights
from unocclude.types import ArrayLike, Box, Point


@dataclass(frozen=True, eq=False)
class Cue:
    """What marks one object in one frame; coordinates in pixels, x first.

    points: x, y each. labels: one per point, True if it lies on the object; all True by default. boxes: x0, y0, x1, y1
    with exclusive ends, possibly partly outside the frame; several boxes contain the object together. mask: (H, W),
    non-zero on the object; with boxes or points it is a rough mask that they correct. hidden: nothing of the object is
    visible in this frame.

    Raises InputError if the cue is empty, the labels do not match the points, or a hidden object is marked too.
    """

    points: Sequence[Point] = ()
    labels: Sequence[bool] = ()
    boxes: Sequence[Box] = ()
    mask: np.ndarray | None = None
    hidden: bool = False

    def __post_init__(self) -> None:
        marked = bool(len(self.points) or len(self.boxes) or self.mask is not None)
        if self.hidden and marked:
            raise InputError("a cue says that the object is hidden and marks it as well; leave out one of the two")
        if not self.hidden and not marked:
            raise InputError("a cue needs a box, a point or a mask, or says that the object is hidden")
        if len(self.labels) not in (0, len(self.points)):
            raise InputError(f"{len(self.labels)} labels for {len(self.points)} points; give one a point, or none")
        if self.mask is not None and not np.any(self.mask):
            raise InputError("the mask is empty; mark the object with non-zero pixels")

    @property
    def signs(self) -> list[int]:
        """1 (on the object) or 0 for each point."""
        return [int(label) for label in self.labels] or [1] * len(self.points)

    @property
    def inside(self) -> list[Point]:
        """The points on the object."""
        return [point for point, sign in zip(self.points, self.signs, strict=True) if sign]

    @property
    def outside(self) -> list[Point]:
        """The points that are not on the object."""
        return [point for point, sign in zip(self.points, self.signs, strict=True) if not sign]

    @property
    def defines(self) -> bool:
        """Whether the cue alone tells what the object is: by a mask, a box, or a point on it."""
        return self.mask is not None or bool(len(self.boxes) or self.inside)

    @property
    def bounds(self) -> Box | None:
        """The smallest box around all boxes, by default around the mask; None without either."""
        if len(self.boxes):
            rows = np.array(self.boxes, float)
            return (*rows[:, :2].min(0).tolist(), *rows[:, 2:].max(0).tolist())
        if self.mask is None:
            return None
        x0, y0, x1, y1 = bounding_box(np.asarray(self.mask) != 0)
        return float(x0), float(y0), float(x1), float(y1)

    def check(self, height: int, width: int) -> None:
        """Raise InputError unless all that the cue marks lies in a frame of this size."""
        size = f"the {width}x{height} frame"
        for box in self.boxes:
            _check_box(box, height, width, size)
        for x, y in self.points:
            if looks_normalised((x, y), width, height):
                raise InputError(f"point {x:g},{y:g} is a fraction of the frame; give pixels, {width}x{height} in all")
            if not (0 <= x < width and 0 <= y < height):
                raise InputError(f"point {x:g},{y:g} lies outside {size}; give pixels as x,y")
        if self.mask is not None and self.mask.shape != (height, width):
            got = "x".join(str(n) for n in self.mask.shape[::-1])
            raise InputError(f"the mask is {got}, not the size of {size}; give a mask of the clip's size")

    def joined(self, other: "Cue") -> "Cue":
        """Both cues as one; raises InputError if both have a mask, or only one says that the object is hidden."""
        if self.mask is not None and other.mask is not None:
            raise InputError("two masks for the same object in one frame; give one of them")
        return Cue(
            (*self.points, *other.points),
            [sign == 1 for sign in (*self.signs, *other.signs)],
            (*self.boxes, *other.boxes),
            self.mask if other.mask is None else other.mask,
            self.hidden or other.hidden,
        )


@dataclass(frozen=True, eq=False)
class Prompt:
    """What names one object: cues by frame number, which correct each other, or a text.

    Each method returns a new prompt with one more cue, so that calls can be chained:
    `Prompt().box(120, 80, 300, 260).point(400, 90, frame=12, positive=False)`.

    cues: by frame number. The object is tracked from them, forward and backward, up to the next cue. description: a
    text that describes the object in frame `frame`. notes: what a user should know of how the prompt was read.
    """

    cues: Mapping[int, Cue] = field(default_factory=dict)
    description: str | None = None
    frame: int = 0
    notes: tuple[str, ...] = ()

    def box(self, x0: float, y0: float, x1: float, y1: float, *, frame: int = 0) -> "Prompt":
        """Add a box around the object: pixels, ends exclusive."""
        return self.cue(frame, Cue(boxes=[(float(x0), float(y0), float(x1), float(y1))]))

    def point(self, x: float, y: float, *, frame: int = 0, positive: bool = True) -> "Prompt":
        """Add a point on the object or, with `positive=False`, a point that is not on it; in pixels."""
        return self.cue(frame, Cue(points=[(float(x), float(y))], labels=[positive]))

    def mask(self, mask: ArrayLike, *, frame: int = 0) -> "Prompt":
        """Add the object's visible mask, (H, W) bool or what else `MaskTrack.from_masks` takes for one frame.

        An empty one says that the object is hidden.
        """
        found = to_mask(mask)
        return self.cue(frame, Cue(mask=found) if found.any() else Cue(hidden=True))

    def hidden(self, *, frame: int = 0) -> "Prompt":
        """Say that nothing of the object is visible in a frame."""
        return self.cue(frame, Cue(hidden=True))

    def text(self, description: str, *, frame: int = 0) -> "Prompt":
        """Describe the object as it is seen in a frame; needs downloaded weights."""
        return replace(self, description=description, frame=int(frame))

    def cue(self, frame: int, cue: Cue) -> "Prompt":
        """Add a cue; what the frame has already is kept. Raises InputError where the two contradict each other."""
        frame = int(frame)
        known = self.cues.get(frame)
        return replace(self, cues={**self.cues, frame: cue if known is None else known.joined(cue)})

    @classmethod
    def of(
        cls,
        box: Any = None,
        point: Any = None,
        mask: ArrayLike | None = None,
        frame: int = 0,
        text: str | None = None,
        not_point: Any = None,
    ) -> "Prompt":
        """A prompt from the arguments of `track`: boxes and points, one or a list of each, a mask, or a text.

        Raises InputError when a box is not four numbers or a point not two.
        """
        prompt = cls() if text is None else cls().text(text, frame=frame)
        for row in _rows(box, 4, "a box", "x0, y0, x1, y1"):
            prompt = prompt.box(*row, frame=frame)
        for given, positive in ((point, True), (not_point, False)):
            for row in _rows(given, 2, "a point", "x, y"):
                prompt = prompt.point(*row, frame=frame, positive=positive)
        return prompt if mask is None else prompt.mask(mask, frame=frame)

    def check(self, clip: Clip) -> None:
        """Raise InputError unless this prompt marks something in `clip`; a text needs its weights."""
        if self.description is not None:
            if self.cues:
                raise InputError("give cues (boxes, points, masks) or a text, not both")
            _check_frame(self.frame, clip)
            check_text(self.description)
            return check_weights()
        for frame, cue in self.cues.items():
            _check_frame(frame, clip)
            cue.check(clip.height, clip.width)
        start_frame(self.cues)


def start_frame(cues: Mapping[int, Cue]) -> int:
    """The frame that tracking starts from: the first with a mask or a box, else the one with most points on the object.

    Of several with as many points it is the one that was given first. Raises InputError if no cue tells what the object
    is.
    """
    if known := [frame for frame, cue in cues.items() if cue.bounds is not None]:
        return min(known)
    points = {frame: len(cue.inside) for frame, cue in cues.items() if cue.inside}
    if not points:
        raise InputError("the prompt marks no object; give a box, a point on it, or a mask in at least one frame")
    return max(points, key=lambda frame: points[frame])


def _check_frame(frame: int, clip: Clip) -> None:
    if not 0 <= frame < len(clip):
        raise InputError(f"frame {frame} does not exist; the clip has frames 0 to {len(clip) - 1}")


def _check_box(box: Box, height: int, width: int, size: str) -> None:
    x0, y0, x1, y1 = box
    text = ",".join(f"{v:g}" for v in box)
    if looks_normalised(box, width, height):
        raise InputError(f"box {text} is a fraction of the frame; give pixels, {width}x{height} in all")
    if not np.isfinite(box).all() or x1 <= x0 or y1 <= y0:
        hint = ", not x,y,width,height" if looks_like_xywh(box, width, height) else ""
        raise InputError(f"box {text} is empty; give x0,y0,x1,y1 with x1 > x0 and y1 > y0{hint}")
    left, top, right, bottom = clip_box(box, (height, width))
    if right <= left or bottom <= top:
        raise InputError(f"box {text} lies outside {size}; give pixels as x0,y0,x1,y1")


def _rows(given: Any, length: int, name: str, form: str) -> tuple[Any, ...]:
    if given is None:
        return ()
    try:
        rows = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{given!r} is not {name}; give {form}") from None
    if rows.ndim == 1:
        rows = rows[None]
    if rows.ndim != 2 or rows.shape[1] != length or not len(rows):
        raise InputError(f"{given!r} is not {name}; give {form}")
    return tuple(tuple(float(v) for v in row) for row in rows)
