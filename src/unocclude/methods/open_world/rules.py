"""How the steps go: as published (`Parity`), with the seams repaired (`Repaired`), as the ancestor's (`Progressive`).

A step that differs is a method here; the iteration itself is the same for all.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from unocclude.geometry import mask_iou
from unocclude.methods.open_world import blend, segments
from unocclude.methods.open_world.crop import GAP, SIDES, touched_sides

BACKGROUND = "background"
"""The tag that the published code adds to those of the image."""

BAND = 5
"""Pixels inside the crop that are opened again at a side that the completed object touches."""

GREY = (137, 133, 132)
"""Mean colour of the published wallpaper, 1760 x 1200 pixels of grey."""


class Parity:
    """Open-World Amodal Appearance Completion (Ao et al. 2025, commit 4f6edb2), step by step.

    Only its randomness is ours: it draws from the clock, we from a seed. All masks are (h, w) bool; `visible` is what
    the user gave of the object, `query` what is held to be the object so far.
    """

    inpaintings = 4
    least_area = 0.01  # of the image; a smaller object is left as it is
    border = 150  # pixels added to the crop at a side that cuts the object
    anchored = True  # what the crop lacks of a square is added on such a side
    resample = "LANCZOS"
    needs_detections = True  # an image in which no box is found is left as it is
    largest: int | None = None  # the image's longer side, beyond which the work is done at a smaller size

    def touched(self, mask: np.ndarray) -> frozenset[str]:
        """Sides of the picture that cut the object."""
        return touched_sides(mask)

    def in_front(self, occluder: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """What of the occluders may hide the object."""
        return occluder & ~visible

    def needed(self, occluder: np.ndarray, sides: frozenset[str], has_room: bool) -> bool:
        """Whether there is anything to complete. has_room: the result's canvas reaches beyond the image."""
        return bool(occluder.any() or sides)

    def background(self, masks: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Segments of what no mask covers."""
        return segments.filled_background(masks)

    def names(self, tags: list[str]) -> list[str]:
        """Which of the image's tags, `BACKGROUND` among them, the object may be called."""
        return tags

    def backdrop(self, picture: np.ndarray, query: np.ndarray, wallpaper: np.ndarray | None) -> np.ndarray | None:
        """The first picture that the generator sees: nothing but the object, on the wallpaper; all (h, w, 3) uint8.

        wallpaper: None for flat `GREY` of the published size. None where it is smaller than the picture: the object is
        skipped.
        """
        wallpaper = np.full((1200, 1760, 3), GREY, np.uint8) if wallpaper is None else wallpaper
        rows, columns = np.nonzero(~query)
        if len(rows) and (rows.max() >= wallpaper.shape[0] or columns.max() >= wallpaper.shape[1]):
            return None
        changed = picture.copy()
        changed[rows, columns] = wallpaper[rows, columns]
        return changed

    def opened(self, mask: np.ndarray, first: np.ndarray) -> np.ndarray:
        """What is drawn anew, before it is dilated. first: what was in the first iteration."""
        return mask & first

    def dilated(self, mask: np.ndarray, iteration: int, visible: np.ndarray) -> np.ndarray:
        """The inpainting mask."""
        size, times = (5, 3) if iteration == 0 else (3, 1)
        return cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8), iterations=times) > 0

    def accepted(self, drawn: np.ndarray, original: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """The generator's picture as it goes on, (h, w, 3) uint8. original: the image's own pixels in the crop."""
        return drawn

    def amodal(
        self, candidates: Sequence[np.ndarray], query: np.ndarray, visible: np.ndarray, allowed: np.ndarray
    ) -> tuple[int | None, np.ndarray] | None:
        """The completed object's mask among what was found on the generated picture, and its index there.

        The one with the largest IoU with `query`; `query` itself, with index 0, where none overlaps it. None where
        nothing was found: the object is given up, with all that was drawn. allowed: where it may be.
        """
        if not len(candidates):
            return None
        overlaps = [mask_iou(query, candidate, empty=0.0) for candidate in candidates]
        best = int(np.argmax(overlaps))
        return best, candidates[best] if overlaps[best] > 0 else query

    def reopened(self, occluder: np.ndarray, sides: frozenset[str]) -> np.ndarray:
        """Occluders in the crop, with a band along the sides that the completed object touches."""
        opened = occluder.copy()
        bands = (opened[:BAND], opened[-BAND:], opened[:, :BAND], opened[:, -BAND:])
        for side, band in zip(SIDES, bands, strict=True):
            if side in sides:
                band[:] = True
        return opened

    def element(self, drawn: np.ndarray, amodal: np.ndarray, original: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """The completed object, (h, w, 4) uint8."""
        return blend.published_blend(blend.cut_out(original, visible), with_mask(drawn, amodal))


class Repaired(Parity):
    """The same without its seams: background keeps its holes, no visible pixel is drawn over, colours meet without a
    step, a finished completion is never given up, `background` is no name for an object, small objects and large
    images count. The object extends only where something hides it; what would fall off the canvas is not drawn."""

    least_area = 0.0
    needs_detections = False
    largest = 2048

    def in_front(self, occluder: np.ndarray, visible: np.ndarray) -> np.ndarray:
        return segments.touching(occluder & ~visible, visible)

    def needed(self, occluder: np.ndarray, sides: frozenset[str], has_room: bool) -> bool:
        return bool(occluder.any() or (sides and has_room))

    def background(self, masks: Sequence[np.ndarray]) -> list[np.ndarray]:
        return segments.whole_background(masks)

    def names(self, tags: list[str]) -> list[str]:
        return [tag for tag in tags if tag != BACKGROUND]

    def backdrop(self, picture: np.ndarray, query: np.ndarray, wallpaper: np.ndarray | None) -> np.ndarray:
        paper = np.full((1, 1, 3), GREY, np.uint8) if wallpaper is None else wallpaper
        rows, columns = np.arange(picture.shape[0]) % paper.shape[0], np.arange(picture.shape[1]) % paper.shape[1]
        return np.where(query[..., None], picture, paper[rows[:, None], columns])

    def dilated(self, mask: np.ndarray, iteration: int, visible: np.ndarray) -> np.ndarray:
        return super().dilated(mask, iteration, visible) & ~visible

    def accepted(self, drawn: np.ndarray, original: np.ndarray, visible: np.ndarray) -> np.ndarray:
        return blend.feathered(drawn, original, visible)

    def amodal(
        self, candidates: Sequence[np.ndarray], query: np.ndarray, visible: np.ndarray, allowed: np.ndarray
    ) -> tuple[int | None, np.ndarray]:
        found = super().amodal(candidates, query, visible, allowed)
        if found is None or found[1] is query:
            return None, query
        index, mask = found
        return index, (mask & allowed) | visible

    def element(self, drawn: np.ndarray, amodal: np.ndarray, original: np.ndarray, visible: np.ndarray) -> np.ndarray:
        return with_mask(drawn, amodal)


class Progressive(Parity):
    """Progressive Mixed Context Diffusion (Xu et al. 2024, github k8xu/amodal), run without its mixed-context
    sampling, which needs LaMa; the words given are the object's class."""

    inpaintings = 6
    least_area = 0.02
    border = 60
    anchored = False
    resample = "BICUBIC"

    def touched(self, mask: np.ndarray) -> frozenset[str]:
        """As published: the first row is taken for the last, so the object must lie in the strip at a side, whole, to
        count as cut by the top or the bottom."""
        sides = touched_sides(mask) & {"left", "right"}
        if mask.any() and not mask[GAP + 1 :].any():
            sides |= {"top"}
        if mask.any() and not mask[: max(0, len(mask) - GAP)].any():
            sides |= {"bottom"}
        return sides

    def background(self, masks: Sequence[np.ndarray]) -> list[np.ndarray]:
        return []

    def names(self, tags: list[str]) -> list[str]:
        return []

    def backdrop(self, picture: np.ndarray, query: np.ndarray, wallpaper: np.ndarray | None) -> np.ndarray:
        return picture

    def opened(self, mask: np.ndarray, first: np.ndarray) -> np.ndarray:
        return mask

    def dilated(self, mask: np.ndarray, iteration: int, visible: np.ndarray) -> np.ndarray:
        return super().dilated(mask, 0, visible)

    def reopened(self, occluder: np.ndarray, sides: frozenset[str]) -> np.ndarray:
        return occluder

    def element(self, drawn: np.ndarray, amodal: np.ndarray, original: np.ndarray, visible: np.ndarray) -> np.ndarray:
        return with_mask(drawn, amodal)


RULES: dict[str, type[Parity]] = {"repaired": Repaired, "parity": Parity, "progressive": Progressive}


def with_mask(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(h, w, 4) uint8: `rgb` with alpha 255 on the mask, else 0."""
    return np.dstack([rgb, mask.astype(np.uint8) * 255])
