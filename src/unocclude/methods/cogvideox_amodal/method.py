"""The method CogVideoX-Amodal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unocclude.completion import FrameResult
from unocclude.methods.checkpoint_kind import read_kind
from unocclude.methods.checkpoint_method import CheckpointMethod
from unocclude.methods.cogvideox_amodal.options import CogVideoXAmodalOptions
from unocclude.scene import Scene


class CogVideoXAmodal(CheckpointMethod):
    name = "cogvideox-amodal"
    summary = "CogVideoX conditioned on a clip, its visible masks and a description: the video baseline of TGVAC"
    checkpoint = "cogvideox-amodal"
    needs = "the diffusion extra and weights of your own training (recipe cogvideox; none are published); a GPU"
    text_option = "description"
    Options = CogVideoXAmodalOptions
    options: CogVideoXAmodalOptions

    @classmethod
    def recommended_options(cls, folder: Path) -> dict[str, Any]:
        kind = read_kind(folder)
        trained = {"window": kind.frames, "framing": kind.crop} if kind and kind.frames else {}
        return trained | super().recommended_options(folder)

    _description = ""

    def report(self) -> dict[str, Any]:
        return {"description": self._description}

    def complete(self, scene: Scene, start: int = 0) -> Iterator[FrameResult]:
        from unocclude.methods.cogvideox_amodal.completer import CogVideoXAmodalCompleter

        completer = CogVideoXAmodalCompleter(scene, self.folder, self.options, self.settings)
        self._description = completer.description
        for shot in scene.shots:
            if shot.stop > start:
                yield from (result for result in completer.complete(shot) if result.index >= start)
