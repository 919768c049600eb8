"""pix2gestalt behind the contract: frame by frame."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from unocclude import weights as checkpoints
from unocclude.completion import FrameResult
from unocclude.errors import InputError
from unocclude.methods.base import Method, MethodOptions
from unocclude.networks import device_for
from unocclude.scene import Scene

CHECKPOINT = "pix2gestalt"


class Pix2GestaltOptions(MethodOptions):
    framing: Literal["object", "squeeze"] = Field(
        "object", description="object: a square around it, frame by frame; squeeze: the whole frame, as published"
    )
    side: int = Field(256, ge=64, le=1024, multiple_of=64, description="pixels of the side of what the network sees")
    steps: int = Field(200, ge=2, le=1000, description="denoising steps")
    guidance: float = Field(2.0, ge=0, le=20, description="scale of classifier-free guidance, off at 1")
    eta: float = Field(1.0, ge=0, le=1, description="share of fresh noise at every step; 0 is deterministic DDIM")
    white: int = Field(250, ge=1, le=255, description="grey level above which a pixel is background")


class Pix2Gestalt(Method):
    name = "pix2gestalt"
    summary = "image diffusion, every frame for itself: the whole object on white (Ozguroglu et al. 2024)"
    samples = True
    takes_weights = True
    needs = "the diffusion extra and the published weights (pix2gestalt); a GPU, as it takes 200 steps a frame"
    Options = Pix2GestaltOptions
    options: Pix2GestaltOptions

    @classmethod
    def missing(cls, weights: str | None = None) -> str:
        try:
            device_for(cls.name, transformers=True, extra="diffusion")
            checkpoints.find(weights or CHECKPOINT, CHECKPOINT)
        except InputError as error:
            return str(error)
        return ""

    def complete(self, scene: Scene, start: int = 0) -> Iterator[FrameResult]:
        from unocclude.methods.pix2gestalt.frames import Frames

        folder = checkpoints.find(self.setting.weights or CHECKPOINT, CHECKPOINT)
        frames = Frames(scene, folder, self.options, self.setting)
        for i in range(start, len(scene)):
            yield from frames.complete(i)
