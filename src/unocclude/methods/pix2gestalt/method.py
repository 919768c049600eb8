"""pix2gestalt behind the contract: frame by frame."""

from collections.abc import Iterator

from unocclude.completion import FrameResult
from unocclude.methods.checkpoint_method import CheckpointMethod
from unocclude.methods.pix2gestalt.options import Pix2GestaltOptions
from unocclude.scene import Scene


class Pix2Gestalt(CheckpointMethod):
    name = "pix2gestalt"
    summary = "image diffusion, every frame for itself: the whole object on white (Ozguroglu et al. 2024)"
    checkpoint = "pix2gestalt"
    needs = "the diffusion extra and the published weights (pix2gestalt); a GPU, as it takes 200 steps a frame"
    Options = Pix2GestaltOptions
    options: Pix2GestaltOptions

    def complete(self, scene: Scene, start: int = 0) -> Iterator[FrameResult]:
        from unocclude.methods.pix2gestalt.completer import Frames

        frames = Frames(scene, self.folder, self.options, self.settings)
        for i in range(start, len(scene)):
            yield from frames.complete(i)
