"""TGVAC behind the contract."""

from collections.abc import Iterator

from pydantic import Field

from unocclude import weights as checkpoints
from unocclude.completion import FrameResult
from unocclude.errors import InputError
from unocclude.methods.base import Method, MethodOptions
from unocclude.networks import device_for
from unocclude.scene import Scene

CHECKPOINT = "tgvac"


class TGVACOptions(MethodOptions):
    description: str = Field("", description="what the whole object is, in words, as in 'a red striped ball'")
    text: bool = Field(True, description="false: the description is left out (table 3)")
    motion: bool = Field(True, description="false: frame by frame, without the motion modules (table 3)")
    window: int = Field(0, ge=0, description="frames that the network sees together, 0: as it was trained")
    stride: int = Field(
        4, ge=1, description="frames by which windows are apart (table 4); as window: no temporal diffusion (table 3)"
    )
    together: int = Field(1, ge=1, description="windows a call of the network; more are faster on a GPU")
    steps: int = Field(30, ge=1, le=1000, description="denoising steps")
    guidance: float = Field(7.5, ge=0, le=50, description="scale of classifier-free guidance by the words, off at 1")
    side: int = Field(0, ge=0, le=2048, description="pixels of the square picture's side, 0: as it was trained")


class TGVAC(Method):
    name = "tgvac"
    summary = "text-guided video diffusion: the whole object on white, clips of any length by temporal diffusion"
    samples = True
    takes_weights = True
    needs = "the diffusion extra and weights of our own training (tgvac; none are published); a GPU for full size"
    Options = TGVACOptions
    options: TGVACOptions

    @classmethod
    def missing(cls, weights: str | None = None) -> str:
        try:
            device_for(cls.name, transformers=True, extra="diffusion")
            checkpoints.find(weights or CHECKPOINT, CHECKPOINT)
        except InputError as error:
            return str(error)
        return ""

    def complete(self, scene: Scene, start: int = 0) -> Iterator[FrameResult]:
        from unocclude.methods.tgvac.shots import Shots

        folder = checkpoints.find(self.setting.weights or CHECKPOINT, CHECKPOINT)
        shots = Shots(scene, folder, self.options, self.setting)
        for shot in scene.shots:
            if shot.stop > start:
                yield from (result for result in shots.complete(shot) if result.index >= start)
