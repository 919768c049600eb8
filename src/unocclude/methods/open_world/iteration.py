"""The iteration of Open-World Amodal Appearance Completion on one image (`run_iteration` in the published code)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unocclude.methods.open_world.crop import crop_region, take
from unocclude.methods.open_world.perception import ObjectPerception
from unocclude.methods.open_world.rules import Parity

Draw = Callable[[np.ndarray, np.ndarray, str, int], np.ndarray]
"""draw(picture, mask, prompt, iteration): inpaint the masked part of a picture (h, w, 3) uint8; same size."""


@dataclass(frozen=True)
class CompletedObject:
    """A completed object.

    rgb: (h, w, 3) uint8, the last inpainted picture. amodal: (h, w) bool. rgba: (h, w, 4) uint8, the object alone with
    its visible part blended in. offset: row and column of the crop's first pixel in the image, as in the published
    offsets.json. inpaintings: number of inpainting steps.
    """

    rgb: np.ndarray
    amodal: np.ndarray
    rgba: np.ndarray
    offset: tuple[int, int]
    inpaintings: int


def complete_image(
    occluder: np.ndarray,
    perceived: ObjectPerception,
    draw: Draw,
    rules: Parity,
    wallpaper: np.ndarray | None = None,
) -> CompletedObject | None:
    """Complete an object; None if the rules discard the completion.

    occluder: its occluders in the image, (H, W) bool. Stops after `rules.inpaintings` steps, or when nothing is left to
    inpaint or nothing hides the object any more.
    """
    visible = perceived.visible
    region = crop_region(visible, rules.touched_sides(visible), rules.border, rules.anchored)
    original = picture = take(perceived.image, region, 255)
    seen = query = take(visible, region, 0)
    in_front = take(occluder, region, 0)
    outside = take(np.zeros_like(visible), region, 1)
    first = in_front | outside
    done = 0
    while done < rules.inpaintings:
        mask = rules.region_to_inpaint(in_front | outside, first)
        if not mask.any():
            break
        shown = rules.backdrop(picture, query, wallpaper) if done == 0 else picture
        if shown is None:
            return None
        drawn = draw(shown, rules.inpainting_mask(mask, done, seen), f"a {perceived.name}", done)
        picture = rules.accept(drawn, original, seen)
        done += 1
        found = perceived.perceive_completion(picture, query, seen, first)
        if found is None:
            return None
        query, in_front = found
        outside = np.zeros_like(outside)
        sides = rules.touched_sides(query)
        if not (in_front.any() or sides):
            break
        in_front = rules.reopen(in_front, sides)
    if not done:
        return None
    rgba = rules.compose(picture, query, original, seen)
    return CompletedObject(picture, query, rgba, (region.top, region.left), done)
