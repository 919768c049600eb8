"""Scene: the input of a method."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from unocclude.clip import Clip
from unocclude.errors import InputError
from unocclude.mask_files import other_rate
from unocclude.masks import MaskTrack
from unocclude.media.images import MAX_PIXELS, too_large_message
from unocclude.motion.camera import FrameMotion
from unocclude.motion.evidence import Evidence

IN_FRONT, UNDECIDED, BEHIND = 1, 0, -1
"""Where another object is, seen from the camera, in relation to the object of the scene."""


@dataclass(frozen=True, eq=False)
class OtherObject:
    """Another object of the clip. track: its visible masks. side: (T,) int8, in each frame IN_FRONT of the scene's
    object, BEHIND it, or UNDECIDED."""

    track: MaskTrack
    side: np.ndarray


class Scene:
    """A clip, one object's visible masks, and perception results, which are computed on first access.

    occluders: what the user says is in front; everything else is then background. others: the clip's other objects, as
    far as they are known. They are occluders where they are in front, and background where they are behind. camera: the
    camera motion, if it is known already.

    All arrays are in canvas coordinates: with `pad` = F, the canvas is larger than the frame by F of the frame on every
    side, and pixels outside the frame count as hidden.

    occluders: masks of what is known to be in front; a single still mask stands for all frames.

    Raises InputError if the masks do not match the clip, or `pad` is outside [0, 2].
    """

    def __init__(
        self,
        clip: Clip,
        track: MaskTrack,
        occluders: MaskTrack | None = None,
        pad: float = 0.0,
        others: Sequence[OtherObject] = (),
        camera: FrameMotion | None = None,
    ):
        occluders = None if occluders is None else occluders.for_all_frames(len(clip))
        for name, masks in (("mask", track), ("occluder mask", occluders)):
            if masks is not None:
                check_masks(clip, masks, name)
        if not track.areas.any():
            raise InputError("the object's mask is empty in all frames; it must be visible in at least one")
        for other in others:
            check_masks(clip, other.track, "other object's mask")
        check_pad(clip, pad)
        self.clip, self.track, self.given_occluders = clip, track, occluders
        self.others, self.known_camera = tuple(others), camera
        self._pad = pad
        self.height, self.width = canvas_size(clip, pad)
        self.offset = ((self.width - clip.width) // 2, (self.height - clip.height) // 2)
        self._networks: dict[tuple[str, str], Callable[[np.ndarray], np.ndarray]] = {}

    def __reduce__(self) -> tuple[type["Scene"], tuple[object, ...]]:
        """For worker processes, which compute what is cached again."""
        parts = (self.clip, self.track, self.given_occluders, self._pad, self.others, self.known_camera)
        return Scene, parts

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

    def matte(self, i: int) -> np.ndarray | None:
        """Opacity of the visible part in frame i on the canvas, (H, W) uint8; None unless a matte was given."""
        matte = self.track.matte(i)
        return None if matte is None else self.on_canvas(matte)

    def occluder(self, i: int) -> np.ndarray:
        """What is known to be in front in frame i, (H, W) bool, without the visible mask: the user's occluders, and
        the visible pixels of other objects in front."""
        mask = self.other_objects(i, IN_FRONT)
        if self.given_occluders is not None:
            mask |= self.on_canvas(self.given_occluders[i])
        return mask & ~self.visible(i)

    def behind(self, i: int) -> np.ndarray:
        """Visible pixels of other objects that are behind this one in frame i, (H, W) bool.

        This object cannot extend over them, since it would hide them.
        """
        return self.other_objects(i, BEHIND) & ~self.visible(i)

    def other_objects(self, i: int, *sides: int) -> np.ndarray:
        """Visible pixels in frame i of the other objects on these sides (by default on all), (H, W) bool."""
        masks = [o.track[i] for o in self.others if o.track.areas[i] and (not sides or o.side[i] in sides)]
        if not masks:
            return np.zeros((self.height, self.width), bool)
        return self.on_canvas(np.any(masks, axis=0))

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


def check_masks(clip: Clip, masks: MaskTrack, name: str = "mask") -> None:
    """Raise InputError unless `masks` has one mask of the frame size for every frame."""
    size = clip.height, clip.width
    if (len(masks), masks.height, masks.width) == (*size, len(clip)) != (len(clip), *size):
        raise InputError(f"the {name}s are in the order (H, W, T); give (T, H, W), as masks.transpose(2, 0, 1)")
    if name == "mask" and len(masks) == 1 != len(clip):
        raise InputError(
            f"one mask for {len(clip)} frames; give one for every frame, or track it: --mask FILE@FRAME, in Python "
            "unocclude.track(clip, mask=...)"
        )
    if len(masks) != len(clip):
        remedy = other_rate(clip, len(masks), name) or "give one for every frame (an empty one where hidden)"
        raise InputError(f"{len(masks)} {name}s for {len(clip)} frames; {remedy}")
    if (masks.height, masks.width) != size:
        raise InputError(
            f"{name}s are {masks.width}x{masks.height}, frames are {clip.width}x{clip.height}; "
            "they must be the same size"
        )
