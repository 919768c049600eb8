"""Options of pix2gestalt."""

from typing import Literal

from pydantic import Field

from unocclude.methods.base import MethodOptions


class Pix2GestaltOptions(MethodOptions):
    framing: Literal["object", "squeeze"] = Field(
        "object", description="object: a square crop around it in each frame; squeeze: the whole frame, as published"
    )
    side: int = Field(256, ge=64, le=1024, multiple_of=64, description="side of the network input in pixels")
    steps: int = Field(200, ge=2, le=1000, description="denoising steps")
    guidance: float = Field(2.0, ge=0, le=20, description="classifier-free guidance scale; 1: off")
    eta: float = Field(1.0, ge=0, le=1, description="amount of noise added at every step; 0: deterministic DDIM")
    white: int = Field(250, ge=1, le=255, description="grey level above which a pixel is background")
