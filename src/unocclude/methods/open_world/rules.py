"""Rules of the iteration: as published (`Parity`), repaired (`Repaired`), or of its predecessor (`Progressive`).

Each step that differs is a method here; the iteration itself is the same for all.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from unocclude.geometry import mask_iou
from unocclude.methods.feather import feathered
from unocclude.methods.open_world import blend, segments
from unocclude.methods.open_world.crop import GAP, SIDES, touched_sides

BACKGROUND = "background"
"""A tag that the published code adds to those of the image."""

BAND = 5
"""Width in pixels of the band that is inpainted again along a crop side that the completed object touches."""

GREY = (137, 133, 132)
"""Mean colour of the published wallpaper, a grey image of 1760 x 1200 pixels."""


class Parity:
    """The steps of Open-World Amodal Appearance Completion (Ao et al. 2025, commit 4f6edb2) as published.

    The only difference is that randomness comes from a seed instead of the clock. All masks are (h, w) bool; `visible`
    is the given visible mask, `query` the current mask of the object.
    """

    inpaintings = 4
    least_area = 0.01  # as a fraction of the image; smaller objects are not completed
    border = 150  # pixels added to the crop at sides that cut the object
    anchored = True  # the crop is made square by extending it at such sides
    resample = "LANCZOS"
    needs_detections = True  # without any detection nothing is completed
    largest: int | None = None  # larger images are scaled down so that their longer side is this long

    def touched_sides(self, mask: np.ndarray) -> frozenset[str]:
        """Image sides that cut the object."""
        return touched_sides(mask)

    def in_front(self, occluder: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """The part of the occluders that may hide the object."""
        return occluder & ~visible

    def is_needed(self, occluder: np.ndarray, sides: frozenset[str], has_room: bool) -> bool:
        """Whether anything has to be completed. has_room: the canvas is larger than the image."""
        return bool(occluder.any() or sides)

    def background_segments(self, masks: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Segments of the area that no mask covers."""
        return segments.filled_background(masks)

    def candidate_names(self, tags: list[str]) -> list[str]:
        """Tags of the image, including `BACKGROUND`, that may be the object's name."""
        return tags

    def backdrop(self, picture: np.ndarray, query: np.ndarray, wallpaper: np.ndarray | None) -> np.ndarray | None:
        """The first input of the inpainting model: the object alone on the wallpaper, (h, w, 3) uint8.

        wallpaper: None for flat `GREY` of the published size. Returns None, which skips the object, if the wallpaper is
        smaller than the picture.
        """
        wallpaper = np.full((1200, 1760, 3), GREY, np.uint8) if wallpaper is None else wallpaper
        rows, columns = np.nonzero(~query)
        if len(rows) and (rows.max() >= wallpaper.shape[0] or columns.max() >= wallpaper.shape[1]):
            return None
        changed = picture.copy()
        changed[rows, columns] = wallpaper[rows, columns]
        return changed

    def region_to_inpaint(self, mask: np.ndarray, first: np.ndarray) -> np.ndarray:
        """The region to inpaint, before dilation. first: the region of the first iteration."""
        return mask & first

    def inpainting_mask(self, mask: np.ndarray, iteration: int, visible: np.ndarray) -> np.ndarray:
        """The dilated inpainting mask."""
        size, times = (5, 3) if iteration == 0 else (3, 1)
        return cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8), iterations=times) > 0

    def accept(self, drawn: np.ndarray, original: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """The inpainted picture that the iteration continues with, (h, w, 3) uint8. original: crop of the image."""
        return drawn

    def select_mask(
        self, candidates: Sequence[np.ndarray], query: np.ndarray, visible: np.ndarray, allowed: np.ndarray
    ) -> tuple[int | None, np.ndarray] | None:
        """Select the completed object's mask among the detections in the inpainted picture; also returns its index.

        It is the one with the largest IoU with `query`; `query` itself, with index 0, if none overlaps. None if nothing
        was detected, which discards the completion. allowed: where the object may be.
        """
        if not len(candidates):
            return None
        overlaps = [mask_iou(query, candidate, empty=0.0) for candidate in candidates]
        best = int(np.argmax(overlaps))
        return best, candidates[best] if overlaps[best] > 0 else query

    def reopen(self, occluder: np.ndarray, sides: frozenset[str]) -> np.ndarray:
        """Occluders in the crop, plus a band along the sides that the completed object touches."""
        opened = occluder.copy()
        bands = (opened[:BAND], opened[-BAND:], opened[:, :BAND], opened[:, -BAND:])
        for side, band in zip(SIDES, bands, strict=True):
            if side in sides:
                band[:] = True
        return opened

    def compose(self, drawn: np.ndarray, amodal: np.ndarray, original: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """The completed object, (h, w, 4) uint8."""
        return blend.published_blend(blend.cut_out(original, visible), with_mask(drawn, amodal))


class Repaired(Parity):
    """The repaired steps.

    Background segments keep their holes; visible pixels are never overwritten; colours match at the seam; a finished
    completion is never discarded; `background` is not a name; small objects and large images work. The object extends
    only where something hides it, and nothing outside the canvas is inpainted.
    """

    least_area = 0.0
    needs_detections = False
    largest = 2048

    def in_front(self, occluder: np.ndarray, visible: np.ndarray) -> np.ndarray:
        return segments.touching(occluder & ~visible, visible)

    def is_needed(self, occluder: np.ndarray, sides: frozenset[str], has_room: bool) -> bool:
        return bool(occluder.any() or (sides and has_room))

    def background_segments(self, masks: Sequence[np.ndarray]) -> list[np.ndarray]:
        return segments.whole_background(masks)

    def candidate_names(self, tags: list[str]) -> list[str]:
        return [tag for tag in tags if tag != BACKGROUND]

    def backdrop(self, picture: np.ndarray, query: np.ndarray, wallpaper: np.ndarray | None) -> np.ndarray:
        paper = np.full((1, 1, 3), GREY, np.uint8) if wallpaper is None else wallpaper
        rows, columns = np.arange(picture.shape[0]) % paper.shape[0], np.arange(picture.shape[1]) % paper.shape[1]
        return np.where(query[..., None], picture, paper[rows[:, None], columns])

    def inpainting_mask(self, mask: np.ndarray, iteration: int, visible: np.ndarray) -> np.ndarray:
        return super().inpainting_mask(mask, iteration, visible) & ~visible

    def accept(self, drawn: np.ndarray, original: np.ndarray, visible: np.ndarray) -> np.ndarray:
        return feathered(drawn, original, visible)

    def select_mask(
        self, candidates: Sequence[np.ndarray], query: np.ndarray, visible: np.ndarray, allowed: np.ndarray
    ) -> tuple[int | None, np.ndarray]:
        found = super().select_mask(candidates, query, visible, allowed)
        if found is None or found[1] is query:
            return None, query
        index, mask = found
        return index, (mask & allowed) | visible

    def compose(self, drawn: np.ndarray, amodal: np.ndarray, original: np.ndarray, visible: np.ndarray) -> np.ndarray:
        return with_mask(drawn, amodal)


class Progressive(Parity):
    """Progressive Mixed Context Diffusion (Xu et al. 2024, github k8xu/amodal), run without its mixed-context
    sampling, which needs LaMa. The description is the object's class."""

    inpaintings = 6
    least_area = 0.02
    border = 60
    anchored = False
    resample = "BICUBIC"

    def touched_sides(self, mask: np.ndarray) -> frozenset[str]:
        """As published, where first and last row are swapped: an object counts as cut by the top or the bottom only if
        it lies entirely within `GAP` pixels of that side."""
        sides = touched_sides(mask) & {"left", "right"}
        if mask.any() and not mask[GAP + 1 :].any():
            sides |= {"top"}
        if mask.any() and not mask[: max(0, len(mask) - GAP)].any():
            sides |= {"bottom"}
        return sides

    def background_segments(self, masks: Sequence[np.ndarray]) -> list[np.ndarray]:
        return []

    def candidate_names(self, tags: list[str]) -> list[str]:
        return []

    def backdrop(self, picture: np.ndarray, query: np.ndarray, wallpaper: np.ndarray | None) -> np.ndarray:
        return picture

    def region_to_inpaint(self, mask: np.ndarray, first: np.ndarray) -> np.ndarray:
        return mask

    def inpainting_mask(self, mask: np.ndarray, iteration: int, visible: np.ndarray) -> np.ndarray:
        return super().inpainting_mask(mask, 0, visible)

    def reopen(self, occluder: np.ndarray, sides: frozenset[str]) -> np.ndarray:
        return occluder

    def compose(self, drawn: np.ndarray, amodal: np.ndarray, original: np.ndarray, visible: np.ndarray) -> np.ndarray:
        return with_mask(drawn, amodal)


RULES: dict[str, type[Parity]] = {"repaired": Repaired, "parity": Parity, "progressive": Progressive}


def with_mask(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """RGBA (h, w, 4) uint8 with alpha 255 on the mask, else 0."""
    return np.dstack([rgb, mask.astype(np.uint8) * 255])
