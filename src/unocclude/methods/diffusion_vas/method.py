"""The method Diffusion-VAS."""

import json
from collections.abc import Iterator

from unocclude.completion import FrameResult
from unocclude.errors import InputError
from unocclude.methods.checkpoint_method import MINI_ADVICE, CheckpointMethod, packaged_folder
from unocclude.methods.diffusion_vas.options import DiffusionVASOptions
from unocclude.scene import Scene
from unocclude.types import Box


class DiffusionVAS(CheckpointMethod):
    name = "diffusion-vas"
    summary = "video diffusion: amodal masks from visible masks and depth, then their content (Chen et al. 2024)"
    checkpoint = "diffusion-vas"
    needs = "the diffusion extra and the published weights (diffusion-vas); a GPU with 12 GB for full size"
    advice = MINI_ADVICE
    mini = packaged_folder(__package__)
    Options = DiffusionVASOptions
    options: DiffusionVASOptions

    def complete(self, scene: Scene, start: int = 0) -> Iterator[FrameResult]:
        from unocclude.methods.diffusion_vas.completer import DiffusionVASCompleter

        boxes = self._boxes(scene)
        completer = DiffusionVASCompleter(scene, self.folder, self.options, self.settings, boxes)
        for shot in scene.shots:
            if shot.stop > start:
                yield from (result for result in completer.complete(shot) if result.index >= start)

    def _boxes(self, scene: Scene) -> list[Box] | None:
        """Amodal boxes from the option `boxes`, on the canvas."""
        if self.options.boxes is None:
            return None
        path = self.options.boxes
        try:
            boxes = json.loads(path.read_text())
            if len(boxes) != len(scene):
                raise InputError(f"{path} holds {len(boxes)} boxes for {len(scene)} frames; give one for every frame")
            x, y = scene.offset
            found = [(float(a) + x, float(b) + y, float(c) + x, float(d) + y) for a, b, c, d in boxes]
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{path} is not a JSON list of boxes [x0, y0, x1, y1]: {error}") from error
        if any(x1 <= x0 or y1 <= y0 for x0, y0, x1, y1 in found):
            raise InputError(f"{path}: a box has no area; boxes are [x0, y0, x1, y1] with x1 > x0 and y1 > y0")
        return found
