"""Scene: all that a method may look at."""

import gc
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from unocclude.clip import Clip
from unocclude.errors import InputError
from unocclude.masks import MaskTrack
from unocclude.media.images import MAX_PIXELS, too_large
from unocclude.motion.evidence import Evidence


class Scene:
    """A clip, one object's visible masks in it, and what perception says of them, computed once when asked for.

    Everything is in canvas coordinates: with `pad` = F the canvas is larger than the frame by F of the frame on
    every side, and what lies outside the frame counts as hidden.

    Raises InputError where track or occluders do not fit the clip, or `pad` is out of [0, 2].
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
                check_fit(clip, masks, name)
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
        """Frame ranges between cuts; nothing may be chained across them."""
        return self.clip.shots

    def frame(self, i: int) -> np.ndarray:
        """Frame i on the canvas, (H, W, 3) uint8 RGB; black outside the frame."""
        return self.on_canvas(self.clip[i])

    def visible(self, i: int) -> np.ndarray:
        """Visible mask M of frame i on the canvas, (H, W) bool."""
        return self.on_canvas(self.track[i])

    def occluder(self, i: int) -> np.ndarray:
        """What the user says is in front in frame i, (H, W) bool; empty where nothing was given."""
        if self.given_occluders is None:
            return np.zeros((self.height, self.width), bool)
        return self.on_canvas(self.given_occluders[i]) & ~self.visible(i)

    @cached_property
    def inside(self) -> np.ndarray:
        """Where the frame lies on the canvas, (H, W) bool."""
        return self.on_canvas(np.ones((self.clip.height, self.clip.width), bool))

    def on_canvas(self, image: np.ndarray) -> np.ndarray:
        """A frame-sized image or mask, laid on the canvas; zero outside the frame."""
        x, y = self.offset
        if not (x or y):
            return image
        return np.pad(image, [(y, y), (x, x)] + [(0, 0)] * (image.ndim - 2))

    @cached_property
    def evidence(self) -> Evidence:
        """Camera motion, background and what is in front of it; see `unocclude.motion.evidence`."""
        return Evidence(self)

    def depth(self, shot: range, weights: Path | None = None, device: str = "auto") -> Callable[[int], np.ndarray]:
        """Pseudo-depth of a shot's frames: a function of the frame number, (H, W) uint8, 255 nearest. weights: a
        folder of Depth Anything V2; without it what occlusion evidence says of the layers' order."""
        from unocclude.perception import depth

        if weights is None:
            return depth.of_layers(self, shot)
        key = (str(weights), device)
        if key not in self._networks:
            self._networks[key] = depth.DepthAnything(weights, device)
        return depth.of_network(self, shot, self._networks[key])

    def forget(self) -> None:
        """Let go of what was worked out; it is worked out again when asked for."""
        self.__dict__.pop("evidence", None)
        self._networks.clear()
        gc.collect()  # it refers to itself

    def completion_mask(self, i: int) -> np.ndarray:
        """Where the object may extend in frame i, (H, W) bool: its visible pixels, what may lie in front of it,
        and what lies outside the frame; never plain background that is behind the object."""
        return self.evidence.completion_mask(i)


def canvas_size(clip: Clip, pad: float) -> tuple[int, int]:
    """Height and width of the canvas in pixels; `pad` as `check_pad` takes it."""
    height, width = (size + 2 * round(size * pad) for size in (clip.height, clip.width))
    return height, width


def check_pad(clip: Clip, pad: float) -> None:
    """Raise InputError unless `pad` is a sensible fraction of the frame, and the canvas not too large."""
    if not 0 <= pad <= 2:
        raise InputError(f"pad is {pad:g}, expected 0 to 2 (a fraction of the frame)")
    height, width = canvas_size(clip, pad)
    if width * height > MAX_PIXELS:
        raise InputError(f"pad {pad:g} makes the canvas too large: {too_large(f'{width}x{height}')}, or pad less")


def check_fit(clip: Clip, masks: MaskTrack, name: str = "mask") -> None:
    """Raise InputError unless there is one mask of the frame's size for every frame."""
    if len(masks) != len(clip):
        raise InputError(
            f"{len(masks)} {name}s for {len(clip)} frames; give one for every frame (an empty one where hidden)"
        )
    if (masks.height, masks.width) != (clip.height, clip.width):
        raise InputError(
            f"{name}s are {masks.width}x{masks.height}, frames are {clip.width}x{clip.height}; "
            "they must be the same size"
        )
