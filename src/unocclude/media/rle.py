"""Validate COCO run-length encodings and polygons before pycocotools, whose decoder trusts its input, reads them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from pycocotools import mask as coco

from unocclude.media.images import MAX_PIXELS

MAX_RUNS = 10_000_000
"""Maximum number of characters or run lengths in the counts of one mask."""
MAX_MASKS = 100_000
"""Maximum number of masks in a clip: an hour at 25 fps."""
MAX_BYTES = 100_000_000
"""Maximum total size of the run lengths of a clip."""
MAX_POLYGONS = 1_000
MAX_COORDINATE = 1_000_000
"""Maximum absolute coordinate of a polygon in pixels."""
MAX_OUTLINE = 2_000_000
"""Maximum total length of the polygons of one mask in pixels; the decoder needs about 100 bytes for each."""

Size = tuple[int, int]
Rle = dict[str, Any]
"""A COCO RLE as pycocotools takes it: {size: [h, w], counts: bytes}."""


def to_compressed_rle(given: Any, size: Size | None = None) -> dict[str, Any]:
    """Convert a COCO RLE to {size, counts: bytes}, which pycocotools can decode safely.

    given: {size: [h, w], counts: text, bytes or a list of run lengths}. size: required height and width. Empty runs
    between others are removed. Raises ValueError, saying what is wrong, if `given` is not a valid RLE.
    """
    if not isinstance(given, dict):
        raise ValueError(f"a {type(given).__name__}, not an object")
    if missing := {"size", "counts"} - given.keys():
        raise ValueError(f"{' and '.join(sorted(missing))} missing")
    height, width = parse_size(given["size"])
    if size is not None and (height, width) != tuple(size):
        raise ValueError(f"it is {width}x{height}, the image {size[1]}x{size[0]}")
    counts = given["counts"]
    runs = _numbers(counts) if isinstance(counts, list | tuple) else parse_counts(counts)
    if len(runs) > height * width + 2:
        raise ValueError(f"it has {len(runs)} runs for {height}x{width} pixels")
    if not len(runs) or runs.min() < 0 or runs.sum() != height * width:
        raise ValueError(f"its runs cover {int(runs.sum())} of {height}x{width} pixels")
    if not (runs[1:] > 0).all():  # pycocotools draws wrong boxes around these
        runs = _without_empty(runs)
    return dict(coco.frPyObjects({"size": [height, width], "counts": runs.tolist()}, height, width))


def to_compressed_rles(given: Iterable[Any]) -> list[dict[str, Any]]:
    """Apply `to_compressed_rle` to every mask of a clip; None, for a frame without the object, becomes an empty mask.

    Raises ValueError if a mask is invalid (its number is given), all are None, or there are too many.
    """
    found: list[dict[str, Any] | None] = []
    known: dict[Any, dict[str, Any]] = {}  # repeated masks are converted only once
    total = 0
    for i, rle in enumerate(given):
        code = None if rle is None else _known(rle, i, known)
        total += 0 if code is None else len(code["counts"])
        if i >= MAX_MASKS or total > MAX_BYTES:
            raise ValueError(f"over {MAX_MASKS} masks, or {MAX_BYTES // 1_000_000} MB of them, in one clip")
        found.append(code)
    seen = next((code for code in found if code is not None), None)
    if found and seen is None:
        raise ValueError(f"all {len(found)} masks are null; the object must be visible in one")
    hidden = seen and empty_like(seen)
    return [code or hidden for code in found]  # type: ignore[misc]


def empty_like(rle: Rle) -> Rle:
    """The RLE of an empty mask of the same size."""
    height, width = rle["size"]
    return to_compressed_rle({"size": [height, width], "counts": [height * width]})


def encode(mask: np.ndarray) -> Rle:
    """Encode an (H, W) mask, in which non-zero is the object."""
    return dict(coco.encode(np.asfortranarray(mask != 0, dtype=np.uint8)))


def _known(rle: Any, i: int, known: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    key = (*rle["size"], rle["counts"]) if _is_text(rle) else None
    if key not in known:
        try:
            code = to_compressed_rle(rle)
        except ValueError as error:
            raise ValueError(f"mask {i} is not a COCO RLE with size and counts ({error})") from None
        if key is None:
            return code
        known[key] = code
    return known[key]


def _is_text(rle: Any) -> bool:
    """Whether an RLE has the usual form, with hashable parts."""
    if not isinstance(rle, dict) or not isinstance(rle.get("counts"), str | bytes):
        return False
    size = rle.get("size")
    return isinstance(size, list | tuple) and all(isinstance(side, int) for side in size)


def segmentation_to_rle(given: Any, size: Size) -> dict[str, Any]:
    """Convert COCO's "segmentation" of an (H, W) image to a compressed RLE.

    given: one polygon [x, y, ...], a list of polygons, or an RLE. Raises ValueError, saying what is wrong, if it is
    none of these.
    """
    if not isinstance(given, list):
        return to_compressed_rle(given, size)
    height, width = parse_size(size)
    polygons = given if not given or isinstance(given[0], list) else [given]
    if not 0 < len(polygons) <= MAX_POLYGONS:
        raise ValueError(f"{len(polygons)} polygons; there must be 1 to {MAX_POLYGONS}")
    if sum(_length(k, polygon) for k, polygon in enumerate(polygons)) > MAX_OUTLINE:
        raise ValueError(f"its outline is longer than {MAX_OUTLINE} pixels")
    return dict(coco.merge(coco.frPyObjects(polygons, height, width)))


def parse_size(size: Any) -> Size:
    """Parse height and width; raises ValueError unless they are positive integers within the limit of pixels."""
    if hasattr(size, "tolist"):
        size = size.tolist()
    if not isinstance(size, list | tuple) or len(size) != 2 or not {int, float}.issuperset(map(type, size)):
        raise ValueError("its size is not two numbers, height and width")
    if not all(0 < side <= MAX_PIXELS and side == int(side) for side in size):
        raise ValueError("its size is not two whole numbers within the limits of an image")
    height, width = int(size[0]), int(size[1])
    if height * width > MAX_PIXELS:
        raise ValueError(f"{width}x{height} is over the limit of {MAX_PIXELS // 1_000_000} megapixels")
    return height, width


def parse_counts(text: Any) -> np.ndarray:
    """Decode COCO's compressed counts to run lengths, (n,) int64.

    They are signed base-32 numbers; from the fourth on, each is relative to the one two positions before (`rleFrString`
    in pycocotools). Raises ValueError if the counts are invalid.
    """
    if not isinstance(text, str | bytes):
        raise ValueError(f"its counts are a {type(text).__name__}, not text or a list")
    if len(text) > MAX_RUNS:
        raise ValueError(f"over {MAX_RUNS} characters in its counts")
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    bits = np.frombuffer(data, np.uint8) - np.uint8(48)  # lower values wrap around to 208 and more
    if (bits > 63).any():
        at = int(np.argmax(bits > 63))
        raise ValueError(f"{chr(data[at])!r} in its counts")
    ends = np.flatnonzero(bits < 32)
    if len(bits) and (not len(ends) or ends[-1] != len(bits) - 1):
        raise ValueError("its counts end too early")
    lengths = np.diff(ends, prepend=-1)
    if len(ends) and lengths.max() > 7:  # enough for a 32-bit count
        raise ValueError("a number in its counts is too long")
    steps = (bits[ends] & 15).astype(np.int64) - (bits[ends] & 16)
    for place in range(1, int(lengths.max(initial=1))):  # from each number's highest digit to its lowest
        longer = np.flatnonzero(lengths > place)
        steps[longer] = (steps[longer] << 5) + (bits[ends[longer] - place] & 31)
    steps[1::2] = np.cumsum(steps[1::2])
    steps[2::2] = np.cumsum(steps[2::2])
    return steps


def _numbers(counts: list[Any] | tuple[Any, ...]) -> np.ndarray:
    if len(counts) > MAX_RUNS:
        raise ValueError(f"over {MAX_RUNS} numbers in its counts")
    if not {int, float}.issuperset(map(type, counts)):
        raise ValueError("its counts hold something other than numbers")
    runs = _floats(counts)
    if not (np.abs(runs) <= MAX_PIXELS).all() or (runs % 1).any():
        raise ValueError("its counts are not whole numbers of pixels")
    return runs.astype(np.int64)


def _without_empty(runs: np.ndarray) -> np.ndarray:
    """Remove empty runs, except the first, without changing the mask."""
    total = runs.sum()
    at, times = np.unique(np.cumsum(runs[:-1]), return_counts=True)
    at = at[(times % 2 == 1) & (at < total)]
    return np.diff(np.concatenate([[0], at, [total]]))


def _length(k: int, polygon: Any) -> float:
    """Length of a polygon in pixels, as counted by the decoder; raises ValueError if it is invalid."""
    if not isinstance(polygon, list) or not {int, float}.issuperset(map(type, polygon)):
        raise ValueError(f"polygon {k} is no list of numbers")
    if len(polygon) < 6 or len(polygon) % 2:
        raise ValueError(f"polygon {k} has {len(polygon)} numbers; expected x and y of three or more points")
    points = _floats(polygon).reshape(-1, 2)
    if not (np.abs(points) <= MAX_COORDINATE).all():
        raise ValueError(f"polygon {k} has a coordinate beyond {MAX_COORDINATE} pixels")
    return float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum()) + len(points)


def _floats(numbers: Any) -> np.ndarray:
    try:
        return np.array(numbers, np.float64)
    except OverflowError:
        raise ValueError("a number is too large") from None
