"""IC-Amodal and IC-Amodal+ behind the contract."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from unocclude import weights as checkpoints
from unocclude.completion import FrameResult
from unocclude.errors import InputError
from unocclude.methods.base import Method, MethodOptions, Setting
from unocclude.networks import device_for
from unocclude.scene import Scene

if TYPE_CHECKING:
    from unocclude.methods.ic_amodal.stages import Stages

CHECKPOINT = "flux.1-fill-dev"
MEMORY = "a GPU with 24 GB (weights held in 8 bits) or with 32 GB and more"


class ICAmodalOptions(MethodOptions):
    ablation: Literal["a1", "a2", "a3", "full"] = Field(
        "full",
        description="the paper's rows: a1 every frame alone; a2 beside an exemplar; a3 beside one that a second frame "
        "rectified; full, with attention modulated",
    )
    cell: int = Field(512, ge=16, le=2048, description="a sub-image has the pixels of a square with this side")
    steps: int = Field(50, ge=1, le=1000, description="denoising steps")
    guidance: float = Field(30.0, ge=0, description="guidance scale, of networks that are distilled for one")
    lambda_up: float = Field(1.5, ge=0, description="factor of attention on the exemplar's completion")
    lambda_down: float = Field(0.7, ge=0, description="factor of attention on both left sub-images")
    mode: Literal["renormalised", "unnormalised"] = Field(
        "renormalised", description="whether attention sums to one again once it is multiplied"
    )
    blocks: Literal["double", "all"] = Field(
        "double", description="double: modulate the multimodal blocks; all: the single-stream ones as well"
    )
    queries: Literal["cell", "hole"] = Field(
        "cell", description="modulate the attention of the whole sub-image, or of what is to be filled in it"
    )
    apart: float = Field(0.2, ge=0, le=1, description="share of the shot between the exemplar and its collaborator")
    ground: Literal["auto", "black", "white", "grey"] = Field(
        "auto", description="what objects stand on; auto: whichever of these is least like the object (paper: black)"
    )
    prompt: str = Field("", description="what the object is; else BLIP-2's caption where its weights are, or 'object'")
    text_tokens: int = Field(512, ge=1, le=512, description="tokens that the prompt is padded to")
    recall: bool = Field(
        False, description="take shape and pixels from recall where frames show them; generate only what no frame shows"
    )
    strength: float = Field(
        1.0, gt=0, le=1, description="with recall: begin at this share of the noise, from its own filling"
    )
    reuse: bool = Field(
        False, description="the exemplar's keys and values once a step for several frames; they see no frame then"
    )
    offload: Literal["auto", "none", "model", "sequential"] = Field(
        "auto", description="on a GPU: parts wait in main memory, whole or block by block; auto: by the GPU's memory"
    )
    storage: Literal["auto", "full", "float8"] = Field(
        "auto", description="float8: the transformer's weights rest in 8 bits; auto: on GPUs with less than 32 GB"
    )


PLAIN = Setting()


class ICAmodal(Method):
    name = "ic-amodal"
    summary = "an inpainting model guided by an exemplar from the same clip, training-free (IC-Amodal, CVPR 2026)"
    samples = True
    takes_weights = True
    needs = f"the diffusion extra and the published weights ({CHECKPOINT}); {MEMORY} for full size"
    Options = ICAmodalOptions
    options: ICAmodalOptions
    blended: ClassVar[bool] = False
    """Whether visible pixels are the frame's own, or as the network gives them back."""

    def __init__(self, options: ICAmodalOptions, setting: Setting = PLAIN):
        super().__init__(options, setting)
        if options.strength < 1 and not options.recall:
            raise InputError("strength below 1 begins from what recall fills in; add --set recall=true")
        if options.reuse and options.ablation == "a1":
            raise InputError("reuse is of the exemplar, which ablation=a1 has not; leave out one of them")
        self._stages: Stages | None = None

    @classmethod
    def missing(cls, weights: str | None = None) -> str:
        try:
            device_for(cls.name, transformers=True, extra="diffusion")
            checkpoints.find(weights or CHECKPOINT, CHECKPOINT)
        except InputError as error:
            return f"{error}; full size needs {MEMORY}"
        return ""

    def complete(self, scene: Scene, start: int = 0) -> Iterator[FrameResult]:
        from unocclude.methods.ic_amodal.stages import Stages

        folder = checkpoints.find(self.setting.weights or CHECKPOINT, CHECKPOINT)
        self._stages = Stages(scene, folder, self.options, self.setting, self.blended)
        for shot in scene.shots:
            if shot.stop > start:
                yield from self._stages.complete(shot, start)

    def report(self) -> dict[str, Any]:
        return self._stages.report if self._stages else {}


class ICAmodalPlus(ICAmodal):
    name = "ic-amodal-plus"
    summary = "IC-Amodal blended with what is visible, which stays as it is"
    blended = True
