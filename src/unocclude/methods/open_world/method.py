"""The method `open-world`."""

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property, partial

import cv2
import numpy as np

from unocclude.completion import FrameResult
from unocclude.errors import InputError
from unocclude.media.images import MAX_PIXELS, read_image
from unocclude.methods.base import DEFAULT_SETTINGS, Method, RunSettings
from unocclude.methods.compose import compose
from unocclude.methods.open_world.crop import crop_region, put, resized
from unocclude.methods.open_world.iteration import Element, complete_image
from unocclude.methods.open_world.networks import published
from unocclude.methods.open_world.options import OpenWorldOptions
from unocclude.methods.open_world.perception import Perception, Sight, evident_occluders
from unocclude.methods.open_world.pipeline import Generator, checkpoint_folder
from unocclude.methods.open_world.rules import RULES
from unocclude.scene import Scene


class OpenWorld(Method):
    name = "open-world"
    summary = "draws the hidden part with an inpainting diffusion model, frame by frame, from the object's name"
    samples = True
    takes_weights = True
    needs = (
        "an inpainting checkpoint of diffusers: stable-diffusion-2-inpainting, or any folder by --weights (SDXL, "
        "FLUX.1-Fill ...); a GPU to be quick; what hides the object: --occluders, else the published "
        "networks where their weights are, else motion in a clip, pockets of the outline in a still"
    )
    Options = OpenWorldOptions
    options: OpenWorldOptions

    def __init__(
        self, options: OpenWorldOptions, settings: RunSettings = DEFAULT_SETTINGS, perception: Perception | None = None
    ):
        super().__init__(options, settings)
        self.perception = published(settings.device) if perception is None else perception
        self.rules = RULES[options.rules]()
        self.wallpaper = None if options.wallpaper is None else read_image(options.wallpaper)

    @classmethod
    def missing(cls, weights: str | None = None) -> str:
        for package in ("torch", "diffusers", "transformers"):
            if importlib.util.find_spec(package) is None:
                return f"it needs {package}; pip install 'unocclude[diffusion]'"
        try:
            checkpoint_folder(weights)
        except InputError as error:
            return str(error)
        return ""

    def complete(self, scene: Scene, start: int = 0) -> Iterator[FrameResult]:
        for i in range(start, len(scene)):
            results = [on_canvas(scene, i, element) for element in self._elements(scene, i)]
            wanted = self.settings.hypotheses
            if wanted == 1:
                yield results[0]
            else:
                yield replace(results[0], hypotheses=results if len(results) == wanted else results * wanted)

    def _elements(self, scene: Scene, i: int) -> list[Element | None]:
        """The completed object of a frame, one a hypothesis; just None where there is nothing to complete."""
        rules, visible = self.rules, scene.track[i]
        if visible.sum() < max(1, rules.least_area * visible.size):
            return [None]
        scale = min(1.0, rules.largest / max(visible.shape)) if rules.largest else 1.0
        visible = resized(visible, scale)
        if not visible.any():
            return [None]
        ask = self.perception.finds and scene.given_occluders is None
        words = self.options.words or scene.text or ""
        sight = Sight(self.perception, rules, resized(scene.clip[i], scale), visible, words)
        occluder = sight.in_front() if ask else evident_occluders(scene, i, scale)
        if occluder is None:
            return [None]
        occluder = rules.in_front(occluder, visible)
        sides = rules.touched(visible)
        if not rules.needed(occluder, sides, has_room=scene.offset != (0, 0)):
            return [None]
        height, width = crop_region(visible, sides, rules.border, rules.anchored).shape
        if height * width > MAX_PIXELS:
            raise InputError(f"rules={self.options.rules} cannot do images this large; use rules=repaired")
        times = (scene.clip.height / visible.shape[0], scene.clip.width / visible.shape[1])
        elements = []
        for hypothesis in range(self.settings.hypotheses):
            draw = partial(self._draw, hypothesis)
            element = complete_image(occluder, sight, draw, rules, self.wallpaper)
            elements.append(element and larger(element, times))
        return elements

    @cached_property
    def _generator(self) -> Generator:
        options, settings = self.options, self.settings
        return Generator(
            settings.weights, settings.device, steps=options.steps, guidance=options.guidance, size=options.size
        )

    def _draw(self, hypothesis: int, picture: np.ndarray, mask: np.ndarray, prompt: str, iteration: int) -> np.ndarray:
        # the same noise in every frame: a frame's result must not depend on where a run starts, and flickers less
        entropy = [self.settings.seed % 2**64, hypothesis, iteration]
        seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))
        return self._generator(picture, mask, prompt, seed, self.rules.resample)


def on_canvas(scene: Scene, i: int, element: Element | None) -> FrameResult:
    """A frame's result: the element where it belongs, what falls off the canvas left out; just the visible part
    without one."""
    frame, visible = scene.frame(i), scene.visible(i)
    amodal, colour = np.zeros_like(visible), np.zeros_like(frame)
    if element is not None:
        (x, y), (row, column) = scene.offset, element.offset
        put(colour, element.rgba[..., :3], y + row, x + column)
        put(amodal, element.rgba[..., 3] > 127, y + row, x + column)
    return compose(i, frame, visible, amodal, colour, recalled=np.zeros_like(visible))


def larger(element: Element, times: tuple[float, float]) -> Element:
    """An element at `times` the height and width."""
    if times == (1, 1):
        return element
    (height, width), (row, column) = element.amodal.shape, element.offset
    size = (round(width * times[1]), round(height * times[0]))
    rgb, rgba = (cv2.resize(a, size, interpolation=cv2.INTER_LINEAR) for a in (element.rgb, element.rgba))
    amodal = cv2.resize(element.amodal.astype(np.uint8) * 255, size, interpolation=cv2.INTER_LINEAR) > 127
    return replace(element, rgb=rgb, amodal=amodal, rgba=rgba, offset=(round(row * times[0]), round(column * times[1])))
