"""The mask images of a clip: which pixels belong to which object. What they mean is decided for the whole clip."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pycocotools import mask as coco

from unocclude.errors import InputError
from unocclude.media.in_memory import HALF
from unocclude.media.label_images import LabelImage
from unocclude.media.limits import BLOCK_PIXELS
from unocclude.media.rle import Rle, encode

MAX_LISTED = 50
"""Maximum number of ids in an error message."""
MAX_OBJECTS = 255
"""Maximum number of objects in one clip."""
VOID = 255
"""The id that data sets give to pixels that are to be ignored (DAVIS, PASCAL VOC)."""
_VOID_COLOUR = (224, 224, 192)
_FEW = 32  # grey levels up to this are ids, never a matte
_MANY = 64  # more levels than this are a matte


@dataclass
class LabelCollector:
    """Collects the mask images of a clip, run-length encoded, and then tells which objects they hold.

    object_id: keep this id only; for a clip of masks of one object it must be None. path: for messages. After
    `objects`, notes are plain sentences on how the images were read, soft says whether they are mattes with levels
    between nothing and all, and colours has the colour of each id as #rrggbb where there is one per object.
    """

    path: Path
    object_id: int | None = None
    count: int = 0
    notes: list[str] = field(default_factory=list)
    soft: bool = False
    colours: dict[int, str] = field(default_factory=dict)
    _masks: dict[int, dict[int, Rle]] = field(default_factory=dict)  # value → frame → mask
    _cut: dict[int, Rle] = field(default_factory=dict)  # frame → mask cut at half, of images that may be mattes
    _kinds: Counter = field(default_factory=Counter)
    _seen: set[int] = field(default_factory=set)
    _border: Counter = field(default_factory=Counter)
    _solid: set[int] = field(default_factory=set)  # colours of whole areas; others are blends at edges
    _size: tuple[int, int] | None = None
    _between: bool = False  # whether levels between nothing and all occurred in what may be mattes

    def add(self, image: LabelImage) -> None:
        """Add the image of the next frame; raises InputError if its size differs, or it has too many ids."""
        i, values, kind = self.count, image.values, image.kind
        if self._size not in (None, values.shape):
            raise InputError(
                f"{self.path}: mask {i} is {values.shape[1]}x{values.shape[0]}, but the first is "
                f"{self._size[1]}x{self._size[0]}; all must be the same"
            )
        self._size = (values.shape[0], values.shape[1])
        self.count += 1
        if kind in ("levels", "grey") and self.object_id is None and is_matte(values):
            kind = "matte"
        if kind in ("matte", "chances"):
            self._cut[i] = encode(values >= (0.5 if kind == "chances" else HALF))
            self._between |= bool(((values > 0) & (values < (1 if kind == "chances" else 255))).any())
        else:
            self._add_values(i, values, kind)
        empty = kind in ("levels", "grey") and not values.any()
        self._kinds["" if empty else kind] += 1

    def _add_values(self, i: int, values: np.ndarray, kind: str) -> None:
        if self.object_id is not None and kind not in ("colours", "grey"):
            self._masks.setdefault(self.object_id, {})[i] = encode(values == self.object_id)
            if len(self._seen) < MAX_LISTED and not (values == self.object_id).any():
                self._seen |= _ids(values)
            return
        found = np.unique(values)
        if len(found) > MAX_OBJECTS + 1:
            raise InputError(f"{self.path}: frame {i} has {len(found)} ids; choose one with the object id")
        if kind == "colours":
            rim = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
            self._border.update(dict(zip(*(a.tolist() for a in np.unique(rim, return_counts=True)), strict=True)))
            self._solid.update(_solid_values(values))
        for value in found.tolist():
            if value or kind == "colours":
                self._masks.setdefault(int(value), {})[i] = encode(values == value)
        if len(self._masks) > 4 * MAX_OBJECTS:
            raise InputError(f"{self.path}: over {MAX_OBJECTS} ids; choose one with the object id")

    def objects(self) -> dict[int, list[Rle]]:
        """Id → masks of all frames; for masks of one object the id is 1.

        Void pixels (255 beside other ids) belong to no object. Raises InputError if images of several types are mixed,
        or `object_id` does not occur.
        """
        kinds = {kind for kind in self._kinds if kind}
        if "colours" in kinds:
            if kinds != {"colours"}:
                return self._of_grey_and_colours(kinds)
            return self._of_colours()
        if self.object_id is not None:
            return self._of_one_id(kinds)
        if (
            kinds & {"matte", "chances"}
            and self._kinds["levels"] + self._kinds["grey"] + self._kinds["ids"] <= 0.5 * self.count
        ):
            return self._of_mattes()
        return self._of_ids()

    def _of_mattes(self) -> dict[int, list[Rle]]:
        self.soft = self._between
        if self.soft:
            self.notes.append(
                "probabilities were cut at 0.5" if self._kinds["chances"] else f"soft masks were cut at level {HALF}"
            )
        bright = [frames for value, frames in self._masks.items() if value is True or value >= HALF]
        for frames in bright:
            for i, rle in frames.items():
                self._cut[i] = coco.merge([self._cut[i], rle]) if i in self._cut else rle
        return {1: self._complete(self._cut)}

    def _of_ids(self) -> dict[int, list[Rle]]:
        if self._kinds["matte"]:  # soft edges in a few images of a clip of ids
            self._masks.setdefault(VOID, {}).update(self._cut)
        values = sorted(self._masks)
        if len(values) <= 1:
            return {1: self._complete(self._masks[values[0]] if values else {})}
        if VOID in values:
            self.notes.append(f"pixels with the value {VOID} are void in such masks; they belong to no object")
        return {value: self._complete(self._masks[value]) for value in values if value not in (0, VOID)}

    def _of_one_id(self, kinds: set[str]) -> dict[int, list[Rle]]:
        assert self.object_id is not None
        if kinds & {"matte", "chances"}:
            raise InputError(f"{self.path}: holds one object without an id; leave out the object id")
        found = self._masks.get(self.object_id, {})
        if not any(coco.area(rle) for rle in found.values()):
            raise missing_id(self.path, self.object_id, self._seen - {0})
        return {self.object_id: self._complete(found)}

    def _of_grey_and_colours(self, kinds: set[str]) -> dict[int, list[Rle]]:
        """Colour images among which some frames happen to be grey, such as empty ones."""
        if kinds - {"colours", "grey"}:
            raise InputError(f"{self.path}: some masks are coloured and others are not; save all of them the same way")
        for value in [value for value in self._masks if 0 < value < 256]:
            self._masks.setdefault(value * 0x010101, {}).update(self._masks.pop(value))
            self._solid.add(value * 0x010101)
        return self._of_colours()

    def _of_colours(self) -> dict[int, list[Rle]]:
        """One object per colour. The background is black, or the colour that covers most of the images' border."""
        background = 0 if 0 in self._masks else max(self._border, key=lambda c: (self._border[c], -c))
        if background:
            self.notes.append(f"the background is {_hex(background)}, the colour along the border")
        colours = [c for c in sorted(self._masks) if c not in (background, _number(_VOID_COLOUR))]
        major = [c for c in colours if c in self._solid] or colours
        for c in set(colours) - set(major):  # blends at soft edges go to the nearest of the other colours
            nearest = min([*major, background], key=lambda m: _distance(m, c))
            if nearest != background:
                self._merge(nearest, c)
        ids = _colour_ids(major)
        self.colours = {number: _hex(c) for c, number in ids.items()}
        objects = {number: self._complete(self._masks[c]) for c, number in ids.items()}
        if self.object_id is None:
            return dict(sorted(objects.items())) if len(objects) != 1 else {1: next(iter(objects.values()))}
        if self.object_id not in objects:
            raise missing_id(self.path, self.object_id, set(objects))
        return {self.object_id: objects[self.object_id]}

    def _merge(self, into: int, colour: int) -> None:
        for i, rle in self._masks[colour].items():
            known = self._masks[into].get(i)
            self._masks[into][i] = rle if known is None else coco.merge([known, rle])

    def _complete(self, frames: dict[int, Rle]) -> list[Rle]:
        """The masks of all frames, empty where there is none."""
        empty = encode(np.zeros(self._size or (1, 1), bool))
        return [frames.get(i, empty) for i in range(self.count)]


def is_matte(levels: np.ndarray) -> bool:
    """Whether grey levels (H, W) uint8 are a soft mask rather than ids: the levels between the extremes form slopes.

    In maps of ids, pixels have the value of their neighbours.
    """
    counts = np.bincount(levels.ravel(), minlength=256)
    present = np.flatnonzero(counts[1:]) + 1
    if len(present) < 3 or present[-1] <= _FEW:
        return False
    if len(present) > _MANY:
        return True
    between = (levels[:-1, :-1] > 0) & (levels[:-1, :-1] < present[-1])
    flat = between & (levels[:-1, :-1] == levels[1:, :-1]) & (levels[:-1, :-1] == levels[:-1, 1:])
    return bool(flat.sum() < 0.5 * between.sum())


def _solid_values(values: np.ndarray) -> list[int]:
    """The values that fill a block of 3 x 3 pixels somewhere."""
    height, width = values.shape
    centre = values[1 : height - 1, 1 : width - 1]
    same = np.ones(centre.shape, bool)
    for y in range(3):
        for x in range(3):
            same &= values[y : y + height - 2, x : x + width - 2] == centre
    solid: list[int] = np.unique(centre[same]).tolist()
    return solid


def missing_id(path: Path, object_id: int, known: Iterable[int]) -> InputError:
    """The error for an id that does not occur."""
    listed = ", ".join(str(i) for i in sorted(known)[:MAX_LISTED]) or "none"
    return InputError(f"{path}: object id {object_id} does not occur in these masks; the ids there are: {listed}")


def _ids(label: np.ndarray) -> set[int]:
    """The ids in a label map (H, W); stops after `MAX_LISTED`."""
    rows = max(1, BLOCK_PIXELS // label.shape[1])
    ids: set[int] = set()
    for top in range(0, len(label), rows):
        ids.update(int(i) for i in np.unique(label[top : top + rows])[: MAX_LISTED + 1])
        if len(ids) > MAX_LISTED:
            break
    return ids


def davis_palette() -> np.ndarray:
    """The palette of DAVIS and PASCAL VOC, (256, 3) uint8: the bits of an id in turn to red, green and blue."""
    ids = np.arange(256, dtype=np.uint32)
    palette = np.zeros((256, 3), np.uint32)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= ((ids >> (3 * bit + channel)) & 1) << (7 - bit)
    return palette.astype(np.uint8)


def _colour_ids(colours: list[int]) -> dict[int, int]:
    """Colour → id: the index in the palette of DAVIS if all are in its first 64, else numbers from 1 in order."""
    palette = {_number(colour): k for k, colour in enumerate(davis_palette()[:64].tolist())}
    if all(c in palette for c in colours):
        return {c: palette[c] for c in colours}
    return {c: k for k, c in enumerate(colours, start=1)}


def _number(colour: Iterable[int]) -> int:
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def _hex(colour: int) -> str:
    return f"#{colour:06x}"


def _distance(a: int, b: int) -> int:
    return sum(abs((a >> shift & 255) - (b >> shift & 255)) for shift in (0, 8, 16))
