"""Frames and masks in memory, as other libraries give them, as (H, W, 3) uint8 RGB and (H, W) bool.

Where shapes and values leave one meaning only, they are converted; where they leave several, InputError states the
remedy. What the values cannot tell is the order of colours: OpenCV's BGR frames are taken as RGB.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from unocclude.errors import InputError

TOLERANCE = 1e-3
"""How far floating-point values may lie outside their range, because resizing and float16 round."""
HALF = 128
"""The grey level from which a pixel of a soft mask belongs to the object."""
MAX_IDS = 32
"""A mask with more levels than this is a soft one, not a map of ids."""
_LISTED = 8  # ids in a message
_CHANNELS = (1, 3, 4)
_READERS = {"frame": "unocclude.open", "mask": "unocclude.read_masks"}


def to_frames(given: Any) -> list[np.ndarray]:
    """Frames as (H, W, 3) uint8 RGB each, all of one size.

    given: (T, H, W, 3), or a sequence or iterator of (H, W, 3); or one still (H, W, 3). NumPy arrays, PIL images,
    tensors of torch and others that NumPy can read. Channels may come first, (T, 3, H, W). Grey frames become RGB, and
    RGBA is composited on black, as in files. Values are 0 to 255, as integers or floats, or floats from 0 to 1, in all
    frames alike.

    Raises InputError for anything else.
    """
    frames = [_with_channels_last(frame, i) for i, frame in enumerate(_stills(given))]
    if not frames:
        raise InputError("a clip needs at least one frame")
    shapes = {frame.shape[:2] for frame in frames}
    if len(shapes) > 1:
        sizes = ", ".join(f"{width}x{height}" for height, width in sorted(shapes)[:5])
        raise InputError(f"frames of sizes {sizes} in one clip; all must be the same")
    scale = _scale_of_frames(frames)
    return [_to_rgb(_to_uint8(frame, scale)) for frame in frames]


def to_masks(given: Any, size: tuple[int, int] | None = None, count: int | None = None) -> Iterator[np.ndarray]:
    """Yield masks as (H, W) bool each.

    given: (T, H, W), or a sequence or iterator of (H, W); or one mask (H, W). NumPy arrays, PIL images, tensors. An
    axis of length 1 beside a mask's own is dropped. size, count: (height, width) and number of the frames, where they
    are known; masks in the order (H, W, T) are then recognised.

    What belongs to the object: True; every non-zero pixel if there is one such value; a probability above 0.5 in
    floats from 0 to 1; a grey level of at least 128 in soft masks from 0 to 255. Values are judged in all masks
    together. Raises InputError for maps of several ids, for logits, and for other shapes.
    """
    masks = (_one_channel(mask, i) for i, mask in enumerate(_separate_masks(given, size, count)))
    first = next(masks, None)
    if first is None:
        return
    if first.dtype == bool:  # one after the other, because the masks of a long clip may fill the memory
        yield from _all_bool(chain([first], masks))
        return
    known = [first, *masks]
    highest = _highest_background(known)
    yield from (mask > highest for mask in known)


def to_mask(given: Any) -> np.ndarray:
    """One mask as (H, W) bool, from what `to_masks` takes; raises InputError if there are several."""
    masks = list(to_masks([given] if isinstance(given, list) else given))
    if len(masks) != 1:
        raise InputError(f"{len(masks)} masks where one is needed; give (H, W)")
    return masks[0]


def as_array(given: Any, what: str) -> np.ndarray:
    """A NumPy array of numbers from an array, a PIL image, a tensor or nested lists; `what` is used in messages."""
    try:
        if hasattr(given, "detach"):  # a tensor of torch, perhaps on a GPU or with gradients
            given = given.detach().cpu()
        array = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{what} cannot be read as an array ({reason}); give a NumPy array") from None
    if array.dtype.kind not in "buif":
        raise InputError(f"{what} is {type(given).__name__}, not numbers; give a NumPy array")
    return array


def _is_picture(given: Any) -> bool:
    """Whether it is an image of PIL, without loading PIL."""
    return hasattr(given, "__array_interface__") and hasattr(given, "getbands")


def _elements(given: Any, what: str) -> np.ndarray | Iterator[Any]:
    """An array as such; otherwise what a sequence or iterator holds."""
    if hasattr(given, "shape") or _is_picture(given):
        return _pixels(given, f"the {what}s")
    if isinstance(given, Mapping):
        raise InputError(f"{what}s are a {type(given).__name__}; give a list of them, in the order of the frames")
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise InputError(
            f"{what}s are a {type(given).__name__}; give arrays, or what {_READERS[what]} returns for a path"
        )
    return iter(given)


def _pixels(given: Any, what: str) -> np.ndarray:
    """As `as_array`; a PIL image with a palette gives its colours."""
    if _is_picture(given) and given.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV"):
        given = given.convert("RGBA" if given.has_transparency_data else "RGB")
    return as_array(given, what)


# Frames -----------------------------------------------------------------------------------------------------


def _stills(given: Any) -> Iterator[np.ndarray]:
    elements = _elements(given, "frame")
    if not isinstance(elements, np.ndarray):
        return (_pixels(frame, f"frame {i}") for i, frame in enumerate(elements))
    if elements.ndim == 4:
        return iter(elements)
    if elements.ndim == 2 or (elements.ndim == 3 and (elements.shape[2] in _CHANNELS or elements.shape[0] == 1)):
        return iter([elements])
    if elements.ndim == 3:
        raise InputError(
            f"frames of shape {elements.shape} have no axis of colours; give (T, H, W, 3), or a list of pictures "
            "(H, W) or (3, H, W)"
        )
    raise InputError(f"frames of shape {elements.shape}; give (T, H, W, 3), one clip at a time")


def _with_channels_last(frame: np.ndarray, i: int) -> np.ndarray:
    shape = frame.shape
    if frame.ndim == 2:
        frame = frame[..., None]
    elif frame.ndim == 3 and shape[2] not in _CHANNELS and shape[0] in _CHANNELS:
        frame = np.moveaxis(frame, 0, 2)
    if frame.ndim != 3 or frame.shape[2] not in _CHANNELS or 0 in frame.shape:
        raise InputError(f"frame {i} has shape {shape}; give (H, W, 3), so that all frames are (T, H, W, 3)")
    return frame


def _scale_of_frames(frames: Sequence[np.ndarray]) -> float:
    """What floating-point values are multiplied with; raises InputError if the values do not tell."""
    floats = [frame for frame in frames if frame.dtype.kind == "f"]
    low, high = _range(floats, "frames")
    if low < -TOLERANCE:
        raise InputError(
            f"frames run from {low:.3g} to {high:.3g}; give 0 to 255 or 0 to 1, which for -1 to 1 is (frames + 1) / 2"
        )
    if high <= 1 + TOLERANCE:
        return 255
    if high < 2 or high > 255 + TOLERANCE:
        raise InputError(
            f"frames run from {low:.3g} to {high:.3g}, which is neither 0 to 1 nor 0 to 255; scale or clip them"
        )
    return 1


def _range(arrays: Sequence[np.ndarray], what: str) -> tuple[float, float]:
    """The least and the largest value; (0, 0) without arrays. Raises InputError for NaN and infinity."""
    if not all(np.isfinite(array).all() for array in arrays if array.dtype.kind == "f"):
        raise InputError(f"{what} hold NaN or infinity; replace them, as with numpy.nan_to_num")
    low = min((float(array.min()) for array in arrays), default=0.0)
    return low, max((float(array.max()) for array in arrays), default=0.0)


def _to_uint8(frame: np.ndarray, scale: float) -> np.ndarray:
    if frame.dtype == np.uint8:
        return frame
    if frame.dtype.kind == "b":
        raise InputError("frames are bool, as masks are; give pictures with values from 0 to 255")
    if frame.dtype.kind == "f":
        values = frame.astype(np.float32) * np.float32(scale)
        return np.rint(values.clip(0, 255)).astype(np.uint8)
    low, high = int(frame.min()), int(frame.max())
    if low < 0 or high > 255:
        raise InputError(
            f"frames are {frame.dtype} from {low} to {high}; give uint8, which for 16 bits is (frames >> 8), for "
            "10 bits (frames >> 2), each .astype(numpy.uint8)"
        )
    return frame.astype(np.uint8)


def _to_rgb(frame: np.ndarray) -> np.ndarray:
    if frame.shape[2] == 1:
        return np.repeat(frame, 3, axis=2)
    if frame.shape[2] == 4:
        from unocclude.media.images import on_black  # loads OpenCV

        return on_black(np.ascontiguousarray(frame))
    return np.ascontiguousarray(frame)


# Masks ------------------------------------------------------------------------------------------------------


def _separate_masks(given: Any, size: tuple[int, int] | None, count: int | None) -> Iterator[Any]:
    if _is_picture(given):  # palette images hold ids
        given = as_array(given, "the mask")
    elements = _elements(given, "mask")
    if not isinstance(elements, np.ndarray):
        return iter(elements)
    if elements.ndim == 2 or (size and elements.ndim == 3 and count == 1 and _is_one_mask(elements, size)):
        return iter([elements])
    if elements.ndim not in (3, 4):
        raise InputError(f"masks have shape {elements.shape}; give (T, H, W), or (H, W) for one")
    if size and count and elements.shape == (*size, count) != (count, *size):
        elements = np.moveaxis(elements, 2, 0)
    return iter(elements)


def _is_one_mask(array: np.ndarray, size: tuple[int, int]) -> bool:
    return array.shape[:2] == size and array.shape[2] in _CHANNELS and array.shape[1:] != size


def _one_channel(given: Any, i: int) -> np.ndarray:
    mask = as_array(given, f"mask {i}")
    shape = mask.shape
    if mask.ndim == 3 and shape[0] == 1:
        mask = mask[0]
    elif mask.ndim == 3 and shape[2] in (1, 3) and (mask == mask[..., :1]).all():
        mask = mask[..., 0]
    if mask.ndim != 2 or 0 in mask.shape:
        raise InputError(f"mask {i} has shape {shape}; give (H, W), the mask of one object, for every frame")
    return mask


def _all_bool(masks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    for i, mask in enumerate(masks):
        if mask.dtype != bool:
            raise InputError(f"mask {i} is {mask.dtype}, those before are bool; give all masks in one type")
        yield mask


def _highest_background(masks: Sequence[np.ndarray]) -> float:
    """The value above which a pixel belongs to the object; raises InputError if the values do not tell."""
    low, high = _range(masks, "masks")
    if low < -TOLERANCE:
        raise InputError(
            f"masks run from {low:.3g} to {high:.3g}, as logits do; give masks > 0, or probabilities from 0 to 1"
        )
    if high <= 1 + TOLERANCE and any(mask.dtype.kind == "f" for mask in masks):
        return 0.5
    levels = _levels(masks)
    if len(levels) <= 1:
        return 0
    if len(levels) > MAX_IDS and HALF <= high <= 255 + TOLERANCE:
        return HALF - 0.5
    listed = ", ".join(f"{level:g}" for level in sorted(levels)[:_LISTED]) + ", ..." * (len(levels) > _LISTED)
    raise InputError(
        f"masks hold several values beside 0 ({listed}); choose an object with masks == ID, or cut soft masks with "
        f"masks >= {HALF}"
    )


def _levels(masks: Sequence[np.ndarray]) -> set[float]:
    """The non-zero values of all masks; stops where there are more than `MAX_IDS`."""
    levels: set[float] = set()
    for mask in masks:
        most = mask.max()
        # sorting is slow, and most masks have one value
        found = [most] if ((mask == 0) | (mask == most)).all() else np.unique(mask).tolist()
        levels.update(float(value) for value in found)
        levels.discard(0.0)
        if len(levels) > MAX_IDS:
            break
    return levels
