"""The methods IC-Amodal and IC-Amodal+."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from unocclude.completion import FrameResult
from unocclude.errors import InputError
from unocclude.methods.base import DEFAULT_SETTINGS, RunSettings
from unocclude.methods.checkpoint_kind import read_kind
from unocclude.methods.checkpoint_method import CheckpointMethod
from unocclude.methods.ic_amodal.options import ICAmodalOptions
from unocclude.scene import Scene

if TYPE_CHECKING:
    from unocclude.methods.ic_amodal.completer import ICAmodalCompleter

MEMORY = "a GPU with 24 GB (weights held in 8 bits) or with 32 GB and more"


class ICAmodal(CheckpointMethod):
    name = "ic-amodal"
    summary = "an inpainting model guided by an exemplar from the same clip, training-free (IC-Amodal, CVPR 2026)"
    checkpoint = "flux.1-fill-dev"
    advice = f"; full size needs {MEMORY}"
    needs = f"the diffusion extra and the published weights (flux.1-fill-dev); {MEMORY} for full size"
    Options = ICAmodalOptions
    options: ICAmodalOptions
    blended: ClassVar[bool] = False
    """Whether visible pixels are the frame's own or the network's output."""

    def __init__(self, options: ICAmodalOptions, settings: RunSettings = DEFAULT_SETTINGS):
        super().__init__(options, settings)
        if options.strength < 1 and not options.recall:
            raise InputError("strength below 1 starts from recall's completion; add --set recall=true")
        if options.reuse and options.ablation == "a1":
            raise InputError("reuse needs an exemplar, which ablation=a1 does not have; leave out one of them")
        if options.blend == "soft" and not self.blended:
            raise InputError("blend=soft blends visible pixels, which ic-amodal does not paste; use ic-amodal-plus")
        self._completer: ICAmodalCompleter | None = None

    @classmethod
    def recommended_options(cls, folder: Path) -> dict[str, Any]:
        kind = read_kind(folder)
        trained = {"cell": kind.size[0]} if kind and kind.size else {}
        return trained | super().recommended_options(folder)

    def complete(self, scene: Scene, start: int = 0) -> Iterator[FrameResult]:
        from unocclude.methods.ic_amodal.completer import ICAmodalCompleter

        self._completer = ICAmodalCompleter(scene, self.folder, self.options, self.settings, self.blended)
        for shot in scene.shots:
            if shot.stop > start:
                yield from self._completer.complete(shot, start)

    def report(self) -> dict[str, Any]:
        return self._completer.report if self._completer else {}


class ICAmodalPlus(ICAmodal):
    name = "ic-amodal-plus"
    summary = "IC-Amodal with the visible pixels of the frame kept"
    blended = True
