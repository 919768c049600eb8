"""The method TGVAC."""

from collections.abc import Iterator
from typing import Any

from unocclude.completion import FrameResult
from unocclude.methods.checkpoint_method import MINI_ADVICE, CheckpointMethod, packaged_folder
from unocclude.methods.tgvac.options import TGVACOptions
from unocclude.scene import Scene


class TGVAC(CheckpointMethod):
    name = "tgvac"
    summary = "text-guided video diffusion: the whole object on white; clips of any length by temporal diffusion"
    checkpoint = "tgvac"
    advice = MINI_ADVICE
    mini = packaged_folder(__package__)
    text_option = "description"
    needs = (
        "the diffusion extra and weights of your own training (tgvac; none are published), or mini; a GPU for full size"
    )
    Options = TGVACOptions
    options: TGVACOptions

    _description = ""

    def report(self) -> dict[str, Any]:
        return {"description": self._description}

    def complete(self, scene: Scene, start: int = 0) -> Iterator[FrameResult]:
        from unocclude.methods.tgvac.completer import TGVACCompleter

        completer = TGVACCompleter(scene, self.folder, self.options, self.settings)
        self._description = completer.description
        for shot in scene.shots:
            if shot.stop > start:
                yield from (result for result in completer.complete(shot) if result.index >= start)
