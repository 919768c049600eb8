"""Scene: the input of a method."""

import gc
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from unocclude.clip import Clip
from unocclude.errors import InputError
from unocclude.masks import MaskTrack
from unocclude.media.images import MAX_PIXELS, too_large_message
from unocclude.motion.evidence import Evidence


class Scene:
    """A clip, one object's visible masks, and perception results, which are computed on first access.

    All arrays are in canvas coordinates: with `pad` = F, the canvas is larger than the frame by F of the frame on every
    side, and pixels outside the frame count as hidden.

    Raises InputError if the masks do not match the clip, or `pad` is outside [0, 2].
    """

    def __init__(
        self,
        clip: Clip,
        track: MaskTrack,
        occluders: MaskTrack | None = None,
        pad: float = 0.0,
    ):
        for name, masks in (("mask", track), ("occluder mask", occluders)):
            if masks is not None:
                check_masks(clip, masks, name)
        if not track.areas.any():
            raise InputError("the object's mask is empty in all frames; it must be visible in at least one")
        check_pad(clip, pad)
        self.clip, self.track, self.given_occluders = clip, track, occluders
        self.height, self.width = canvas_size(clip, pad)
        self.offset = ((self.width - clip.width) // 2, (self.height - clip.height) // 2)
        self._networks: dict[tuple[str, str], Callable[[np.ndarray], np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.clip)

    @property
    def shots(self) -> list[range]:
        """Frame ranges between cuts; nothing may be propagated across a cut."""
        return self.clip.shots

    def frame(self, i: int) -> np.ndarray:
        """Frame i on the canvas, (H, W, 3) uint8 RGB; black outside the frame."""
        return self.on_canvas(self.clip[i])

    def visible(self, i: int) -> np.ndarray:
        """Visible mask M of frame i on the canvas, (H, W) bool."""
        return self.on_canvas(self.track[i])

    def occluder(self, i: int) -> np.ndarray:
        """The user's occluder mask of frame i, (H, W) bool, without the visible mask; empty if none is given."""
        if self.given_occluders is None:
            return np.zeros((self.height, self.width), bool)
        return self.on_canvas(self.given_occluders[i]) & ~self.visible(i)

    @cached_property
    def inside(self) -> np.ndarray:
        """Mask of the frame on the canvas, (H, W) bool."""
        return self.on_canvas(np.ones((self.clip.height, self.clip.width), bool))

    def on_canvas(self, image: np.ndarray) -> np.ndarray:
        """Pad an image or mask of frame size to the canvas with zeros."""
        x, y = self.offset
        if not (x or y):
            return image
        return np.pad(image, [(y, y), (x, x)] + [(0, 0)] * (image.ndim - 2))

    @cached_property
    def evidence(self) -> Evidence:
        """Camera motion, background and occluders; see `unocclude.motion.evidence`."""
        return Evidence(self)

    def depth(self, shot: range, weights: Path | None = None, device: str = "auto") -> Callable[[int], np.ndarray]:
        """Pseudo-depth of a shot: a function that returns (H, W) uint8 for a frame number, with 255 nearest.

        weights: a folder with Depth Anything V2; without it, depth is the order of layers in the occlusion evidence.
        """
        from unocclude.perception import depth

        if weights is None:
            return depth.of_layers(self, shot)
        key = (str(weights), device)
        if key not in self._networks:
            self._networks[key] = depth.DepthAnything(weights, device)
        return depth.of_network(self, shot, self._networks[key])

    def forget(self) -> None:
        """Free cached results; they are computed again on access."""
        self.__dict__.pop("evidence", None)
        self._networks.clear()
        gc.collect()  # the evidence is part of a reference cycle

    def completion_mask(self, i: int) -> np.ndarray:
        """Completion mask of frame i, (H, W) bool: where the object may extend.

        Contains its visible pixels, possible occluders and pixels outside the frame, but no background behind it.
        """
        return self.evidence.completion_mask(i)


def canvas_size(clip: Clip, pad: float) -> tuple[int, int]:
    """Height and width of the canvas in pixels. pad: fraction of the frame, see `check_pad`."""
    height, width = (size + 2 * round(size * pad) for size in (clip.height, clip.width))
    return height, width


def check_pad(clip: Clip, pad: float) -> None:
    """Raise InputError if `pad` is outside [0, 2] or makes the canvas too large."""
    if not 0 <= pad <= 2:
        raise InputError(f"pad is {pad:g}, expected 0 to 2 (a fraction of the frame)")
    height, width = canvas_size(clip, pad)
    if width * height > MAX_PIXELS:
        raise InputError(
            f"pad {pad:g} makes the canvas too large: {too_large_message(f'{width}x{height}')}, or pad less"
        )


COMMON_RATES = (24000 / 1001, 24, 25, 30000 / 1001, 30, 50, 60000 / 1001, 60, 90, 120, 240)
"""Frames per second of cameras and screen recorders."""


def check_masks(clip: Clip, masks: MaskTrack, name: str = "mask") -> None:
    """Raise InputError unless `masks` has one mask of the frame size for every frame."""
    if len(masks) != len(clip):
        remedy = _other_rate(clip, len(masks), name) or "give one for every frame (an empty one where hidden)"
        raise InputError(f"{len(masks)} {name}s for {len(clip)} frames; {remedy}")
    if (masks.height, masks.width) != (clip.height, clip.width):
        raise InputError(
            f"{name}s are {masks.width}x{masks.height}, frames are {clip.width}x{clip.height}; "
            "they must be the same size"
        )


def _other_rate(clip: Clip, count: int, name: str) -> str | None:
    """What to do about masks of a clip at a variable rate whose frames were extracted at a constant one."""
    if clip.is_constant_rate:
        return None
    rate = min(COMMON_RATES, key=lambda rate: abs(rate * clip.times[-1] + 1 - count))
    fits = abs(rate * clip.times[-1] + 1 - count) <= 2
    cause = f"the clip has a variable rate, and {count} {name}s fit an extraction at a constant {rate:.5g} a second"
    cause = cause if fits else "the clip has a variable rate, so that extraction at a constant one changes the count"
    return f"{cause}: extract the frames with ffmpeg -fps_mode passthrough (-vsync 0 before FFmpeg 5.1)"
