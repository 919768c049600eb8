"""Put layers together again, with edits: hide, move, scale, fade, shift in time, reorder, another background.

An object that is not edited is drawn as the clip shows it: where something hides it that is still there, that stays in
front, whatever it is. So unedited layers give the clip again, even where an occluder is no object. An edited object is
drawn whole.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from unocclude.clip import Clip
from unocclude.clip import open as open_clip
from unocclude.errors import InputError
from unocclude.layers.plate import EDGE, grown
from unocclude.media.jsonfile import read_json
from unocclude.media.nearest_fill import fill_edges, fill_nearest

if TYPE_CHECKING:
    from unocclude.layers.result import Layer, Layers

MAX_BYTES = 1 << 20
_REMEDY = 'give {"background": "plate", "objects": {"1": {"move": [40, 0]}}}'
PLATE, NONE = "plate", "none"


class ObjectEdit(BaseModel):
    """What is changed of one object.

    visible: whether it is shown. move: [dx, dy] in pixels, to the right and down. scale: about the centre of its amodal
    box. opacity: 0 to 1. shift: frames by which it is later than in the clip; it is absent where the clip has no frame
    for it. z: its place in the order, 0 for the rearmost; where it meets another object's, it is in front.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    visible: bool = True
    move: tuple[float, float] = (0.0, 0.0)
    scale: Annotated[float, Field(gt=0, le=100)] = 1.0
    opacity: Annotated[float, Field(ge=0, le=1)] = 1.0
    shift: int = 0
    z: int | None = None

    @property
    def displaces(self) -> bool:
        """Whether the object is shown in another place, or as it is at another time."""
        return bool(any(self.move) or self.scale != 1 or self.shift)


AS_IT_IS = ObjectEdit()


class Edit(BaseModel):
    """An edit of layers. background: "plate", "none", "#rrggbb", or an image or video file. objects: by id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    background: str = PLATE
    objects: dict[int, ObjectEdit] = {}

    def of(self, number: int) -> ObjectEdit:
        return self.objects.get(number, AS_IT_IS)


def read_edit(edit: Edit | dict[str, Any] | str | Path | None) -> Edit:
    """An edit from a dict, or from a JSON file, in which a background file is relative to it.

    Raises InputError if it cannot be read, or a value is out of range.
    """
    if edit is None or isinstance(edit, Edit):
        return edit or Edit()
    file = None if isinstance(edit, dict) else Path(edit)
    try:
        read = Edit.model_validate(edit if file is None else read_json(file, MAX_BYTES, _REMEDY))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the edit"
        start = f"{file}: " if file else ""
        raise InputError(f"{start}{where}: {first['msg'][0].lower()}{first['msg'][1:]}; {_REMEDY}") from None
    if file is None or read.background in (PLATE, NONE) or read.background.startswith("#"):
        return read
    return read.model_copy(update={"background": str(file.parent / read.background)})


@dataclass
class _Placed:
    """A layer to draw: (h, w, 4) uint8 with straight alpha, and where its first pixel goes."""

    rgba: np.ndarray
    x: int
    y: int


class Composer:
    """Composes the frames of layers with an edit. Raises InputError for objects and backgrounds that do not exist."""

    def __init__(self, layers: "Layers", edit: Edit):
        self.layers, self.edit = layers, edit
        self._by_id = {layer.id: layer for layer in layers.objects}
        if unknown := [number for number in edit.objects if number not in self._by_id]:
            raise InputError(f"the edit names object {unknown[0]}; the ids are {', '.join(map(str, self._by_id))}")
        self._replaced = edit.background != PLATE
        self._background = self._open_background(edit.background)

    def frame(self, i: int) -> np.ndarray:
        """Frame i: (H, W, 3) uint8 RGB, or (H, W, 4) with straight alpha if the background is "none"."""
        picture = self._base(i)
        visible = {number: layer.completion.visible_masks[i] for number, layer in self._by_id.items()}
        edited = [number for number in self._by_id if self.edit.of(number) != AS_IT_IS]
        gone = _any([visible[number] for number in edited], self.layers.size)
        changed = np.ones_like(gone) if self._replaced else grown(gone)
        for number in self._sequence(i):
            if number not in edited:
                _draw(picture, self._as_it_is(number, i, visible, gone, changed))
            elif placed := self._edited(self._by_id[number], i):
                changed |= _draw(picture, placed)
        return picture if self.edit.background == NONE else np.ascontiguousarray(picture[..., :3])

    def _sequence(self, i: int) -> list[int]:
        """The objects of frame i, back to front."""
        ranks = {number: rank for rank, number in enumerate(self.layers.order_at(i))}

        def place(number: int) -> tuple[int, bool]:
            z = self.edit.of(number).z
            return (ranks[number], False) if z is None else (z, True)

        return sorted(ranks, key=place)

    def _as_it_is(
        self, number: int, i: int, visible: dict[int, np.ndarray], gone: np.ndarray, changed: np.ndarray
    ) -> _Placed:
        """An unedited object: where it is visible, and where what hides it is no longer there.

        gone: visible pixels of edited objects. changed: where the picture behind the object is no longer the clip's.
        """
        completion = self._by_id[number].completion
        rgba, amodal, own = completion.rgba[i].copy(), completion.amodal_masks[i], visible[number]
        seen = _any(list(visible.values()), own.shape)
        others = seen & ~own & ~gone
        # with another background, an occluder that is no object is gone as well
        open_ = ~others if self._replaced else gone | (~amodal & ~others)
        alpha = np.where(own | (open_ & changed), rgba[..., 3], 0)
        if (changed & grown(own)).any():
            rgba[..., :3] = np.where(changed[..., None], _clean(rgba[..., :3], amodal, own, gone), rgba[..., :3])
        alpha[own & ~changed] = 255
        near = (own | (grown(own) & ~seen)) & ~changed
        if near.any():
            edges = self.layers.edges[i]
            near &= edges[..., 3] > 0
            rgba[near, :3] = edges[near, :3]
            alpha[near] = 255
        rgba[..., 3] = alpha
        return _Placed(rgba, 0, 0)

    def _edited(self, layer: "Layer", i: int) -> _Placed | None:
        """An edited object, whole; None where it is not shown."""
        edit = self.edit.of(layer.id)
        source = i - edit.shift
        if not edit.visible or not edit.opacity or not 0 <= source < len(self.layers):
            return None
        rgba, amodal = layer.completion.rgba[source].copy(), layer.completion.amodal_masks[source]
        if not amodal.any():
            return None
        if edit.displaces or self._replaced:  # its edge is mixed with the old background
            rgba[..., :3] = fill_edges(np.ascontiguousarray(rgba[..., :3]), amodal)
        if edit.opacity < 1:
            rgba[..., 3] = np.rint(rgba[..., 3] * edit.opacity)
        return _moved(rgba, amodal, edit)

    # Background -------------------------------------------------------------------------------------------------

    def _base(self, i: int) -> np.ndarray:
        """The background of frame i, (H, W, 4) uint8."""
        picture: np.ndarray = np.zeros((*self.layers.size, 4), np.uint8)
        if self.edit.background == NONE:
            return picture
        picture[..., 3] = 255
        if not self._replaced:
            picture[..., :3] = self.layers.background[i]
        elif isinstance(self._background, Clip):
            frame = self._background[min(i, len(self._background) - 1)]
            picture[..., :3] = cv2.resize(frame, self.layers.size[::-1], interpolation=cv2.INTER_AREA)
        else:
            picture[..., :3] = self._background
        return picture

    @staticmethod
    def _open_background(background: str) -> Clip | tuple[int, ...] | None:
        if background in (PLATE, NONE):
            return None
        if background.startswith("#"):
            return read_colour(background)
        try:
            return open_clip(background)
        except InputError as error:
            raise InputError(f"background: {error}") from None


def read_colour(text: str) -> tuple[int, int, int]:
    """Red, green and blue of "#rrggbb"; raises InputError for another text."""
    if not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise InputError(f"{text} is no colour; give #rrggbb, such as #2040ff")
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def _any(masks: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    return np.any(masks, axis=0) if masks else np.zeros(shape, bool)


def _clean(rgb: np.ndarray, amodal: np.ndarray, own: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """The colours of an object without what its edge, and that of what hid it (`gone`), is mixed with."""
    clean = fill_edges(np.ascontiguousarray(rgb), amodal)
    mixed = own & grown(gone)
    return fill_nearest(clean, amodal & ~mixed, 2 * EDGE) if mixed.any() else clean


def _moved(rgba: np.ndarray, amodal: np.ndarray, edit: ObjectEdit) -> _Placed:
    """Move and scale a layer. Whole pixels are copied, other positions are interpolated."""
    x, y, w, h = cv2.boundingRect(amodal.astype(np.uint8))
    left, top = max(0, x - 1), max(0, y - 1)  # alpha extends over one more pixel
    part = rgba[top : y + h + 1, left : x + w + 1]
    dx, dy = edit.move
    if edit.scale == 1 and dx == round(dx) and dy == round(dy):
        return _Placed(part, left + round(dx), top + round(dy))
    middle_x, middle_y = x + (w - 1) / 2 + dx, y + (h - 1) / 2 + dy
    reach_x, reach_y = (edit.scale * (size / 2 + 1) + 1 for size in (w, h))
    new_x, new_y = int(np.floor(middle_x - reach_x)), int(np.floor(middle_y - reach_y))
    size = int(np.ceil(2 * reach_x)) + 2, int(np.ceil(2 * reach_y)) + 2
    matrix = np.array(
        [
            [edit.scale, 0, middle_x - new_x - edit.scale * (x + (w - 1) / 2 - left)],
            [0, edit.scale, middle_y - new_y - edit.scale * (y + (h - 1) / 2 - top)],
        ]
    )
    layer: np.ndarray = part.astype(np.float32)
    layer[..., :3] *= layer[..., 3:] / np.float32(255)  # transparent colours must not bleed in
    if edit.scale < 1:
        layer = cv2.GaussianBlur(layer, (0, 0), 0.4 / edit.scale)  # against aliasing
    moved = cv2.warpAffine(layer, matrix, size, flags=cv2.INTER_LINEAR)
    moved[..., :3] = moved[..., :3] * 255 / np.maximum(moved[..., 3:], 1e-3)
    return _Placed(np.clip(np.rint(moved), 0, 255).astype(np.uint8), new_x, new_y)


def _draw(picture: np.ndarray, placed: _Placed) -> np.ndarray:
    """Draw a layer over a picture (H, W, 4) uint8 with straight alpha, in place; returns where, (H, W) bool."""
    drawn = np.zeros(picture.shape[:2], bool)
    height, width = placed.rgba.shape[:2]
    x0, y0 = max(0, placed.x), max(0, placed.y)
    x1, y1 = min(picture.shape[1], placed.x + width), min(picture.shape[0], placed.y + height)
    if x1 <= x0 or y1 <= y0:
        return drawn
    above = placed.rgba[y0 - placed.y : y1 - placed.y, x0 - placed.x : x1 - placed.x].astype(np.uint32)
    below = picture[y0:y1, x0:x1].astype(np.uint32)
    alpha, rest = above[..., 3:], below[..., 3:] * (255 - above[..., 3:])
    total = 255 * alpha + rest  # alpha of the result, times 255
    colour = (255 * alpha * above[..., :3] + rest * below[..., :3] + total // 2) // np.maximum(total, 1)
    picture[y0:y1, x0:x1, :3] = colour
    picture[y0:y1, x0:x1, 3:] = (total + 127) // 255
    drawn[y0:y1, x0:x1] = alpha[..., 0] > 0
    return drawn
