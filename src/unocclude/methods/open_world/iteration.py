"""Draw, look, draw again: the iteration of Open-World Amodal Appearance Completion on one image (`run_iteration`)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unocclude.methods.open_world.crop import crop_region, take
from unocclude.methods.open_world.perception import Sight
from unocclude.methods.open_world.rules import Parity

Draw = Callable[[np.ndarray, np.ndarray, str, int], np.ndarray]
"""Given a picture (h, w, 3) uint8, what to draw anew in it (h, w) bool, a prompt and the iteration: the picture drawn,
of the same size."""


@dataclass(frozen=True)
class Element:
    """A completed object. rgb: (h, w, 3) uint8, the generator's last picture. amodal: (h, w) bool. rgba: (h, w, 4)
    uint8, the object alone, the visible part blended in. offset: row and column of the crop's first pixel in the image,
    as in the published offsets.json. inpaintings: how often it was drawn."""

    rgb: np.ndarray
    amodal: np.ndarray
    rgba: np.ndarray
    offset: tuple[int, int]
    inpaintings: int


def complete_image(
    occluder: np.ndarray,
    sight: Sight,
    draw: Draw,
    rules: Parity,
    wallpaper: np.ndarray | None = None,
) -> Element | None:
    """Complete the object that `sight` looks at; None where the rules give it up.

    occluder: what lies over it in the image, (H, W) bool. At most `rules.inpaintings` are drawn; it ends when nothing
    is left to be drawn, or nothing hides the object any more.
    """
    visible = sight.visible
    region = crop_region(visible, rules.touched(visible), rules.border, rules.anchored)
    original = picture = take(sight.image, region, 255)
    seen = query = take(visible, region, 0)
    in_front = take(occluder, region, 0)
    outside = take(np.zeros_like(visible), region, 1)
    first = in_front | outside
    done = 0
    while done < rules.inpaintings:
        mask = rules.opened(in_front | outside, first)
        if not mask.any():
            break
        shown = rules.backdrop(picture, query, wallpaper) if done == 0 else picture
        if shown is None:
            return None
        drawn = draw(shown, rules.dilated(mask, done, seen), f"a {sight.name}", done)
        picture = rules.accepted(drawn, original, seen)
        done += 1
        found = sight.again(picture, query, seen, first)
        if found is None:
            return None
        query, in_front = found
        outside = np.zeros_like(outside)
        sides = rules.touched(query)
        if not (in_front.any() or sides):
            break
        in_front = rules.reopened(in_front, sides)
    if not done:
        return None
    rgba = rules.element(picture, query, original, seen)
    return Element(picture, query, rgba, (region.top, region.left), done)
