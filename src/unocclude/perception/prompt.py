"""Prompts: one object marked in one frame by box, points, mask or text."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from unocclude.clip import Clip
from unocclude.errors import InputError
from unocclude.geometry import clip_box
from unocclude.perception.text_prompt import check_text, check_weights
from unocclude.types import Box, Point


@dataclass(frozen=True)
class Prompt:
    """One object in frame `frame`, marked in exactly one way.

    `boxes`: x0, y0, x1, y1 in pixels with exclusive ends, possibly partly outside the frame; several boxes mark parts
    of the same object. `points`: x, y in pixels, all on the object. `mask`: (H, W), non-zero on the object. `text`: a
    description of the object.
    """

    frame: int = 0
    boxes: tuple[Box, ...] = ()
    points: tuple[Point, ...] = ()
    mask: np.ndarray | None = None
    text: str | None = None

    @classmethod
    def of(
        cls,
        box: Any = None,
        point: Any = None,
        mask: np.ndarray | None = None,
        frame: int = 0,
        text: str | None = None,
    ) -> "Prompt":
        """A prompt from the arguments of `track`: one box or point or a list of them, a mask, or a text.

        Raises InputError when a box is not four numbers or a point not two.
        """
        boxes = _rows(box, 4, "a box", "x0, y0, x1, y1")
        return cls(int(frame), boxes, _rows(point, 2, "a point", "x, y"), mask, text)

    def check(self, clip: Clip) -> None:
        """Raise InputError unless this prompt marks something in `clip`; a text needs its weights."""
        given = sum((bool(self.boxes), bool(self.points), self.mask is not None, self.text is not None))
        if given != 1:
            raise InputError(f"give exactly one kind of prompt: a box, a point, a mask or a text; got {given}")
        if not 0 <= self.frame < len(clip):
            raise InputError(f"frame {self.frame} does not exist; the clip has frames 0 to {len(clip) - 1}")
        size = f"the {clip.width}x{clip.height} frame"
        for box in self.boxes:
            x0, y0, x1, y1 = box
            text = ",".join(f"{v:g}" for v in box)
            if not np.isfinite(box).all() or x1 <= x0 or y1 <= y0:
                raise InputError(f"box {text} is empty; give x0,y0,x1,y1 with x1 > x0 and y1 > y0")
            left, top, right, bottom = clip_box(box, (clip.height, clip.width))
            if right <= left or bottom <= top:
                raise InputError(f"box {text} lies outside {size}; give pixels as x0,y0,x1,y1")
        for x, y in self.points:
            if not (0 <= x < clip.width and 0 <= y < clip.height):
                raise InputError(f"point {x:g},{y:g} lies outside {size}; give pixels as x,y")
        if self.mask is not None:
            if self.mask.shape != (clip.height, clip.width):
                got = "x".join(str(n) for n in self.mask.shape[::-1])
                raise InputError(f"the mask is {got}, not the size of {size}; give a mask of the clip's size")
            if not self.mask.any():
                raise InputError("the mask is empty; mark the object with non-zero pixels")
        if self.text is not None:
            check_text(self.text)
            check_weights(self.text)


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
