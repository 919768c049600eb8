"""The method pix2gestalt, frame by frame."""

from collections.abc import Iterator

from unocclude.completion import FrameResult
from unocclude.methods.checkpoint_method import CheckpointMethod
from unocclude.methods.pix2gestalt.options import Pix2GestaltOptions
from unocclude.scene import Scene


class Pix2Gestalt(CheckpointMethod):
    name = "pix2gestalt"
    summary = "image diffusion, frame by frame: the whole object on white (Ozguroglu et al. 2024)"
    checkpoint = "pix2gestalt"
    needs = "the diffusion extra and the published weights (pix2gestalt); a GPU, as it takes 200 steps a frame"
    Options = Pix2GestaltOptions
    options: Pix2GestaltOptions

    def complete(self, scene: Scene, start: int = 0) -> Iterator[FrameResult]:
        from unocclude.methods.pix2gestalt.completer import Pix2GestaltCompleter

        completer = Pix2GestaltCompleter(scene, self.folder, self.options, self.settings)
        for i in range(start, len(scene)):
            yield from completer.complete(i)
