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
from unocclude.methods.inpainter import Inpainter, checkpoint_folder
from unocclude.methods.open_world.crop import crop_region, put, resized
from unocclude.methods.open_world.iteration import CompletedObject, complete_image
from unocclude.methods.open_world.networks import load_published
from unocclude.methods.open_world.options import OpenWorldOptions
from unocclude.methods.open_world.perception import ObjectPerception, PerceptionNetworks, occluders_from_evidence
from unocclude.methods.open_world.rules import RULES
from unocclude.scene import Scene


class OpenWorld(Method):
    name = "open-world"
    summary = "inpaints the hidden part with a diffusion model, frame by frame, from the object's name"
    samples = True
    takes_weights = True
    text_option = "words"
    needs = (
        "an inpainting checkpoint of diffusers: stable-diffusion-2-inpainting, or any folder by --weights (SDXL, "
        "FLUX.1-Fill ...); a GPU for speed; occluders from --occluders, else from the published networks if their "
        "weights are present, else from motion in a clip or concavities of the outline in a single image"
    )
    Options = OpenWorldOptions
    options: OpenWorldOptions

    def __init__(
        self,
        options: OpenWorldOptions,
        settings: RunSettings = DEFAULT_SETTINGS,
        perception: PerceptionNetworks | None = None,
    ):
        super().__init__(options, settings)
        self.perception = load_published(settings.device) if perception is None else perception
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
            results = [on_canvas(scene, i, completed) for completed in self._complete_frame(scene, i)]
            wanted = self.settings.hypotheses
            if wanted == 1:
                yield results[0]
            else:
                yield replace(results[0], hypotheses=results if len(results) == wanted else results * wanted)

    def _complete_frame(self, scene: Scene, i: int) -> list[CompletedObject | None]:
        """The completed object of a frame per hypothesis; [None] if there is nothing to complete."""
        rules, visible = self.rules, scene.track[i]
        if visible.sum() < max(1, rules.least_area * visible.size):
            return [None]
        scale = min(1.0, rules.largest / max(visible.shape)) if rules.largest else 1.0
        visible = resized(visible, scale)
        if not visible.any():
            return [None]
        ask = self.perception.can_detect and scene.given_occluders is None
        perceived = ObjectPerception(self.perception, rules, resized(scene.clip[i], scale), visible, self.options.words)
        occluder = perceived.in_front() if ask else occluders_from_evidence(scene, i, scale)
        if occluder is None:
            return [None]
        occluder = rules.in_front(occluder, visible)
        sides = rules.touched_sides(visible)
        if not rules.is_needed(occluder, sides, has_room=scene.offset != (0, 0)):
            return [None]
        height, width = crop_region(visible, sides, rules.border, rules.anchored).shape
        if height * width > MAX_PIXELS:
            raise InputError(f"rules={self.options.rules} does not support images this large; use rules=repaired")
        times = (scene.clip.height / visible.shape[0], scene.clip.width / visible.shape[1])
        completions = []
        for hypothesis in range(self.settings.hypotheses):
            draw = partial(self._draw, hypothesis)
            completed = complete_image(occluder, perceived, draw, rules, self.wallpaper)
            completions.append(completed and rescale(completed, times))
        return completions

    @cached_property
    def _inpainter(self) -> Inpainter:
        options, settings = self.options, self.settings
        return Inpainter(
            settings.weights, settings.device, steps=options.steps, guidance=options.guidance, size=options.size
        )

    def _draw(self, hypothesis: int, picture: np.ndarray, mask: np.ndarray, prompt: str, iteration: int) -> np.ndarray:
        # the same noise in every frame: results do not depend on where a run starts, and flicker less
        entropy = [self.settings.seed % 2**64, hypothesis, iteration]
        seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))
        return self._inpainter(picture, mask, prompt, seed, self.rules.resample)


def on_canvas(scene: Scene, i: int, completed: CompletedObject | None) -> FrameResult:
    """Paste a completed object onto the canvas, clipped to it; without one the result is the visible part."""
    frame, visible = scene.frame(i), scene.visible(i)
    amodal, colour = np.zeros_like(visible), np.zeros_like(frame)
    if completed is not None:
        (x, y), (row, column) = scene.offset, completed.offset
        put(colour, completed.rgba[..., :3], y + row, x + column)
        put(amodal, completed.rgba[..., 3] > 127, y + row, x + column)
    return compose(i, frame, visible, amodal, colour, recalled=np.zeros_like(visible))


def rescale(completed: CompletedObject, times: tuple[float, float]) -> CompletedObject:
    """Scale a completed object by `times`, factors of height and width."""
    if times == (1, 1):
        return completed
    (height, width), (row, column) = completed.amodal.shape, completed.offset
    size = (round(width * times[1]), round(height * times[0]))
    rgb, rgba = (cv2.resize(a, size, interpolation=cv2.INTER_LINEAR) for a in (completed.rgb, completed.rgba))
    amodal = cv2.resize(completed.amodal.astype(np.uint8) * 255, size, interpolation=cv2.INTER_LINEAR) > 127
    return replace(
        completed, rgb=rgb, amodal=amodal, rgba=rgba, offset=(round(row * times[0]), round(column * times[1]))
    )
